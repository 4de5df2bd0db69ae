// Any system call with any arguments, for kernel-steps.c, which includes this and says what the steps are.
#pragma once

#define CALL(name) {#name, SYS_##name}
static const struct {
  const char *name;
  long number;
} CALLS[] = {
    CALL(symlink), CALL(symlinkat), CALL(link), CALL(linkat), CALL(unlink), CALL(unlinkat), CALL(rmdir), CALL(rename),
    CALL(renameat), CALL(renameat2), CALL(mkdir), CALL(mkdirat), CALL(chmod), CALL(fchmod), CALL(fchmodat),
    {"fchmodat2", 452}, CALL(chown), CALL(lchown), CALL(fchown), CALL(fchownat), CALL(mknod), CALL(mknodat), CALL(chdir), CALL(fchdir),
    CALL(open_by_handle_at), CALL(mount), CALL(umount2), {"move_mount", 429}, {"fsopen", 430}, CALL(pivot_root),
    CALL(chroot), CALL(memfd_create), CALL(mmap), CALL(mprotect), CALL(process_vm_readv), CALL(process_vm_writev),
    CALL(dup), CALL(dup2), CALL(dup3), {"pidfd_getfd", 438}, {"pidfd_open", 434}, CALL(userfaultfd),
    {"io_uring_setup", 425}, {"io_uring_enter", 426}, {"io_uring_register", 427}, CALL(socket), CALL(connect), CALL(bind),
    CALL(listen), CALL(accept), CALL(accept4), CALL(sendto), CALL(sendmsg), CALL(sendmmsg), CALL(recvfrom),
    CALL(recvmsg), CALL(recvmmsg), CALL(ptrace), CALL(kill), CALL(tkill), CALL(tgkill), CALL(prctl), CALL(setns),
    CALL(unshare), CALL(capset), CALL(setsid), CALL(setpgid), CALL(setuid), CALL(setgid), CALL(setreuid), CALL(setregid), CALL(setresuid),
    CALL(setresgid), CALL(keyctl), CALL(bpf), CALL(init_module), CALL(finit_module), CALL(delete_module),
    // Without an event: to prepare
    CALL(open), CALL(openat), CALL(close), CALL(epoll_create1), {"fsconfig", 431}, {"fsmount", 432}, {"open_tree", 428}, CALL(umask), CALL(munmap), CALL(shutdown),
    CALL(setsockopt), CALL(getsockopt), CALL(clone), {"clone3", 435},
    {"pkey_mprotect", 329}, {"pidfd_send_signal", 424}, CALL(rt_sigqueueinfo), CALL(rt_tgsigqueueinfo),
};

// What arguments point to stays where it is: one piece of memory after the other.
static char arena[1 << 18];
static size_t arena_used;
static struct {
  unsigned char *at;
  size_t size;
} buffers[16];
static int n_buffers;
static long results[64];
static int n_results;
static long child_pid;
static struct {
  struct file_handle head;
  unsigned char bytes[128];
} handle;

static void *take(size_t size) {
  char *memory = arena + arena_used;
  arena_used += (size + 15) & ~15ul;
  if (arena_used > sizeof(arena)) _exit(119);
  return memory;
}

static void *take_buffer(size_t size) {
  if (n_buffers == 16) _exit(118);
  buffers[n_buffers].at = take(size);
  buffers[n_buffers].size = size;
  return buffers[n_buffers++].at;
}

static unsigned long argument(char ***at);

static unsigned long argument_words(char ***at) {
  unsigned long *words = take(80 * sizeof(long));
  for (int i = 0; strcmp(**at, "}"); i++) {
    if (i == 80) _exit(116);
    words[i] = argument(at);
  }
  (*at)++;
  return (unsigned long)words;
}

static unsigned long argument(char ***at) {
  char *text = **at;
  if (text[0] == '@') return (unsigned long)number(at);
  text = word(at);
  if (!strcmp(text, "{")) return argument_words(at);
  if (!strcmp(text, "n")) return 0;
  if (!strcmp(text, "pid")) return (unsigned long)getpid();
  if (!strcmp(text, "tid")) return (unsigned long)gettid();
  if (!strcmp(text, "child")) return (unsigned long)child_pid;
  if (!strcmp(text, "handle")) return (unsigned long)&handle;
  if (text[0] == 'r') return (unsigned long)results[(n_results + 63 - atoi(text + 1)) % 64];
  if (text[1] != ':') return strtoul(text, NULL, 0);
  char *rest = text + 2;
  if (text[0] == 's') return (unsigned long)strcpy(take(strlen(rest) + 1), rest);
  if (text[0] == 'o') return (unsigned long)take_buffer((size_t)atol(rest));
  if (text[0] == 'a') { // the address of the socket that was made N steps before
    socklen_t size = sizeof(struct sockaddr_storage);
    void *address = take(size);
    getsockname(fds[(n_fds + 255 - atoi(rest)) % 256], address, &size);
    return (unsigned long)address;
  }
  unsigned char *bytes = take_buffer(strlen(rest) / 2);
  unsigned byte;
  for (int i = 0; sscanf(rest + 2 * i, "%2x", &byte) == 1; i++) bytes[i] = (unsigned char)byte;
  return (unsigned long)bytes;
}

// A line that is written at once: another process may write to the same pipe.
struct line {
  char text[32768];
  size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...) {
  va_list values;
  va_start(values, format);
  int length = vsnprintf(line->text + line->used, sizeof(line->text) - line->used, format, values);
  va_end(values);
  if (length < 0 || (line->used += (size_t)length) >= sizeof(line->text)) _exit(118);
}

static void print_line(const struct line *line) {
  if (write(1, line->text, line->used) != (ssize_t)line->used) _exit(118);
}

static void add_hex(struct line *line, const unsigned char *bytes, size_t size) {
  char text[2 * 600 + 1] = "";
  for (size_t i = 0; i < size && i < 600; i++) sprintf(text + 2 * i, "%02x", bytes[i]);
  add(line, "\"%s\"", text);
}

// Of the descriptor: what stat and the links in /proc say, and a socket's names.
static void add_descriptor(struct line *line, int fd) {
  struct stat facts;
  if (fstat(fd, &facts)) return;
  char path[64], link[600];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  ssize_t length = readlink(path, link, sizeof(link));
  add(line, ",\"ino\":%lu,\"dev\":%lu,\"mode\":%u,\"link\":", facts.st_ino, facts.st_dev, facts.st_mode);
  add_hex(line, (void *)link, length < 0 ? 0 : (size_t)length);
  struct sockaddr_storage names[2] = {};
  char text[100];
  for (int i = 0; i < 2; i++) {
    socklen_t size = sizeof(names[i]);
    if ((i ? getpeername : getsockname)(fd, (void *)&names[i], &size)) continue;
    name_socket(text, sizeof(text), (void *)&names[i]);
    add(line, ",\"%s\":%s", i ? "remote" : "local", text);
  }
}

static void run_call(bool keeps, char ***at) {
  const char *name = word(at);
  long number = -1;
  for (size_t i = 0; i < sizeof(CALLS) / sizeof(*CALLS); i++) {
    if (!strcmp(CALLS[i].name, name)) number = CALLS[i].number;
  }
  if (number < 0) {
    dprintf(2, "no such call: %s\n", name);
    _exit(117);
  }
  unsigned long args[6] = {};
  int n = 0;
  n_buffers = 0;
  for (; strcmp(**at, ";"); n++) args[n] = argument(at);
  (*at)++;
  long ret = check(syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]));
  results[n_results++ % 64] = ret;
  if (keeps) keep(ret);
  struct line line = {};
  add(&line, "{\"step\":\"call\",\"name\":\"%s\",\"pid\":%d,\"tid\":%d,\"ret\":%ld,\"args\":[", name, getpid(), gettid(), ret);
  for (int i = 0; i < n; i++) add(&line, "%s\"%lu\"", i ? "," : "", args[i]);
  add(&line, "],\"buffers\":[");
  for (int i = 0; i < n_buffers; i++) {
    if (i) add(&line, ",");
    add_hex(&line, buffers[i].at, buffers[i].size);
  }
  add(&line, "]");
  if (keeps && ret >= 0) add_descriptor(&line, (int)ret);
  add(&line, "}\n");
  print_line(&line);
}

static bool run_call_step(const char *step, char ***at) {
  if (!strcmp(step, "call") || !strcmp(step, "callfd")) {
    run_call(step[4] != 0, at);
  } else if (!strcmp(step, "describe")) {
    int fd = (int)number(at);
    struct line line = {};
    add(&line, "{\"step\":\"describe\",\"pid\":%d,\"tid\":%d,\"ret\":%d", getpid(), gettid(), fd);
    add_descriptor(&line, fd);
    add(&line, "}\n");
    print_line(&line);
  } else if (!strcmp(step, "child")) { // stands still until this process ends
    pid_t parent = getpid();
    child_pid = fork();
    if (child_pid == 0) {
      // no prctl(PR_SET_PDEATHSIG): only the calls that the test asks for
      while (getppid() == parent) usleep(20000);
      _exit(0);
    }
    report(step, child_pid);
  } else if (!strcmp(step, "awaitstop")) {
    int status;
    report(step, check(waitpid((pid_t)child_pid, &status, __WALL | WUNTRACED)));
  } else if (!strcmp(step, "handle")) {
    int mount_id;
    handle.head.handle_bytes = sizeof(handle.bytes);
    report(step, check(name_to_handle_at(AT_FDCWD, word(at), &handle.head, &mount_id, 0)));
  } else {
    return false;
  }
  return true;
}
