// Makes a call again and again while another thread does what it can to hide what the call is about:
//   denial-races connect-address COUNT DENIED FREE PORT   changes the address in memory (TCP)
//   denial-races connect-fd COUNT DENIED FREE PORT        puts another socket in the place of the descriptor
//   denial-races chmod-link COUNT SECRET FREE LINK        swaps what a symbolic link leads to
//   denial-races chmod-path COUNT SECRET FREE             changes the path in memory
//   denial-races exec-link COUNT DENIED FREE LINK         as chmod-link; a program that is run ends with 8 if it is the denied one
//   denial-races exec-fd COUNT DENIED FREE                puts another file in the place of the descriptor (execveat)
// Prints a line of JSON: how many calls failed with EPERM, how many were made, and of how many programs the denied one ran.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[4096], other_link[4200];
static const char *mode, *denied, *free_one, *link_path;
static struct sockaddr_in to;
static struct in_addr ends[2];
static int fd_of[2], shared_fd, spare_fd;
static atomic_int stop, swaps;

static int is(const char *one) { return !strcmp(mode, one); }
static int by_link(void) { return strstr(mode, "-link") != NULL; }

static void lead_to(const char *target) {
  unlink(other_link);
  if (symlink(target, other_link) || rename(other_link, link_path)) exit(6);
}

static void *hide(void *unused) {
  (void)unused;
  for (int n = 0; !stop; n++) {
    if (by_link()) lead_to(n % 2 ? denied : free_one);
    else if (is("chmod-path")) strcpy(path, n % 2 ? denied : free_one);
    else if (is("connect-address")) to.sin_addr = ends[n % 2];
    else if (is("exec-fd")) dup2(fd_of[n % 2], shared_fd);
    else dup2(spare_fd, shared_fd);
    swaps = n;
  }
  return NULL;
}

static int begin_connect(void) {
  // Each is of another number at first: only the shared one is swapped.
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (is("connect-fd")) {
    dup2(fd, shared_fd);
    to.sin_addr = ends[0];
  }
  int failed = connect(is("connect-fd") ? shared_fd : fd, (void *)&to, sizeof(to)) ? errno : 0;
  close(fd);
  return failed;
}

static int run_program(long *ran) {
  pid_t child = vfork();
  if (child == 0) {
    char *words[] = {(char *)"x", (char *)"exit", (char *)"8", NULL}, *none[] = {NULL};
    if (is("exec-fd")) syscall(SYS_execveat, shared_fd, "", words, none, AT_EMPTY_PATH);
    else execve(link_path, words, none);
    _exit(errno == ETXTBSY || errno == ENOENT ? 0 : 9);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) exit(7);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 8) (*ran)++;
  return WIFSIGNALED(status) ? EPERM : 0;
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  mode = argv[1];
  const long count = atol(argv[2]);
  denied = argv[3];
  free_one = argv[4];
  link_path = argc > 5 ? argv[5] : "";
  snprintf(other_link, sizeof(other_link), "%s.other", link_path);
  strcpy(path, denied);
  const int connects = !strncmp(mode, "connect", 7), runs = !strncmp(mode, "exec", 4);
  if (connects) {
    to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[5]))};
    if (inet_pton(AF_INET, denied, &ends[0]) != 1 || inet_pton(AF_INET, free_one, &ends[1]) != 1) return 3;
    to.sin_addr = ends[0];
    spare_fd = socket(AF_INET, SOCK_STREAM, 0);
    shared_fd = dup(spare_fd);
  } else if (is("exec-fd")) {
    fd_of[0] = open(denied, O_PATH), fd_of[1] = open(free_one, O_PATH);
    shared_fd = dup(fd_of[0]);
    if (fd_of[0] < 0 || fd_of[1] < 0) return 3;
  } else if (by_link()) lead_to(denied);
  pthread_t thread;
  if (pthread_create(&thread, NULL, hide, NULL)) return 4;
  while (!swaps) usleep(100);
  long refused = 0, made = 0, ran = 0;
  for (long i = 0; i < count; i++) {
    // On a busy machine the other thread may not run during all these calls: some wait for it.
    if (i % 20 == 0)
      for (const int seen = swaps; seen == swaps;) sched_yield();
    int failed = connects ? begin_connect()
                 : runs   ? run_program(&ran)
                          : (chmod(by_link() ? link_path : path, 0644) ? errno : 0);
    if (failed == EPERM) refused++;
    else if (!failed) made++;
  }
  stop = 1;
  pthread_join(thread, NULL);
  dprintf(1, "{\"refused\":%ld,\"made\":%ld,\"ran\":%ld}\n", refused, made, ran);
  return 0;
}
