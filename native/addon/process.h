// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include "status.h"

// SIGKILL for the process that has this pid and began then (field 22 of /proc/PID/stat: ticks since boot). ESRCH when it
// has ended, also when another has its pid by now: that one is never hit (pidfd_open, Linux 5.3). EPERM without the right.
Status KillProcess(int pid, uint64_t start_ticks);
