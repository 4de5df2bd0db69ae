// SPDX-License-Identifier: Apache-2.0
// Node-API glue of what needs no probe: files inside a container's root, processes, clocks, memory.
#pragma once
#include "napi-values.h"

napi_value SelfTest(napi_env env, napi_callback_info info);
napi_value RunFirstProcessJs(napi_env env, napi_callback_info info);
napi_value TryExecutableMemoryJs(napi_env env, napi_callback_info info);
napi_value OpenInRootJs(napi_env env, napi_callback_info info);
napi_value FindInRootJs(napi_env env, napi_callback_info info);
napi_value ReadInRootJs(napi_env env, napi_callback_info info);
napi_value KillProcessJs(napi_env env, napi_callback_info info);
napi_value NotifyManagerJs(napi_env env, napi_callback_info info);
napi_value OpenMemoryFile(napi_env env, napi_callback_info info);
napi_value SocketsOfJs(napi_env env, napi_callback_info info);
napi_value BootTime(napi_env env, napi_callback_info info);
napi_value ThreadCpuTime(napi_env env, napi_callback_info info);
napi_value TrimHeap(napi_env env, napi_callback_info info);
