// SPDX-License-Identifier: Apache-2.0
// What each function of the glue needs: arguments read, failures thrown.
#pragma once
#define NAPI_VERSION 8
#include <node_api.h>
#include <bpf/libbpf.h>
#include <cstdint>
#include <string>
#include <uv.h>
#include "status.h"

// Every Node-API call goes through this: a failure leaves a pending exception and ends the function.
#define TRY(env, call)                                             \
  do {                                                             \
    if ((call) != napi_ok) {                                       \
      ThrowNapi(env);                                              \
      return nullptr;                                              \
    }                                                              \
  } while (0)

inline void ThrowNapi(napi_env env) {
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) return;
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  napi_throw_error(env, "EINVAL", info && info->error_message ? info->error_message : "bad argument");
}

// The one place that raises: Error {message, code, errno, operation, detail}.
inline napi_value Throw(napi_env env, const Status& status) {
  // libbpf has errors of its own, from 4000 up: a broken object, a kernel that is too old
  const bool libbpf = status.error >= 4000;
  char reason[256];
  libbpf_strerror(status.error, reason, sizeof(reason));
  std::string message = "cannot " + status.operation + ": " + reason;
  napi_value text, code, error, number, operation, detail;
  TRY(env, napi_create_string_utf8(env, message.c_str(), message.size(), &text));
  const char* name = libbpf ? "ELIBBPF" : uv_err_name(-status.error);
  TRY(env, napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &code));
  TRY(env, napi_create_error(env, code, text, &error));
  TRY(env, napi_create_int32(env, status.error, &number));
  TRY(env, napi_set_named_property(env, error, "errno", number));
  TRY(env, napi_create_string_utf8(env, status.operation.c_str(), status.operation.size(), &operation));
  TRY(env, napi_set_named_property(env, error, "operation", operation));
  TRY(env, napi_create_string_utf8(env, status.detail.c_str(), status.detail.size(), &detail));
  TRY(env, napi_set_named_property(env, error, "detail", detail));
  napi_throw(env, error);
  return nullptr;
}

inline bool GetString(napi_env env, napi_value value, std::string* out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return false;
  out->resize(length + 1);
  if (napi_get_value_string_utf8(env, value, &(*out)[0], length + 1, &length) != napi_ok) return false;
  out->resize(length);
  return true;
}

inline bool GetU64(napi_env env, napi_value value, uint64_t* out) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) != napi_ok || !(number >= 0) || number > 9007199254740991.0) return false;
  *out = static_cast<uint64_t>(number);
  return true;
}

inline bool GetU32(napi_env env, napi_value value, uint32_t* out) { return napi_get_value_uint32(env, value, out) == napi_ok; }
