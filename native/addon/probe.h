// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <atomic>
#include <cstdint>
#include <linux/types.h>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>
#include "events.gen.h"
#include "shared.h"
#include "status.h"

struct ScopeRow {
  uint64_t cgroup;
  scope_entry entry;
};

// The loaded BPF object, its maps and links. Everything is released by Close (and by the kernel when the
// process ends in any way: nothing is pinned).
class Probe {
 public:
  ~Probe() { Close(); }
  // Opens and loads; ring sizes are powers of two and multiples of the page size. RunVerdict needs `with_verdict_run`.
  Status Load(const std::string& path, const probe_config& config, uint32_t exec_ring_bytes, uint32_t bulk_ring_bytes,
              bool with_verdict_run);
  // By hook: cgroup_mkdir, sched_exec, sys_openat, compat_exit, … Attaching what is attached changes nothing. A program
  // that the kernel still has there, since it is just being detached, is waited for (EEXIST otherwise). A system call
  // that this kernel has no tracepoint for is ENOENT, but not while compat_exit is attached, which reports that it was
  // refused: such hooks go with compat_exit.
  Status Attach(const std::string& name);
  // Returns at once; the program may still run on some CPU for a few ms.
  Status Detach(const std::string& name);
  std::vector<std::string> Programs() const;
  std::vector<std::string> Attached() const;
  Status ScopeSet(uint64_t cgroup, uint32_t state, uint32_t level, uint32_t table);
  // For which rings (HELD_*) nothing of the container is sent: it counts as lost by the container's own share. Without such an
  // entry, nothing is done.
  Status ScopeHold(uint64_t cgroup, uint32_t held);
  Status ScopeDelete(uint64_t cgroup);
  // Returns false when there is no such entry.
  bool ScopeGet(uint64_t cgroup, scope_entry* entry) const;
  // By number of the event: calls that were kept in the kernel.
  Status Filtered(std::vector<uint64_t>* counts) const;
  Status ScopeEntries(std::vector<ScopeRow>* rows) const;
  // Puts a copy of the table at the number, 1 to VERDICT_TABLES - 1; without a table takes it away. Waits some ms, until no
  // program looks at the one before.
  Status SetVerdicts(uint32_t number, const verdict_table* table);
  // From when this returns no open is judged by any table, until there is another at its number. Waits as SetVerdicts does, once.
  Status SuspendVerdicts();
  // Says in `args` what the probe does with an open.
  Status RunVerdict(verdict_run_args* args);
  int MapFd(const char* name) const;
  probe_state* State() const { return state_; }
  void Close();

 private:
  // A program on its way out, and whether it has got there.
  struct Detaching {
    std::string name;
    std::unique_ptr<std::atomic<bool>> done;
    std::thread thread;
  };
  Status AttachPrograms(const std::string& name, std::vector<bpf_link*>* links);
  Status AttachProgram(const std::string& name, bpf_program* program, std::vector<bpf_link*>* links);
  Status RunProgram(const char* name, void* args, uint32_t bytes, const char* doing);
  void SetWanted(const std::string& name, uint8_t wanted);
  void DetachBeside(const std::string& name, bpf_link* link);
  bool WaitForDetach(const std::string& name);
  bpf_object* object_ = nullptr;
  probe_state* state_ = nullptr;
  // By number. Closed when nothing can look at them any more: before Linux 6.8 the kernel frees what is in a map of maps at once.
  std::map<uint32_t, int> verdicts_;
  // By hook; no links: compat_exit reports it.
  std::map<std::string, std::vector<bpf_link*>> links_;
  // By hook: those of the programs that fit this kernel, where there is a choice.
  std::map<std::string, std::vector<bpf_program*>> variants_;
  std::vector<Detaching> detaching_;
};
