// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <node_api.h>

// pin(handle, directory), unpin(handle): see Probe
napi_value Pin(napi_env env, napi_callback_info info);
napi_value Unpin(napi_env env, napi_callback_info info);
// noteSeen(handle, denyMs): pinned programs deny for so long without another call; 0: no limit
napi_value NoteSeen(napi_env env, napi_callback_info info);
// unseenDenials(directory) → Float64Array: cgroup, denials, cgroup, …
napi_value UnseenDenials(napi_env env, napi_callback_info info);
