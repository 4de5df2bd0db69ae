// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bpf/libbpf.h>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>
#include "isolate.h"
#include "status.h"

// Containers that are cut off from the network (probe/isolate.bpf.c), by the id of their cgroup. The kernel lifts all
// when the process ends in any way: nothing is pinned.
class Isolation {
 public:
  ~Isolation() { Close(); }
  // At most ISOLATE_SERVERS_MAX servers.
  Status Load(const std::string& path, const std::vector<isolate_address>& servers);
  // `directory` must be the cgroup's, in the v2 hierarchy; ESRCH if its id is another. EBADF: it is of v1. Idempotent.
  // `local`: addresses of the container itself, added to those of an earlier call.
  Status Isolate(uint64_t cgroup, const std::string& directory, const std::vector<isolate_address>& local);
  // Does nothing for a container that is not isolated.
  void Lift(uint64_t cgroup);
  std::vector<uint64_t> Isolated() const;
  isolate_counts Counts() const;
  void Close();

 private:
  bpf_object* object_ = nullptr;
  isolate_counts* counts_ = nullptr;
  struct Entry {
    std::vector<bpf_link*> links;
    std::vector<isolate_address> local;
  };
  Status Allow(Entry* entry, const std::vector<isolate_address>& local);
  void Release(Entry* entry);
  std::map<uint64_t, Entry> entries_;
  // How many entries have an address.
  std::map<std::array<__u32, 5>, unsigned> uses_;
};

// Runs a child in the cgroup directory, which must be isolated: it connects and sends by UDP to 192.0.2.1, which must
// fail with EPERM (sending also where there is no route), and connects to 127.0.0.1, which must not.
Status TestIsolation(const std::string& directory);
