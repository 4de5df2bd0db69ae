// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bpf/libbpf.h>
#include <cstdint>
#include <string>
#include <vector>
#include "status.h"

struct verdict_table;

// Names in a BPF file system keep programs attached after the process that has loaded them, however it ends.

// Names the object behind this descriptor, a link or a map; does nothing if the name is there. EINVAL or EPERM: that is no BPF
// file system.
Status PinFd(int fd, const std::string& directory, const std::string& name);
// Takes the name away, if it is there.
void Unpin(const std::string& directory, const std::string& name);

// Programs whose agent has ended, by what has names in their directory. ENOENT: there is no such name. ENOTSUP: it is of another
// version.

struct PinnedContainer {
  uint64_t cgroup;
  uint32_t table; // 0: none
  uint64_t denied; // without an agent
};
// All containers, from the map "scope".
Status ReadPinnedScope(const std::string& directory, std::vector<PinnedContainer>* containers);
// Nothing is denied in this container any more: it has no table. `level`: its depth below the root of its hierarchy.
Status AllowPinned(const std::string& directory, uint64_t cgroup, uint32_t level);
// A table by its number; ESRCH: there is none. EPERM: it needs CAP_SYS_ADMIN.
Status ReadPinnedTable(const std::string& directory, uint32_t number, verdict_table* table);
// These rules of the table deny nothing any more (bit n: rule n).
Status AllowPinnedRules(const std::string& directory, uint32_t number, uint32_t rules);
// The same of the map of a table; 0, or -errno.
int AllowRulesIn(int map, uint32_t rules);
