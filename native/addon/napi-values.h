// SPDX-License-Identifier: Apache-2.0
// Helpers for the glue functions: they read arguments and throw failures.
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

// Creates all errors: Error {message, code, errno, operation, detail}. On nullptr, an exception is pending.
inline napi_value ErrorOf(napi_env env, const Status& status) {
  // libbpf's own errors start at 4000: a broken object, a kernel that is too old
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
  return error;
}

inline napi_value Throw(napi_env env, const Status& status) {
  napi_value error = ErrorOf(env, status);
  if (error) napi_throw(env, error);
  return nullptr;
}

// Returns undefined, or throws the status, for a call without a result.
inline napi_value Done(napi_env env, const Status& status) { return status.ok() ? nullptr : Throw(env, status); }

// Reads the arguments of a call in order: `Arguments(env, info) >> path >> bytes`. It is false if one is missing or
// has another type. An exception is then pending, and the values must not be used.
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    Check(napi_get_cb_info(env, info, &count_, values_, nullptr, nullptr) == napi_ok);
  }
  explicit operator bool() const { return ok_; }
  napi_env env() const { return env_; }

  // The next argument, unconverted; nullptr after the last.
  napi_value Next() {
    Check(at_ < count_);
    return ok_ ? values_[at_++] : nullptr;
  }
  // Stops reading, with an exception, unless the condition holds.
  Arguments& Check(bool holds) {
    if (ok_ && !holds) {
      ok_ = false;
      ThrowNapi(env_);
    }
    return *this;
  }

  Arguments& operator>>(napi_value& out) {
    out = Next();
    return *this;
  }
  Arguments& operator>>(std::string& out) {
    napi_value value = Next();
    size_t length = 0;
    if (!ok_ || !Check(napi_get_value_string_utf8(env_, value, nullptr, 0, &length) == napi_ok)) return *this;
    out.resize(length + 1);
    Check(napi_get_value_string_utf8(env_, value, &out[0], length + 1, &length) == napi_ok);
    out.resize(length);
    return *this;
  }
  // A number from 0 to 2^53 - 1.
  Arguments& operator>>(uint64_t& out) {
    napi_value value = Next();
    double number = 0;
    if (!ok_ || !Check(napi_get_value_double(env_, value, &number) == napi_ok && number >= 0 && number <= 9007199254740991.0))
      return *this;
    out = static_cast<uint64_t>(number);
    return *this;
  }
  Arguments& operator>>(uint32_t& out) {
    napi_value value = Next();
    return ok_ ? Check(napi_get_value_uint32(env_, value, &out) == napi_ok) : *this;
  }
  Arguments& operator>>(int32_t& out) {
    napi_value value = Next();
    return ok_ ? Check(napi_get_value_int32(env_, value, &out) == napi_ok) : *this;
  }
  Arguments& operator>>(bool& out) {
    napi_value value = Next();
    return ok_ ? Check(napi_get_value_bool(env_, value, &out) == napi_ok) : *this;
  }

 private:
  static constexpr size_t kMost = 8;
  napi_env env_;
  size_t count_ = kMost, at_ = 0;
  napi_value values_[kMost];
  bool ok_ = true;
};

// Gets the bytes of a Uint8Array. Returns false, with an exception pending, for another type or length.
inline bool BytesOf(napi_env env, napi_value array, size_t length, const char* doing, void** bytes) {
  napi_typedarray_type type;
  size_t found = 0;
  if (napi_get_typedarray_info(env, array, &type, &found, bytes, nullptr, nullptr) != napi_ok) {
    ThrowNapi(env);
    return false;
  }
  if (type == napi_uint8_array && found == length) return true;
  Throw(env, Status::Fail(EINVAL, doing, "size of the argument"));
  return false;
}
