// Connects while another thread changes the connecting thread's name without a pause: name-races CGROUP DIR IP COUNT.
// Prints a line of JSON: how many connects failed with EPERM, and how many did not.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int name;
static atomic_int ended, renamed;

static void *rename_it(void *unused) {
  (void)unused;
  while (!ended) {
    if (write(name, "one", 3) != 3 || write(name, "two", 3) != 3)
      exit(3);
    renamed++;
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 5)
    return 2;
  name = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
  pthread_t thread;
  if (name < 0 || inet_pton(AF_INET, argv[3], &to.sin_addr) != 1 || pthread_create(&thread, NULL, rename_it, NULL))
    return 4;
  while (!renamed)
    usleep(100);
  int refused = 0, others = 0;
  for (int n = atoi(argv[4]); n > 0; n--) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int failed = connect(fd, (void *)&to, sizeof(to));
    if (failed && errno == EPERM)
      refused++;
    else
      others++;
    close(fd);
  }
  ended = 1;
  pthread_join(thread, NULL);
  dprintf(1, "{\"refused\":%d,\"others\":%d}\n", refused, others);
  return 0;
}
