// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <node_api.h>

// pin(handle, directory), unpin(handle): see Probe
napi_value Pin(napi_env env, napi_callback_info info);
napi_value Unpin(napi_env env, napi_callback_info info);
// noteSeen(handle, denyMs): pinned programs deny for so long without another call; 0: no limit
napi_value NoteSeen(napi_env env, napi_callback_info info);
// pinnedScope(directory) → Float64Array: cgroup, number of its table, denials without an agent, cgroup, …
napi_value PinnedScope(napi_env env, napi_callback_info info);
// allowPinned(directory, cgroup, level), pinnedTable(directory, number) → Uint8Array, allowPinnedRules(directory, number, rules)
napi_value AllowPinnedJs(napi_env env, napi_callback_info info);
napi_value PinnedTable(napi_env env, napi_callback_info info);
napi_value AllowPinnedRulesJs(napi_env env, napi_callback_info info);
