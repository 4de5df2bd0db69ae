// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include "status.h"

// Forks a child that moves itself into the cgroup directory `cgroup`, opens `sentinel` for reading, connects a UDP
// socket to 127.0.0.1 port 9 (nothing is sent), and execs /bin/true. Waits for it; *pid is its (former) pid.
Status RunSelfTestChild(const std::string& cgroup, const std::string& sentinel, int* pid);

// Maps memory that is writable and executable, and gives it back; returns 0, or errno.
int TryExecutableMemory();

// Runs `node -e script` as the first process of a pid and a mount namespace of its own, in the cgroup directory `cgroup`:
// as a container's. Waits for it; *code is its exit code. Fails if a step did, or if it was killed. Needs CAP_SYS_ADMIN.
Status RunFirstProcess(const std::string& cgroup, const std::string& node, const std::string& script, int* code);
