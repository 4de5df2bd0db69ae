// Steps that open files, for kernel-steps.c, which includes this and says what the steps are.
#pragma once

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
