// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* open, openat, openat2, creat at the exit of the call: the file from the descriptor, the claim from user memory. */

#define O_ACCMODE 3
#define O_WRONLY 1
#define O_CREAT 0100
#define O_TRUNC 01000
#define ENAMETOOLONG 36

struct open_call {
	const char *path;
	__s32 dirfd;
	__u32 flags, mode, resolve;
};

/* False when no rule can match such an open. Write also means: may create or truncate. */
static __always_inline bool open__is_wanted(__u32 mask, __u32 flags, long ret)
{
	if (ret < 0)
		return mask & OPEN_FAILED;
	__u32 access = flags & O_ACCMODE;
	bool writes = access != 0 || (flags & (O_CREAT | O_TRUNC));
	bool reads = access != O_WRONLY;
	return (writes && (mask & OPEN_WRITE)) || (reads && (mask & OPEN_READ));
}

/* The directory that a relative path starts from; its length, 0 where it is not known. */
static __always_inline __u32 open__store_directory(char *dst, struct task_struct *task, __s32 dirfd)
{
	long start = file__write_directory(task, dirfd, task->fs);
	if (start < 0 || (start >> PATH_FLAGS_SHIFT) & FILE_PATH_TRUNCATED)
		return 0;
	return path__copy_buffer(dst, start);
}

/* What the record says of the file, behind `off`; returns where that ends. */
static __always_inline __u32 open__store_file(struct scratch *s, __u32 off, struct file *file, struct task_struct *task)
{
	struct rec_open *r = (void *)s->b;
	struct file_facts facts = {};
	long start = file__read_facts(&facts, file, task);
	r->file_ino = facts.ino;
	r->file_dev = facts.dev;
	r->file_flags = facts.flags;
	r->file_uid = facts.uid;
	r->file_gid = facts.gid;
	r->file_mode = facts.mode;
	__u32 len = path__copy_buffer(s->b + off, start) & (PATH_MAX - 1);
	r->path_len = len;
	return off + len;
}

static __always_inline int open__send(struct task_struct *task, struct scope_entry *entry, __u64 cgroup,
				      const struct open_call *call, long ret, __u16 event)
{
	if (!open__is_wanted(*(volatile __u32 *)&state.open_mask, call->flags, ret)) {
		__sync_fetch_and_add(&entry->prefiltered, 1);
		return 0;
	}
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	task__store_header(&s->h, task, cgroup, KIND_OPEN, event, ret);
	struct rec_open *r = (void *)s->b;
	__builtin_memset(r, 0, sizeof(*r));
	r->dirfd = call->dirfd;
	r->open_flags = call->flags;
	r->mode = call->mode;
	r->resolve = call->resolve;
	__u32 off = sizeof(*r);
	long n = bpf_probe_read_user_str(s->b + off, PATH_MAX, call->path);
	if (n < 0) {
		r->flags |= RAW_UNREADABLE;
		maps__count_read_error();
	}
	if (n == PATH_MAX && ret == -ENAMETOOLONG) /* 4095 bytes fill the buffer too, and are whole */
		r->flags |= RAW_TRUNCATED;
	__u32 len = n > 0 ? (n - 1) & (PATH_MAX - 1) : 0;
	r->raw_len = len;
	off += len;
	struct file *file = ret >= 0 ? file__from_fd(task, ret) : NULL;
	if (file) {
		off = open__store_file(s, off, file, task);
	} else if (ret < 0 && r->raw_len && s->b[sizeof(*r)] != '/') {
		len = open__store_directory(s->b + off, task, call->dirfd) & (PATH_MAX - 1);
		r->dir_len = len;
		off += len;
	}
	ring__send_record(&bulk_ring, BUDGET_BULK, s, sizeof(s->h) + off, entry);
	return 0;
}

#define OPEN_PROLOGUE()                                                                                    \
	struct task_struct *task = bpf_get_current_task_btf();                                             \
	__u64 cgroup = scope__cgroup_id(task);                                                             \
	struct scope_entry *entry = scope__find_entry(cgroup);                                             \
	if (!entry)                                                                                        \
		return 0;                                                                                  \
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task)

SEC("tracepoint/syscalls/sys_exit_open")
int sys_open(struct trace_event_raw_sys_exit *ctx)
{
	OPEN_PROLOGUE();
	struct open_call call = { (void *)ARG1(regs), AT_FDCWD, ARG2(regs), ARG3(regs), 0 };
	return open__send(task, entry, cgroup, &call, ctx->ret, EVENT_OPEN);
}

SEC("tracepoint/syscalls/sys_exit_openat")
int sys_openat(struct trace_event_raw_sys_exit *ctx)
{
	OPEN_PROLOGUE();
	struct open_call call = { (void *)ARG2(regs), ARG1(regs), ARG3(regs), ARG4(regs), 0 };
	return open__send(task, entry, cgroup, &call, ctx->ret, EVENT_OPENAT);
}

SEC("tracepoint/syscalls/sys_exit_openat2")
int sys_openat2(struct trace_event_raw_sys_exit *ctx)
{
	OPEN_PROLOGUE();
	__u64 how[3] = {}; /* struct open_how: flags, mode, resolve (include/uapi/linux/openat2.h) */
	bpf_probe_read_user(how, sizeof(how), (void *)ARG3(regs));
	struct open_call call = { (void *)ARG2(regs), ARG1(regs), how[0], how[1], how[2] };
	return open__send(task, entry, cgroup, &call, ctx->ret, EVENT_OPENAT2);
}

SEC("tracepoint/syscalls/sys_exit_creat")
int sys_creat(struct trace_event_raw_sys_exit *ctx)
{
	OPEN_PROLOGUE();
	struct open_call call = { (void *)ARG1(regs), AT_FDCWD, O_CREAT | O_WRONLY | O_TRUNC, ARG2(regs), 0 };
	return open__send(task, entry, cgroup, &call, ctx->ret, EVENT_CREAT);
}
