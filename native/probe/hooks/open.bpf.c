// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * open, openat, openat2, creat at the exit of the call: the file from the descriptor, the claimed path from user
 * memory.
 */

#define ENAMETOOLONG 36

struct open_call {
	const char *path;
	__s32 dirfd;
	__u32 flags, mode, resolve;
};

/* False if no rule can match such an open. Write includes opens that may create or truncate. */
static __always_inline bool open__is_wanted(__u32 mask, __u32 flags, long ret)
{
	if (ret < 0)
		return mask & OPEN_FAILED;
	__u32 access = flags & O_ACCMODE;
	bool writes = access != 0 || (flags & (O_CREAT | O_TRUNC));
	bool reads = access != O_WRONLY;
	return (writes && (mask & OPEN_WRITE)) || (reads && (mask & OPEN_READ));
}

/* Copies the directory in the path buffer; returns its length, 0 if unknown. */
static __always_inline __u32 open__copy_directory(char *dst, long start)
{
	if (start < 0 || (start >> PATH_FLAGS_SHIFT) & FILE_PATH_TRUNCATED)
		return 0;
	return path__copy_buffer(dst, start);
}

/* Stores the directory that a relative path starts from; returns its length, 0 if unknown. */
static __always_inline __u32 open__store_directory(char *dst, struct task_struct *task, __s32 dirfd)
{
	return open__copy_directory(dst, file__write_directory(task, dirfd, task->fs));
}

/* Stores the facts of the file, whose path is in the path buffer, at `off`; returns the record's end. */
static __always_inline __u32 open__store_facts(struct scratch *s, __u32 off, const struct file_facts *facts, long start)
{
	struct rec_open *r = (void *)s->b;
	FILE_STORE_FACTS(r, facts);
	__u32 len = path__copy_buffer(s->b + off, start) & (PATH_MAX - 1);
	r->path_len = len;
	return off + len;
}

/* Reads and stores the facts of a file. */
static __always_inline __u32 open__store_file(struct scratch *s, __u32 off, struct file *file, struct task_struct *task)
{
	struct file_facts facts = {};
	long start = file__read_facts(&facts, file, task);
	return open__store_facts(s, off, &facts, start);
}

/*
 * Whether the first `len` bytes of the claim, at least one, are the judged path. A global function, like those below: proved
 * once, not per call that opens files.
 */
__noinline int open__is_same(__u32 len)
{
	struct scratch *s = ring__get_scratch();
	struct verdict_call *v = verdict__get_call();
	if (!s || !v)
		return 0;
	if (len != v->len || len >= VERDICT_PATH_MAX)
		return 0;
	const char *claim = s->b + sizeof(struct rec_open);
	if (len < 8) { /* ignores the bytes after the end */
		__u64 differs = *(__u64 *)v->path ^ *(__u64 *)claim;
		return !(differs << (64 - 8 * len));
	}
	for (__u32 i = 0; i < VERDICT_PATH_MAX - 8; i += 8) {
		if (i + 8 > len)
			break;
		if (*(__u64 *)&v->path[i] != *(__u64 *)&claim[i])
			return 0;
	}
	/* the last eight bytes, some of them again */
	__u32 last = len - 8;
	barrier_var(last);
	last &= VERDICT_PATH_MAX - 1;
	return *(__u64 *)&v->path[last] == *(__u64 *)&claim[last];
}

/*
 * Whether the path as passed may contain "..", as far as the table of its container asks. It may if it is too long to
 * look. A global function, as the next ones.
 */
__noinline int open__may_have_dots(__u32 number)
{
	struct scratch *s = ring__get_scratch();
	struct verdict_table *t = verdict__find_table(number);
	/* both answers are the same to a table that does not ask */
	if (!s || !t || !t->dots)
		return 1;
	struct rec_open *r = (void *)s->b;
	__u32 len = r->raw_len;
	if (len >= VERDICT_PATH_MAX)
		return 1;
	/* eight bytes at a time, of which the last one is the first of the next eight */
	for (__u32 i = 0; i < VERDICT_PATH_MAX; i += 7) {
		if (i >= len)
			break;
		__u64 others = *(__u64 *)&s->b[sizeof(*r) + i] ^ (EACH_BYTE * '.');
		/* the highest bit of each byte that is a dot */
		__u64 dots = ~(((others & EACH_BYTE * 0x7f) + EACH_BYTE * 0x7f) | others | EACH_BYTE * 0x7f);
		if (dots & (dots >> 8))
			return 1;
	}
	return 0;
}

/*
 * 0 if no rule can match an open of a file of this mode. Its path is in the path buffer; a claim that differs is
 * judged as well. Relative claims do not count in user space either (isRaced in src/rules/fields/descriptor.ts).
 */
__noinline int open__may_match_file(long start, __u32 mode, __u32 flags)
{
	struct scratch *s = ring__get_scratch();
	struct verdict_call *v = verdict__get_call();
	if (!s || !v)
		return 1;
	v->failing = ALL_FAILING;
	if (!open__judge_buffer(v, start, 0) || v->len < 2)
		return 1;
	struct rec_open *r = (void *)s->b;
	const char *claim = s->b + sizeof(*r);
	v->directory = (mode & S_IFMT) == S_IFDIR;
	v->source = path__source();
	if (verdict__passes(ASKS_ALL))
		return 1;
	__u32 len = r->raw_len, own = v->len;
	if (!len || claim[0] != '/' || r->flags & RAW_TRUNCATED)
		return 0;
	/* a directory is often opened with a slash at its end */
	if (open__is_same(len == own + 1 && claim[own & (VERDICT_PATH_MAX - 1)] == '/' ? own : len))
		return 0;
	bool passes = !verdict__append_path(v, 0, claim, len);
	if (!passes) {
		v->directory = !!(flags & O_DIRECTORY);
		passes = verdict__passes_claim(v) || v->is_odd;
	}
	v->failing = ALL_FAILING; /* only what is true of the file is certain */
	return passes;
}

/* 0 if no rule can match a failed open, judging by its claim, relative to the directory in the path buffer. */
__noinline int open__may_match_claim(long directory)
{
	struct scratch *s = ring__get_scratch();
	struct verdict_call *v = verdict__get_call();
	if (!s || !v)
		return 1;
	struct rec_open *r = (void *)s->b;
	const char *claim = s->b + sizeof(*r);
	__u32 len = r->raw_len, from = 0;
	v->failing = ALL_FAILING;
	if (!len || r->flags & RAW_TRUNCATED)
		return 1;
	v->directory = 0;
	if (claim[0] != '/') {
		if (!open__judge_buffer(v, directory, 0))
			return 1;
		from = v->len;
		if (from > 1) {
			v->path[from & (VERDICT_PATH_MAX - 1)] = '/';
			from++;
		}
	}
	if (!verdict__append_path(v, from, claim, len))
		return 1;
	bool passes = verdict__passes_claim(v);
	if (!v->is_odd && !verdict__is_detour(v))
		return passes;
	v->failing = ALL_FAILING;
	return 1;
}

/* The open that the kernel has refused to this thread for a rule, if its call fails with EPERM. */
static __always_inline bool open__is_refused(long ret)
{
	struct refused_open_key key = { .thread = bpf_get_current_pid_tgid() };
	struct open_refusal *refusal = ret == -EPERM ? bpf_map_lookup_elem(&refused_opens, &key) : NULL;
	return refusal && refusal->start == scope__current()->start_boottime;
}

/*
 * Makes the record in the scratch, which ends at `off`, one of the open that was refused. Returns its new end. A global
 * function: its stack is free again after it.
 */
__noinline int open__store_refusal(__u32 off, __u64 thread, __u64 request)
{
	struct scratch *s = ring__get_scratch();
	struct refused_open_key key = { .thread = thread, .request = request };
	struct open_refusal *refusal = bpf_map_lookup_elem(&refused_opens, &key);
	if (!s || !refusal || off > SCRATCH_BYTES / 2)
		return off;
	barrier_var(off);
	struct rec_open *r = (void *)s->b;
	s->h.ts = refusal->ts;
	__builtin_memcpy(s->h.comm, refusal->comm, sizeof(s->h.comm));
	r->flags |= DENIED;
	r->open_flags = refusal->flags;
	FILE_STORE_FACTS(r, &refusal->facts);
	r->dir_len = 0;
	__u32 len = refusal->len & (VERDICT_PATH_MAX - 1);
	r->path_len = len;
	bpf_probe_read_kernel(&s->b[off & (SCRATCH_BYTES / 2 - 1)], len, refusal->path);
	bpf_map_delete_elem(&refused_opens, &key);
	return off + len;
}

/* Sends the record of an open, `len` bytes of the scratch. A denial whose record is dropped is counted. */
static __always_inline void open__send_record(struct scratch *s, __u32 len, struct scope_entry *entry)
{
	bool is_denied = ((struct rec_open *)s->b)->flags & DENIED;
	if (!ring__send_record(&bulk_ring, BUDGET_BULK, s, len, entry) && is_denied)
		__sync_fetch_and_add(&state.denied_dropped, 1);
}

/* A global function: otherwise the verifier would prove it for each of the paths that lead here. */
__noinline int open__store_header(__u64 cgroup, __u32 event, __s64 ret)
{
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	task__store_header(&s->h, scope__current(), cgroup, KIND_OPEN, event, ret);
	return 1;
}

static __always_inline int open__send(struct task_struct *task, struct scope_entry *entry, __u64 cgroup,
				      const struct open_call *call, long ret, __u16 event)
{
	bool is_refused = open__is_refused(ret);
	if (!is_refused && !open__is_wanted(*(volatile __u32 *)&state.open_mask, call->flags, ret)) {
		ring__count_filtered(entry, event);
		return 0;
	}
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
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
	if (n == PATH_MAX && ret == -ENAMETOOLONG) /* 4095 bytes also fill the buffer, but are complete */
		r->flags |= RAW_TRUNCATED;
	__u32 len = n > 0 ? (n - 1) & (PATH_MAX - 1) : 0;
	r->raw_len = len;
	off += len;
	if (is_refused) {
		if (!open__store_header(cgroup, event, ret))
			return 0;
		off = open__store_refusal(off, bpf_get_current_pid_tgid(), 0);
		open__send_record(s, sizeof(s->h) + off, entry);
		return 0;
	}
	struct file *file = ret >= 0 ? file__from_fd(task, ret) : NULL;
	struct file_facts facts = {};
	long start = -1;
	if (file)
		start = file__read_facts(&facts, file, task);
	else if (ret < 0 && r->raw_len && s->b[sizeof(*r)] != '/')
		start = file__write_directory(task, call->dirfd, task->fs);

	__u32 table = scope__filter_of(entry);
	struct verdict_call *v = verdict__get_call();
	/* without a path as passed there is nothing to compare with: user memory that is gone */
	if (table && v && (file || ret < 0) && r->raw_len) {
		v->table = table;
		v->kind = verdict__kind(open__call_index(event), call->flags, ret < 0);
		v->dots = open__may_have_dots(table);
		v->layer = !file ? LAYER_NO_FILE : facts.flags & FILE_UPPER_LAYER ? LAYER_UPPER :
			   facts.flags & FILE_LOWER_LAYER ? LAYER_LOWER : LAYER_NONE;
		if (!(file ? open__may_match_file(start, facts.mode, call->flags) : open__may_match_claim(start)) &&
		    scope__is_filtering(table)) {
			ring__count_filtered(entry, event);
			return 0;
		}
		if (v->failing != ALL_FAILING)
			r->flags |= RULE_MATCHES;
	}
	/* last, since most opens do not get this far */
	if (!open__store_header(cgroup, event, ret))
		return 0;
	if (file) {
		off = open__store_facts(s, off, &facts, start);
	} else {
		len = open__copy_directory(s->b + off, start) & (PATH_MAX - 1);
		r->dir_len = len;
		off += len;
	}
	open__send_record(s, sizeof(s->h) + off, entry);
	return 0;
}

/* Reads the arguments, numbered from 1, of the open with this x86-64 number; returns its event. */
static __always_inline __u16 open__read_call(struct open_call *call, __u32 nr, const __u64 *args)
{
	bool at = nr == NR_OPENAT || nr == NR_OPENAT2;
	call->path = (void *)(at ? args[2] : args[1]);
	call->dirfd = at ? (__s32)args[1] : AT_FDCWD;
	call->resolve = 0;
	if (nr == NR_OPENAT2) {
		__u64 how[3] = {}; /* struct open_how: flags, mode, resolve (include/uapi/linux/openat2.h) */
		bpf_probe_read_user(how, sizeof(how), (void *)args[3]);
		call->flags = how[0];
		call->mode = how[1];
		call->resolve = how[2];
		return EVENT_OPENAT2;
	}
	if (nr == NR_CREAT) {
		call->flags = O_CREAT | O_WRONLY | O_TRUNC;
		call->mode = args[2];
		return EVENT_CREAT;
	}
	call->flags = at ? args[3] : args[2];
	call->mode = at ? args[4] : args[3];
	return at ? EVENT_OPENAT : EVENT_OPEN;
}

/* One program for all opens, so that the kernel verifies it once. */
SEC("tracepoint/syscalls/sys_exit_opens")
int sys_opens(struct trace_event_raw_sys_exit *ctx)
{
	struct task_struct *task = scope__current();
	__u64 cgroup = scope__cgroup_id(task);
	struct scope_entry *entry = scope__find_entry(cgroup);
	if (!entry)
		return 0;
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	const __u64 args[] = { 0, ARG1(regs), ARG2(regs), ARG3(regs), ARG4(regs) };
	struct open_call call;
	__u16 event = open__read_call(&call, (__u32)ctx->id, args);
	return CPU_HELD(open__send(task, entry, cgroup, &call, ctx->ret, event));
}
