/*
 * What intruders' programs do, for the attack suite: built static, in the image once under each name that matters.
 * With arguments that are none of these it does nothing: then only that it was run counts.
 *   wait SECONDS COMMAND…        sleeps, then does COMMAND
 *   spawn PROGRAM ARGUMENT…      runs PROGRAM as a child and waits for it
 *   bare PROGRAM                 becomes PROGRAM with an empty argument list
 *   memfd PROGRAM ARGUMENT…      copies PROGRAM into memory and becomes that
 *   read PATH                    opens PATH for reading
 *   create PATH                  creates PATH with the execute bit
 *   server ADDRESS PORT          listens; returns when it does, and a child accepts one connection, answers, and waits for its end
 *   accept ADDRESS PORT          listens and accepts one connection, which a child makes
 *   connect ADDRESS PORT         connects by TCP
 *   fetch ADDRESS PORT           the same, and reads the answer by recvfrom
 *   datagram ADDRESS PORT        connects by UDP and sends
 *   fastopen ADDRESS PORT        connects by TCP with its first message, without connect(2)
 *   redirect ADDRESS PORT        connects by TCP and makes the connection its standard input and output
 *   shell ADDRESS PORT           starts a shell whose input is a TCP connection, which never was another descriptor
 *   late ADDRESS PORT PROGRAM ARGUMENT…  puts a socket in the place of input and output, connects it then, and becomes PROGRAM
 *   exchange PATH PATH           two files change places
 *   relink HOW PATH NEW          makes a hard link of a file that is not opened for reading; HOW: self, pid or empty
 *   unspec ADDRESS PORT          sends by UDP to an address that does not say of which kind it is
 *   uring-read PATH              opens PATH by io_uring without a completion, and reads from the descriptor that it must get
 *   uring-packet                 makes a packet socket by io_uring
 *   regset | readv               rewrites a child's registers, or reads its memory
 *   packet | old-packet | raw    makes a socket for all packets, the same by its old name, or one for those of a protocol
 *   ia32-clone3                  makes a child in a user namespace of its own by a call of 32 bits
 *   tree                         takes the mounts of the container as a tree of its own
 *   traceme | attach | setns | setuid | userfaultfd | module
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <elf.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <net/ethernet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed(const char *what)
{
	perror(what);
	return 1;
}

#include "attack-sockets.h"

static int do_spawn(char **argv)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return failed("spawn");
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static int do_bare(char **argv)
{
	char *const none[] = { NULL };
	execve(argv[0], none, none);
	return failed("bare");
}

static int do_memfd(char **argv)
{
	struct stat file;
	int from = open(argv[0], O_RDONLY), to = memfd_create("", MFD_CLOEXEC);
	if (from < 0 || to < 0 || fstat(from, &file) || sendfile(to, from, NULL, file.st_size) != file.st_size)
		return failed("memfd");
	fexecve(to, argv, environ);
	return failed("fexecve");
}

static int do_read(char **argv)
{
	char byte;
	int fd = open(argv[0], O_RDONLY);
	return fd < 0 || read(fd, &byte, 1) < 0 ? failed("read") : 0;
}

static int do_create(char **argv)
{
	int fd = open(argv[0], O_CREAT | O_WRONLY | O_TRUNC, 0755);
	return fd < 0 || write(fd, "x", 1) != 1 ? failed("create") : 0;
}

static int do_exchange(char **argv)
{
	return syscall(SYS_renameat2, AT_FDCWD, argv[0], AT_FDCWD, argv[1], 2) ? failed("renameat2") : 0;
}

/* By a descriptor that reads nothing, so that no open tells. */
static int do_relink(char **argv)
{
	char from[64];
	int fd = open(argv[1], O_PATH);
	snprintf(from, sizeof(from), argv[0][0] == 's' ? "/proc/self/fd/%d" : "/proc/%2$d/fd/%1$d", fd, getpid());
	int bad = argv[0][0] == 'e' ? linkat(fd, "", AT_FDCWD, argv[2], AT_EMPTY_PATH)
				    : linkat(AT_FDCWD, from, AT_FDCWD, argv[2], AT_SYMLINK_FOLLOW);
	return bad ? failed("linkat") : 0;
}

/* Makes the request; its result, which one that shows no completion does not wait for. */
static int uring_request(const struct io_uring_sqe *request)
{
	struct io_uring_params params = {};
	int fd = syscall(SYS_io_uring_setup, 1, &params), waits = !(request->flags & IOSQE_CQE_SKIP_SUCCESS);
	size_t size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	char *rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entry = mmap(NULL, sizeof(*entry), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (fd < 0 || rings == MAP_FAILED || entry == MAP_FAILED)
		exit(failed("io_uring"));
	*entry = *request;
	*(unsigned *)(rings + params.sq_off.array) = 0;
	*(unsigned *)(rings + params.sq_off.tail) = 1;
	if (syscall(SYS_io_uring_enter, fd, 1, waits, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		exit(failed("io_uring_enter"));
	return waits ? ((struct io_uring_cqe *)(rings + params.cq_off.cqes))->res : 0;
}

/* The ring gets the lowest descriptor that is free, and the file the one after it, as soon as it is open. */
static int do_uring_read(char **argv)
{
	int ring = open("/", O_PATH);
	char byte;
	close(ring);
	uring_request(&(struct io_uring_sqe){ .opcode = IORING_OP_OPENAT,
					      .flags = IOSQE_CQE_SKIP_SUCCESS,
					      .fd = AT_FDCWD,
					      .addr = (unsigned long)argv[0] });
	alarm(20);
	while (read(ring + 1, &byte, 1) != 1)
		if (errno != EBADF)
			return failed("read");
	return 0;
}

static int do_uring_packet(char **argv)
{
	(void)argv;
	struct io_uring_sqe request = { .opcode = IORING_OP_SOCKET, .fd = AF_PACKET, .off = SOCK_RAW, .len = htons(ETH_P_ALL) };
	return uring_request(&request) < 0;
}

/* Refused without rights to mount: the attempt counts. */
static int do_tree(char **argv)
{
	(void)argv;
	return syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */) < 0 && errno != EPERM;
}

/* int 0x80 takes a pointer of 32 bits. */
static int do_ia32_clone3(char **argv)
{
	struct clone_args *args = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int status, pid;
	(void)argv;
	if (args == MAP_FAILED)
		return failed("mmap");
	*args = (struct clone_args){ .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	__asm__ volatile("int $0x80" : "=a"(pid) : "a"(SYS_clone3), "b"(args), "c"(sizeof(*args)) : "memory");
	if (pid == 0)
		_exit(0);
	return pid < 0 || waitpid(pid, &status, 0) != pid;
}

static int do_traceme(char **argv)
{
	(void)argv;
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? failed("ptrace") : 0;
}

static int do_attach(char **argv)
{
	int status, bad;
	pid_t pid = fork();
	(void)argv;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	bad = ptrace(PTRACE_ATTACH, pid, NULL, NULL) ? failed("ptrace") : 0;
	if (!bad)
		waitpid(pid, &status, 0);
	kill(pid, SIGKILL);
	return bad;
}

/* The child asks for it and stops, as a debugger's would. */
static int do_regset(char **argv)
{
	struct user_regs_struct registers;
	struct iovec place = { &registers, sizeof(registers) };
	int status, bad;
	pid_t pid = fork();
	(void)argv;
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	bad = ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &place) || ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &place);
	kill(pid, SIGKILL);
	return bad ? failed("ptrace") : 0;
}

static int do_readv(char **argv)
{
	char word[8];
	struct iovec here = { word, sizeof(word) }, there = { (void *)ANSWER, sizeof(word) };
	int bad;
	pid_t pid = fork();
	(void)argv;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	bad = process_vm_readv(pid, &here, 1, &there, 1, 0) != sizeof(word);
	kill(pid, SIGKILL);
	return bad ? failed("process_vm_readv") : 0;
}

static int do_setns(char **argv)
{
	int fd = open("/proc/1/ns/uts", O_RDONLY);
	(void)argv;
	return fd < 0 || setns(fd, CLONE_NEWUTS) ? failed("setns") : 0;
}

/* Refused, as it should be: the attempt counts. */
static int do_setuid(char **argv)
{
	(void)argv;
	return setuid(0) == 0 || errno != EPERM;
}

static int do_userfaultfd(char **argv)
{
	(void)argv;
	return syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY) < 0 ? failed("userfaultfd") : 0;
}

/* The file is no module, so that it is refused in any case. */
static int do_module(char **argv)
{
	int fd = open("/etc/passwd", O_RDONLY);
	(void)argv;
	return syscall(SYS_finit_module, fd, "", 0) == 0;
}

static int run(char **argv);

static int do_wait(char **argv)
{
	sleep(atoi(argv[0]));
	return run(argv + 1);
}

static const struct {
	const char *name;
	int arguments;
	int (*run)(char **argv);
} COMMANDS[] = {
	{ "wait", 2, do_wait },         { "spawn", 1, do_spawn },       { "bare", 1, do_bare },
	{ "memfd", 1, do_memfd },       { "read", 1, do_read },         { "create", 1, do_create },
	{ "server", 2, do_server },     { "accept", 2, do_accept },     { "connect", 2, do_connect },
	{ "fetch", 2, do_fetch },       { "datagram", 2, do_datagram }, { "fastopen", 2, do_fastopen },
	{ "late", 4, do_late },         { "exchange", 2, do_exchange }, { "regset", 0, do_regset },
	{ "readv", 0, do_readv },       { "relink", 3, do_relink },     { "unspec", 2, do_unspec },
	{ "uring-read", 1, do_uring_read },  { "uring-packet", 0, do_uring_packet },
	{ "old-packet", 0, do_old_packet },  { "raw", 0, do_raw },
	{ "ia32-clone3", 0, do_ia32_clone3 }, { "tree", 0, do_tree },
	{ "redirect", 2, do_redirect }, { "shell", 2, do_shell },       { "packet", 0, do_packet },
	{ "traceme", 0, do_traceme },   { "attach", 0, do_attach },     { "setns", 0, do_setns },
	{ "setuid", 0, do_setuid },     { "module", 0, do_module },     { "userfaultfd", 0, do_userfaultfd },
};

static int run(char **argv)
{
	int count = 0;
	if (argv[0] == NULL)
		return 0;
	while (argv[count + 1] != NULL)
		count++;
	for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++)
		if (!strcmp(argv[0], COMMANDS[i].name))
			return count < COMMANDS[i].arguments ? 2 : COMMANDS[i].run(argv + 1);
	return 0;
}

int main(int argc, char **argv)
{
	return argc < 2 ? 0 : run(argv + 1);
}
