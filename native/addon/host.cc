// SPDX-License-Identifier: Apache-2.0
#include "host.h"
#include <cerrno>
#include <ctime>
#include <malloc.h>
#include <string>
#include <sys/mman.h>
#include <vector>
#include "notify.h"
#include "process.h"
#include "ring.h"
#include "root-file.h"
#include "self-test.h"
#include "sockets.h"

// selfTest(cgroupDirectory, sentinel) → pid
napi_value SelfTest(napi_env env, napi_callback_info info) {
  std::string cgroup, sentinel;
  napi_value result;
  if (!(Arguments(env, info) >> cgroup >> sentinel)) return nullptr;
  int pid = 0;
  Status status = RunSelfTestChild(cgroup, sentinel, &pid);
  if (!status.ok()) return Throw(env, status);
  TRY(env, napi_create_int32(env, pid, &result));
  return result;
}

// runFirstProcess(cgroup, node, script) → exit code
napi_value RunFirstProcessJs(napi_env env, napi_callback_info info) {
  std::string cgroup, node, script;
  napi_value result;
  if (!(Arguments(env, info) >> cgroup >> node >> script)) return nullptr;
  int code = 0;
  Status status = RunFirstProcess(cgroup, node, script, &code);
  if (!status.ok()) return Throw(env, status);
  TRY(env, napi_create_int32(env, code, &result));
  return result;
}

// tryExecutableMemory() → 0 or errno
napi_value TryExecutableMemoryJs(napi_env env, napi_callback_info) {
  napi_value result;
  TRY(env, napi_create_int32(env, TryExecutableMemory(), &result));
  return result;
}

// openInRoot(root, path, allowSymlinks, directory) → fd
napi_value OpenInRootJs(napi_env env, napi_callback_info info) {
  std::string root, path;
  bool symlinks = false, directory = false;
  napi_value result;
  if (!(Arguments(env, info) >> root >> path >> symlinks >> directory)) return nullptr;
  int fd = -1;
  Status status = OpenInRoot(root, path, symlinks, directory ? Wanted::kDirectory : Wanted::kRegularFile, &fd);
  if (!status.ok()) return Throw(env, status);
  TRY(env, napi_create_int32(env, fd, &result));
  return result;
}

// findInRoot(root, path, allowMounts) → fd
napi_value FindInRootJs(napi_env env, napi_callback_info info) {
  std::string root, path;
  bool mounts = false;
  napi_value result;
  if (!(Arguments(env, info) >> root >> path >> mounts)) return nullptr;
  int fd = -1;
  Status status = FindInRoot(root, path, mounts, &fd);
  if (!status.ok()) return Throw(env, status);
  TRY(env, napi_create_int32(env, fd, &result));
  return result;
}

// readInRoot(root, path, allowSymlinks, maxBytes) → Buffer
napi_value ReadInRootJs(napi_env env, napi_callback_info info) {
  std::string root, path;
  bool symlinks = false;
  uint32_t max_bytes = 0;
  napi_value result;
  if (!(Arguments(env, info) >> root >> path >> symlinks >> max_bytes)) return nullptr;
  std::vector<char> content;
  Status status = ReadInRoot(root, path, symlinks, max_bytes, &content);
  if (!status.ok()) return Throw(env, status);
  void* copy = nullptr;
  TRY(env, napi_create_buffer_copy(env, content.size(), content.data(), &copy, &result));
  return result;
}

// killProcess(pid, startTicks) → undefined
napi_value KillProcessJs(napi_env env, napi_callback_info info) {
  int32_t pid = 0;
  uint64_t start_ticks = 0;
  if (!(Arguments(env, info) >> pid >> start_ticks)) return nullptr;
  return Done(env, KillProcess(pid, start_ticks));
}

// notifyManager(path, message) → undefined
napi_value NotifyManagerJs(napi_env env, napi_callback_info info) {
  std::string path, message;
  if (!(Arguments(env, info) >> path >> message)) return nullptr;
  return Done(env, NotifyManager(path, message));
}

// openMemoryFile() → fd of an empty file in memory
napi_value OpenMemoryFile(napi_env env, napi_callback_info) {
  napi_value result;
  const int fd = memfd_create("varvel", MFD_CLOEXEC);
  if (fd < 0) return Throw(env, Status::Fail(errno, "open a file in memory"));
  TRY(env, napi_create_int32(env, fd, &result));
  return result;
}

static napi_value BufferOf(napi_env env, const sockaddr_storage& address, socklen_t length) {
  napi_value buffer;
  const size_t bytes = length < sizeof(address) ? length : sizeof(address);
  TRY(env, napi_create_buffer_copy(env, bytes, &address, nullptr, &buffer));
  return buffer;
}

// socketsOf(pid, startTicks, fds: number[]) → [fd, domain, type, protocol, state, connected, local, remote][]
napi_value SocketsOfJs(napi_env env, napi_callback_info info) {
  int32_t pid = 0;
  uint64_t start_ticks = 0;
  napi_value list = nullptr;
  uint32_t length = 0;
  if (!(Arguments(env, info) >> pid >> start_ticks >> list)) return nullptr;
  TRY(env, napi_get_array_length(env, list, &length));
  std::vector<int> fds;
  for (uint32_t at = 0; at < length; at++) {
    napi_value element;
    int32_t fd = -1;
    TRY(env, napi_get_element(env, list, at, &element));
    TRY(env, napi_get_value_int32(env, element, &fd));
    fds.push_back(fd);
  }
  std::vector<SocketFacts> found;
  Status status = ReadSockets(pid, start_ticks, fds, &found);
  if (!status.ok()) return Throw(env, status);
  napi_value result;
  TRY(env, napi_create_array_with_length(env, found.size(), &result));
  for (uint32_t at = 0; at < found.size(); at++) {
    const SocketFacts& one = found[at];
    napi_value row, values[8];
    const int numbers[] = {one.fd, one.domain, one.type, one.protocol, one.state};
    for (int i = 0; i < 5; i++) TRY(env, napi_create_int32(env, numbers[i], &values[i]));
    TRY(env, napi_get_boolean(env, one.connected, &values[5]));
    if ((values[6] = BufferOf(env, one.local, one.local_length)) == nullptr) return nullptr;
    if ((values[7] = BufferOf(env, one.remote, one.remote_length)) == nullptr) return nullptr;
    TRY(env, napi_create_array_with_length(env, 8, &row));
    for (uint32_t i = 0; i < 8; i++) TRY(env, napi_set_element(env, row, i, values[i]));
    TRY(env, napi_set_element(env, result, at, row));
  }
  return result;
}

// bootTimeNs() → bigint, CLOCK_BOOTTIME
napi_value BootTime(napi_env env, napi_callback_info) {
  napi_value result;
  TRY(env, napi_create_bigint_uint64(env, BootTimeNs(), &result));
  return result;
}

napi_value ThreadCpuTime(napi_env env, napi_callback_info) {
  timespec time{};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) != 0)
    return Throw(env, Status::Fail(errno, "read the thread's CPU time"));
  napi_value result;
  TRY(env, napi_create_double(env, static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6, &result));
  return result;
}

// trimHeap() → boolean: frees pages that free() has kept for reuse, of all arenas; whether there were any
napi_value TrimHeap(napi_env env, napi_callback_info) {
  napi_value result;
  TRY(env, napi_get_boolean(env, malloc_trim(0) == 1, &result));
  return result;
}
