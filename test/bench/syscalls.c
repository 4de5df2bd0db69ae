// SPDX-License-Identifier: Apache-2.0
// What a probe adds to system calls. Usage:
//   syscalls measure [CGROUP-DIR]     one line: ns per getppid, 1-byte read, open+close and others (medians of batches)
//   syscalls each [CGROUP-DIR]        one line: ns of each of CALLS, by name
//   syscalls enforce [CGROUP-DIR]     one line: ns of calls that rules could deny, and how often what they deny was denied
//   syscalls open RATE SECONDS CGROUP-DIR   opens and closes the file RATE times a second (0: flat out); prints the count
// BENCH_FILE is the file that is opened. With BENCH_ROOT it changes its root to that directory, which has it at /syscalls, before it begins.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 101

static long long now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void enter(const char *directory)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	int fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		fprintf(stderr, "cannot enter %s: %s\n", directory, strerror(errno));
		exit(2);
	}
	close(fd);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *values)
{
	qsort(values, BATCHES, sizeof(*values), compare);
	return values[BATCHES / 2];
}

static int zero_fd;
static const char *open_file = "/etc/hostname";

static void call_getppid(void) { syscall(SYS_getppid); }
static void call_read(void)
{
	char c;
	if (read(zero_fd, &c, 1) != 1)
		exit(3);
}
static void call_open(void)
{
	int fd = open(open_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		exit(4);
	close(fd);
}

static int udp_fd, connected_fd;
static struct sockaddr_in discard = { .sin_family = AF_INET };
static char file_a[64], file_b[64];

static void call_unlink(void) { unlink("/no/such/file"); }
static void call_fork_exec(void)
{
	pid_t pid = fork();
	if (!pid) {
		execl("/proc/self/exe", "syscalls", "nothing", NULL);
		_exit(6);
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		exit(7);
}
/* two in one */
static void call_rename(void) { rename(file_a, file_b), rename(file_b, file_a); }
static void call_chmod(void) { chmod(file_a, 0600); }
static void call_dup2(void) { dup2(zero_fd, 100); }
static void call_socket(void) { close(socket(AF_INET, SOCK_DGRAM, 0)); }
static void call_connect(void) { connect(udp_fd, (struct sockaddr *)&discard, sizeof(discard)); }
static void call_send_connected(void) { sendto(connected_fd, "x", 1, MSG_DONTWAIT, NULL, 0); }
static void call_kill(void) { kill(getpid(), 0); }
static void call_mprotect(void) { mprotect((void *)4096, 0, PROT_READ); }

/* Of these the hooks are about another call too, or only about some. */
static void call_map(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || munmap(memory, 4096))
		exit(9);
}
static void call_device(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		exit(10);
	close(fd);
}
static void call_bind(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)))
		exit(11);
	close(fd);
}
static struct sockaddr_un server = { .sun_family = AF_UNIX };
static int server_fd;
static void listen_unix(void)
{
	snprintf(server.sun_path, sizeof(server.sun_path), "/tmp/varvel-bench-%d.sock", getpid());
	server_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(server_fd, (struct sockaddr *)&server, sizeof(server)) || listen(server_fd, 1))
		exit(12);
}
static void call_connect_unix(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)))
		exit(13);
	close(accept(server_fd, NULL, NULL));
	close(fd);
}

static const struct {
	const char *name;
	void (*call)(void);
} EACH[] = {
	{ "unlink", call_unlink },   { "rename", call_rename },	  { "chmod", call_chmod },
	{ "dup2", call_dup2 },	     { "socket", call_socket },	  { "connect", call_connect },
	{ "sendto", call_send_connected }, { "kill", call_kill }, { "mprotect", call_mprotect },
};

static double measure(void (*call)(void), int calls)
{
	static double values[BATCHES];
	for (int b = 0; b < BATCHES; b++) {
		long long start = now_ns();
		for (int i = 0; i < calls; i++)
			call();
		values[b] = (double)(now_ns() - start) / calls;
	}
	return median(values);
}

/* A message of a socket that is not connected. */
static void call_send(void) { sendto(udp_fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&discard, sizeof(discard)); }

/* Whether a connection to the cloud's metadata is refused; and whether a program in memory only is ended at its start. */
static int count_denied(void)
{
	struct sockaddr_in metadata = { .sin_family = AF_INET, .sin_port = htons(80) };
	metadata.sin_addr.s_addr = htonl(0xa9fea9fe);
	int denied = connect(udp_fd, (struct sockaddr *)&metadata, sizeof(metadata)) && errno == EPERM;
	/* a program that is not there ends with an error by itself */
	int program = memfd_create("bench", 0), from = open("/proc/self/exe", O_RDONLY), status = 0;
	char bytes[65536];
	for (ssize_t n; (n = read(from, bytes, sizeof(bytes))) > 0;)
		if (write(program, bytes, n) != n)
			exit(8);
	char path[32], *argv[] = { "syscalls", "nothing", NULL };
	snprintf(path, sizeof(path), "/proc/self/fd/%d", program);
	pid_t pid = fork();
	if (!pid) {
		execv(path, argv);
		_exit(6);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		exit(7);
	return denied + (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(int argc, char **argv)
{
	/* Enters and execs itself: what has only been moved into a container is its runtime's set-up, no app. */
	char **last = &argv[argc - 1];
	if (argc == 2 && !strcmp(argv[1], "nothing"))
		return 0;
	const char *root = getenv("BENCH_ROOT"), *file = getenv("BENCH_FILE");
	if (file)
		open_file = file;
	bool enters = argc >= 3 && strcmp(*last, "-");
	if (enters || root) {
		if (enters)
			enter(*last);
		if (root && (unsetenv("BENCH_ROOT") || chroot(root) || chdir("/"))) {
			fprintf(stderr, "cannot change the root to %s: %s\n", root, strerror(errno));
			exit(2);
		}
		if (enters)
			*last = "-";
		execv(root ? "/syscalls" : argv[0], argv);
		exit(5);
	}
	if (argc >= 2 && !strcmp(argv[1], "measure")) {
		zero_fd = open("/dev/zero", O_RDONLY);
		// few opens a batch: in scope, the ring must not overflow, or dropping would look cheap
		double getppid_ns = measure(call_getppid, 5000), read_ns = measure(call_read, 5000);
		double open_ns = measure(call_open, 100);
		strcpy(file_a, "/tmp/varvel-bench-a");
		strcpy(file_b, "/tmp/varvel-bench-b");
		close(open(file_a, O_CREAT | O_WRONLY, 0600));
		double rename_ns = measure(call_rename, 50) / 2, exec_ns = measure(call_fork_exec, 5);
		unlink(file_a);
		printf("{\"getppid\":%.1f,\"read\":%.1f,\"openClose\":%.1f,\"rename\":%.1f,\"forkExec\":%.1f}\n",
		       getppid_ns, read_ns, open_ns, rename_ns, exec_ns);
		return 0;
	}
	if (argc >= 2 && !strcmp(argv[1], "each")) {
		zero_fd = open("/dev/zero", O_RDONLY);
		udp_fd = socket(AF_INET, SOCK_DGRAM, 0);
		connected_fd = socket(AF_INET, SOCK_DGRAM, 0);
		discard.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		discard.sin_port = htons(9);
		connect(connected_fd, (struct sockaddr *)&discard, sizeof(discard));
		snprintf(file_a, sizeof(file_a), "/tmp/varvel-bench-%d-a", getpid());
		snprintf(file_b, sizeof(file_b), "/tmp/varvel-bench-%d-b", getpid());
		close(open(file_a, O_CREAT | O_WRONLY, 0600));
		printf("{");
		for (size_t i = 0; i < sizeof(EACH) / sizeof(*EACH); i++)
			printf("%s\"%s\":%.1f", i ? "," : "", EACH[i].name, measure(EACH[i].call, 50));
		printf("}\n");
		unlink(file_a);
		return 0;
	}
	if (argc >= 2 && !strcmp(argv[1], "enforce")) {
		udp_fd = socket(AF_INET, SOCK_DGRAM, 0);
		discard.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		discard.sin_port = htons(9);
		int denied = count_denied();
		double open_ns = measure(call_open, 100), send_ns = measure(call_send, 50);
		double connect_ns = measure(call_connect, 50), exec_ns = measure(call_fork_exec, 5);
		double map_ns = measure(call_map, 100), device_ns = measure(call_device, 100), bind_ns = measure(call_bind, 50);
		listen_unix();
		double unix_ns = measure(call_connect_unix, 50);
		unlink(server.sun_path);
		printf("{\"denied\":%d,\"openClose\":%.1f,\"sendto\":%.1f,\"connect\":%.1f,\"forkExec\":%.1f,", denied,
		       open_ns, send_ns, connect_ns, exec_ns);
		printf("\"connectUnix\":%.1f,\"bind\":%.1f,\"device\":%.1f,\"map\":%.1f}\n", unix_ns, bind_ns, device_ns,
		       map_ns);
		return 0;
	}
	if (argc == 5 && !strcmp(argv[1], "open")) {
		long rate = atol(argv[2]);
		long long end = now_ns() + atol(argv[3]) * 1000000000ll, next = now_ns();
		long count = 0;
		while (now_ns() < end) {
			call_open();
			count++;
			if (!rate)
				continue;
			next += 1000000000ll / rate;
			long long wait = next - now_ns();
			if (wait > 0) {
				struct timespec t = { wait / 1000000000ll, wait % 1000000000ll };
				nanosleep(&t, NULL);
			}
		}
		printf("%ld\n", count);
		return 0;
	}
	fprintf(stderr, "usage: syscalls measure [CGROUP] | open RATE SECONDS CGROUP\n");
	return 1;
}
