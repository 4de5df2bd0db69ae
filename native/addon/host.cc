// SPDX-License-Identifier: Apache-2.0
#include "host.h"
#include <cerrno>
#include <ctime>
#include <malloc.h>
#include <string>
#include <vector>
#include "process.h"
#include "ring.h"
#include "root-file.h"
#include "self-test.h"

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
