// Steps that do the same many times, for kernel-steps.c, which includes this and says what the steps are.
#pragma once

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
  } else if (!strcmp(step, "forks")) {
    long count = number(at);
    for (long i = 0; i < count; i++) {
      pid_t child = (pid_t)syscall(SYS_fork);
      if (child == 0) _exit(0);
      if (waitpid(child, NULL, 0) != child) _exit(115);
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
