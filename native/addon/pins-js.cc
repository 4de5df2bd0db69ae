// SPDX-License-Identifier: Apache-2.0
#include "pins-js.h"
#include "handle.h"
#include "host.h"
#include "napi-values.h"
#include "pins.h"
#include <linux/types.h>
#include "events.gen.h"
#include "shared.h"

napi_value Pin(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  std::string directory;
  if (!(Arguments(env, info) >> handle >> directory)) return nullptr;
  return Done(env, handle->probe.Pin(directory));
}

napi_value Unpin(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  if (!(Arguments(env, info) >> handle)) return nullptr;
  handle->probe.Unpin();
  return nullptr;
}

napi_value NoteSeen(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint64_t ms = 0;
  if (!(Arguments(env, info) >> handle >> ms)) return nullptr;
  const uint64_t now = BootTimeNs();
  return Done(env, handle->probe.NoteSeen(now, ms ? now + ms * 1000000 : 0));
}

napi_value PinnedScope(napi_env env, napi_callback_info info) {
  std::string directory;
  if (!(Arguments(env, info) >> directory)) return nullptr;
  std::vector<PinnedContainer> containers;
  const Status status = ReadPinnedScope(directory, &containers);
  if (!status.ok()) return Throw(env, status);
  void* data = nullptr;
  napi_value buffer, array;
  TRY(env, napi_create_arraybuffer(env, containers.size() * 3 * sizeof(double), &data, &buffer));
  double* out = static_cast<double*>(data);
  for (const PinnedContainer& container : containers) {
    *out++ = static_cast<double>(container.cgroup);
    *out++ = static_cast<double>(container.table);
    *out++ = static_cast<double>(container.denied);
  }
  TRY(env, napi_create_typedarray(env, napi_float64_array, containers.size() * 3, buffer, 0, &array));
  return array;
}

napi_value AllowPinnedJs(napi_env env, napi_callback_info info) {
  std::string directory;
  uint64_t cgroup = 0;
  uint32_t level = 0;
  if (!(Arguments(env, info) >> directory >> cgroup >> level)) return nullptr;
  return Done(env, AllowPinned(directory, cgroup, level));
}

napi_value PinnedTable(napi_env env, napi_callback_info info) {
  std::string directory;
  uint32_t number = 0;
  if (!(Arguments(env, info) >> directory >> number)) return nullptr;
  void* data = nullptr;
  napi_value buffer, array;
  TRY(env, napi_create_arraybuffer(env, sizeof(verdict_table), &data, &buffer));
  const Status status = ReadPinnedTable(directory, number, static_cast<verdict_table*>(data));
  if (!status.ok()) return Throw(env, status);
  TRY(env, napi_create_typedarray(env, napi_uint8_array, sizeof(verdict_table), buffer, 0, &array));
  return array;
}

napi_value AllowPinnedRulesJs(napi_env env, napi_callback_info info) {
  std::string directory;
  uint32_t number = 0, rules = 0;
  if (!(Arguments(env, info) >> directory >> number >> rules)) return nullptr;
  return Done(env, AllowPinnedRules(directory, number, rules));
}
