/*
 * What hostile and busy apps do, for the end-to-end tests: built static, mounted into a container.
 *   flood SECONDS PATH   opens and closes PATH as fast as it can; prints how often
 *   opens COUNT PATH     opens and closes PATH COUNT times, as fast as it can
 *   title NAME PATH      takes a name and a command line that are not its own, then reads PATH
 *   storm COUNT PATH     COUNT children at once, each of which opens PATH; prints how many ended well
 *   steps RATE FOLDER    at most RATE times a second until FOLDER/stop is there: step n tries to open b.n, which is missing,
 *                        then opens r.n for reading and w.n for writing; prints how many steps it took
 *   crowd COUNT BYTES    COUNT processes at once that stay, each a program started with BYTES of environment of its own;
 *                        prints how many
 *   execs COUNT BYTES    COUNT programs one after another, each started with BYTES of arguments of its own; prints how many
 *   args COUNT BYTES     COUNT processes, each the child of the one before, with an argument of BYTES bytes; the last one
 *                        opens /hostile-target 1000 times
 *   nest COUNT CGROUP    makes COUNT cgroups below CGROUP, named n0 and so on; prints how many
 *   unnest COUNT CGROUP  removes them; prints how many
 *   churn COUNT CGROUP   makes and removes one after another; prints how many
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int flood(int seconds, const char *path)
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

static int opens(long count, const char *path)
{
	for (long i = 0; i < count; i++) {
		int fd = open(path, O_RDONLY);
		if (fd < 0)
			return 1;
		close(fd);
	}
	return 0;
}

static int title(char **argv, const char *name, const char *path)
{
	size_t room = strlen(argv[0]) + 1 + strlen(argv[1]) + 1;
	char own[128], target[128];
	snprintf(own, sizeof(own), "%s", name);
	snprintf(target, sizeof(target), "%s", path);
	prctl(PR_SET_NAME, own);
	memset(argv[0], 'z', room - 1);
	return open(target, O_RDONLY) < 0;
}

static int storm(int count, const char *path)
{
	int started = 0, good = 0, status;
	for (; started < count; started++) {
		pid_t pid = fork();
		if (pid < 0)
			break;
		if (pid == 0)
			_exit(open(path, O_RDONLY) < 0);
	}
	while (wait(&status) > 0)
		good += status == 0;
	printf("%d of %d\n", good, started);
	return good != count;
}

static int step(const char *folder, long n)
{
	char missing[256], read[256], written[256];
	snprintf(missing, sizeof(missing), "%s/b.%ld", folder, n);
	snprintf(read, sizeof(read), "%s/r.%ld", folder, n);
	snprintf(written, sizeof(written), "%s/w.%ld", folder, n);
	if (mknod(read, S_IFREG | 0600, 0))
		return 1;
	if (open(missing, O_RDONLY) >= 0)
		return 1;
	int fd = open(read, O_RDONLY);
	if (fd < 0 || close(fd) || rename(read, written))
		return 1;
	fd = open(written, O_WRONLY);
	return fd < 0 || close(fd) || unlink(written);
}

static int steps(long rate, const char *folder)
{
	char stop[256];
	struct timespec next, now;
	long n = 0;
	snprintf(stop, sizeof(stop), "%s/stop", folder);
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (access(stop, F_OK)) {
		if (step(folder, ++n))
			return 1;
		next.tv_nsec += 1000000000 / rate;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		/* What a busy machine kept it from doing is not made up for: it would be a flood. */
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > next.tv_sec || (now.tv_sec == next.tv_sec && now.tv_nsec > next.tv_nsec))
			next = now;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	printf("%ld\n", n);
	return 0;
}

/* Words of two characters and a NUL, of so many characters from `first` on; no two vectors alike. */
static char **words_of(long bytes, unsigned seed, char first, int many)
{
	long count = bytes / 3;
	char **words = calloc(count + 3, sizeof(*words)), *text = malloc(count * 3);
	for (long i = 0; i < count; i++, text += 3) {
		seed = seed * 1103515245 + 12345;
		text[0] = first + (seed >> 8) % many;
		text[1] = first + (seed >> 16) % many;
		text[2] = 0;
		words[i + 2] = text;
	}
	return words;
}

static int crowd(long count, long bytes)
{
	long made = 0;
	for (; made < count; made++) {
		pid_t child = fork();
		if (child < 0)
			break;
		if (child == 0) {
			char *args[] = { "app", "stay", NULL };
			execve("/proc/self/exe", args, words_of(bytes, made + 1, '!', 90) + 2);
			_exit(1);
		}
	}
	printf("%ld\n", made);
	fflush(stdout);
	pause();
	return 0;
}

static int execs(long count, long bytes)
{
	long well = 0;
	char *env[] = { NULL };
	for (long i = 0; i < count; i++) {
		char **args = words_of(bytes, i + 1, 'a', 26);
		args[0] = "app";
		args[1] = "end";
		pid_t child = vfork();
		if (child == 0) {
			execve("/proc/self/exe", args, env);
			_exit(1);
		}
		int status = 1;
		waitpid(child, &status, 0);
		well += status == 0;
		free(args[2]);
		free(args);
	}
	printf("%ld\n", well);
	return 0;
}

static int descend(int count, char *argument)
{
	if (count <= 1) {
		for (int i = 0; i < 1000; i++) {
			int fd = open("/hostile-target", O_RDONLY);
			if (fd < 0 || close(fd))
				return 1;
		}
		return 0;
	}
	char left[16];
	snprintf(left, sizeof(left), "%d", count - 1);
	pid_t child = fork();
	if (child == 0) {
		char *args[] = { "app", "descend", left, argument, NULL }, *env[] = { NULL };
		execve("/proc/self/exe", args, env);
		_exit(1);
	}
	int status;
	return child < 0 || waitpid(child, &status, 0) < 0 || status != 0;
}

static int args(int count, int bytes)
{
	char *argument = malloc(bytes + 1);
	memset(argument, 'a', bytes);
	argument[bytes] = 0;
	return descend(count, argument);
}

static int nested(int count, const char *cgroup, int makes, int removes)
{
	char path[512];
	int done = 0;
	for (; done < count; done++) {
		snprintf(path, sizeof(path), "%s/n%d", cgroup, done);
		if ((makes && mkdir(path, 0755)) || (removes && rmdir(path)))
			break;
	}
	printf("%d%s%s\n", done, done < count ? ": " : "", done < count ? strerror(errno) : "");
	return done != count;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "end"))
		return 0;
	if (argc > 1 && !strcmp(argv[1], "stay"))
		return pause();
	if (argc != 4)
		return 2;
	if (!strcmp(argv[1], "flood"))
		return flood(atoi(argv[2]), argv[3]);
	if (!strcmp(argv[1], "opens"))
		return opens(atol(argv[2]), argv[3]);
	if (!strcmp(argv[1], "title"))
		return title(argv, argv[2], argv[3]);
	if (!strcmp(argv[1], "storm"))
		return storm(atoi(argv[2]), argv[3]);
	if (!strcmp(argv[1], "steps"))
		return steps(atol(argv[2]), argv[3]);
	if (!strcmp(argv[1], "crowd"))
		return crowd(atol(argv[2]), atol(argv[3]));
	if (!strcmp(argv[1], "execs"))
		return execs(atol(argv[2]), atol(argv[3]));
	if (!strcmp(argv[1], "args"))
		return args(atoi(argv[2]), atoi(argv[3]));
	if (!strcmp(argv[1], "descend"))
		return descend(atoi(argv[2]), argv[3]);
	if (!strcmp(argv[1], "nest"))
		return nested(atoi(argv[2]), argv[3], 1, 0);
	if (!strcmp(argv[1], "unnest"))
		return nested(atoi(argv[2]), argv[3], 0, 1);
	if (!strcmp(argv[1], "churn"))
		return nested(atoi(argv[2]), argv[3], 1, 1);
	return 2;
}
