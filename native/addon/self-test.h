// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include "status.h"

// Forks a child that moves itself into the cgroup directory `cgroup`, opens `sentinel` for reading, connects a UDP
// socket to 127.0.0.1 port 9 (nothing is sent), and execs /bin/true. Waits for it; *pid is its (former) pid.
Status RunSelfTestChild(const std::string& cgroup, const std::string& sentinel, int* pid);
