// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bpf/libbpf.h>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>
#include "status.h"

// Names in a BPF file system keep programs attached after the process that has loaded them, however it ends.

// Names the object behind this descriptor, a link or a map; does nothing if the name is there. EINVAL or EPERM: that is no BPF
// file system.
Status PinFd(int fd, const std::string& directory, const std::string& name);
// Takes the name away, if it is there.
void Unpin(const std::string& directory, const std::string& name);

// By cgroup: what programs whose agent has ended have denied, from the map "scope" in the directory. ENOENT: it has none.
// ENOTSUP: it is of another version.
Status ReadUnseenDenials(const std::string& directory, std::vector<std::pair<uint64_t, uint64_t>>* denials);
