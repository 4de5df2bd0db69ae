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
#include "denial.h"
#include "events.gen.h"
#include "shared.h"
#include "status.h"

struct ScopeRow {
  uint64_t cgroup;
  scope_entry entry;
};

// The loaded BPF object, its maps and links. Close releases everything, as does the kernel when the process ends in
// any way, but what Pin has named.
class Probe {
 public:
  ~Probe() { Close(); }
  // Opens and loads; ring sizes are powers of two and multiples of the page size. RunVerdict needs `with_verdict_run`.
  // With `by_compat_exit`, hooks of system calls can be attached only while compat_exit is: their own programs are not loaded.
  Status Load(const std::string& path, const probe_config& config, uint32_t exec_ring_bytes, uint32_t bulk_ring_bytes,
              bool with_verdict_run, bool by_compat_exit);
  // Attaches a hook: cgroup_mkdir, sched_exec, sys_openat, compat_exit, … Idempotent. Waits for a program that the
  // kernel is still detaching (EEXIST otherwise). ENOENT for a system call without a tracepoint in this kernel, except
  // while compat_exit is attached, which reports the refused call. Such hooks are detached together with compat_exit.
  Status Attach(const std::string& name);
  // Returns at once; the program may still run on a CPU for a few ms.
  Status Detach(const std::string& name);
  std::vector<std::string> Programs() const;
  std::vector<std::string> Attached() const;
  Status ScopeSet(uint64_t cgroup, uint32_t state, uint32_t level, uint32_t table);
  // Sets the rings (HELD_*) for which nothing of the container is sent: such records count as lost by its own share.
  // Does nothing without an entry.
  Status ScopeHold(uint64_t cgroup, uint32_t held);
  Status ScopeDelete(uint64_t cgroup);
  // Returns false if there is no such entry.
  bool ScopeGet(uint64_t cgroup, scope_entry* entry) const;
  // Calls filtered in the kernel, by event number.
  Status Filtered(std::vector<uint64_t>* counts) const;
  Status ScopeEntries(std::vector<ScopeRow>* rows) const;
  // Stores a copy of the table at the number, 1 to VERDICT_TABLES - 1; nullptr removes it. Waits some ms, until no
  // program uses the previous table.
  Status SetVerdicts(uint32_t number, const verdict_table* table, bool filters = true);
  // From its return on no table filters opens, until one is set again. Waits as SetVerdicts does, once.
  Status SuspendVerdicts();
  // The same, but what the tables deny stays denied. Number 0: all.
  Status StopFiltering(uint32_t number);
  // Stores at `to` what the table at `from` denies but by these rules. It filters nothing. ENOENT: there is none. Waits as SetVerdicts does.
  Status CopyVerdicts(uint32_t from, uint32_t to, uint32_t rules);
  // These rules of the table at this number deny no more: bit n: rule n. ENOENT: there is none.
  Status AllowRules(uint32_t number, uint32_t rules);
  // Loads the programs that refuse connections, or calls on files, from these objects, and attaches them (see Denial). Tables
  // decide what they refuse.
  Status DenyConnects(const std::string& path, const std::string& directory) { return denials_[kConnects].Start(object_, path, directory); }
  void AllowConnects() { denials_[kConnects].Unpin(pinned_); denials_[kConnects].Stop(); }
  Status DenyFiles(const std::string& opens, const std::string& paths);
  void AllowFiles();
  // `group`: from 0. Each has an object of its own. EINVAL: there is no such group.
  Status DenyCalls(uint32_t group, const std::string& path, const std::string& directory);
  void AllowCalls(uint32_t group);
  // Keeps what denies attached after this process, by names in this directory of a BPF file system, which is made. Idempotent;
  // call it again when more programs deny. Close leaves it.
  Status Pin(const std::string& directory);
  // Takes the names away again, and the limit of NoteSeen; the directory stays.
  void Unpin();
  // The agent is there. Pinned programs deny until `deny_until` (CLOCK_BOOTTIME ns; 0: no limit) without another call.
  Status NoteSeen(uint64_t now, uint64_t deny_until);
  // Writes into `args` whether the probe reports an open.
  Status RunVerdict(verdict_run_args* args);
  // A process that was there before the probe, as the agent knows it.
  Status AdoptImage(image_adopt_args* args);
  // Whatever name the file behind the descriptor is opened by in the container: rules that deny opens also compare the path of `args`,
  // which gets the file's identity. EBADF: DenyFiles has not been called; E2BIG: there are KNOWN_FILES_MAX.
  Status KnowFile(known_file_args* args);
  // `key`: what `args` began with. Nothing is done if the file is not known.
  Status ForgetFile(const known_file_args* key);
  // How often the kernel has not run a program, since another task was interrupted in it on that CPU: Linux 7.0 preempts
  // tracepoints. It is not known of which tasks.
  uint64_t Skipped() const;
  // Forgets the calls that were refused before `before` (CLOCK_BOOTTIME ns) and whose ends it has not seen, such as those for which
  // the kernel has not run a program. Each counts as a denial whose record was dropped. Returns how many.
  uint64_t ForgetRefusals(uint64_t before);
  int MapFd(const char* name) const;
  probe_state* State() const { return state_; }
  void Close();

 private:
  // Calls of which little but their kind is known: those of deny-calls.bpf.c and the other sources that include deny-way.h.
  static constexpr uint32_t kCallGroups = 5;
  // Places in denials_.
  enum { kConnects, kOpens, kPaths, kFirstGroup };
  // A program that is being detached, and whether that is done.
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
  // By number. Closed once no program can use them: before Linux 6.8 the kernel frees inner maps of a map of maps at
  // once.
  std::map<uint32_t, int> verdicts_;
  // By hook; without links: compat_exit reports it.
  std::map<std::string, std::vector<bpf_link*>> links_;
  // By hook: the programs that fit this kernel, if there is a choice.
  std::map<std::string, std::vector<bpf_program*>> variants_;
  std::vector<Detaching> detaching_;
  Denial denials_[kFirstGroup + kCallGroups];
  std::string pinned_; // the directory; empty: nothing is pinned
};
