// Connects, and while the call waits another thread takes its socket from the descriptor: connect-races CGROUP MODE PROTOCOL
//   swap   puts another connected socket there
//   close  closes it
//   none   does nothing
//   bound  as swap, of a socket that was given its own port
//   signal sends it a signal, which ends the call; the connecting goes on
//   again  the same, and the call begins anew by itself (SA_RESTART); its socket is taken from the descriptor meanwhile
// With PROTOCOL 262 the sockets are of Multipath TCP. The listener's queue is full, so the call waits until the thread has made room. Prints what the call said and where it went.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *mode;
static int listener, decoy, target, protocol;
static pid_t caller;
static volatile sig_atomic_t signals;

static void on_signal(int number) { signals += number > 0; }

static int listen_on(struct sockaddr_in *address, int backlog) {
  socklen_t size = sizeof(*address);
  int fd = socket(AF_INET, SOCK_STREAM, protocol);
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || bind(fd, (void *)address, size) || listen(fd, backlog) || getsockname(fd, (void *)address, &size)) exit(3);
  return fd;
}

static int connect_to(const struct sockaddr_in *address) {
  int fd = socket(AF_INET, SOCK_STREAM, protocol);
  if (fd < 0 || connect(fd, (const void *)address, sizeof(*address))) exit(4);
  return fd;
}

/* The kernel says which system call a thread waits in. */
static int waits_in_connect(void) {
  char path[64], text[32] = "";
  snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", caller);
  int fd = open(path, O_RDONLY);
  if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0) exit(5);
  close(fd);
  return atoi(text) == SYS_connect;
}

static void *take(void *unused) {
  (void)unused;
  while (!waits_in_connect()) usleep(1000);
  if ((!strcmp(mode, "swap") || !strcmp(mode, "bound")) && dup2(decoy, target) != target) exit(6);
  if (!strcmp(mode, "close") && close(target)) exit(6);
  if (!strcmp(mode, "signal") || !strcmp(mode, "again")) {
    if (tgkill(getpid(), caller, SIGUSR1)) exit(6);
    while (!signals) usleep(1000);
  }
  if (!strcmp(mode, "again")) {
    while (!waits_in_connect()) usleep(1000);
    if (dup2(decoy, target) != target) exit(6);
  }
  if (accept(listener, NULL, NULL) < 0) exit(7);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  mode = argv[2];
  protocol = atoi(argv[3]);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = strcmp(mode, "again") ? 0 : SA_RESTART};
  if (sigaction(SIGUSR1, &action, NULL)) return 3;
  struct sockaddr_in wanted, other;
  listener = listen_on(&wanted, 0);
  listen_on(&other, 8);
  connect_to(&wanted); // fills the queue
  decoy = connect_to(&other);
  target = socket(AF_INET, SOCK_STREAM, protocol);
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(own);
  if (!strcmp(mode, "bound") && (bind(target, (void *)&own, size) || getsockname(target, (void *)&own, &size))) return 4;
  caller = gettid();
  char procs[4096];
  snprintf(procs, sizeof(procs), "%s/cgroup.procs", argv[1]);
  FILE *file = fopen(procs, "w");
  if (!file || fprintf(file, "0") < 0 || fclose(file)) return 3;
  pthread_t thread;
  if (pthread_create(&thread, NULL, take, NULL)) return 5;
  const long result = connect(target, (void *)&wanted, sizeof(wanted)) ? -errno : 0;
  if (pthread_join(thread, NULL)) return 5;
  // The same again where nothing can be begun: what was kept of the call before is gone.
  const int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
  if (datagrams < 0 || connect(datagrams, (void *)&other, sizeof(other))) return 4;
  printf("{\"result\":%ld,\"fd\":%d,\"port\":%d,\"otherPort\":%d,\"ownPort\":%d}\n", result, target, ntohs(wanted.sin_port),
         ntohs(other.sin_port), ntohs(own.sin_port));
  return 0;
}
