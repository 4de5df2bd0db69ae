// SPDX-License-Identifier: Apache-2.0
#include "deny-js.h"
#include "handle.h"
#include "napi-values.h"

napi_value DenyConnects(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  std::string path, directory;
  if (!(Arguments(env, info) >> handle >> path >> directory)) return nullptr;
  return Done(env, handle->probe.DenyConnects(path, directory));
}

napi_value AllowConnects(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  if (!(Arguments(env, info) >> handle)) return nullptr;
  handle->probe.AllowConnects();
  return nullptr;
}

napi_value DenyFiles(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  std::string opens, paths;
  if (!(Arguments(env, info) >> handle >> opens >> paths)) return nullptr;
  return Done(env, handle->probe.DenyFiles(opens, paths));
}

napi_value AllowFiles(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  if (!(Arguments(env, info) >> handle)) return nullptr;
  handle->probe.AllowFiles();
  return nullptr;
}

napi_value DenyCalls(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint32_t group = 0;
  std::string path, directory;
  if (!(Arguments(env, info) >> handle >> group >> path >> directory)) return nullptr;
  return Done(env, handle->probe.DenyCalls(group, path, directory));
}

napi_value AllowCalls(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint32_t group = 0;
  if (!(Arguments(env, info) >> handle >> group)) return nullptr;
  handle->probe.AllowCalls(group);
  return nullptr;
}

napi_value KnowFile(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  napi_value args = nullptr;
  if (!(Arguments(env, info) >> handle >> args)) return nullptr;
  void* bytes = nullptr;
  if (!BytesOf(env, args, sizeof(known_file_args), "know a file by its inode", &bytes)) return nullptr;
  return Done(env, handle->probe.KnowFile(static_cast<known_file_args*>(bytes)));
}

napi_value ForgetFile(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  napi_value args = nullptr;
  if (!(Arguments(env, info) >> handle >> args)) return nullptr;
  void* bytes = nullptr;
  if (!BytesOf(env, args, sizeof(known_file_args), "forget a file", &bytes)) return nullptr;
  return Done(env, handle->probe.ForgetFile(static_cast<const known_file_args*>(bytes)));
}
