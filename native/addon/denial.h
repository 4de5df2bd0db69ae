// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bpf/libbpf.h>
#include <cstdint>
#include <string>
#include <vector>
#include "status.h"

// How often the kernel has not run a program of this object, since another task was interrupted in it on that CPU.
uint64_t SkippedOf(bpf_object* object);

// Programs that refuse calls: connections (probe/deny-connects.bpf.c) or opens (probe/deny-opens.bpf.c). They use the maps of
// the probe that is passed, and must be stopped before that is closed. Unless they are pinned, the kernel detaches them
// when the process ends in any way.
class Denial {
 public:
  ~Denial() { Stop(); }
  // Loads the object at `path` and attaches its programs, those of cgroups to this directory of cgroup v2. Idempotent. EBADF:
  // the directory is of v1. Linux that has no such hook, or lets nobody change its result: EINVAL, ENOENT or EPERM.
  Status Start(bpf_object* probe, const std::string& path, const std::string& directory);
  // Keeps its programs attached after this process, by names in this directory of a BPF file system.
  Status Pin(const std::string& directory);
  // Takes the names away again.
  void Unpin(const std::string& directory);
  // The object that has its programs and maps; null if it is not started.
  bpf_object* Object() const { return object_; }
  // As Probe::Skipped, of its programs.
  uint64_t Skipped() const { return SkippedOf(object_); }
  // Programs that are pinned stay attached.
  void Stop();

 private:
  Status Attach(const std::string& path, int directory);
  bpf_object* object_ = nullptr;
  std::vector<bpf_link*> links_;
  std::vector<std::string> names_; // of the programs of links_
};
