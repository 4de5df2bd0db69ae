// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <sys/socket.h>
#include <vector>
#include "status.h"

// A socket of another process. Addresses are as the kernel has them (sockaddr), of length 0 where there is none.
struct SocketFacts {
  int fd = -1; // of that process
  int domain = 0, type = 0, protocol = 0;
  int state = 0; // TCP_*; of other sockets TCP_LISTEN while listening, else 0
  bool connected = false;
  sockaddr_storage local{}, remote{};
  socklen_t local_length = 0, remote_length = 0;
};

// Looks at those of these descriptors that are sockets of the process with this pid and start (field 22 of /proc/PID/stat: ticks since
// boot). Its cost does not depend on the sockets of the host, as /proc/net/tcp's does. Never blocks: copies are closed on a thread of
// their own, since who closes the last copy waits for the lingering of a socket, or for a FUSE server of the container. ESRCH: it has
// exited. EPERM: CAP_SYS_PTRACE and pidfd_getfd (Linux 5.6) are needed. EBUSY: eight former threads still close.
Status ReadSockets(int pid, uint64_t start_ticks, const std::vector<int>& fds, std::vector<SocketFacts>* found);
