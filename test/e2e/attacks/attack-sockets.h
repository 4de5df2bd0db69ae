/* What attack-program.c does with sockets; it includes this, and says what the commands are. */
#pragma once

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

/* What a Java class file begins with, in an answer of the kind that a class loader gets. */
static const char ANSWER[] = "HTTP/1.0 200 OK\r\n\r\n\xca\xfe\xba\xbe\x00\x00\x00\x34";

static struct sockaddr_in address_of(char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
	if (inet_pton(AF_INET, argv[0], &address.sin_addr) != 1)
		exit(2);
	return address;
}

static int connected(char **argv, int type)
{
	struct sockaddr_in address = address_of(argv);
	int fd = socket(AF_INET, type, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		exit(failed("connect"));
	return fd;
}

static int listening(char **argv)
{
	struct sockaddr_in address = address_of(argv);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		exit(failed("listen"));
	return fd;
}

static int do_server(char **argv)
{
	int fd = listening(argv);
	if (fork() != 0)
		return 0;
	alarm(20);
	int peer = accept(fd, NULL, NULL);
	if (peer < 0 || write(peer, ANSWER, sizeof(ANSWER)) < 0)
		return failed("server");
	/* The other end closes first, or whether it is still connected when it acts would be chance. */
	char rest[64];
	while (read(peer, rest, sizeof(rest)) > 0)
		;
	return 0;
}

static int do_accept(char **argv)
{
	int fd = listening(argv);
	if (fork() == 0) {
		close(fd);
		connected(argv, SOCK_STREAM);
		_exit(0);
	}
	return accept(fd, NULL, NULL) < 0 ? failed("accept") : 0;
}

static int do_connect(char **argv)
{
	return connected(argv, SOCK_STREAM) < 0;
}

static int do_fetch(char **argv)
{
	char answer[sizeof(ANSWER)];
	int fd = connected(argv, SOCK_STREAM);
	if (recvfrom(fd, answer, sizeof(answer), MSG_WAITALL, NULL, NULL) != sizeof(answer))
		return failed("recvfrom");
	return memcmp(answer, ANSWER, sizeof(answer)) != 0;
}

static int do_datagram(char **argv)
{
	int fd = connected(argv, SOCK_DGRAM);
	return send(fd, "x", 1, 0) != 1 && errno != ECONNREFUSED ? failed("send") : 0;
}

static int do_fastopen(char **argv)
{
	struct sockaddr_in address = address_of(argv);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof(address)) != 1 ? failed("sendto") : 0;
}

static int do_redirect(char **argv)
{
	int fd = connected(argv, SOCK_STREAM);
	for (int standard = 0; standard < 2; standard++)
		if (dup2(fd, standard) != standard)
			return failed("dup2");
	return 0;
}

static int do_late(char **argv)
{
	struct sockaddr_in address = address_of(argv);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	for (int standard = 0; standard < 3; standard++)
		if (dup2(fd, standard) != standard)
			return 1;
	if (connect(0, (struct sockaddr *)&address, sizeof(address)))
		return 1;
	execv(argv[2], argv + 3);
	return 127;
}

static int do_unspec(char **argv)
{
	struct sockaddr_in address = address_of(argv);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	address.sin_family = AF_UNSPEC;
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)) != 1 ? failed("sendto") : 0;
}

static int do_shell(char **argv)
{
	int status, listener = listening(argv);
	pid_t pid = fork();
	if (pid == 0) {
		close(listener);
		close(0);
		if (connected(argv, SOCK_STREAM) == 0)
			execl("/bin/sh", "sh", "-c", "true", NULL);
		_exit(127);
	}
	if (pid < 0 || accept(listener, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid)
		return failed("shell");
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static int do_packet(char **argv)
{
	(void)argv;
	return socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) < 0 ? failed("socket") : 0;
}

static int do_old_packet(char **argv)
{
	(void)argv;
	return socket(AF_INET, SOCK_PACKET, htons(ETH_P_ALL)) < 0 ? failed("socket") : 0;
}

static int do_raw(char **argv)
{
	(void)argv;
	return socket(AF_INET, SOCK_RAW, IPPROTO_UDP) < 0 ? failed("socket") : 0;
}
