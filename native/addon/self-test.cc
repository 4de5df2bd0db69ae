// SPDX-License-Identifier: Apache-2.0
#include "self-test.h"
#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// After fork in a threaded process only system calls are safe: no allocation, no stdio.
static void RunChild(const char* procs, const char* sentinel) {
  int fd = open(procs, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "0", 1) != 1) _exit(101);
  close(fd);
  fd = open(sentinel, O_RDONLY | O_CLOEXEC);
  if (fd < 0) _exit(102);
  close(fd);
  fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) _exit(103);
  char name[] = "/bin/true";
  char* argv[] = {name, nullptr};
  char* envp[] = {nullptr};
  execve(name, argv, envp);
  _exit(104);
}

static Status Wait(pid_t child, int* status) {
  while (waitpid(child, status, 0) < 0) {
    if (errno != EINTR) return Status::Fail(errno, "wait for the self-test's child");
  }
  return {};
}

Status RunSelfTestChild(const std::string& cgroup, const std::string& sentinel, int* pid) {
  const std::string procs = cgroup + "/cgroup.procs";
  pid_t child = fork();
  if (child < 0) return Status::Fail(errno, "fork the self-test's child");
  if (child == 0) RunChild(procs.c_str(), sentinel.c_str());
  *pid = child;
  int status = 0;
  if (Status waited = Wait(child, &status); !waited.ok()) return waited;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  static const char* const kSteps[] = {"enter the cgroup", "open the sentinel", "connect on loopback", "run /bin/true"};
  int code = WIFEXITED(status) ? WEXITSTATUS(status) - 101 : -1;
  return Status::Fail(EIO, "run the self-test's child", code >= 0 && code < 4 ? kSteps[code] : "it was killed");
}

int TryExecutableMemory() {
  const size_t kBytes = 4096;
  // What V8 never asks for: without PROT_READ.
  void* memory = mmap(nullptr, kBytes, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return errno;
  return munmap(memory, kBytes) ? errno : 0;
}

// Above the exit codes of what is run.
enum { kNoNamespaces = 201, kNoFork, kNoCgroup, kNoExec, kKilled };

// As RunChild: only system calls.
static void RunFirst(const char* procs, char* const argv[], char* const envp[]) {
  const int apart = CLONE_NEWPID | CLONE_NEWNS;
  // Without CAP_SYS_ADMIN only in a user namespace of its own.
  if (unshare(apart) != 0 && (errno != EPERM || unshare(apart | CLONE_NEWUSER) != 0)) _exit(kNoNamespaces);
  pid_t first = fork();
  if (first < 0) _exit(kNoFork);
  if (first == 0) {
    int fd = open(procs, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) _exit(kNoCgroup);
    close(fd);
    execve(argv[0], argv, envp);
    _exit(kNoExec);
  }
  int status = 0;
  while (waitpid(first, &status, 0) < 0) {
    if (errno != EINTR) _exit(kNoFork);
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : kKilled);
}

Status RunFirstProcess(const std::string& cgroup, const std::string& node, const std::string& script, int* code) {
  const std::string procs = cgroup + "/cgroup.procs";
  char option[] = "-e";
  char* argv[] = {const_cast<char*>(node.c_str()), option, const_cast<char*>(script.c_str()), nullptr};
  // Of the environment only what a bundled Node.js finds its libraries by.
  const char* libraries = getenv("LD_LIBRARY_PATH");
  std::string path = std::string("LD_LIBRARY_PATH=") + (libraries != nullptr ? libraries : "");
  char* envp[] = {libraries != nullptr ? path.data() : nullptr, nullptr};
  pid_t child = fork();
  if (child < 0) return Status::Fail(errno, "fork the self-test's child");
  if (child == 0) RunFirst(procs.c_str(), argv, envp);
  int status = 0;
  if (Status waited = Wait(child, &status); !waited.ok()) return waited;
  *code = WIFEXITED(status) ? WEXITSTATUS(status) : kKilled;
  static const char* const kSteps[] = {"make namespaces", "fork", "enter the cgroup", "run Node.js", "it was killed"};
  if (*code < kNoNamespaces) return {};
  return Status::Fail(EIO, "run the self-test's child", *code <= kKilled ? kSteps[*code - kNoNamespaces] : "");
}
