// Makes requests of io_uring, one after the other, by raw system calls: `CGROUP-DIR WORKING-DIR RING { OP ARGUMENT… ; }…`.
// RING: plain, sqpoll (a thread of the kernel submits), small (two completions fit) or large. OP, with words before it:
//   openat DIR PATH FLAGS MODE SLOT  openat2 DIR PATH FLAGS MODE RESOLVE SLOT   SLOT: 0 for a descriptor, or from 1 on
//   socket DOMAIN TYPE PROTOCOL SLOT
//   connect TYPE IP PORT  connectunix TYPE PATH  sendmsg IP PORT (one byte, by UDP)  unlinkat DIR PATH FLAGS  mkdirat DIR PATH MODE  symlinkat TARGET DIR PATH
//   renameat|linkat DIR OLD DIR NEW FLAGS
//   exec PATH WORD… (no request: runs the program with all that follows)
//   pile COUNT PATH  opens into slot 1, all of them waiting for a pipe at the same time; the last one's result
//   swap PATH OTHER  opens PATH, closes that descriptor and opens OTHER as it, all in one submission; OTHER's result
//   async: by a worker.  silent: no completion if it works.  late: waits for a pipe; when it starts, the memory that held
//   its paths and address says something else.  full: nobody has taken completions, so that no more fit.
// DIR @N is the result of the Nth request. Prints a line of JSON for each; a descriptor has the inode that fstat says.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define SILENT 77
#define PIPE 78
#define NOP 79

static struct io_uring_params params;
static int ring, results[1024], n;
static char *sq, *cq;
static struct io_uring_sqe *sqes;
static char **at;
static char memory[8192]; // what requests point to
static size_t used;

#define SQ(field) ((unsigned *)(sq + params.sq_off.field))
#define CQ(field) ((unsigned *)(cq + params.cq_off.field))

static void fail(const char *what) {
  dprintf(2, "%s: %s\n", what, strerror(errno));
  _exit(5);
}

static void setup(const char *kind) {
  if (strcmp(kind, "sqpoll") == 0) params.flags = IORING_SETUP_SQPOLL, params.sq_thread_idle = 1000;
  unsigned entries = strcmp(kind, "small") == 0 ? 1 : strcmp(kind, "large") == 0 ? 4096 : 16;
  ring = (int)syscall(SYS_io_uring_setup, entries, &params);
  if (ring < 0) fail("io_uring_setup");
  size_t bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  size_t sq_bytes = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  if (sq_bytes > bytes) bytes = sq_bytes;
  sq = cq = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  sqes = mmap(NULL, params.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  if (sq == MAP_FAILED || sqes == MAP_FAILED) fail("mmap");
  int slots[4] = {-1, -1, -1, -1};
  if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, slots, 4)) fail("register");
}

static unsigned queued;

static void queue(const struct io_uring_sqe *request) {
  unsigned tail = *SQ(tail), slot = tail & *SQ(ring_mask);
  sqes[slot] = *request;
  SQ(array)[slot] = slot;
  __atomic_store_n(SQ(tail), tail + 1, __ATOMIC_RELEASE);
  queued++;
}

static void submit(void) {
  if (params.flags & IORING_SETUP_SQPOLL) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(SQ(flags), __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP)
      syscall(SYS_io_uring_enter, ring, queued, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
  } else if (syscall(SYS_io_uring_enter, ring, queued, 0, 0, NULL, 0) < 0) {
    fail("io_uring_enter");
  }
  queued = 0;
}

static int wait_for(unsigned long user_data) {
  for (;;) {
    while (__atomic_load_n(CQ(tail), __ATOMIC_ACQUIRE) == *CQ(head))
      syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    unsigned head = *CQ(head);
    struct io_uring_cqe cqe = ((struct io_uring_cqe *)(cq + params.cq_off.cqes))[head & *CQ(ring_mask)];
    __atomic_store_n(CQ(head), head + 1, __ATOMIC_RELEASE);
    if (cqe.user_data == user_data) return cqe.res;
  }
}

static void *keep(const void *from, size_t bytes) {
  void *place = memory + used;
  memcpy(place, from, bytes);
  used += (bytes + 15) & ~15ul;
  return place;
}

static char *word(void) { return *at++; }
static unsigned long text(void) {
  char *from = word();
  return (unsigned long)keep(from, strlen(from) + 1);
}
static int number(void) {
  char *from = word();
  return from[0] == '@' ? results[atoi(from + 1)] : (int)strtol(from, NULL, 0);
}

static void read_request(struct io_uring_sqe *r, const char *op) {
  if (strcmp(op, "openat") == 0) {
    r->opcode = IORING_OP_OPENAT;
    r->fd = number();
    r->addr = text();
    r->open_flags = (unsigned)number();
    r->len = (unsigned)number();
    r->file_index = (unsigned)number();
  } else if (strcmp(op, "openat2") == 0) {
    r->opcode = IORING_OP_OPENAT2;
    r->fd = number();
    r->addr = text();
    struct open_how how = {.flags = (unsigned)number(), .mode = (unsigned)number(), .resolve = (unsigned)number()};
    r->off = (unsigned long)keep(&how, sizeof(how));
    r->len = sizeof(how);
    r->file_index = (unsigned)number();
  } else if (strcmp(op, "connect") == 0) {
    r->opcode = IORING_OP_CONNECT;
    r->fd = socket(AF_INET, number(), 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(word())};
    address.sin_port = htons((unsigned short)number());
    r->addr = (unsigned long)keep(&address, sizeof(address));
    r->off = sizeof(address);
  } else if (strcmp(op, "connectunix") == 0) {
    r->opcode = IORING_OP_CONNECT;
    r->fd = socket(AF_UNIX, number(), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, word(), sizeof(address.sun_path) - 1);
    r->addr = (unsigned long)keep(&address, sizeof(address));
    r->off = sizeof(address);
  } else if (strcmp(op, "sendmsg") == 0) {
    r->opcode = IORING_OP_SENDMSG;
    r->fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(word())};
    address.sin_port = htons((unsigned short)number());
    struct iovec text = {keep("x", 1), 1};
    struct msghdr message = {.msg_name = keep(&address, sizeof(address)), .msg_namelen = sizeof(address)};
    message.msg_iov = keep(&text, sizeof(text));
    message.msg_iovlen = 1;
    r->addr = (unsigned long)keep(&message, sizeof(message));
    r->len = 1;
  } else if (strcmp(op, "socket") == 0) {
    r->opcode = IORING_OP_SOCKET;
    r->fd = number();
    r->off = (unsigned)number();
    r->len = (unsigned)number();
    r->file_index = (unsigned)number();
  } else if (strcmp(op, "unlinkat") == 0) {
    r->opcode = IORING_OP_UNLINKAT;
    r->fd = number();
    r->addr = text();
    r->unlink_flags = (unsigned)number();
  } else if (strcmp(op, "mkdirat") == 0) {
    r->opcode = IORING_OP_MKDIRAT;
    r->fd = number();
    r->addr = text();
    r->len = (unsigned)number();
  } else if (strcmp(op, "symlinkat") == 0) {
    r->opcode = IORING_OP_SYMLINKAT;
    r->addr = text();
    r->fd = number();
    r->addr2 = text();
  } else {
    r->opcode = strcmp(op, "linkat") == 0 ? IORING_OP_LINKAT : IORING_OP_RENAMEAT;
    r->fd = number();
    r->addr = text();
    r->len = (unsigned)number();
    r->addr2 = text();
    r->rename_flags = (unsigned)number();
  }
}

static int make(const char *op, bool late, bool full, struct io_uring_sqe *request) {
  int ends[2];
  char byte;
  read_request(request, op);
  request->user_data = (unsigned long)n + 1;
  if (full) {
    struct io_uring_sqe nop = {.opcode = IORING_OP_NOP, .user_data = NOP};
    for (unsigned i = 0; i < params.cq_entries; i++) queue(&nop), submit();
  }
  if (late) {
    if (pipe(ends)) fail("pipe");
    struct io_uring_sqe first = {.opcode = IORING_OP_READ, .fd = ends[0], .addr = (unsigned long)&byte, .len = 1};
    first.flags = IOSQE_IO_LINK;
    first.user_data = PIPE;
    queue(&first);
  }
  queue(request);
  submit();
  if (late) {
    memset(memory, 'x', sizeof(memory));
    if (write(ends[1], "", 1) != 1) fail("write");
  }
  if (request->flags & IOSQE_CQE_SKIP_SUCCESS) {
    struct io_uring_sqe nop = {.opcode = IORING_OP_NOP, .user_data = NOP, .flags = IOSQE_IO_DRAIN};
    queue(&nop);
    submit();
    wait_for(NOP);
    return SILENT;
  }
  return wait_for(request->user_data);
}

static int pile(void) {
  int ends[2], count = number();
  char byte;
  if (pipe(ends)) fail("pipe");
  struct io_uring_sqe first = {.opcode = IORING_OP_READ, .fd = ends[0], .addr = (unsigned long)&byte, .len = 1};
  struct io_uring_sqe open = {.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = text(), .file_index = 1};
  first.flags = open.flags = IOSQE_IO_LINK;
  first.user_data = PIPE;
  queue(&first);
  while (--count > 0) queue(&open);
  open.flags = 0;
  open.user_data = NOP;
  queue(&open);
  submit();
  if (write(ends[1], "", 1) != 1) fail("write");
  return wait_for(NOP);
}

static int swap(void) {
  int fd = dup(1);
  close(fd); // the lowest free one: what the first open will get
  struct io_uring_sqe open = {.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = text(), .flags = IOSQE_IO_LINK};
  struct io_uring_sqe end = {.opcode = IORING_OP_CLOSE, .fd = fd, .flags = IOSQE_IO_LINK};
  struct io_uring_sqe other = {.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = text(), .user_data = NOP};
  queue(&open);
  queue(&end);
  queue(&other);
  submit();
  return wait_for(NOP);
}

int main(int argc, char **argv) {
  char path[4096];
  if (argc < 5 || chdir(argv[2])) return 2;
  snprintf(path, sizeof(path), "%s/cgroup.procs", argv[1]);
  int fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, "0", 1) != 1 || close(fd)) return 3;
  setup(argv[3]);
  for (at = argv + 4; *at; at++) {
    struct io_uring_sqe request = {0};
    bool late = false, full = false;
    for (;; at++) {
      if (strcmp(*at, "late") == 0) late = true;
      else if (strcmp(*at, "full") == 0) full = true;
      else if (strcmp(*at, "async") == 0) request.flags |= IOSQE_ASYNC;
      else if (strcmp(*at, "silent") == 0) request.flags |= IOSQE_CQE_SKIP_SUCCESS;
      else break;
    }
    const char *op = *at++;
    if (strcmp(op, "exec") == 0) {
      execv(at[0], at);
      return 4;
    }
    used = 0;
    int ret = results[n] = strcmp(op, "pile") == 0   ? pile()
                           : strcmp(op, "swap") == 0 ? swap()
                                                     : make(op, late, full, &request);
    n++;
    struct stat facts = {0};
    struct sockaddr_in local = {0};
    socklen_t length = sizeof(local);
    bool opens = request.opcode == IORING_OP_OPENAT || request.opcode == IORING_OP_OPENAT2;
    if (opens && ret > 2 && request.file_index == 0) fstat(ret, &facts);
    if (request.opcode == IORING_OP_CONNECT) getsockname(request.fd, (struct sockaddr *)&local, &length);
    dprintf(1, "{\"op\":\"%s\",\"pid\":%d,\"ret\":%d,\"ino\":%lu,\"fd\":%d,\"port\":%d}\n", op, getpid(), ret, facts.st_ino,
            request.fd, ntohs(local.sin_port));
  }
  return 0;
}
