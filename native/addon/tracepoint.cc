// SPDX-License-Identifier: Apache-2.0
#include "tracepoint.h"
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

// Opens a private tracefs that is mounted nowhere in the tree (fsopen, kernel 5.2): hosts need not have one mounted,
// and nothing stays mounted. Returns -1 and sets errno on failure.
static int OpenTracefs() {
  int context = static_cast<int>(syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC));
  if (context < 0) return -1;
  int mount = -1;
  if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
    mount = static_cast<int>(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0));
  int saved = errno;
  close(context);
  errno = saved;
  return mount;
}

static int ReadTracepointId(const std::string& name) {
  std::string path = "events/" + name + "/id";
  int dir = open("/sys/kernel/tracing", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int fd = dir >= 0 ? openat(dir, path.c_str(), O_RDONLY | O_CLOEXEC) : -1;
  if (dir >= 0) close(dir);
  if (fd < 0) {
    dir = OpenTracefs();
    if (dir < 0) return -1;
    fd = openat(dir, path.c_str(), O_RDONLY | O_CLOEXEC);
    int saved = errno;
    close(dir);
    errno = saved;
    if (fd < 0) return -1;
  }
  char text[32];
  ssize_t n = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (n <= 0) {
    errno = EIO;
    return -1;
  }
  text[n] = 0;
  return atoi(text);
}

Status OpenTracepoint(const std::string& name, int* fd) {
  int id = ReadTracepointId(name);
  if (id < 0) return Status::Fail(errno, "find the tracepoint " + name);
  perf_event_attr attr{};
  attr.type = PERF_TYPE_TRACEPOINT;
  attr.size = sizeof(attr);
  attr.config = static_cast<__u64>(id);
  // pid -1, cpu 0: a BPF program on a tracepoint's perf event sees the events of every CPU
  *fd = static_cast<int>(syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC));
  return *fd < 0 ? Status::Fail(errno, "open a perf event for " + name) : Status{};
}
