// SPDX-License-Identifier: Apache-2.0
// Diego's programs in an app's container, as far as the agent sees them: who forks, who execs, and with which terminal. Which one
// it is, the name says under which it is called.
#define _GNU_SOURCE
#include <errno.h>
#include <libgen.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int ended(pid_t pid)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return fail("waitpid");
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

// shell: becomes a shell that reads the app's start files, and then another one. launcher COMMAND: the same, and the command.
static int become_shell(const char *command)
{
	static const char script[] = "cd \"$1\"; "
				     "if [ -n \"$(ls ../profile.d/* 2> /dev/null)\" ]; then for f in ../profile.d/*; do . $f; done; fi; "
				     "shift; exec bash -c \"$@\"";
	execl("/bin/bash", "bash", "-c", script, "shell", "/home/vcap/app", command, NULL);
	return fail("exec bash");
}

// diego-sshd TEXT [COMMAND]: as `cf ssh -t` with the command, or without: a terminal in which somebody types the text.
static int serve(const char *text, const char *command)
{
	int terminal = -1;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
	if (pid < 0)
		return fail("forkpty");
	if (pid == 0) {
		if (command)
			execl("/bin/bash", "bash", "-c", command, NULL);
		else
			execl("/bin/bash", "bash", NULL);
		_exit(127);
	}
	if (write(terminal, text, strlen(text)) < 0)
		return fail("write");
	char read_back[4096];
	// EIO when the last of the terminal's processes has ended.
	for (ssize_t got; (got = read(terminal, read_back, sizeof(read_back))) > 0;) {
		if (write(STDOUT_FILENO, read_back, (size_t)got) < 0)
			break;
	}
	return ended(pid);
}

// builder SCRIPT…: runs the buildpacks' scripts, one after the other.
static int build(char **scripts)
{
	for (; *scripts; scripts++) {
		pid_t pid = fork();
		if (pid < 0)
			return fail("fork");
		if (pid == 0) {
			execl(*scripts, *scripts, "/tmp/app", "/tmp/cache", "/tmp/contents/deps", "0", NULL);
			_exit(127);
		}
		int code = ended(pid);
		if (code) {
			fprintf(stderr, "%s ended with %d\n", *scripts, code);
			return code;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = basename(argv[0]);
	if (strcmp(name, "shell") == 0)
		return become_shell("bash");
	if (strcmp(name, "launcher") == 0 && argc == 2)
		return become_shell(argv[1]);
	if (strcmp(name, "diego-sshd") == 0 && argc >= 2)
		return serve(argv[1], argv[2]);
	if (strcmp(name, "builder") == 0)
		return build(argv + 1);
	fprintf(stderr, "not a program of Diego's: %s\n", name);
	return 2;
}
