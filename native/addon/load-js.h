// SPDX-License-Identifier: Apache-2.0
// Node-API glue that makes a probe: load in this thread, or in one of its own.
#pragma once
#include "napi-values.h"

napi_value Load(napi_env env, napi_callback_info info);
napi_value LoadInThread(napi_env env, napi_callback_info info);
