// SPDX-License-Identifier: Apache-2.0
#include "pins-js.h"
#include "handle.h"
#include "host.h"
#include "napi-values.h"
#include "pins.h"

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

napi_value UnseenDenials(napi_env env, napi_callback_info info) {
  std::string directory;
  if (!(Arguments(env, info) >> directory)) return nullptr;
  std::vector<std::pair<uint64_t, uint64_t>> denials;
  Status status = ReadUnseenDenials(directory, &denials);
  if (!status.ok()) return Throw(env, status);
  void* data = nullptr;
  napi_value buffer, array;
  TRY(env, napi_create_arraybuffer(env, denials.size() * 2 * sizeof(double), &data, &buffer));
  double* out = static_cast<double*>(data);
  for (const auto& [cgroup, count] : denials) {
    *out++ = static_cast<double>(cgroup);
    *out++ = static_cast<double>(count);
  }
  TRY(env, napi_create_typedarray(env, napi_float64_array, denials.size() * 2, buffer, 0, &array));
  return array;
}
