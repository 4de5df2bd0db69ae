// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bpf/libbpf.h>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>
#include "status.h"

// Names in a BPF file system keep programs attached after the process that has loaded them, however it ends.

// Names the link `name` in the directory; does nothing if it has its name. EINVAL: that is no BPF file system.
Status PinLink(bpf_link* link, const std::string& directory, const std::string& name);
// Names the map; does nothing if the name is there.
Status PinMap(int fd, const std::string& directory, const std::string& name);
// Takes the link's name away, if it has one.
void UnpinLink(bpf_link* link);

// By cgroup: what programs whose agent has ended have denied, from the map "scope" in the directory. ENOENT: it has none.
// ENOTSUP: it is of another version.
Status ReadUnseenDenials(const std::string& directory, std::vector<std::pair<uint64_t, uint64_t>>* denials);
