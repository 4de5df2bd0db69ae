// SPDX-License-Identifier: Apache-2.0
#include "probe.h"
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <numeric>
#include <sys/stat.h>
#include <unistd.h>
#include "libbpf-log.h"
#include "pins.h"
#include "refusals.h"
#include "tracepoint.h"
#include "variant.h"

// A program shared by several hooks is verified once: those of opens and execs, and one for all system calls of
// native/schema/calls.mjs.
static const struct {
  const char* program;
  std::vector<const char*> hooks;
} kSharedPrograms[] = {
    {"sys_opens", {"sys_open", "sys_openat", "sys_openat2", "sys_creat"}},
    {"sys_execs", {"sys_execve", "sys_execveat"}},
    {"sys_call", {CALL_HOOKS}},
};

static const struct {
  const char* hook;
  uint16_t number;
} kHookNumbers[] = {HOOK_NUMBERS};
static const char kCompatHook[] = "compat_exit";
static const char kVerdictRun[] = "verdict_run";

// For hooks of system calls; nullptr: the hook has its own program.
static const char* SharedProgramOf(const std::string& hook) {
  for (const auto& shared : kSharedPrograms)
    if (std::find(shared.hooks.begin(), shared.hooks.end(), hook) != shared.hooks.end()) return shared.program;
  return nullptr;
}

Status Probe::Load(const std::string& path, const probe_config& config, uint32_t exec_ring_bytes,
                   uint32_t bulk_ring_bytes, bool with_verdict_run, bool by_compat_exit) {
  KeepLibbpfLog();
  struct stat facts{};
  // libbpf 1.5 leaks the descriptor of a path that cannot be read, such as a directory
  if (stat(path.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode))
    return Status::Fail(EINVAL, "open the probe object " + path, "not a regular file");
  object_ = bpf_object__open_file(path.c_str(), nullptr);
  if (!object_) return Status::Fail(errno, "open the probe object " + path, LibbpfLog());
  bpf_map* rodata = bpf_object__find_map_by_name(object_, ".rodata.config");
  bpf_map* exec_ring = bpf_object__find_map_by_name(object_, "exec_ring");
  bpf_map* bulk_ring = bpf_object__find_map_by_name(object_, "bulk_ring");
  if (!rodata || !exec_ring || !bulk_ring) return Status::Fail(EINVAL, "find the probe's maps", "not this loader's object");
  int error = bpf_map__set_initial_value(rodata, &config, sizeof(config));
  if (error) return Status::Fail(-error, "configure the probe", "the object's configuration has another layout");
  if ((error = bpf_map__set_max_entries(exec_ring, exec_ring_bytes)) ||
      (error = bpf_map__set_max_entries(bulk_ring, bulk_ring_bytes)))
    return Status::Fail(-error, "size the probe's rings");
  bpf_program* verdict_run = bpf_object__find_program_by_name(object_, kVerdictRun);
  if (with_verdict_run && verdict_run && (error = bpf_program__set_autoload(verdict_run, true)))
    return Status::Fail(-error, "add the program of the tests");
  variants_ = ChooseVariants(object_);
  for (const auto& shared : kSharedPrograms) {
    bpf_program* program = bpf_object__find_program_by_name(object_, shared.program);
    if (by_compat_exit && variants_.count(kCompatHook) && program && (error = bpf_program__set_autoload(program, false)))
      return Status::Fail(-error, "leave out a program");
  }
  // The verifier aborts with EAGAIN if a signal is pending, and a busy process always has one (a profiler's tick).
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = bpf_object__load(object_);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error) return Status::Fail(-error, "load the probe into the kernel", LibbpfLog());
  bpf_map* state = bpf_object__find_map_by_name(object_, ".data.state");
  size_t size = 0;
  void* memory = state ? bpf_map__initial_value(state, &size) : nullptr;
  if (!memory || size != sizeof(probe_state)) return Status::Fail(EINVAL, "map the probe's state");
  state_ = static_cast<probe_state*>(memory);
  return {};
}

Status Probe::AttachProgram(const std::string& name, bpf_program* program, std::vector<bpf_link*>* links) {
  KeepLibbpfLog();
  bpf_link* link = nullptr;
  if (bpf_program__type(program) == BPF_PROG_TYPE_TRACEPOINT) {
    int fd = -1;
    const bool of_call = name.rfind("sys_", 0) == 0;
    Status status = OpenTracepoint(of_call ? "syscalls/sys_exit_" + name.substr(4) : "sched/sched_process_exec", &fd);
    if (!status.ok()) return status;
    link = bpf_program__attach_perf_event(program, fd); // owns fd from here on
    if (!link && errno == EEXIST && WaitForDetach(name)) link = bpf_program__attach_perf_event(program, fd);
    if (!link) {
      int saved = errno;
      close(fd);
      return Status::Fail(saved, "attach " + name, LibbpfLog());
    }
  } else {
    link = bpf_program__attach(program);
    if (!link && errno == EEXIST && WaitForDetach(name)) link = bpf_program__attach(program);
    if (!link) return Status::Fail(errno, "attach " + name, LibbpfLog());
  }
  links->push_back(link);
  return {};
}

Status Probe::AttachPrograms(const std::string& name, std::vector<bpf_link*>* links) {
  auto variants = variants_.find(name);
  if (variants != variants_.end()) {
    for (bpf_program* program : variants->second) {
      Status status = AttachProgram(name, program, links);
      if (!status.ok() && bpf_program__name(program) != std::string(kExecAgain)) return status;
    }
    return {};
  }
  // If compat_exit already sees every call, a tracepoint per call only costs: the kernel runs a second handler at the end
  // of each call of the host then (some 50 ns), and takes some 25 ms to detach it.
  const char* shared = SharedProgramOf(name);
  if (shared && links_.count(kCompatHook)) return {};
  bpf_program* program = object_ ? bpf_object__find_program_by_name(object_, shared ? shared : name.c_str()) : nullptr;
  if (!program) return Status::Fail(ENOENT, "attach " + name, "the probe has no such program");
  if (!bpf_program__autoload(program)) return Status::Fail(ENOENT, "attach " + name, "this kernel has no such tracepoint");
  return AttachProgram(name, program, links);
}

Status Probe::Attach(const std::string& name) {
  if (links_.count(name)) return {};
  std::vector<bpf_link*> links;
  Status status = AttachPrograms(name, &links);
  if (!status.ok()) {
    for (bpf_link* link : links) DetachBeside(name, link);
    return status;
  }
  SetWanted(name, links.empty() ? WANTED | WANTED_UNTRACED : WANTED);
  links_[name] = links;
  return {};
}

void Probe::SetWanted(const std::string& name, uint8_t wanted) {
  if (name == kCompatHook) __atomic_store_n(&state_->sees_compat, wanted, __ATOMIC_RELAXED);
  for (const auto& entry : kHookNumbers)
    if (name == entry.hook) __atomic_store_n(&state_->wanted[entry.number], wanted, __ATOMIC_RELAXED);
}

void Probe::DetachBeside(const std::string& name, bpf_link* link) {
  Detaching entry{name, std::make_unique<std::atomic<bool>>(false), {}};
  entry.thread = std::thread([link, done = entry.done.get()] {
    bpf_link__destroy(link);
    done->store(true);
  });
  detaching_.push_back(std::move(entry));
}

// Joins the threads that have finished, and waits for those that detach this program. True if there was one.
bool Probe::WaitForDetach(const std::string& name) {
  bool waited = false;
  for (auto entry = detaching_.begin(); entry != detaching_.end();) {
    const bool wanted = entry->name == name;
    if (!wanted && !entry->done->load()) {
      ++entry;
      continue;
    }
    waited = waited || wanted;
    entry->thread.join();
    entry = detaching_.erase(entry);
  }
  return waited;
}

Status Probe::Detach(const std::string& name) {
  auto found = links_.find(name);
  if (found == links_.end()) return {};
  // The kernel waits until every CPU has left the program (tens of ms): no caller should wait for that. Several
  // detach in parallel; Close waits for all, and Attach for its own if the kernel still has it.
  WaitForDetach({});
  SetWanted(name, 0);
  for (bpf_link* link : found->second) DetachBeside(name, link);
  links_.erase(found);
  if (name != kCompatHook) return {};
  for (auto entry = links_.begin(); entry != links_.end();) {
    const bool reported = !entry->second.empty();
    if (!reported) SetWanted(entry->first, 0);
    entry = reported ? std::next(entry) : links_.erase(entry);
  }
  return {};
}

std::vector<std::string> Probe::Programs() const {
  std::vector<std::string> names;
  bpf_program* program;
  if (object_) bpf_object__for_each_program(program, object_) {
    std::string name = bpf_program__name(program);
    // Those of `variants_` are named below, by their hooks.
    const bool variant = name == kCompatHook || name.rfind("uring_", 0) == 0 || name == kExecAgain || variants_.count(name);
    const bool shared = name.rfind("sys_", 0) == 0;
    if (bpf_program__type(program) != BPF_PROG_TYPE_SYSCALL && !shared && !variant) names.push_back(name);
  }
  for (const auto& hook : variants_) names.push_back(hook.first);
  if (object_)
    for (const auto& shared : kSharedPrograms) names.insert(names.end(), shared.hooks.begin(), shared.hooks.end());
  return names;
}

std::vector<std::string> Probe::Attached() const {
  std::vector<std::string> names;
  for (const auto& link : links_) names.push_back(link.first);
  return names;
}

int Probe::MapFd(const char* name) const {
  bpf_map* map = object_ ? bpf_object__find_map_by_name(object_, name) : nullptr;
  return map ? bpf_map__fd(map) : -1;
}

static Status RunIn(bpf_object* object, const char* name, void* args, uint32_t bytes, const char* doing) {
  bpf_program* program = object ? bpf_object__find_program_by_name(object, name) : nullptr;
  if (!program) return Status::Fail(EBADF, doing);
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.ctx_in = args;
  options.ctx_size_in = bytes;
  int error = bpf_prog_test_run_opts(bpf_program__fd(program), &options);
  return error ? Status::Fail(-error, doing) : Status{};
}

Status Probe::RunProgram(const char* name, void* args, uint32_t bytes, const char* doing) {
  return RunIn(object_, name, args, bytes, doing);
}

static const char kScopeSet[] = "scope_set";

Status Probe::ScopeSet(uint64_t cgroup, uint32_t state, uint32_t level, uint32_t table) {
  scope_set_args args{cgroup, level, state, 0, table};
  Status status = RunProgram(kScopeSet, &args, sizeof(args), "change the scope");
  if (!status.ok()) return status;
  // A full hash map reports E2BIG; callers expect ENOSPC for a full table
  if (args.error) return Status::Fail(args.error == -E2BIG ? ENOSPC : -args.error, "change the scope");
  return {};
}

Status Probe::ScopeHold(uint64_t cgroup, uint32_t held) {
  scope_hold_args args{cgroup, held, 0};
  return RunProgram("scope_hold", &args, sizeof(args), "hold a container back");
}

Status Probe::SetVerdicts(uint32_t number, const verdict_table* table, bool filters) {
  const char* kDoing = "change what is filtered";
  int tables = object_ ? MapFd("verdict_tables") : -1;
  if (tables < 0 || !state_) return Status::Fail(EBADF, kDoing);
  const uint64_t bit = 1ull << number;
  if (!filters) __atomic_fetch_and(&state_->filters, ~bit, __ATOMIC_SEQ_CST);
  int map = -1, error = 0;
  if (table) {
    map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "verdict_table", sizeof(__u32), sizeof(verdict_table), 1, nullptr);
    if (map < 0) return Status::Fail(-map, kDoing);
    __u32 zero = 0;
    error = bpf_map_update_elem(map, &zero, table, BPF_ANY);
    // Both calls wait until no program uses the previous table.
    if (!error) error = bpf_map_update_elem(tables, &number, &map, BPF_ANY);
    if (!error) {
      __atomic_fetch_or(&state_->tables, bit, __ATOMIC_SEQ_CST);
      if (filters) __atomic_fetch_or(&state_->filters, bit, __ATOMIC_SEQ_CST);
    }
  } else {
    __atomic_fetch_and(&state_->filters, ~bit, __ATOMIC_SEQ_CST);
    __atomic_fetch_and(&state_->tables, ~bit, __ATOMIC_SEQ_CST);
    error = bpf_map_delete_elem(tables, &number);
    if (error == -ENOENT) error = 0;
  }
  if (error) {
    if (map >= 0) close(map);
    return Status::Fail(-error, kDoing);
  }
  auto before = verdicts_.find(number);
  if (before != verdicts_.end()) {
    close(before->second);
    verdicts_.erase(before);
  }
  if (map >= 0) verdicts_[number] = map;
  return {};
}

Status Probe::SuspendVerdicts() {
  if (!state_) return Status::Fail(EBADF, "change what is filtered");
  __atomic_store_n(&state_->filters, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&state_->tables, 0, __ATOMIC_SEQ_CST);
  // Removing one table waits for the programs that use any.
  return verdicts_.empty() ? Status{} : SetVerdicts(verdicts_.begin()->first, nullptr);
}

Status Probe::StopFiltering(uint32_t only) {
  const char* kDoing = "change what is filtered";
  int tables = object_ ? MapFd("verdict_tables") : -1;
  if (tables < 0 || !state_) return Status::Fail(EBADF, kDoing);
  __atomic_fetch_and(&state_->filters, only ? ~(1ull << only) : 0, __ATOMIC_SEQ_CST);
  if (verdicts_.empty()) return {};
  // Putting a table where it is waits for the programs that use any.
  const auto& [number, map] = *verdicts_.begin();
  const int error = bpf_map_update_elem(tables, &number, &map, BPF_ANY);
  return error ? Status::Fail(-error, kDoing) : Status{};
}

Status Probe::CopyVerdicts(uint32_t from, uint32_t to, uint32_t rules) {
  const char* kDoing = "copy what rules deny";
  const auto found = verdicts_.find(from);
  if (found == verdicts_.end()) return Status::Fail(ENOENT, kDoing);
  const auto table = std::make_unique<verdict_table>();
  const __u32 zero = 0;
  const int error = bpf_map_lookup_elem(found->second, &zero, table.get());
  if (error) return Status::Fail(-error, kDoing);
  for (__u32& denying : table->denying) denying &= ~rules;
  return SetVerdicts(to, table.get(), false);
}

Status Probe::AllowRules(uint32_t number, uint32_t rules) {
  const auto found = verdicts_.find(number);
  const int error = found == verdicts_.end() ? -ENOENT : AllowRulesIn(found->second, rules);
  return error ? Status::Fail(-error, "allow again what rules deny") : Status{};
}

Status Probe::RunVerdict(verdict_run_args* args) {
  return RunProgram(kVerdictRun, args, sizeof(*args), "ask for a verdict");
}

Status Probe::AdoptImage(image_adopt_args* args) {
  return RunProgram("image_adopt", args, sizeof(*args), "tell what a process runs");
}

static int KnownFilesOf(bpf_object* object) {
  bpf_map* map = object ? bpf_object__find_map_by_name(object, "known_files") : nullptr;
  return map ? bpf_map__fd(map) : -1;
}

Status Probe::KnowFile(known_file_args* args) {
  const char* kDoing = "know a file by its inode";
  bpf_object* object = denials_[kOpens].Object();
  Status status = RunIn(object, "file_identify", args, sizeof(*args), kDoing);
  if (!status.ok()) return status;
  if (args->error) return Status::Fail(EBADF, kDoing, "there is no such descriptor");
  // The key and the value are its beginning and its end (probe/known-file.h).
  const int error = bpf_map_update_elem(KnownFilesOf(object), args, &args->len, BPF_NOEXIST);
  return error && error != -EEXIST ? Status::Fail(-error, kDoing) : Status{};
}

Status Probe::ForgetFile(const known_file_args* key) {
  const int map = KnownFilesOf(denials_[kOpens].Object());
  const int error = map < 0 ? 0 : bpf_map_delete_elem(map, key);
  return error && error != -ENOENT ? Status::Fail(-error, "forget a file") : Status{};
}

Status Probe::ScopeDelete(uint64_t cgroup) {
  int error = bpf_map_delete_elem(MapFd("scope"), &cgroup);
  return error && error != -ENOENT ? Status::Fail(-error, "remove from the scope") : Status{};
}

bool Probe::ScopeGet(uint64_t cgroup, scope_entry* entry) const {
  return bpf_map_lookup_elem(MapFd("scope"), &cgroup, entry) == 0;
}

Status Probe::Filtered(std::vector<uint64_t>* counts) const {
  const char* kDoing = "read what was filtered";
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return Status::Fail(-cpus, kDoing);
  std::vector<uint64_t> values(static_cast<size_t>(cpus));
  const int fd = MapFd("filtered");
  for (__u32 event = 0; event < EVENT_COUNT; event++) {
    const int error = bpf_map_lookup_elem(fd, &event, values.data());
    if (error) return Status::Fail(-error, kDoing);
    counts->push_back(std::accumulate(values.begin(), values.end(), uint64_t{0}));
  }
  return {};
}

uint64_t Probe::Skipped() const {
  const uint64_t made_up = state_ ? state_->made_up : 0, own = SkippedOf(object_);
  uint64_t skipped = own > made_up ? own - made_up : 0;
  for (const Denial& denial : denials_) skipped += denial.Skipped();
  return skipped;
}

Status Probe::ScopeEntries(std::vector<ScopeRow>* rows) const {
  const __u32 kBatch = 1024;
  std::vector<uint64_t> keys(kBatch);
  std::vector<scope_entry> values(kBatch);
  int fd = MapFd("scope");
  __u64 in = 0, out = 0;
  bool first = true;
  for (;;) {
    __u32 count = kBatch;
    int error = bpf_map_lookup_batch(fd, first ? nullptr : &in, &out, keys.data(), values.data(), &count, nullptr);
    if (error && error != -ENOENT) return Status::Fail(-error, "read the scope");
    for (__u32 i = 0; i < count; i++) rows->push_back({keys[i], values[i]});
    if (error == -ENOENT) return {};
    in = out;
    first = false;
  }
}

// What denies programs: it must know which program each process runs.
static const char* const kDenyingHooks[] = {"sched_fork", "sched_exec", "sched_exit"};
static const char* const kDenyingMaps[] = {"scope", "verdict_tables"};
// Until the ends of the calls report them.
static const char* const kRefusedCalls[] = {"refused", "refused_paths", "refused_opens"};

Status Probe::Pin(const std::string& directory) {
  if (!object_) return Status::Fail(EBADF, "keep what denies in the kernel", "the probe is closed");
  KeepLibbpfLog();
  if (mkdir(directory.c_str(), 0700) && errno != EEXIST) return Status::Fail(errno, "make " + directory);
  pinned_ = directory;
  for (const char* hook : kDenyingHooks) {
    auto found = links_.find(hook);
    if (found == links_.end()) continue;
    for (bpf_link* link : found->second) {
      // Only sched_exec has another program.
      Status status = PinFd(bpf_link__fd(link), directory, link == found->second.front() ? hook : kExecAgain);
      if (!status.ok()) return status;
    }
  }
  Status status;
  for (Denial& denial : denials_)
    if (status.ok()) status = denial.Pin(directory);
  // What lifts a part of it without an agent works on these.
  for (const char* map : kDenyingMaps)
    if (status.ok()) status = PinFd(MapFd(map), directory, map);
  const bpf_program* set = bpf_object__find_program_by_name(object_, kScopeSet);
  if (status.ok() && set) status = PinFd(bpf_program__fd(set), directory, kScopeSet);
  return status;
}

Status Probe::DenyFiles(const std::string& opens, const std::string& paths) {
  Status status = denials_[kOpens].Start(object_, opens, {});
  if (status.ok()) status = denials_[kPaths].Start(object_, paths, {});
  if (!status.ok()) AllowFiles();
  else if (state_) __atomic_store_n(&state_->keeps_paths, 1u, __ATOMIC_RELAXED);
  return status;
}

void Probe::AllowFiles() {
  if (state_) __atomic_store_n(&state_->keeps_paths, 0u, __ATOMIC_RELAXED);
  for (Denial* denial : {&denials_[kOpens], &denials_[kPaths]}) {
    denial->Unpin(pinned_);
    denial->Stop();
  }
}

Status Probe::DenyCalls(uint32_t group, const std::string& path, const std::string& directory) {
  if (group >= kCallGroups) return Status::Fail(EINVAL, "refuse calls", "there is no such group of calls");
  return denials_[kFirstGroup + group].Start(object_, path, directory);
}

void Probe::AllowCalls(uint32_t group) {
  if (group >= kCallGroups) return;
  denials_[kFirstGroup + group].Unpin(pinned_);
  denials_[kFirstGroup + group].Stop();
}

void Probe::Unpin() {
  if (state_) {
    __atomic_store_n(&state_->deny_until, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&state_->seen, 0, __ATOMIC_RELAXED);
  }
  if (pinned_.empty()) return;
  for (const char* hook : kDenyingHooks) ::Unpin(pinned_, hook);
  ::Unpin(pinned_, kExecAgain);
  for (Denial& denial : denials_) denial.Unpin(pinned_);
  for (const char* map : kDenyingMaps) ::Unpin(pinned_, map);
  ::Unpin(pinned_, kScopeSet);
  pinned_.clear();
}

Status Probe::NoteSeen(uint64_t now, uint64_t deny_until) {
  if (!state_) return Status::Fail(EBADF, "say that the agent is there");
  __atomic_store_n(&state_->deny_until, deny_until, __ATOMIC_RELAXED);
  __atomic_store_n(&state_->seen, now, __ATOMIC_RELAXED);
  return {};
}

uint64_t Probe::ForgetRefusals(uint64_t before) {
  if (!state_) return 0;
  uint64_t forgotten = 0;
  for (const char* map : kRefusedCalls) forgotten += RemoveRefusals(MapFd(map), before);
  __atomic_fetch_add(&state_->denied_dropped, forgotten, __ATOMIC_RELAXED);
  return forgotten;
}

void Probe::Close() {
  for (Denial& denial : denials_) denial.Stop();
  for (const auto& entry : links_)
    for (bpf_link* link : entry.second) DetachBeside(entry.first, link);
  links_.clear();
  variants_.clear();
  for (Detaching& entry : detaching_) entry.thread.join();
  detaching_.clear();
  for (const auto& entry : verdicts_) close(entry.second);
  verdicts_.clear();
  state_ = nullptr;
  if (object_) bpf_object__close(object_);
  object_ = nullptr;
}
