// SPDX-License-Identifier: Apache-2.0
#include "isolation.h"
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "libbpf-log.h"

static const char kDoing[] = "cut a container off from the network";
// Those that decide are attached first.
static const char* const kPrograms[] = {"isolate_egress", "isolate_ingress", "isolate_connect4", "isolate_connect6"};

static std::array<__u32, 5> KeyOf(const isolate_address& address) {
  std::array<__u32, 5> key;
  static_assert(sizeof(key) == sizeof(address));
  memcpy(key.data(), &address, sizeof(address));
  return key;
}

Status Isolation::Load(const std::string& path, const std::vector<isolate_address>& servers) {
  static const char kLoading[] = "load what cuts containers off from the network";
  if (servers.size() > ISOLATE_SERVERS_MAX) return Status::Fail(EINVAL, kLoading, "more than 8 name servers");
  isolate_config config{};
  for (const isolate_address& server : servers) config.servers[config.n_servers++] = server;
  KeepLibbpfLog();
  object_ = bpf_object__open_file(path.c_str(), nullptr);
  int error = object_ ? 0 : -errno;
  bpf_map* rodata = object_ ? bpf_object__find_map_by_name(object_, ".rodata.isolate") : nullptr;
  if (object_ && !rodata) error = -EINVAL;
  if (!error) error = bpf_map__set_initial_value(rodata, &config, sizeof(config));
  if (!error) error = bpf_object__load(object_);
  bpf_map* counts = error ? nullptr : bpf_object__find_map_by_name(object_, ".data.isolate");
  size_t size = 0;
  void* memory = counts ? bpf_map__initial_value(counts, &size) : nullptr;
  if (!error && (!memory || size != sizeof(isolate_counts))) error = -EINVAL;
  if (error) {
    Close();
    return Status::Fail(-error, kLoading, LibbpfLog());
  }
  counts_ = static_cast<isolate_counts*>(memory);
  return {};
}

// Adds the addresses that the entry does not have yet.
Status Isolation::Allow(Entry* entry, const std::vector<isolate_address>& local) {
  bpf_map* addresses = bpf_object__find_map_by_name(object_, "isolate_local");
  if (!addresses) return Status::Fail(EINVAL, kDoing);
  const __u8 present = 1;
  for (const isolate_address& address : local) {
    bool known = false;
    for (const isolate_address& own : entry->local) known = known || KeyOf(own) == KeyOf(address);
    if (known) continue;
    const int error = bpf_map__update_elem(addresses, &address, sizeof(address), &present, sizeof(present), BPF_ANY);
    if (error) return Status::Fail(-error, kDoing);
    entry->local.push_back(address);
    uses_[KeyOf(address)]++;
  }
  return {};
}

void Isolation::Release(Entry* entry) {
  for (bpf_link* link : entry->links) bpf_link__destroy(link);
  bpf_map* addresses = object_ ? bpf_object__find_map_by_name(object_, "isolate_local") : nullptr;
  for (const isolate_address& address : entry->local) {
    auto uses = uses_.find(KeyOf(address));
    if (uses == uses_.end() || --uses->second > 0) continue;
    uses_.erase(uses);
    if (addresses) bpf_map__delete_elem(addresses, &address, sizeof(address), 0);
  }
}

Status Isolation::Isolate(uint64_t cgroup, const std::string& directory, const std::vector<isolate_address>& local) {
  if (!object_) return Status::Fail(EBADF, kDoing, "it is closed");
  auto known = entries_.find(cgroup);
  if (known != entries_.end()) return Allow(&known->second, local);
  KeepLibbpfLog();
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Status::Fail(errno, kDoing);
  struct stat facts{};
  Status status;
  if (fstat(fd, &facts) != 0) status = Status::Fail(errno, kDoing);
  // Another container may have got the path meanwhile.
  else if (facts.st_ino != cgroup) status = Status::Fail(ESRCH, kDoing);
  Entry entry;
  if (status.ok()) status = Allow(&entry, local);
  for (const char* name : kPrograms) {
    if (!status.ok()) break;
    bpf_program* program = bpf_object__find_program_by_name(object_, name);
    bpf_link* link = program ? bpf_program__attach_cgroup(program, fd) : nullptr;
    if (link) entry.links.push_back(link);
    else status = Status::Fail(program ? errno : EINVAL, kDoing, LibbpfLog());
  }
  close(fd);
  if (status.ok()) entries_[cgroup] = entry;
  else Release(&entry);
  return status;
}

void Isolation::Lift(uint64_t cgroup) {
  auto found = entries_.find(cgroup);
  if (found == entries_.end()) return;
  Release(&found->second);
  entries_.erase(found);
}

std::vector<uint64_t> Isolation::Isolated() const {
  std::vector<uint64_t> cgroups;
  for (const auto& entry : entries_) cgroups.push_back(entry.first);
  return cgroups;
}

isolate_counts Isolation::Counts() const {
  isolate_counts counts{};
  if (!counts_) return counts;
  counts.packets = __atomic_load_n(&counts_->packets, __ATOMIC_RELAXED);
  counts.connects = __atomic_load_n(&counts_->connects, __ATOMIC_RELAXED);
  return counts;
}

void Isolation::Close() {
  while (!entries_.empty()) Lift(entries_.begin()->first);
  counts_ = nullptr;
  if (object_) bpf_object__close(object_);
  object_ = nullptr;
}

static bool IsConnected(int fd, in_addr_t to, int* error) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  address.sin_addr.s_addr = htonl(to);
  const bool done = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  *error = done ? 0 : errno;
  return done;
}

// After fork in a threaded process only system calls are safe: no allocation, no stdio.
static void TryNetwork(const char* procs) {
  const in_addr_t kElsewhere = 0xc0000201; // 192.0.2.1, which nobody has (RFC 5737)
  int fd = open(procs, O_WRONLY | O_CLOEXEC), error = 0;
  if (fd < 0 || write(fd, "0", 1) != 1) _exit(101);
  close(fd);
  fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) _exit(102);
  if (IsConnected(fd, kElsewhere, &error) || error != EPERM) _exit(103);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  address.sin_addr.s_addr = htonl(kElsewhere);
  const ssize_t sent = sendto(fd, "", 0, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  if (sent >= 0 || (errno != EPERM && errno != ENETUNREACH && errno != EHOSTUNREACH)) _exit(104);
  if (!IsConnected(fd, INADDR_LOOPBACK, &error)) _exit(105);
  _exit(0);
}

Status TestIsolation(const std::string& directory) {
  static const char kTesting[] = "test the isolation of containers";
  const std::string procs = directory + "/cgroup.procs";
  const pid_t child = fork();
  if (child < 0) return Status::Fail(errno, kTesting);
  if (child == 0) TryNetwork(procs.c_str());
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Status::Fail(errno, kTesting);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  static const char* const kSteps[] = {"the child could not enter its cgroup", "it could not make a socket",
                                       "a connect elsewhere was not refused", "a packet elsewhere was not refused",
                                       "a connect on loopback was refused"};
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) - 101 : -1;
  return Status::Fail(EIO, kTesting, code >= 0 && code < 5 ? kSteps[code] : "the child was killed");
}
