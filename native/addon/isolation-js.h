// SPDX-License-Identifier: Apache-2.0
// Node-API glue of isolation.h.
#pragma once
#include "napi-values.h"

napi_value OpenIsolation(napi_env env, napi_callback_info info);
napi_value Isolate(napi_env env, napi_callback_info info);
napi_value LiftIsolation(napi_env env, napi_callback_info info);
napi_value Isolated(napi_env env, napi_callback_info info);
napi_value IsolationCounts(napi_env env, napi_callback_info info);
napi_value CloseIsolation(napi_env env, napi_callback_info info);
napi_value TestIsolationJs(napi_env env, napi_callback_info info);
