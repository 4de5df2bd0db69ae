// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include "status.h"

// Opens the process with this pid and start (field 22 of /proc/PID/stat: ticks since boot) by pidfd_open (Linux 5.3); the caller closes
// it. ESRCH if it has exited, even if another process now has its pid.
Status OpenProcess(int pid, uint64_t start_ticks, int* fd);

// Sends SIGKILL to the process with this pid and start (field 22 of /proc/PID/stat: ticks since boot). ESRCH if it
// has exited, even if another process now has its pid: that one is never hit (pidfd_open, Linux 5.3). EPERM without
// the right.
Status KillProcess(int pid, uint64_t start_ticks);
