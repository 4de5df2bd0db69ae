// SPDX-License-Identifier: Apache-2.0
#include "load-js.h"
#include <cstring>
#include "handle.h"

namespace {

void CloseAtExit(void* data) { static_cast<Handle*>(data)->Close(); }

// The input and result of a load.
struct Loading {
  std::string path;
  probe_config config;
  uint32_t exec_bytes = 0, bulk_bytes = 0;
  bool with_verdict_run = false, by_compat_exit = false;
  std::unique_ptr<Handle> handle = std::make_unique<Handle>();
  Status status;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;

  // Runs on any thread: uses nothing of Node.
  void Run() {
    status = handle->probe.Load(path, config, exec_bytes, bulk_bytes, with_verdict_run, by_compat_exit);
    if (status.ok()) status = handle->exec_ring.Map(handle->probe.MapFd("exec_ring"), exec_bytes);
    if (status.ok()) status = handle->bulk_ring.Map(handle->probe.MapFd("bulk_ring"), bulk_bytes);
    if (!status.ok()) handle->Close();
  }
};

// Arguments of load and loadInThread; nullptr with an exception pending.
std::unique_ptr<Loading> LoadingOf(napi_env env, napi_callback_info info) {
  auto loading = std::make_unique<Loading>();
  napi_value settings = nullptr;
  if (!(Arguments(env, info) >> loading->path >> settings >> loading->exec_bytes >> loading->bulk_bytes >>
        loading->with_verdict_run >> loading->by_compat_exit))
    return nullptr;
  napi_typedarray_type type;
  size_t length = 0;
  void* bytes = nullptr;
  TRY(env, napi_get_typedarray_info(env, settings, &type, &length, &bytes, nullptr, nullptr));
  if (type != napi_uint8_array || length != sizeof(probe_config)) {
    Throw(env, Status::Fail(EINVAL, "configure the probe", "size of the configuration"));
    return nullptr;
  }
  memcpy(&loading->config, bytes, sizeof(probe_config));
  loading->handle->env = env;
  return loading;
}

// Wraps the loaded probe for JavaScript. On nullptr, an exception is pending and the probe is closed.
napi_value External(napi_env env, std::unique_ptr<Handle> handle) {
  Handle* raw = handle.get();
  raw->consumer = std::make_unique<Consumer>(
      &raw->exec_ring, &raw->bulk_ring, raw->probe.State(),
      [raw](uint64_t cgroup, uint32_t held) { return raw->probe.ScopeHold(cgroup, held).ok(); });
  napi_value result;
  napi_status made = napi_create_external(
      env, raw,
      [](napi_env finalize_env, void* data, void*) {
        Handle* dying = static_cast<Handle*>(data);
        napi_remove_env_cleanup_hook(finalize_env, CloseAtExit, dying);
        dying->Close();
        delete dying;
      },
      nullptr, &result);
  if (made != napi_ok) {
    raw->Close();
    ThrowNapi(env);
    return nullptr;
  }
  handle.release(); // owned by the external
  TRY(env, napi_add_env_cleanup_hook(env, CloseAtExit, raw));
  return result;
}

// Runs after the thread's work; the status is `canceled` if the environment ends before the work began.
void OnLoaded(napi_env env, napi_status status, void* data) {
  std::unique_ptr<Loading> loading(static_cast<Loading*>(data));
  napi_delete_async_work(env, loading->work);
  if (status != napi_ok) loading->status = Status::Fail(ECANCELED, "load the probe into the kernel");
  napi_value result = loading->status.ok() ? External(env, std::move(loading->handle)) : nullptr;
  if (result && napi_resolve_deferred(env, loading->deferred, result) == napi_ok) return;
  napi_value error = nullptr;
  if (loading->status.ok()) {
    // An environment that is ending creates no values any more.
    if (napi_get_and_clear_last_exception(env, &error) != napi_ok) return;
  } else {
    error = ErrorOf(env, loading->status);
  }
  if (error) napi_reject_deferred(env, loading->deferred, error);
}

}  // namespace

// load(objectPath, config: Uint8Array, execRingBytes, bulkRingBytes, withVerdictRun) → handle
napi_value Load(napi_env env, napi_callback_info info) {
  std::unique_ptr<Loading> loading = LoadingOf(env, info);
  if (!loading) return nullptr;
  loading->Run();
  return loading->status.ok() ? External(env, std::move(loading->handle)) : Throw(env, loading->status);
}

// loadInThread(objectPath, config: Uint8Array, execRingBytes, bulkRingBytes, withVerdictRun) → Promise<handle>
napi_value LoadInThread(napi_env env, napi_callback_info info) {
  std::unique_ptr<Loading> loading = LoadingOf(env, info);
  if (!loading) return nullptr;
  napi_value promise, name;
  TRY(env, napi_create_string_utf8(env, "varvel probe load", NAPI_AUTO_LENGTH, &name));
  TRY(env, napi_create_async_work(
               env, nullptr, name, [](napi_env, void* data) { static_cast<Loading*>(data)->Run(); }, OnLoaded, loading.get(),
               &loading->work));
  if (napi_create_promise(env, &loading->deferred, &promise) != napi_ok ||
      napi_queue_async_work(env, loading->work) != napi_ok) {
    ThrowNapi(env);
    napi_delete_async_work(env, loading->work);
    return nullptr;
  }
  loading.release(); // owned by OnLoaded
  return promise;
}
