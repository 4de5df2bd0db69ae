// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "status.h"

// Opens a perf event for the syscall exit tracepoint `name` (such as "sys_exit_openat"); *fd is the caller's.
// Works without a mounted tracefs. ENOENT: this kernel has no such system call.
Status OpenSyscallTracepoint(const std::string& name, int* fd);
