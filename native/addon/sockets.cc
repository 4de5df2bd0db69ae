// SPDX-License-Identifier: Apache-2.0
#include "sockets.h"
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "process.h"

// The kernel's numbers (asm-generic/unistd.h), which are those of all architectures.
static constexpr int kPidfdGetfd = 438;

// Threads that close copies.
static std::atomic<int> closing{0};
static constexpr int kMostClosing = 8;

static bool Option(int fd, int level, int name, int* value) {
  socklen_t length = sizeof(*value);
  return getsockopt(fd, level, name, value, &length) == 0;
}

static int StateOf(int fd, const SocketFacts& socket) {
  tcp_info info{};
  socklen_t length = offsetof(tcp_info, tcpi_options);
  if (socket.type == SOCK_STREAM && (socket.domain == AF_INET || socket.domain == AF_INET6) &&
      getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0)
    return info.tcpi_state;
  int listens = 0;
  return Option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens) && listens != 0 ? TCP_LISTEN : 0;
}

// False if it is no socket. Asks nothing else of a file: a FUSE server would have to answer.
static bool Look(int fd, SocketFacts* socket) {
  if (!Option(fd, SOL_SOCKET, SO_DOMAIN, &socket->domain)) return false;
  Option(fd, SOL_SOCKET, SO_TYPE, &socket->type);
  Option(fd, SOL_SOCKET, SO_PROTOCOL, &socket->protocol);
  socket->state = StateOf(fd, *socket);
  socklen_t length = sizeof(socket->local);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&socket->local), &length) == 0) socket->local_length = length;
  length = sizeof(socket->remote);
  socket->connected = getpeername(fd, reinterpret_cast<sockaddr*>(&socket->remote), &length) == 0;
  if (socket->connected) socket->remote_length = length;
  return true;
}

static void* CloseAll(void* copies) {
  const std::unique_ptr<std::vector<int>> owned(static_cast<std::vector<int>*>(copies));
  for (int fd : *owned) close(fd);
  closing--;
  return nullptr;
}

Status ReadSockets(int pid, uint64_t start_ticks, const std::vector<int>& fds, std::vector<SocketFacts>* found) {
  if (closing >= kMostClosing) return Status::Fail(EBUSY, "look at sockets");
  closing++;
  int process = -1;
  Status status = OpenProcess(pid, start_ticks, &process);
  auto* copies = new std::vector<int>();
  for (size_t at = 0; status.ok() && at < fds.size(); at++) {
    const int copy = static_cast<int>(syscall(kPidfdGetfd, process, fds[at], 0));
    if (copy < 0) {
      // EBADF: closed meanwhile.
      if (errno != EBADF) status = Status::Fail(errno, "look at sockets");
      continue;
    }
    copies->push_back(copy);
    SocketFacts socket;
    socket.fd = fds[at];
    if (Look(copy, &socket)) found->push_back(socket);
  }
  if (process >= 0) close(process);
  pthread_t thread;
  // Without copies, or if the host is out of threads, at once.
  if (copies->empty() || pthread_create(&thread, nullptr, CloseAll, copies) != 0) CloseAll(copies);
  else pthread_detach(thread);
  return status;
}
