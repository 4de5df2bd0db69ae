// Steps that make processes and threads, run programs and change what a process is, for kernel-steps.c, which
// includes this and says what the steps are.
#pragma once

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
  if (!strcmp(step, "spawn")) {
    pid_t child;
    long error = posix_spawn(&child, path, NULL, NULL, exec_arguments(at, list), environ);
    if (error) return report(step, -error);
    return wait_and_report(step, child);
  }
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

static void run_chain_step(char ***at) {
  static char path[4200], name[32], count[32], *list[4096];
  long left = number(at) - 1;
  char *dir = word(at);
  if (left < 0) return;
  snprintf(path, sizeof(path), "%s/n%ld", dir, left);
  snprintf(name, sizeof(name), "c%ld", left);
  snprintf(count, sizeof(count), "%ld", left);
  char **to = list;
  *to++ = name, *to++ = (char *)"chain", *to++ = count, *to++ = dir;
  while (**at) *to++ = *(*at)++;
  report("chain", check(syscall(SYS_execve, path, list, environ)));
}

static void run_clone_step(const char *step, char ***at) {
  unsigned long flags = strncmp(step, "clone", 5) ? 0 : (unsigned long)number(at);
  char *dir = !strcmp(step, "clone3") ? word(at) : NULL;
  pid_t as = !strcmp(step, "forkas") ? (pid_t)number(at) : 0;
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
  } else if (as) {
    struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)&as, .set_tid_size = 1};
    child = check(syscall(SYS_clone3, &args, sizeof(args)));
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
  if (child < 0 || !strcmp(step, "forkleft")) return report(step, child);
  wait_and_report(step, child);
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
  } else if (!strcmp(step, "reap")) {
    while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR) {
    }
    report(step, 0);
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
