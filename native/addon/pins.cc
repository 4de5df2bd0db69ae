// SPDX-License-Identifier: Apache-2.0
#include "pins.h"
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <cerrno>
#include <memory>
#include <linux/types.h>
#include <unistd.h>
#include "events.gen.h"
#include "shared.h"

static const char kDoing[] = "keep what denies in the kernel";

Status PinFd(int fd, const std::string& directory, const std::string& name) {
  const int error = bpf_obj_pin(fd, (directory + "/" + name).c_str());
  return error && error != -EEXIST ? Status::Fail(-error, kDoing) : Status{};
}

void Unpin(const std::string& directory, const std::string& name) {
  if (!directory.empty()) unlink((directory + "/" + name).c_str());
}

namespace {

// An object by its name in the directory, closed at the end of the scope.
class Pinned {
 public:
  Pinned(const std::string& directory, const char* name) : Pinned(bpf_obj_get((directory + "/" + name).c_str())) {}
  explicit Pinned(int fd) : fd(fd) {}
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() {
    if (fd >= 0) close(fd);
  }
  // Negative: -errno.
  const int fd;
};

// 0, or -errno if it is no map with such keys and values.
int CheckMap(const Pinned& map, size_t key, size_t value) {
  if (map.fd < 0) return map.fd;
  bpf_map_info info{};
  __u32 size = sizeof(info);
  const int error = bpf_map_get_info_by_fd(map.fd, &info, &size);
  return error ? error : info.key_size == key && info.value_size == value ? 0 : -ENOTSUP;
}

int OpenTable(const std::string& directory, uint32_t number) {
  const Pinned tables(directory, "verdict_tables");
  int error = CheckMap(tables, sizeof(__u32), sizeof(__u32));
  if (error) return error;
  __u32 id = 0;
  error = bpf_map_lookup_elem(tables.fd, &number, &id);
  return error == -ENOENT ? -ESRCH : error ? error : bpf_map_get_fd_by_id(id);
}

int ReadTable(const Pinned& map, verdict_table* table) {
  const int error = CheckMap(map, sizeof(__u32), sizeof(*table));
  const __u32 zero = 0;
  return error ? error : bpf_map_lookup_elem(map.fd, &zero, table);
}

Status StatusOf(int error, const char* doing) { return error ? Status::Fail(-error, doing) : Status{}; }

}  // namespace

Status ReadPinnedScope(const std::string& directory, std::vector<PinnedContainer>* containers) {
  const Pinned scope(directory, "scope");
  uint64_t key = 0, next = 0;
  scope_entry entry;
  int more = CheckMap(scope, sizeof(key), sizeof(entry));
  const Status status = StatusOf(more, "read what is denied without an agent");
  if (!status.ok()) return status;
  for (more = bpf_map_get_next_key(scope.fd, nullptr, &next); !more; more = bpf_map_get_next_key(scope.fd, &key, &next)) {
    key = next;
    if (bpf_map_lookup_elem(scope.fd, &key, &entry) == 0) containers->push_back({key, entry.table, entry.denied_unseen});
  }
  return {};
}

Status AllowPinned(const std::string& directory, uint64_t cgroup, uint32_t level) {
  const char kDoing[] = "allow again what is denied in a container";
  const Pinned scope(directory, "scope"), program(directory, "scope_set");
  scope_entry entry;
  int error = CheckMap(scope, sizeof(cgroup), sizeof(entry));
  if (!error) error = bpf_map_lookup_elem(scope.fd, &cgroup, &entry);
  if (!error && program.fd < 0) error = program.fd;
  if (error) return Status::Fail(-error, kDoing);
  // In the kernel, so that no denial is left uncounted.
  scope_set_args args{cgroup, level, entry.state, 0, 1};
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.ctx_in = &args;
  options.ctx_size_in = sizeof(args);
  error = bpf_prog_test_run_opts(program.fd, &options);
  return StatusOf(error ? error : args.error, kDoing);
}

Status ReadPinnedTable(const std::string& directory, uint32_t number, verdict_table* table) {
  return StatusOf(ReadTable(Pinned(OpenTable(directory, number)), table), "read a table of what is denied");
}

Status AllowPinnedRules(const std::string& directory, uint32_t number, uint32_t rules) {
  const Pinned map(OpenTable(directory, number));
  int error = CheckMap(map, sizeof(__u32), sizeof(verdict_table));
  if (!error) error = AllowRulesIn(map.fd, rules);
  return StatusOf(error, "allow again what rules deny");
}

int AllowRulesIn(int map, uint32_t rules) {
  const auto table = std::make_unique<verdict_table>();
  const __u32 zero = 0;
  const int error = bpf_map_lookup_elem(map, &zero, table.get());
  if (error) return error;
  for (__u32& denying : table->denying) denying &= ~rules;
  // The kernel copies the value while programs read it. Whatever they see of a word between the two, each rule either still denies
  // or does not any more; all other bytes stay the same.
  return bpf_map_update_elem(map, &zero, table.get(), BPF_EXIST);
}
