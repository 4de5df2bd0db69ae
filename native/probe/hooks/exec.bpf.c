// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* execve, execveat: success at sched_process_exec (the new mm has the new argv), failure at the call's exit. */

#define FAILED_ARGS_MAX 32
#define FAILED_ARG_BYTES 512
#define NSEC_PER_SEC 1000000000ull
#define I_CTIME_QUERIED (1u << 31) /* a flag within the nanoseconds, since 6.13 */

/*
 * Writes the calling task's ancestors after rec_exec, and the programs of those outside the scope if its parent is one;
 * returns the number of bytes. A global function: otherwise the verifier would prove the following code once per
 * number of ancestors.
 */
__noinline int exec__store_ancestors(void)
{
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	struct rec_exec *r = (void *)s->b;
	struct task_struct *parent = scope__current()->real_parent;
	char *dst = s->b + sizeof(*r);
	if (lineage__is_outside(parent))
		r->exes_len = lineage__store_exes(dst, parent);
	__u32 off = r->exes_len & 1023;
	r->ancestors_len = lineage__store_ancestors(dst + off, parent, 0);
	return off + (r->ancestors_len & 511);
}

static __always_inline void exec__store_groups(struct rec_exec *r, struct task_struct *task)
{
	struct pid *group = task->signal->pids[PIDTYPE_PGID], *session = task->signal->pids[PIDTYPE_SID];
	int nr = 0;
	__u64 first = bpf_core_field_offset(struct pid, numbers);
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)group + first);
	r->pgid = nr;
	nr = 0;
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)session + first);
	r->sid = nr;
	/* a group from outside the pid namespace is 0 in it: only a group of the same level has a number there */
	__u32 level = LOAD(task->thread_pid, struct pid, level);
	r->vpgid = LOAD(group, struct pid, level) == level ? task__pid_number(group) : 0;
	r->vsid = LOAD(session, struct pid, level) == level ? task__pid_number(session) : 0;
}

static __always_inline __u32 exec__store_cwd(char *dst, struct rec_exec *r, struct task_struct *task)
{
	long start = file__write_directory(task, AT_FDCWD, task->fs);
	if (start < 0 || (start >> PATH_FLAGS_SHIFT) & FILE_PATH_TRUNCATED)
		r->flags |= CWD_TRUNCATED;
	return path__copy_buffer(dst, start);
}

static __always_inline void exec__store_file(struct rec_exec *r, const struct file_facts *facts)
{
	FILE_STORE_FACTS(r, facts);
}

/* Stores the kinds of descriptors 0, 1 and 2, and the ends of the first IP socket among them. Global, verified once. */
__noinline int exec__store_standard(void)
{
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	struct rec_exec *r = (void *)s->b;
	struct task_struct *task = scope__current();
	struct sock *described = NULL;
	for (int fd = 0; fd < 3; fd++) {
		struct file *file = file__from_fd(task, fd);
		if (!file)
			continue;
		struct inode *inode = LOAD(file, struct file, f_inode);
		__u32 what = STANDARD_OPEN | (LOAD(inode, struct inode, i_mode) & S_IFMT) >> 12;
		struct sock *sk = socket__from_file(file);
		__u16 family = sk ? LOAD(sk, struct sock, __sk_common.skc_family) : 0;
		if (family == AF_UNIX)
			what |= STANDARD_UNIX;
		if (family == AF_INET || family == AF_INET6) {
			what |= family == AF_INET ? STANDARD_IPV4 : STANDARD_IPV6;
			if (!described) {
				described = sk;
				SOCKET_STORE_KIND(r, sk);
				SOCKET_STORE_ENDS(r, sk);
				if (socket__is_connected(sk))
					r->flags |= CONNECTED;
			}
			if (described == sk)
				what |= STANDARD_DESCRIBED;
		}
		r->standard |= what << 8 * fd;
	}
	return 0;
}

/* Unix ns of the file's last change: of its status (ctime) or its content. */
static __always_inline __u64 exec__time_of(struct file *file, bool status)
{
	void *inode = LOAD(file, struct file, f_inode);
	if (bpf_core_field_exists(struct inode___since_6_11, i_mtime_sec)) {
		struct inode___since_6_11 *split = inode;
		return status ? BPF_CORE_READ(split, i_ctime_sec) * NSEC_PER_SEC +
					(BPF_CORE_READ(split, i_ctime_nsec) & ~I_CTIME_QUERIED)
			      : BPF_CORE_READ(split, i_mtime_sec) * NSEC_PER_SEC + BPF_CORE_READ(split, i_mtime_nsec);
	}
	struct timespec64 time = {};
	if (!status)
		BPF_CORE_READ_INTO(&time, (struct inode___before_6_11 *)inode, i_mtime);
	else if (bpf_core_field_exists(struct inode___before_6_11, __i_ctime))
		BPF_CORE_READ_INTO(&time, (struct inode___before_6_11 *)inode, __i_ctime);
	else
		BPF_CORE_READ_INTO(&time, (struct inode___before_6_6 *)inode, i_ctime);
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

static __always_inline __u64 exec__namespace_start(struct task_struct *task)
{
	struct pid *pid = task->thread_pid;
	__u64 at = LOAD(pid, struct pid, level) & 31;
	barrier_var(at);
	at = bpf_core_field_offset(struct pid, numbers) + at * bpf_core_type_size(struct upid);
	struct pid_namespace *ns = NULL;
	bpf_probe_read_kernel(&ns, sizeof(ns), (void *)pid + at + bpf_core_field_offset(struct upid, ns));
	struct task_struct *first = BPF_CORE_READ(ns, child_reaper);
	return BPF_CORE_READ(first, start_boottime);
}

/* A program that runs itself again in its parent's mount namespace, as runtimes do before they enter a container. */
static __always_inline bool exec__is_parents_program(struct task_struct *task, struct file *file)
{
	struct task_struct *parent = task->real_parent;
	return BPF_CORE_READ(parent, mm, exe_file, f_inode) == LOAD(file, struct file, f_inode) &&
	       BPF_CORE_READ(parent, nsproxy, mnt_ns) == BPF_CORE_READ(task, nsproxy, mnt_ns);
}

#define SIGKILL 9

/* Which of descriptors 0 to 2 are connections, a bit each, as the agent names them: with an address at the other end. */
static __always_inline __u32 exec__connections(struct rec_exec *r)
{
	const __u64 *address = (const __u64 *)r->raddr;
	if (!r->rport && !address[0] && !address[1])
		return 0;
	__u32 connections = 0;
	for (int fd = 0; fd < 3; fd++)
		connections |= (r->standard >> 8 * fd & STANDARD_DESCRIBED ? 1 : 0) << fd;
	return connections;
}

/* Ends the program before its first instruction, if a rule that denies certainly matches it. */
static __always_inline void exec__deny(struct rec_exec *r, struct scope_entry *entry, __u32 argv_at, __u32 env_from)
{
	__u32 argv_len = r->flags & ARGV_TRUNCATED ? 0 : r->argv_len, argv_from = sizeof(struct rec_header) + argv_at;
	__u32 standard = exec__connections(r);
	int answer = VERDICT_REPLACED;
	for (int i = 0; i < VERDICT_TRIES && answer == VERDICT_REPLACED; i++) {
		__u32 table = *(volatile __u32 *)&entry->table;
		answer = table ? verdict__denies(table, standard, argv_from, argv_len, env_from) : 0;
	}
	if (answer != 1 || bpf_send_signal(SIGKILL))
		return;
	r->flags |= DENIED;
	verdict__count_denial(entry);
}

#define EXEC_FROM_INSIDE (1u << 31)
#define EXEC_HEAD_MAX (sizeof(struct rec_exec) + 2047 + 3 * (PATH_MAX - 1))
_Static_assert(EXEC_HEAD_MAX + ARGV_MAX <= sizeof(((struct scratch *)0)->b), "the words have room");

/*
 * Stores all that precedes the words of the program. Returns its length, with EXEC_FROM_INSIDE. `filename` and `number`: the path as
 * passed, and the file, in the kernel. This and the next function are global, so that each is verified once, and not once for each
 * way through the one before.
 */
__noinline int exec__store_head(__u64 filename, __u64 number)
{
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	struct task_struct *task = scope__current();
	struct file *file = (void *)number;
	struct rec_exec *r = (void *)s->b;
	__builtin_memset(r, 0, sizeof(*r));
	exec__store_groups(r, task);

	__u32 off = sizeof(*r);
	__u32 lineage_len = exec__store_ancestors();
	barrier_var(lineage_len);
	off += lineage_len & 2047;

	long n = bpf_probe_read_kernel_str(s->b + off, PATH_MAX, (void *)filename);
	if (n == PATH_MAX)
		r->flags |= RAW_TRUNCATED;
	r->raw_len = n > 0 ? (n - 1) & (PATH_MAX - 1) : 0;
	off += r->raw_len;

	struct file_facts facts = {};
	long start = file__read_facts(&facts, file, task);
	exec__store_file(r, &facts);
	bool from_inside = image__store(task, start, facts.flags, s->h.ts);
	__u32 len = path__copy_buffer(s->b + off, start) & (PATH_MAX - 1);
	r->path_len = len;
	off += len;
	len = exec__store_cwd(s->b + off, r, task) & (PATH_MAX - 1);
	r->cwd_len = len;
	off += len;
	r->file_mtime = exec__time_of(file, 0);
	r->file_ctime = exec__time_of(file, 1);
	r->pidns_start = exec__namespace_start(task);
	if (exec__is_parents_program(task, file))
		r->flags |= PARENTS_PROGRAM;
	return off | (from_inside ? EXEC_FROM_INSIDE : 0);
}

#define EXEC_ENV_KNOWN (1u << 31)

/* Stores the words and the environment from `off` on. Returns the record's end, with EXEC_ENV_KNOWN. */
__noinline int exec__store_words(__u32 off)
{
	struct scratch *s = ring__get_scratch();
	if (!s || off > EXEC_HEAD_MAX)
		return 0;
	barrier_var(off);
	struct task_struct *task = scope__current();
	struct rec_exec *r = (void *)s->b;
	unsigned long from = task->mm->arg_start, bytes = task->mm->arg_end - from;
	if (bytes > ARGV_MAX) {
		bytes = ARGV_MAX;
		r->flags |= ARGV_TRUNCATED;
	}
	barrier_var(bytes);
	if (off <= EXEC_HEAD_MAX && bytes <= ARGV_MAX && bpf_probe_read_user(s->b + off, bytes, (void *)from) == 0)
		r->argv_len = bytes;
	else {
		r->flags |= ARGV_TRUNCATED;
		maps__count_read_error();
	}
	off += r->argv_len & 32767;
	if (!*(volatile __u32 *)&state.wants_env)
		return off;
	__u32 env_at = off;
	off = exec__store_env(s, r, off, task->mm);
	if (r->flags & ENV_TRUNCATED)
		return off;
	if (!exec__has_loads(env_at, off - env_at))
		image__note_no_loads(task);
	return off | EXEC_ENV_KNOWN;
}

/* `filename`: as passed, in the kernel; `at`: it was made from a descriptor. */
static __always_inline int exec__send(struct task_struct *task, const void *filename, struct file *file, bool at,
				      __u64 cgroup, struct scope_entry *entry)
{
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	/* what was refused to the former program is none of this one's */
	if (connect__is_refused())
		connect__drop_refusal();
	image__mark(task);
	task__store_header(&s->h, task, cgroup, KIND_EXEC, at ? EVENT_EXECVEAT : EVENT_EXECVE, 0);
	__u64 name = maps__forget_type(filename), number = maps__forget_type(file);
	__u32 head = exec__store_head(name, number), argv_at = head & ~EXEC_FROM_INSIDE;
	exec__store_standard();
	__u32 words = exec__store_words(argv_at), off = words & ~EXEC_ENV_KNOWN;
	struct rec_exec *r = (void *)s->b;
	__u32 env_from = words & EXEC_ENV_KNOWN ? sizeof(struct rec_header) + argv_at + r->argv_len : 0;
	/* Before its first instruction. */
	if (head & EXEC_FROM_INSIDE)
		exec__deny(r, entry, argv_at, env_from);
	barrier_var(off);
	if (off > sizeof(s->b))
		return 0;
	if (ring__send_record(&exec_ring, BUDGET_EXEC, s, sizeof(s->h) + off, entry))
		image__settle(task);
	else if (r->flags & DENIED)
		__sync_fetch_and_add(&state.denied_dropped, 1);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_exec, struct task_struct *trusted_task, int old_pid, struct linux_binprm *trusted_bprm)
{
	struct task_struct *task = UNTRUSTED(trusted_task, struct task_struct);
	struct linux_binprm *bprm = UNTRUSTED(trusted_bprm, struct linux_binprm);
	__u64 cgroup = scope__cgroup_id(task);
	struct scope_entry *entry = scope__find_entry(cgroup);
	if (!entry)
		return 0;
	/* exec_again was first, and has reported it: the kernel has not skipped this program. */
	if (*(volatile __u64 *)&state.made_up && image__find_own(task)) {
		__sync_fetch_and_sub(&state.made_up, 1);
		return 0;
	}
	/*
	 * By now the registers say execve in any case (set_personality_64bit). A path built from a descriptor reveals
	 * execveat; one with AT_FDCWD or an absolute path is equivalent to execve.
	 */
	bool at = bpf_core_field_exists(bprm->fdpath) && bprm->fdpath;
	return CPU_HELD(exec__send(task, bprm->filename, bprm->file, at, cgroup, entry));
}

#define FD_PATH "/dev/fd/"

/* Whether the path as passed may have been made from a descriptor. */
static __always_inline bool exec__has_fd_path(const void *filename)
{
	char start[sizeof(FD_PATH) - 1] = {};
	if (bpf_probe_read_kernel(start, sizeof(start), filename))
		return 0;
	return !__builtin_memcmp(start, FD_PATH, sizeof(start));
}

/*
 * The same of an exec for which the kernel has skipped sched_exec, as another task was interrupted in it on this CPU. It does
 * not skip programs of perf events, nor interrupt them. Loaded since Linux 7.0. It is attached after sched_exec, but comes before it if
 * anyone's perf event is at the tracepoint already: the kernel runs all of these together. Here an execve of a path below /dev/fd/ counts
 * as an execveat.
 */
SEC("tracepoint/sched/sched_process_exec")
int exec_again(struct trace_event_raw_sched_process_exec *ctx)
{
	struct task_struct *task = scope__current();
	__u64 cgroup = scope__cgroup_id(task);
	struct scope_entry *entry = scope__find_entry(cgroup);
	if (!entry || image__find_own(task))
		return 0;
	__sync_fetch_and_add(&state.made_up, 1);
	const void *filename = (void *)ctx + (ctx->__data_loc_filename & 0xffff);
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	return exec__send(task, filename, file, exec__has_fd_path(filename), cgroup, entry);
}

/*
 * Appends one string of a user argv array, whose pointer is at `from`, to the record's argv, which begins at `base`.
 * Returns 1 to continue. A global function: the verifier proves it once, not per string.
 */
__noinline int exec__store_user_arg(__u64 from, __u32 base, __u32 word)
{
	struct scratch *s = ring__get_scratch();
	if (!s || base > 3 * PATH_MAX)
		return 0;
	volatile struct rec_exec *r = (void *)s->b;
	__u64 arg = 0;
	if (bpf_probe_read_user(&arg, word == 4 ? 4 : 8, (void *)from) || !arg)
		return 0;
	__u32 off = r->argv_len;
	if (off > ARGV_MAX - FAILED_ARG_BYTES) {
		r->flags |= ARGV_TRUNCATED;
		return 0;
	}
	barrier_var(base);
	barrier_var(off);
	if (base > 3 * PATH_MAX || off > ARGV_MAX - FAILED_ARG_BYTES)
		return 0;
	long n = bpf_probe_read_user_str(s->b + base + off, FAILED_ARG_BYTES, (void *)arg);
	if (n < 0) {
		r->flags |= ARGV_TRUNCATED;
		return 0;
	}
	if (n == 0)
		n = 1; /* an empty string, before 6.8 (its end is written) */
	if (n == FAILED_ARG_BYTES)
		r->flags |= ARGV_TRUNCATED;
	r->argv_len = off + n;
	return 1;
}

/* At most FAILED_ARGS_MAX strings of FAILED_ARG_BYTES; the arguments of a failed call are only the caller's claim. */
static __always_inline void exec__store_user_argv(struct rec_exec *r, __u32 base, __u64 argv, __u32 word)
{
	for (int i = 0; i < FAILED_ARGS_MAX; i++) {
		if (!exec__store_user_arg(argv + i * word, base, word))
			return;
	}
	r->flags |= ARGV_TRUNCATED;
}

/* Sends a call that failed with `ret`. Pointers in user memory have `word` bytes. A global function, proved once. */
__noinline int exec__send_failed(__u64 path, __u64 argv, __s64 ret, __u32 event, __u32 word)
{
	struct task_struct *task = scope__current();
	__u64 cgroup = scope__cgroup_id(task);
	struct scope_entry *entry = scope__find_entry(cgroup);
	if (!entry)
		return 0;
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	task__store_header(&s->h, task, cgroup, KIND_EXEC, event, ret);
	struct rec_exec *r = (void *)s->b;
	__builtin_memset(r, 0, sizeof(*r));
	exec__store_groups(r, task);
	__u32 off = sizeof(*r);
	__u32 lineage_len = exec__store_ancestors();
	barrier_var(lineage_len);
	off += lineage_len & 2047;
	long n = bpf_probe_read_user_str(s->b + off, PATH_MAX, (void *)path);
	if (n < 0) {
		r->flags |= RAW_UNREADABLE;
		maps__count_read_error();
	}
	if (n == PATH_MAX)
		r->flags |= RAW_TRUNCATED;
	r->raw_len = n > 0 ? (n - 1) & (PATH_MAX - 1) : 0;
	off += r->raw_len;
	__u32 len = exec__store_cwd(s->b + off, r, task) & (PATH_MAX - 1);
	r->cwd_len = len;
	off += len;
	exec__store_user_argv(r, off, argv, word);
	len = *(volatile __u16 *)&r->argv_len;
	if (len > ARGV_MAX)
		return 0;
	off += len;
	/* bulk: a program that keeps retrying a missing file must not crowd out successful execs */
	ring__send_record(&bulk_ring, BUDGET_BULK, s, sizeof(s->h) + off, entry);
	return 0;
}

/* Both calls, if they failed. */
SEC("tracepoint/syscalls/sys_exit_execs")
int sys_execs(struct trace_event_raw_sys_exit *ctx)
{
	if (ctx->ret >= 0)
		return 0;
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	bool at = (__u32)ctx->id == NR_EXECVEAT; /* the kernel fills an int */
	__u64 path = at ? ARG2(regs) : ARG1(regs), argv = at ? ARG3(regs) : ARG2(regs);
	return CPU_HELD(exec__send_failed(path, argv, ctx->ret, at ? EVENT_EXECVEAT : EVENT_EXECVE, sizeof(__u64)));
}
