// SPDX-License-Identifier: Apache-2.0
// Node-API glue of what denies: see Probe.
#pragma once
#include <node_api.h>

// denyConnects(handle, objectPath, directory)
napi_value DenyConnects(napi_env env, napi_callback_info info);
// allowConnects(handle)
napi_value AllowConnects(napi_env env, napi_callback_info info);
// denyFiles(handle, objectPath, objectPath)
napi_value DenyFiles(napi_env env, napi_callback_info info);
// allowFiles(handle)
napi_value AllowFiles(napi_env env, napi_callback_info info);
// denyCalls(handle, group, objectPath, directory)
napi_value DenyCalls(napi_env env, napi_callback_info info);
// allowCalls(handle, group)
napi_value AllowCalls(napi_env env, napi_callback_info info);
// knowFile(handle, args: Uint8Array), which gets the file's identity
napi_value KnowFile(napi_env env, napi_callback_info info);
// forgetFile(handle, args: Uint8Array): those of knowFile
napi_value ForgetFile(napi_env env, napi_callback_info info);
