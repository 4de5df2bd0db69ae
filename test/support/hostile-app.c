/*
 * What a hostile container does to its host, for test/e2e/hostile-neighbour.test.ts: built static, mounted as /hostile.
 *   crowd COUNT STRINGS   COUNT live processes, each of which ran a program with STRINGS environment variables;
 *                         prints "up" when all are there, and ends them at end of input
 *   execs SECONDS BYTES   runs a program with one argument of BYTES bytes again and again; prints how often
 *   opens SECONDS PATH    opens and closes PATH as fast as it can; prints how often
 *   cgroups COUNT FOLDER  makes COUNT cgroups below FOLDER and removes them again; prints how many there were
 *   churn COUNT FOLDER    the same, one after the other
 *   hold COUNT FOLDER     makes COUNT cgroups, prints "up", and removes them at end of input
 *   args COUNT BYTES      COUNT processes, each the child of the one before, with an argument of BYTES bytes;
 *                         the last one opens /hostile-target
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SELF "/hostile"

static int crowd(int count, int strings)
{
	char **env = calloc(strings + 1, sizeof(char *));
	for (int i = 0; i < strings; i++) {
		env[i] = malloc(16);
		snprintf(env[i], 16, "%d=", i);
	}
	int started = 0;
	for (; started < count; started++) {
		int ready[2];
		if (pipe2(ready, O_CLOEXEC))
			break;
		pid_t pid = fork();
		if (pid < 0)
			break;
		if (pid == 0) {
			char *argv[] = {SELF, "wait", "0", "0", NULL};
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			execve(SELF, argv, env);
			_exit(1);
		}
		close(ready[1]);
		char none;
		/* Ends when the exec has closed the other end. */
		if (read(ready[0], &none, 1) != 0)
			break;
		close(ready[0]);
	}
	printf("%s %d\n", started == count ? "up" : "short", started);
	fflush(stdout);
	char none;
	while (read(0, &none, 1) > 0)
		;
	return started != count;
}

static int execs(int seconds, int bytes)
{
	char *argument = malloc(bytes + 1);
	memset(argument, 'a', bytes);
	argument[bytes] = 0;
	char *argv[] = {SELF, "end", argument, "0", NULL};
	long count = 0;
	for (time_t end = time(NULL) + seconds; time(NULL) < end; count++) {
		pid_t pid;
		if (posix_spawn(&pid, SELF, NULL, NULL, argv, environ))
			return 1;
		waitpid(pid, NULL, 0);
	}
	printf("%ld\n", count);
	return 0;
}

static int opens(int seconds, const char *path)
{
	long count = 0;
	for (time_t end = time(NULL) + seconds; time(NULL) < end;)
		for (int i = 0; i < 1000; i++, count++) {
			int fd = open(path, O_RDONLY);
			if (fd < 0)
				return 1;
			close(fd);
		}
	printf("%ld\n", count);
	return 0;
}

static int make_cgroup(const char *folder, int number)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/n%d", folder, number);
	return mkdir(path, 0755) && errno != EEXIST;
}

static int remove_cgroup(const char *folder, int number)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/n%d", folder, number);
	return rmdir(path);
}

static int churn(int count, const char *folder)
{
	int made = 0;
	while (made < count && !make_cgroup(folder, made) && !remove_cgroup(folder, made))
		made++;
	printf("%d\n", made);
	return made != count;
}

static int cgroups(int count, const char *folder, int hold)
{
	int made = 0;
	while (made < count && !make_cgroup(folder, made))
		made++;
	if (hold) {
		printf("%s %d\n", made == count ? "up" : "short", made);
		fflush(stdout);
		char none;
		while (read(0, &none, 1) > 0)
			;
	}
	for (int i = 0; i < made; i++)
		remove_cgroup(folder, i);
	if (!hold)
		printf("%d\n", made);
	return made != count;
}

static int args(int count, const char *argument)
{
	if (count <= 1)
		return open("/hostile-target", O_RDONLY) < 0;
	char left[16];
	snprintf(left, sizeof(left), "%d", count - 1);
	pid_t pid = fork();
	if (pid == 0) {
		char *argv[] = {SELF, "args", left, (char *)argument, NULL};
		execve(SELF, argv, environ);
		_exit(1);
	}
	int status;
	return pid < 0 || waitpid(pid, &status, 0) < 0 || status;
}

static int args_of(int count, int bytes)
{
	char *argument = malloc(bytes + 1);
	memset(argument, 'a', bytes);
	argument[bytes] = 0;
	return args(count, argument);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	if (!strcmp(argv[1], "end"))
		return 0;
	if (!strcmp(argv[1], "wait"))
		for (;;)
			pause();
	if (!strcmp(argv[1], "crowd"))
		return crowd(atoi(argv[2]), atoi(argv[3]));
	if (!strcmp(argv[1], "execs"))
		return execs(atoi(argv[2]), atoi(argv[3]));
	if (!strcmp(argv[1], "cgroups"))
		return cgroups(atoi(argv[2]), argv[3], 0);
	if (!strcmp(argv[1], "hold"))
		return cgroups(atoi(argv[2]), argv[3], 1);
	if (!strcmp(argv[1], "churn"))
		return churn(atoi(argv[2]), argv[3]);
	if (!strcmp(argv[1], "opens"))
		return opens(atoi(argv[2]), argv[3]);
	if (!strcmp(argv[1], "args"))
		return strspn(argv[3], "0123456789") == strlen(argv[3]) ? args_of(atoi(argv[2]), atoi(argv[3]))
									: args(atoi(argv[2]), argv[3]);
	return 2;
}
