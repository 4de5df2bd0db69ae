// SPDX-License-Identifier: Apache-2.0
#include "isolation-js.h"
#include <cerrno>
#include <cstring>
#include <memory>
#include "isolation.h"

namespace {

Arguments& operator>>(Arguments& arguments, Isolation*& out) {
  napi_value value = arguments.Next();
  void* data = nullptr;
  if (arguments && arguments.Check(napi_get_value_external(arguments.env(), value, &data) == napi_ok))
    out = static_cast<Isolation*>(data);
  return arguments;
}
Arguments& operator>>(Arguments&& arguments, Isolation*& out) { return arguments >> out; }

// A Uint8Array of struct isolate_address, one after the other.
Arguments& operator>>(Arguments& arguments, std::vector<isolate_address>& out) {
  napi_value value = arguments.Next();
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* bytes = nullptr;
  if (!arguments || !arguments.Check(napi_get_typedarray_info(arguments.env(), value, &type, &length, &bytes, nullptr,
                                                              nullptr) == napi_ok))
    return arguments;
  if (type != napi_uint8_array || length % sizeof(isolate_address) != 0) {
    Throw(arguments.env(), Status::Fail(EINVAL, "read addresses", "size of the argument"));
    return arguments.Check(false);
  }
  out.resize(length / sizeof(isolate_address));
  if (length > 0) memcpy(out.data(), bytes, length);
  return arguments;
}

void CloseAtExit(void* data) { static_cast<Isolation*>(data)->Close(); }

}  // namespace

// openIsolation(objectPath, servers: Uint8Array) → handle
napi_value OpenIsolation(napi_env env, napi_callback_info info) {
  std::string path;
  std::vector<isolate_address> servers;
  Arguments arguments(env, info);
  arguments >> path;
  if (!(arguments >> servers)) return nullptr;
  auto isolation = std::make_unique<Isolation>();
  Status status = isolation->Load(path, servers);
  if (!status.ok()) return Throw(env, status);
  napi_value result;
  Isolation* raw = isolation.get();
  TRY(env, napi_create_external(
               env, raw,
               [](napi_env finalize_env, void* data, void*) {
                 napi_remove_env_cleanup_hook(finalize_env, CloseAtExit, data);
                 delete static_cast<Isolation*>(data);
               },
               nullptr, &result));
  isolation.release(); // owned by the external
  TRY(env, napi_add_env_cleanup_hook(env, CloseAtExit, raw));
  return result;
}

// isolate(handle, cgroup, directory, local: Uint8Array)
napi_value Isolate(napi_env env, napi_callback_info info) {
  Isolation* isolation = nullptr;
  uint64_t cgroup = 0;
  std::string directory;
  std::vector<isolate_address> local;
  Arguments arguments(env, info);
  arguments >> isolation;
  arguments >> cgroup >> directory;
  if (!(arguments >> local)) return nullptr;
  return Done(env, isolation->Isolate(cgroup, directory, local));
}

// liftIsolation(handle, cgroup)
napi_value LiftIsolation(napi_env env, napi_callback_info info) {
  Isolation* isolation = nullptr;
  uint64_t cgroup = 0;
  Arguments arguments(env, info);
  arguments >> isolation;
  if (arguments >> cgroup) isolation->Lift(cgroup);
  return nullptr;
}

// isolated(handle) → ids of cgroups
napi_value Isolated(napi_env env, napi_callback_info info) {
  Isolation* isolation = nullptr;
  if (!(Arguments(env, info) >> isolation)) return nullptr;
  const std::vector<uint64_t> cgroups = isolation->Isolated();
  napi_value array, item;
  TRY(env, napi_create_array_with_length(env, cgroups.size(), &array));
  for (size_t i = 0; i < cgroups.size(); i++) {
    TRY(env, napi_create_double(env, static_cast<double>(cgroups[i]), &item));
    TRY(env, napi_set_element(env, array, static_cast<uint32_t>(i), item));
  }
  return array;
}

// isolationCounts(handle) → [packets, connects]
napi_value IsolationCounts(napi_env env, napi_callback_info info) {
  Isolation* isolation = nullptr;
  if (!(Arguments(env, info) >> isolation)) return nullptr;
  const isolate_counts counts = isolation->Counts();
  const double values[] = {static_cast<double>(counts.packets), static_cast<double>(counts.connects)};
  napi_value array, item;
  TRY(env, napi_create_array_with_length(env, 2, &array));
  for (uint32_t i = 0; i < 2; i++) {
    TRY(env, napi_create_double(env, values[i], &item));
    TRY(env, napi_set_element(env, array, i, item));
  }
  return array;
}

// closeIsolation(handle)
napi_value CloseIsolation(napi_env env, napi_callback_info info) {
  Isolation* isolation = nullptr;
  if (Arguments(env, info) >> isolation) isolation->Close();
  return nullptr;
}

// testIsolation(directory)
napi_value TestIsolationJs(napi_env env, napi_callback_info info) {
  std::string directory;
  if (!(Arguments(env, info) >> directory)) return nullptr;
  return Done(env, TestIsolation(directory));
}
