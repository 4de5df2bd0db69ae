// SPDX-License-Identifier: Apache-2.0
// The probe that a call of the glue is about.
#pragma once
#include <cerrno>
#include <memory>
#include "loop.h"
#include "napi-values.h"
#include "probe.h"
#include "ring.h"

// A probe as held by JavaScript: the object, its rings and, once started, the loop that drains them.
struct Handle {
  Probe probe;
  Ring exec_ring, bulk_ring;
  std::unique_ptr<Consumer> consumer;
  Loop* loop = nullptr; // deletes itself when its uv handles are closed
  napi_env env = nullptr;
  napi_ref buffer = nullptr, callback = nullptr;
  napi_async_context context = nullptr;
  bool closed = false;

  void Close() {
    if (closed) return;
    closed = true;
    if (loop) {
      Loop* closing = loop;
      loop = nullptr;
      closing->Close([closing] { delete closing; });
    }
    if (buffer) napi_delete_reference(env, buffer);
    if (callback) napi_delete_reference(env, callback);
    if (context) napi_async_destroy(env, context);
    buffer = callback = nullptr;
    context = nullptr;
    exec_ring.Unmap();
    bulk_ring.Unmap();
    probe.Close();
  }
};

// The probe argument of a call; a closed one is refused.
inline Arguments& operator>>(Arguments& arguments, Handle*& out) {
  napi_value value = arguments.Next();
  void* data = nullptr;
  if (!arguments || !arguments.Check(napi_get_value_external(arguments.env(), value, &data) == napi_ok)) return arguments;
  out = static_cast<Handle*>(data);
  if (out->closed) {
    Throw(arguments.env(), Status::Fail(EBADF, "use the probe", "it is closed"));
    arguments.Check(false);
  }
  return arguments;
}
inline Arguments& operator>>(Arguments&& arguments, Handle*& out) { return arguments >> out; }
