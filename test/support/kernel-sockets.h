// Steps that make and connect sockets, for kernel-steps.c, which includes this and says what the steps are.
#pragma once

#include <netinet/tcp.h>

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
  } else if (!strcmp(step, "sockstate")) {
    struct tcp_info info = {};
    fd = (int)number(at), type = (int)number(at);
    for (socklen_t turn = 0, size = sizeof(info); turn < 5000; turn++) {
      if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) || info.tcpi_state == type) break;
      sleep_ms(1);
    }
    report(step, info.tcpi_state);
  } else {
    int family = (int)number(at);
    report("socket", make_socket(family, (int)number(at)));
  }
}
