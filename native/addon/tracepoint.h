// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "status.h"

// Opens a perf event for a tracepoint (such as "syscalls/sys_exit_openat"); *fd is the caller's. Works without a mounted
// tracefs. ENOENT: this kernel has none such.
Status OpenTracepoint(const std::string& name, int* fd);
