// SPDX-License-Identifier: Apache-2.0
// Node-API glue: reads arguments and returns results. The other files do the work.
#include <cerrno>
#include <uv.h>
#include "handle.h"
#include "host.h"
#include "isolation-js.h"
#include "deny-js.h"
#include "pins-js.h"
#include "load-js.h"

namespace {

// attach(handle, name)
napi_value Attach(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  std::string name;
  if (!(Arguments(env, info) >> handle >> name)) return nullptr;
  return Done(env, handle->probe.Attach(name));
}

// detach(handle, name)
napi_value Detach(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  std::string name;
  if (!(Arguments(env, info) >> handle >> name)) return nullptr;
  return Done(env, handle->probe.Detach(name));
}

napi_value StringArray(napi_env env, const std::vector<std::string>& names) {
  napi_value array, item;
  TRY(env, napi_create_array_with_length(env, names.size(), &array));
  for (size_t i = 0; i < names.size(); i++) {
    TRY(env, napi_create_string_utf8(env, names[i].c_str(), names[i].size(), &item));
    TRY(env, napi_set_element(env, array, static_cast<uint32_t>(i), item));
  }
  return array;
}

// attached(handle, all) → names
napi_value Attached(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  bool all = false;
  if (!(Arguments(env, info) >> handle >> all)) return nullptr;
  return StringArray(env, all ? handle->probe.Programs() : handle->probe.Attached());
}

// scopeSet(handle, cgroup, state, level, table): `table` as in scope_set_args
napi_value ScopeSet(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint64_t cgroup = 0;
  uint32_t state = 0, level = 0, table = 0;
  if (!(Arguments(env, info) >> handle >> cgroup >> state >> level >> table)) return nullptr;
  return Done(env, handle->probe.ScopeSet(cgroup, state, level, table));
}

// setVerdicts(handle, number, table: Uint8Array | undefined)
napi_value SetVerdicts(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint32_t number = 0;
  napi_value table = nullptr;
  if (!(Arguments(env, info) >> handle >> number >> table)) return nullptr;
  napi_valuetype type;
  TRY(env, napi_typeof(env, table, &type));
  if (type == napi_undefined) return Done(env, handle->probe.SetVerdicts(number, nullptr));
  void* bytes = nullptr;
  if (!BytesOf(env, table, sizeof(verdict_table), "change what is filtered", &bytes)) return nullptr;
  return Done(env, handle->probe.SetVerdicts(number, static_cast<const verdict_table*>(bytes)));
}

// suspendVerdicts(handle)
napi_value SuspendVerdicts(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  if (!(Arguments(env, info) >> handle)) return nullptr;
  return Done(env, handle->probe.SuspendVerdicts());
}

// stopFiltering(handle, number: 0: all)
napi_value StopFiltering(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint32_t number = 0;
  if (!(Arguments(env, info) >> handle >> number)) return nullptr;
  return Done(env, handle->probe.StopFiltering(number));
}

// copyVerdicts(handle, from, to, rules)
napi_value CopyVerdicts(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint32_t from = 0, to = 0, rules = 0;
  if (!(Arguments(env, info) >> handle >> from >> to >> rules)) return nullptr;
  return Done(env, handle->probe.CopyVerdicts(from, to, rules));
}

// allowRules(handle, number, rules)
napi_value AllowRules(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint32_t number = 0, rules = 0;
  if (!(Arguments(env, info) >> handle >> number >> rules)) return nullptr;
  return Done(env, handle->probe.AllowRules(number, rules));
}

// runVerdict(handle, args: Uint8Array), writes the result into args
napi_value RunVerdict(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  napi_value args = nullptr;
  if (!(Arguments(env, info) >> handle >> args)) return nullptr;
  void* bytes = nullptr;
  if (!BytesOf(env, args, sizeof(verdict_run_args), "ask for a verdict", &bytes)) return nullptr;
  return Done(env, handle->probe.RunVerdict(static_cast<verdict_run_args*>(bytes)));
}

// adoptImage(handle, args: Uint8Array)
napi_value AdoptImage(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  napi_value args = nullptr;
  if (!(Arguments(env, info) >> handle >> args)) return nullptr;
  void* bytes = nullptr;
  if (!BytesOf(env, args, sizeof(image_adopt_args), "tell what a process runs", &bytes)) return nullptr;
  return Done(env, handle->probe.AdoptImage(static_cast<image_adopt_args*>(bytes)));
}

// scopeDelete(handle, cgroup)
napi_value ScopeDelete(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint64_t cgroup = 0;
  if (!(Arguments(env, info) >> handle >> cgroup)) return nullptr;
  return Done(env, handle->probe.ScopeDelete(cgroup));
}

// Rows of numbers: cgroup, state, then the counts and times of struct scope_entry in the order below.
const size_t kRow = 11;
napi_value Rows(napi_env env, const std::vector<ScopeRow>& rows) {
  void* data = nullptr;
  napi_value buffer, array;
  TRY(env, napi_create_arraybuffer(env, rows.size() * kRow * sizeof(double), &data, &buffer));
  double* out = static_cast<double*>(data);
  for (const ScopeRow& row : rows) {
    const scope_entry& entry = row.entry;
    const uint64_t values[kRow] = {row.cgroup,         entry.state,        entry.emitted,       entry.dropped,
                                   entry.prefiltered,  entry.dropped_exec, entry.dropped_share, entry.dropped_late,
                                   entry.first_drop,   entry.last_drop,    entry.late_ns};
    for (uint64_t value : values) *out++ = static_cast<double>(value);
  }
  TRY(env, napi_create_typedarray(env, napi_float64_array, rows.size() * kRow, buffer, 0, &array));
  return array;
}

// scopeGet(handle, cgroup) → Float64Array of one row, or none
napi_value ScopeGet(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint64_t cgroup = 0;
  if (!(Arguments(env, info) >> handle >> cgroup)) return nullptr;
  std::vector<ScopeRow> rows;
  ScopeRow row{cgroup, {}};
  if (handle->probe.ScopeGet(cgroup, &row.entry)) rows.push_back(row);
  return Rows(env, rows);
}

// scopeEntries(handle) → Float64Array of rows
napi_value ScopeEntries(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  if (!(Arguments(env, info) >> handle)) return nullptr;
  std::vector<ScopeRow> rows;
  Status status = handle->probe.ScopeEntries(&rows);
  return status.ok() ? Rows(env, rows) : Throw(env, status);
}

// filtered(handle) → Float64Array of counts by event number
napi_value Filtered(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  if (!(Arguments(env, info) >> handle)) return nullptr;
  std::vector<uint64_t> counts;
  Status status = handle->probe.Filtered(&counts);
  if (!status.ok()) return Throw(env, status);
  void* data = nullptr;
  napi_value buffer, array;
  TRY(env, napi_create_arraybuffer(env, counts.size() * sizeof(double), &data, &buffer));
  for (size_t i = 0; i < counts.size(); i++) static_cast<double*>(data)[i] = static_cast<double>(counts[i]);
  TRY(env, napi_create_typedarray(env, napi_float64_array, counts.size(), buffer, 0, &array));
  return array;
}

// stats(handle) → [emitted, dropped, droppedExec, scopeFull, readErrors, deniedDropped, awake, epoch, waitingSince]
napi_value Stats(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  if (!(Arguments(env, info) >> handle)) return nullptr;
  napi_value array, item;
  const probe_state* state = handle->probe.State();
  const double values[] = {static_cast<double>(state->emitted),     static_cast<double>(state->dropped),
                           static_cast<double>(state->dropped_exec), static_cast<double>(state->scope_full),
                           static_cast<double>(state->read_errors), static_cast<double>(state->denied_dropped),
                           static_cast<double>(state->awake),       static_cast<double>(state->epoch),
                           static_cast<double>(handle->consumer->WaitingSince())};
  const uint32_t count = sizeof(values) / sizeof(values[0]);
  TRY(env, napi_create_array_with_length(env, count, &array));
  for (uint32_t i = 0; i < count; i++) {
    TRY(env, napi_create_double(env, values[i], &item));
    TRY(env, napi_set_element(env, array, i, item));
  }
  return array;
}

// skipped(handle) → how often the kernel has not run a program
napi_value Skipped(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  if (!(Arguments(env, info) >> handle)) return nullptr;
  napi_value count;
  TRY(env, napi_create_double(env, static_cast<double>(handle->probe.Skipped()), &count));
  return count;
}

// forgetRefusals(handle, olderMs) → how many: see Probe::ForgetRefusals
napi_value ForgetRefusals(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint64_t ms = 0;
  if (!(Arguments(env, info) >> handle >> ms)) return nullptr;
  const uint64_t now = BootTimeNs(), age = ms * 1000000;
  napi_value count;
  TRY(env, napi_create_double(env, static_cast<double>(handle->probe.ForgetRefusals(now > age ? now - age : 0)), &count));
  return count;
}

// nextLossInterval(handle): later losses get their own first and last times in their scope entries
napi_value NextLossInterval(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  if (Arguments(env, info) >> handle) __atomic_fetch_add(&handle->probe.State()->loss_look, 1, __ATOMIC_RELAXED);
  return nullptr;
}

// setMasks(handle, opens, calls, env)
napi_value SetMasks(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  uint32_t opens = 0, calls = 0, env_wanted = 0;
  if (!(Arguments(env, info) >> handle >> opens >> calls >> env_wanted)) return nullptr;
  __atomic_store_n(&handle->probe.State()->open_mask, opens, __ATOMIC_RELAXED);
  __atomic_store_n(&handle->probe.State()->call_mask, calls, __ATOMIC_RELAXED);
  __atomic_store_n(&handle->probe.State()->wants_env, env_wanted, __ATOMIC_RELAXED);
  return nullptr;
}

// Calls JavaScript with the batch. An exception there becomes the process's uncaught exception: records of a batch
// are never delivered twice.
bool CallBack(Handle* handle, size_t bytes) {
  napi_env env = handle->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
  napi_value callback, receiver, argument, ignored;
  if (napi_get_reference_value(env, handle->callback, &callback) == napi_ok &&
      napi_get_global(env, &receiver) == napi_ok && napi_create_double(env, static_cast<double>(bytes), &argument) == napi_ok) {
    napi_status status = napi_make_callback(env, handle->context, receiver, callback, 1, &argument, &ignored);
    if (status == napi_pending_exception) {
      napi_value exception;
      if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
    }
  }
  napi_close_handle_scope(env, scope);
  return !handle->closed;
}

// start(handle, buffer: ArrayBuffer, onBatch, tickMs, dozeMs, safetyMs)
napi_value Start(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  napi_value buffer = nullptr, callback = nullptr, name = nullptr;
  Loop::Times times{};
  if (!(Arguments(env, info) >> handle >> buffer >> callback >> times.tick_ms >> times.doze_ms >> times.safety_ms)) return nullptr;
  void* data = nullptr;
  size_t length = 0;
  TRY(env, napi_get_arraybuffer_info(env, buffer, &data, &length));
  if (handle->loop) return Throw(env, Status::Fail(EBUSY, "start the probe", "it has been started"));
  if (length < 4 * RECORD_MAX) return Throw(env, Status::Fail(EINVAL, "start the probe", "the buffer is under 128 KiB"));
  TRY(env, napi_create_string_utf8(env, "ebpf-loader-napi", NAPI_AUTO_LENGTH, &name));
  TRY(env, napi_async_init(env, nullptr, name, &handle->context));
  TRY(env, napi_create_reference(env, buffer, 1, &handle->buffer));
  TRY(env, napi_create_reference(env, callback, 1, &handle->callback));
  uv_loop_t* uv = nullptr;
  TRY(env, napi_get_uv_event_loop(env, &uv));
  handle->loop = new Loop();
  Status status = handle->loop->Start(uv, handle->consumer.get(), handle->probe.State(), handle->exec_ring.fd(),
                                      handle->bulk_ring.fd(), static_cast<uint8_t*>(data), length, times,
                                      [handle](size_t bytes) { return CallBack(handle, bytes); });
  if (status.ok()) return nullptr;
  handle->Close();
  return Throw(env, status);
}

// drain(handle) → bytes delivered
napi_value Drain(napi_env env, napi_callback_info info) {
  Handle* handle = nullptr;
  if (!(Arguments(env, info) >> handle)) return nullptr;
  napi_value result;
  size_t bytes = handle->loop ? handle->loop->DrainNow() : 0;
  TRY(env, napi_create_double(env, static_cast<double>(bytes), &result));
  return result;
}

napi_value Close(napi_env env, napi_callback_info info) {
  napi_value value = nullptr;
  void* data = nullptr;
  if (!(Arguments(env, info) >> value)) return nullptr;
  TRY(env, napi_get_value_external(env, value, &data));
  static_cast<Handle*>(data)->Close();
  return nullptr;
}


napi_value Init(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback function;
  } kFunctions[] = {
      {"load", Load},           {"loadInThread", LoadInThread}, {"attach", Attach},           {"detach", Detach},         {"attached", Attached},
      {"setVerdicts", SetVerdicts}, {"suspendVerdicts", SuspendVerdicts}, {"copyVerdicts", CopyVerdicts},
      {"skipped", Skipped}, {"forgetRefusals", ForgetRefusals}, {"stopFiltering", StopFiltering}, {"allowRules", AllowRules}, {"runVerdict", RunVerdict}, {"adoptImage", AdoptImage},
      {"knowFile", KnowFile}, {"forgetFile", ForgetFile},
      {"denyConnects", DenyConnects}, {"allowConnects", AllowConnects}, {"denyFiles", DenyFiles}, {"allowFiles", AllowFiles},
      {"denyCalls", DenyCalls}, {"allowCalls", AllowCalls},
      {"pin", Pin},             {"unpin", Unpin},             {"noteSeen", NoteSeen},     {"pinnedScope", PinnedScope},
      {"allowPinned", AllowPinnedJs}, {"pinnedTable", PinnedTable}, {"allowPinnedRules", AllowPinnedRulesJs},
      {"scopeSet", ScopeSet},   {"scopeDelete", ScopeDelete}, {"scopeGet", ScopeGet},     {"scopeEntries", ScopeEntries},
      {"filtered", Filtered},
      {"stats", Stats},         {"setMasks", SetMasks},       {"start", Start},           {"drain", Drain},
      {"nextLossInterval", NextLossInterval},
      {"close", Close},         {"selfTest", SelfTest},
      {"runFirstProcess", RunFirstProcessJs},       {"tryExecutableMemory", TryExecutableMemoryJs}, {"openInRoot", OpenInRootJs}, {"findInRoot", FindInRootJs}, {"readInRoot", ReadInRootJs},
      {"bootTimeNs", BootTime}, {"killProcess", KillProcessJs}, {"notifyManager", NotifyManagerJs}, {"socketsOf", SocketsOfJs}, {"openMemoryFile", OpenMemoryFile}, {"threadCpuMs", ThreadCpuTime},
      {"trimHeap", TrimHeap},
      {"openIsolation", OpenIsolation}, {"isolate", Isolate}, {"liftIsolation", LiftIsolation},
      {"isolated", Isolated},   {"isolationCounts", IsolationCounts}, {"closeIsolation", CloseIsolation},
      {"testIsolation", TestIsolationJs},
  };
  for (const auto& entry : kFunctions) {
    napi_value function;
    TRY(env, napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.function, nullptr, &function));
    TRY(env, napi_set_named_property(env, exports, entry.name, function));
  }
  napi_value version, configBytes, recordBytes;
  TRY(env, napi_create_int32(env, WIRE_VERSION, &version));
  TRY(env, napi_set_named_property(env, exports, "wireVersion", version));
  TRY(env, napi_create_int32(env, sizeof(probe_config), &configBytes));
  TRY(env, napi_set_named_property(env, exports, "configBytes", configBytes));
  TRY(env, napi_create_int32(env, RECORD_MAX, &recordBytes));
  TRY(env, napi_set_named_property(env, exports, "recordBytes", recordBytes));
  return exports;
}

}  // namespace

NAPI_MODULE(NODE_GYP_MODULE_NAME, Init)
