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
//   execve P ARGS… ;  execveat FD P FLAGS ARGS… ;  execbig P BYTES ;  execmany P COUNT BYTES ;
//   fork [ … ]  vfork [ … ]  clone FLAGS [ … ]  clone3 FLAGS DIR|- [ … ]  thread [ … ]  threadleft [ … ]  threads N  threadsend N
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

static void report_open(const char *step, long ret) {
  struct stat facts;
  if (ret < 0 || fstat((int)ret, &facts)) return report(step, ret);
  keep(ret);
  dprintf(1,
          "{\"step\":\"%s\",\"pid\":%d,\"tid\":%d,\"ret\":%ld,\"ino\":%lu,\"major\":%u,\"minor\":%u,\"uid\":%u,"
          "\"gid\":%u,\"mode\":%u}\n",
          step, getpid(), gettid(), ret, facts.st_ino, major(facts.st_dev), minor(facts.st_dev), facts.st_uid,
          facts.st_gid, facts.st_mode);
}

static void name_socket(char *out, size_t size, const struct sockaddr *address) {
  char ip[64] = "";
  int port = 0;
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *in = (const void *)address;
    inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
    port = ntohs(in->sin_port);
  } else if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in = (const void *)address;
    inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof(ip));
    port = ntohs(in->sin6_port);
  }
  snprintf(out, size, "{\"ip\":\"%s\",\"port\":%d}", ip, port);
}

static void connect_and_report(int fd, const struct sockaddr *address, socklen_t len) {
  long ret = check(syscall(SYS_connect, fd, address, len));
  struct sockaddr_storage here = {}, there = {};
  socklen_t here_len = sizeof(here), there_len = sizeof(there);
  char local[100], remote[100];
  getsockname(fd, (struct sockaddr *)&here, &here_len);
  if (getpeername(fd, (struct sockaddr *)&there, &there_len)) there.ss_family = 0;
  name_socket(local, sizeof(local), (struct sockaddr *)&here);
  name_socket(remote, sizeof(remote), (struct sockaddr *)&there);
  dprintf(1, "{\"step\":\"connect\",\"pid\":%d,\"tid\":%d,\"ret\":%ld,\"fd\":%d,\"local\":%s,\"remote\":%s}\n",
          getpid(), gettid(), ret, fd, local, remote);
}

static int make_socket(int family, int type) {
  int fd = socket(family, type, 0);
  if (fd < 0) report("socket", check(fd));
  keep(fd);
  return fd;
}

static void run(char **at);

#include "kernel-calls.h"

// The end of a block that begins after `at`, and the block's own end marked for the child.
static char **skip_block(char **at) {
  int depth = 1;
  for (; *at; at++) {
    if (!strcmp(*at, "[")) depth++;
    if (!strcmp(*at, "]") && --depth == 0) return at + 1;
  }
  _exit(121);
}

static void wait_and_report(const char *step, long child) {
  int status = 0;
  while (waitpid((pid_t)child, &status, __WALL) < 0 && errno == EINTR) {
  }
  dprintf(1, "{\"step\":\"%s\",\"pid\":%d,\"tid\":%d,\"ret\":%ld,\"status\":%d}\n", step, getpid(), gettid(), child, status);
}

static void *thread_main(void *block) {
  run(block);
  return NULL;
}

static pthread_barrier_t barrier;
static void *idle_thread(void *unused) {
  (void)unused;
  pthread_barrier_wait(&barrier);
  pause();
  return NULL;
}

static void *ending_thread(void *code) {
  pthread_barrier_wait(&barrier);
  syscall(SYS_exit, (long)code);
  return NULL;
}

static char **exec_arguments(char ***at, char **list) {
  int n = 0;
  for (; **at && strcmp(**at, ";"); (*at)++) list[n++] = decode(**at);
  list[n] = NULL;
  if (**at) (*at)++;
  return list;
}

static void sleep_ms(long ms) {
  struct timespec gap = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&gap, NULL);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// With an absolute path the kernel ignores the directory's descriptor: room for a running number.
static long open_and_close(long number, const char *path) {
  long fd = syscall(SYS_openat, number, path, O_RDONLY, 0);
  if (fd >= 0) close((int)fd);
  return fd;
}

static void run_socket_step(const char *step, char ***at) {
  int fd, type;
  if (!strcmp(step, "connect4") || !strcmp(step, "connect6")) {
    bool v6 = step[7] == '6';
    type = (int)number(at);
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    inet_pton(v6 ? AF_INET6 : AF_INET, word(at), v6 ? (void *)&in6.sin6_addr : (void *)&in.sin_addr);
    in.sin_port = in6.sin6_port = htons((uint16_t)number(at));
    fd = make_socket(v6 ? AF_INET6 : AF_INET, type);
    connect_and_report(fd, v6 ? (void *)&in6 : (void *)&in, v6 ? sizeof(in6) : sizeof(in));
  } else if (!strcmp(step, "connectun") || !strcmp(step, "bindun")) {
    bool binds = step[0] == 'b';
    type = (int)number(at);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char *path = word(at);
    socklen_t len = (socklen_t)(sizeof(sa_family_t) + strlen(path) + (path[0] == '@' ? 0 : 1));
    memcpy(un.sun_path, path, strlen(path));
    if (path[0] == '@') un.sun_path[0] = 0;
    fd = make_socket(AF_UNIX, type);
    if (!binds) return connect_and_report(fd, (void *)&un, len);
    long ret = check(bind(fd, (void *)&un, len));
    if (ret == 0 && (type & 0xf) != SOCK_DGRAM) ret = check(listen(fd, 5));
    report(step, ret);
  } else if (!strcmp(step, "connectraw")) {
    fd = (int)number(at);
    unsigned char bytes[256];
    char *hex = word(at);
    socklen_t len = 0;
    for (unsigned byte; len < sizeof(bytes) && sscanf(hex + 2 * len, "%2x", &byte) == 1;) bytes[len++] = (unsigned char)byte;
    connect_and_report(fd, (void *)bytes, len);
  } else if (!strcmp(step, "connectbad")) {
    connect_and_report((int)number(at), (void *)1, sizeof(struct sockaddr_in));
  } else {
    int family = (int)number(at);
    report("socket", make_socket(family, (int)number(at)));
  }
}

static void run_exec_step(const char *step, char ***at) {
  static char *list[4096];
  char *path;
  if (!strcmp(step, "execveat")) {
    int fd = (int)number(at);
    path = word(at);
    int flags = (int)number(at);
    report(step, check(syscall(SYS_execveat, fd, path, exec_arguments(at, list), environ, flags)));
    return;
  }
  path = word(at);
  if (!strcmp(step, "execbig") || !strcmp(step, "execmany")) {
    long count = step[4] == 'm' ? number(at) : 1, bytes = number(at);
    list[0] = (char *)"steps";
    list[1] = (char *)"pause";
    list[2] = (char *)"--";
    for (long i = 0; i < count; i++) {
      list[3 + i] = malloc((size_t)bytes + 1);
      for (long b = 0; b < bytes; b++) list[3 + i][b] = (char)('a' + (b + i) % 26);
      list[3 + i][bytes] = 0;
    }
    list[3 + count] = NULL;
  } else {
    exec_arguments(at, list);
  }
  report(step, check(syscall(SYS_execve, path, list, environ)));
}

static void run_clone_step(const char *step, char ***at) {
  unsigned long flags = strncmp(step, "clone", 5) ? 0 : (unsigned long)number(at);
  char *dir = !strcmp(step, "clone3") ? word(at) : NULL;
  char **block = *at + 1; // after the "["
  *at = skip_block(block);
  long child;
  if (!strcmp(step, "thread")) {
    pthread_t thread;
    report(step, pthread_create(&thread, NULL, thread_main, block));
    pthread_join(thread, NULL);
    return;
  }
  if (!strcmp(step, "threadleft")) { // the leader goes on, and may end first
    pthread_t thread;
    report(step, pthread_create(&thread, NULL, thread_main, block));
    return;
  }
  if (!strcmp(step, "vfork")) {
    child = vfork();
    if (child == 0) {
      run(block);
      _exit(0);
    }
  } else if (dir) {
    struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
    if (strcmp(dir, "-")) {
      args.flags |= CLONE_INTO_CGROUP;
      args.cgroup = (uint64_t)open(dir, O_PATH | O_DIRECTORY);
    }
    child = check(syscall(SYS_clone3, &args, sizeof(args)));
  } else if (!strcmp(step, "clone")) {
    child = check(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
  } else {
    child = check(syscall(SYS_fork));
  }
  if (child == 0) {
    run(block);
    _exit(0);
  }
  if (child < 0) return report(step, child);
  wait_and_report(step, child);
}

static bool run_file_step(const char *step, char ***at) {
  char *path;
  long flags, mode;
  if (!strcmp(step, "open")) {
    path = word(at), flags = number(at), mode = number(at);
    report_open(step, check(syscall(SYS_open, path, flags, mode)));
  } else if (!strcmp(step, "openat")) {
    long dir = number(at);
    path = word(at), flags = number(at), mode = number(at);
    report_open(step, check(syscall(SYS_openat, dir, path, flags, mode)));
  } else if (!strcmp(step, "openat2")) {
    long dir = number(at);
    path = word(at);
    struct open_how how = {};
    how.flags = (uint64_t)number(at), how.mode = (uint64_t)number(at), how.resolve = (uint64_t)number(at);
    report_open(step, check(syscall(SYS_openat2, dir, path, &how, sizeof(how))));
  } else if (!strcmp(step, "creat")) {
    path = word(at), mode = number(at);
    report_open(step, check(syscall(SYS_creat, path, mode)));
  } else if (!strcmp(step, "badopen")) {
    report_open(step, check(syscall(SYS_openat, AT_FDCWD, (void *)1, O_RDONLY, 0)));
  } else if (!strcmp(step, "memfd")) {
    int fd = memfd_create(word(at), 0), source = open(path = word(at), O_RDONLY);
    char buffer[65536];
    for (ssize_t n; (n = read(source, buffer, sizeof(buffer))) > 0;) {
      if (write(fd, buffer, (size_t)n) != n) _exit(122);
    }
    close(source);
    report_open(step, fd);
  } else {
    return false;
  }
  return true;
}

static bool run_task_step(const char *step, char ***at) {
  if (!strcmp(step, "comm")) {
    report(step, check(prctl(PR_SET_NAME, word(at))));
  } else if (!strcmp(step, "resuid")) {
    long r = number(at), e = number(at), s = number(at);
    report(step, check(syscall(SYS_setresuid, r, e, s)));
  } else if (!strcmp(step, "resgid")) {
    long r = number(at), e = number(at), s = number(at);
    report(step, check(syscall(SYS_setresgid, r, e, s)));
  } else if (!strcmp(step, "caps")) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    unsigned long effective = strtoul(word(at), NULL, 16), permitted = strtoul(word(at), NULL, 16),
                  inheritable = strtoul(word(at), NULL, 16);
    for (int i = 0; i < 2; i++) {
      data[i].effective = (uint32_t)(effective >> (32 * i));
      data[i].permitted = (uint32_t)(permitted >> (32 * i));
      data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
    }
    report(step, check(syscall(SYS_capset, &head, data)));
  } else if (!strcmp(step, "setsid")) {
    report(step, check(setsid()));
  } else if (!strcmp(step, "setpgid")) {
    report(step, check(setpgid(0, 0)));
  } else if (!strcmp(step, "tty")) {
    int master, slave;
    long ret = check(openpty(&master, &slave, NULL, NULL, NULL));
    report(step, ret == 0 ? check(ioctl(slave, TIOCSCTTY, 0)) : ret);
  } else if (!strcmp(step, "ids")) {
    dprintf(1, "{\"step\":\"ids\",\"pid\":%d,\"tid\":%d,\"uid\":%u,\"euid\":%u,\"gid\":%u,\"egid\":%u,\"pgid\":%d,\"sid\":%d}\n",
            getpid(), gettid(), getuid(), geteuid(), getgid(), getegid(), getpgrp(), getsid(0));
  } else if (!strcmp(step, "loginuid")) {
    int fd = open("/proc/self/loginuid", O_WRONLY);
    char *text = word(at);
    report(step, check(write(fd, text, strlen(text))));
    close(fd);
  } else if (!strcmp(step, "threads") || !strcmp(step, "threadsend")) {
    pthread_t thread;
    long n = number(at);
    pthread_barrier_init(&barrier, NULL, (unsigned)n + 1);
    for (long i = 1; i <= n; i++) pthread_create(&thread, NULL, step[7] ? ending_thread : idle_thread, (void *)i);
    pthread_barrier_wait(&barrier);
  } else {
    return false;
  }
  return true;
}

static bool run_load_step(const char *step, char ***at) {
  if (!strcmp(step, "loop")) {
    long count = number(at), gap = number(at);
    char *path = word(at);
    for (long i = 0; i < count; i++) {
      open_and_close(i, path);
      if (gap) sleep_ms(gap);
    }
    report(step, count);
  } else if (!strcmp(step, "bursts")) {
    double seconds = atof(word(at)), end = now() + seconds;
    long burst = number(at), gap = number(at), total = 0;
    char *path = word(at);
    while (now() < end) {
      for (long i = 0; i < burst; i++, total++) open_and_close(total, path);
      if (gap) sleep_ms(gap);
    }
    report(step, total);
  } else if (!strcmp(step, "mkdirs")) {
    long count = number(at);
    char *dir = word(at), path[4096];
    for (long i = 0; i < count; i++) {
      snprintf(path, sizeof(path), "%s/%ld", dir, i);
      if (mkdir(path, 0755) || rmdir(path)) _exit(123);
    }
    report(step, count);
  } else if (!strcmp(step, "moves")) {
    long count = number(at);
    char *dirs[2] = {word(at), word(at)}, path[2][4200];
    int fd[2];
    for (int i = 0; i < 2; i++) {
      snprintf(path[i], sizeof(path[i]), "%s/cgroup.procs", dirs[i]);
      fd[i] = open(path[i], O_WRONLY);
    }
    for (long i = 0; i < count; i++) {
      if (write(fd[i % 2], "0", 1) != 1) _exit(126);
    }
    report(step, count);
  } else if (!strcmp(step, "execs")) {
    long count = number(at), gap = number(at);
    char *path = word(at), *list[] = {(char *)"true", NULL};
    for (long i = 0; i < count; i++) {
      pid_t child = vfork();
      if (child == 0) {
        syscall(SYS_execve, path, list, environ);
        _exit(127);
      }
      waitpid(child, NULL, 0);
      if (gap) sleep_ms(gap);
    }
    report(step, count);
  } else if (!strcmp(step, "alive")) {
    union bpf_attr attr = {};
    char *kind = word(at);
    attr.link_id = (uint32_t)number(at);
    int command = kind[0] == 'l' ? BPF_LINK_GET_FD_BY_ID : kind[0] == 'p' ? BPF_PROG_GET_FD_BY_ID : BPF_MAP_GET_FD_BY_ID;
    report(step, check(syscall(SYS_bpf, command, &attr, sizeof(attr))));
  } else {
    return false;
  }
  return true;
}

static void run(char **at) {
  while (*at && strcmp(*at, "]") && strcmp(*at, "--")) {
    const char *step = *at++;
    if (run_file_step(step, &at) || run_task_step(step, &at) || run_load_step(step, &at) || run_call_step(step, &at)) continue;
    if (!strncmp(step, "exec", 4)) run_exec_step(step, &at);
    else if (!strcmp(step, "fork") || !strcmp(step, "vfork") || !strcmp(step, "clone") || !strcmp(step, "clone3") || !strncmp(step, "thread", 6))
      run_clone_step(step, &at);
    else if (!strncmp(step, "connect", 7) || !strcmp(step, "bindun") || !strcmp(step, "socket")) run_socket_step(step, &at);
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
    else if (!strcmp(step, "kill")) kill(getpid(), (int)number(&at));
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
