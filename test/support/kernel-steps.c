// A program that makes exactly the system calls it is told to: argv is a list of steps. Each prints one line of
// JSON with its result (or -errno) and what fstat, getsockname and the like say, as truth for the tests.
// Statically linked, raw system calls: no open or clone but those asked for. In every argument %XX is a byte;
// `@` is the descriptor of the last step that made one, `@N` that of N steps before it.
//
//   enter DIR  cd P  fcd FD  chroot P  mount SRC DST TYPE FLAGS DATA|-  pivot NEW OLD  unshare FLAGS  mkdir P  unlink P
//   pause  exit N  exitthread N  kill SIG  sleep MS  comm NAME  loginuid N
//   resuid R E S  resgid R E S  caps EFF PERM INH (hex)  setsid  setpgid  tty  ids
//   open P FLAGS MODE  openat FD P FLAGS MODE  openat2 FD P FLAGS MODE RESOLVE  creat P MODE  badopen
//   memfd NAME SOURCE  connect4 TYPE IP PORT  connect6 TYPE IP PORT  connectun TYPE PATH(@ is abstract)
//   connectraw FD HEX  connectbad FD  socket FAMILY TYPE  bindun PATH
//   sockstate FD N (waits until a TCP socket is in that state)
//   execve P ARGS… ;  execveat FD P FLAGS ARGS… ;  execbig P BYTES ;  execmany P COUNT BYTES ;
//   fork [ … ]  vfork [ … ]  clone FLAGS [ … ]  clone3 FLAGS DIR|- [ … ]  thread [ … ]  threadleft [ … ]  threads N  threadsend N
//   forkas PID [ … ] (a child with that number)  forkleft [ … ] (not waited for)  reap  spawn P ARGS… ; (posix_spawn)
//   env NAME=VALUE (of what is run later)  env - (no more)
//   until P (it exists)  times N [ … ]  chain COUNT DIR (DIR/n(COUNT-1) to DIR/n0 run in turn, then what follows)  forks COUNT
//   loop COUNT GAP_MS PATH  bursts SECONDS BURST GAP_MS PATH  mkdirs COUNT DIR  moves COUNT DIR DIR
//   execs COUNT GAP_MS PATH  alive link|prog|map ID
//   call NAME ARGS… ;  callfd NAME ARGS… ; (its result is a descriptor)  describe FD  child  awaitstop  handle P
//     of these ARGS: a number, `@`, n (NULL), pid, tid, child (the last one's), handle (the last one), r or rN (the
//     result of the last call, of that N before), or a pointer: s:TEXT, b:HEX, o:N (N bytes of zero), a:N (the address
//     of the socket `@N`), { ARGS… } (words of 64 bits)
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fds[256], n_fds; // made so far, oldest first

static long check(long ret) { return ret < 0 ? -errno : ret; }

static void report(const char *step, long ret) {
  dprintf(1, "{\"step\":\"%s\",\"pid\":%d,\"tid\":%d,\"ret\":%ld}\n", step, getpid(), gettid(), ret);
}

static char *decode(char *text) {
  char *to = text;
  for (char *from = text; *from; from++) {
    unsigned byte;
    if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
      *to++ = (char)byte;
      from += 2;
    } else {
      *to++ = *from;
    }
  }
  *to = 0;
  return text;
}

static char *word(char ***at) {
  if (!**at) {
    dprintf(2, "a step lacks an argument\n");
    _exit(120);
  }
  return decode(*(*at)++);
}

static long number(char ***at) {
  char *text = word(at);
  if (text[0] == '@') return fds[(n_fds + 255 - atoi(text + 1)) % 256];
  return strtol(text, NULL, 0);
}

static void keep(long fd) {
  if (fd >= 0) fds[n_fds++ % 256] = (int)fd;
}

static void run(char **at);

#include "kernel-files.h"
#include "kernel-load.h"
#include "kernel-sockets.h"
#include "kernel-processes.h"
#include "kernel-calls.h"

static void run(char **at) {
  while (*at && strcmp(*at, "]") && strcmp(*at, "--")) {
    const char *step = *at++;
    if (run_file_step(step, &at) || run_task_step(step, &at) || run_load_step(step, &at) || run_call_step(step, &at)) continue;
    if (!strncmp(step, "exec", 4) || !strcmp(step, "spawn")) run_exec_step(step, &at);
    else if (!strncmp(step, "fork", 4) || !strcmp(step, "vfork") || !strncmp(step, "clone", 5) || !strncmp(step, "thread", 6))
      run_clone_step(step, &at);
    else if (!strncmp(step, "connect", 7) || !strcmp(step, "bindun") || !strncmp(step, "sock", 4)) run_socket_step(step, &at);
    else if (!strcmp(step, "enter")) {
      char path[4200];
      snprintf(path, sizeof(path), "%s/cgroup.procs", word(&at));
      int fd = open(path, O_WRONLY);
      report(step, check(write(fd, "0", 1)));
      close(fd);
    } else if (!strcmp(step, "pause")) {
      char byte;
      report(step, 0);
      if (read(0, &byte, 1) != 1) _exit(124);
    } else if (!strcmp(step, "cd")) report(step, check(chdir(word(&at))));
    else if (!strcmp(step, "fcd")) report(step, check(fchdir((int)number(&at))));
    else if (!strcmp(step, "chroot")) report(step, check(chroot(word(&at))));
    else if (!strcmp(step, "unlink")) report(step, check(unlink(word(&at))));
    else if (!strcmp(step, "mkdir")) report(step, check(mkdir(word(&at), 0755)));
    else if (!strcmp(step, "mount")) {
      char *source = word(&at), *target = word(&at), *type = word(&at);
      unsigned long flags = (unsigned long)number(&at);
      char *data = word(&at);
      report(step, check(mount(source, target, type, flags, strcmp(data, "-") ? data : NULL)));
    } else if (!strcmp(step, "pivot")) {
      char *fresh = word(&at);
      report(step, check(syscall(SYS_pivot_root, fresh, word(&at))));
    } else if (!strcmp(step, "unshare")) report(step, check(unshare((int)number(&at))));
    else if (!strcmp(step, "sleep")) sleep_ms(number(&at));
    else if (!strcmp(step, "env")) {
      char *variable = word(&at);
      if (strchr(variable, '=')) putenv(variable);
      else clearenv();
    } else if (!strcmp(step, "until")) {
      for (const char *path = word(&at); access(path, F_OK);) sleep_ms(2);
    } else if (!strcmp(step, "chain")) run_chain_step(&at);
    else if (!strcmp(step, "times")) {
      long count = number(&at);
      char **block = at + 1; // after the "["
      for (at = skip_block(block); count > 0; count--) run(block);
    } else if (!strcmp(step, "kill")) kill(getpid(), (int)number(&at));
    else if (!strcmp(step, "exit")) syscall(SYS_exit_group, number(&at));
    else if (!strcmp(step, "exitthread")) syscall(SYS_exit, number(&at));
    else {
      dprintf(2, "no such step: %s\n", step);
      _exit(125);
    }
  }
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_DFL);
  run(argv + (argc > 0));
  return 0;
}
