// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bpf/libbpf.h>
#include <string>
#include <vector>
#include "status.h"

// The programs that refuse connections (probe/deny.bpf.c). They use the maps of the probe that is passed, and must be
// stopped before that is closed. Nothing is pinned: the kernel detaches them when the process ends in any way.
class Denial {
 public:
  ~Denial() { Stop(); }
  // Loads the programs and attaches them to the root directory of cgroup v2. Idempotent. EBADF: the directory is of v1.
  Status Start(bpf_object* probe, const std::string& path, const std::string& directory);
  void Stop();

 private:
  bpf_object* object_ = nullptr;
  std::vector<bpf_link*> links_;
};
