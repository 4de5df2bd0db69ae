/*
 * Stand-ins for Cloud Foundry's own programs in an app container, with the same processes; by the name they have:
 *   launcher FOLDER COMMAND       becomes a bash that reads the profile scripts and then becomes COMMAND, as the real one
 *   diego-sshd                    listens on a local port until it is told to end
 *   healthcheck PORT              connects to a local port; its exit code says whether somebody listens there
 *   garden-init                   the container's first process: waits
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char SCRIPT[] =
	"cd \"$1\"\n"
	"for script in ../profile.d/*.sh; do [ -r \"$script\" ] && . \"$script\"; done\n"
	"shift\n"
	"exec bash -c \"$@\"\n";

static struct sockaddr_in local(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void end(int signal)
{
	(void)signal;
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	struct sockaddr_in address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	signal(SIGTERM, end);
	if (!strcmp(name, "launcher") && argc > 2) {
		execl("/bin/bash", "bash", "-c", SCRIPT, argv[0], argv[1], argv[2], (char *)NULL);
		return 127;
	}
	if (!strcmp(name, "healthcheck") && argc > 1) {
		address = local(atoi(argv[1]));
		return connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0;
	}
	if (!strcmp(name, "diego-sshd")) {
		address = local(2222);
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 8))
			return 1;
	}
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		sleep(1);
	}
}
