// SPDX-License-Identifier: Apache-2.0
#include "process.h"
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

// The start in ticks; 0 if it cannot be read. The name before it may contain anything, closing brackets too.
static uint64_t StartOf(int pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[1024];
  ssize_t length = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = 0;
  const char* at = strrchr(text, ')');
  // Field 3 follows the name.
  for (int field = 2; at != nullptr && field < 22; field++) {
    at = strchr(at, ' ');
    if (at != nullptr) at++;
  }
  return at == nullptr ? 0 : strtoull(at, nullptr, 10);
}

Status OpenProcess(int pid, uint64_t start_ticks, int* fd) {
  const int opened = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (opened < 0) return Status::Fail(errno, "find the process");
  // From here on the descriptor refers to one process, whatever has the pid.
  if (StartOf(pid) != start_ticks) {
    close(opened);
    return Status::Fail(ESRCH, "find the process", "another process has its pid");
  }
  *fd = opened;
  return {};
}

Status KillProcess(int pid, uint64_t start_ticks) {
  if (pid <= 1) return Status::Fail(EINVAL, "kill a process", "the first process is never killed");
  int fd = -1;
  Status status = OpenProcess(pid, start_ticks, &fd);
  if (!status.ok()) return status;
  if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0) != 0) status = Status::Fail(errno, "kill a process");
  close(fd);
  return status;
}
