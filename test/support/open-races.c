// Opens a file again and again while another thread does what it can to hide which: open-races CGROUP MODE COUNT SECRET DECOY
//   dup2  puts another file in the place of the new descriptor
//   swap  changes the path in memory while the kernel may be reading it
//   link  swaps what a symbolic link leads to
//   both  dup2 and swap at once
// Prints how many opens succeeded, and of how many the file read was the secret (by its first byte, S).
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[4096], link_path[4096], other_link[4096];
static const char *secret, *decoy, *mode;
static int decoy_fd, target_fd;
static atomic_bool stop;

static bool is(const char *one) { return !strcmp(mode, one) || (!strcmp(mode, "both") && strcmp(one, "link")); }

static void *hide(void *unused) {
  (void)unused;
  while (!stop) {
    // only in the place of a descriptor that is there: a free number would be the next open's no more
    if (is("dup2") && fcntl(target_fd, F_GETFD) >= 0) dup2(decoy_fd, target_fd);
    if (is("swap")) {
      strcpy(path, decoy);
      strcpy(path, secret);
    }
    if (is("link")) {
      unlink(other_link);
      if (symlink(decoy, other_link) == 0) rename(other_link, link_path);
      if (symlink(secret, other_link) == 0) rename(other_link, link_path);
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  mode = argv[2];
  const long count = atol(argv[3]);
  secret = argv[4];
  decoy = argv[5];
  char procs[4096];
  snprintf(procs, sizeof(procs), "%s/cgroup.procs", argv[1]);
  FILE *file = fopen(procs, "w");
  if (!file || fprintf(file, "0") < 0 || fclose(file)) return 3;
  snprintf(link_path, sizeof(link_path), "%s.link", secret);
  snprintf(other_link, sizeof(other_link), "%s.other", secret);
  strcpy(path, secret);
  if (is("link") && symlink(secret, link_path)) return 4;
  decoy_fd = open(decoy, O_RDONLY);
  target_fd = decoy_fd + 1; // the lowest that is free: what each open gets
  pthread_t thread;
  if (decoy_fd < 0 || pthread_create(&thread, NULL, hide, NULL)) return 5;
  long opened = 0, secrets = 0;
  for (long i = 0; i < count; i++) {
    int fd = open(is("link") ? link_path : path, O_RDONLY);
    if (fd < 0) continue;
    opened++;
    char first = 0;
    if (pread(fd, &first, 1, 0) == 1 && first == 'S') secrets++;
    close(fd);
  }
  stop = true;
  pthread_join(thread, NULL);
  unlink(link_path);
  unlink(other_link);
  printf("{\"opened\":%ld,\"secrets\":%ld}\n", opened, secrets);
  return 0;
}
