// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Steps of a system call's record: the strings passed, the directories that they are relative to, their verdicts. */

#define NOT_AN_ARGUMENT 7
#define NO_DETOUR (-1)
#define DESCRIPTOR_DIGITS 8

/* Whether the record has room for so many bytes at `off`; bounds `off` for the verifier. */
#define CALL_ROOM(off, bytes) ((off) <= SCRATCH_BYTES - sizeof(struct rec_header) - (bytes) - 8)

static __always_inline struct call_state *call__get_state(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&call_state, &zero);
}

/* Resets the string state before the first string. */
static __always_inline void call__forget_strings(struct call_state *c)
{
	c->relative = 0;
	c->detours[0] = c->detours[1] = c->detours[2] = NO_DETOUR;
}

/*
 * String `which`, just stored at c->off, may begin with the caller's own working directory or descriptor, by way of
 * /proc. Where that leads is known only now. Other spellings are not resolved: their paths stay below /proc, where
 * nothing can be linked or moved, and rules can tell.
 */
__noinline int call__find_detour(struct call_state *c, __u32 which)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s || which > 2)
		return 0;
	__u32 off = c->off, skip = 0;
	barrier_var(off);
	if (!CALL_ROOM(off, PATH_MAX))
		return 0;
	char start[18] = {}, rest[4 + DESCRIPTOR_DIGITS] = {};
	bpf_probe_read_kernel(start, sizeof(start), s->b + off);
	if (!__builtin_memcmp(start, "/proc/self/", 11))
		skip = 11;
	else if (!__builtin_memcmp(start, "/proc/thread-self/", 18))
		skip = 18;
	else if (!__builtin_memcmp(start, "/dev/", 5))
		skip = 5;
	else
		return 0;
	bpf_probe_read_kernel(rest, sizeof(rest), s->b + off + skip);
	if (!__builtin_memcmp(rest, "cwd", 3) && (!rest[3] || rest[3] == '/') && skip > 5) {
		c->detours[which] = AT_FDCWD;
		return 0;
	}
	if (__builtin_memcmp(rest, "fd/", 3))
		return 0;
	__s32 fd = NO_DETOUR;
	for (int i = 0; i < DESCRIPTOR_DIGITS; i++) {
		char digit = rest[3 + i];
		if (digit < '0' || digit > '9') {
			c->detours[which] = !digit || digit == '/' ? fd : NO_DETOUR;
			return 0;
		}
		fd = (i ? fd * 10 : 0) + digit - '0';
	}
	return 0;
}

/* Ends string `which`, of `len` bytes, which was stored at `off`, the value of c->off. */
static __always_inline void call__end_text(struct call_state *c, struct scratch *s, __u32 which, __u32 off, __u32 len)
{
	if (len == 0 || s->b[off & (SCRATCH_BYTES / 2 - 1)] != '/')
		c->relative |= 1 << which;
	else
		call__find_detour(c, which);
	(&((struct rec_call *)s->b)->raw1_len)[which] = len;
	c->off = off + len;
}

/* Copies string `which` of the call (0 to 2). */
__noinline int call__store_text(struct call_state *c, __u32 which)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s || which > 2)
		return 0;
	struct rec_call *r = (void *)s->b;
	__u32 arg = c->spec.strings[which] & 7;
	if (!arg)
		return 0;
	if (!c->args[arg]) {
		r->flags |= RAW_UNREADABLE;
		return 0;
	}
	__u32 off = c->off;
	barrier_var(off);
	if (!CALL_ROOM(off, PATH_MAX))
		return 0;
	long n = bpf_probe_read_user_str(s->b + off, PATH_MAX, (void *)c->args[arg]);
	if (n < 0) {
		r->flags |= RAW_UNREADABLE;
		maps__count_read_error();
		return 0;
	}
	if (n == PATH_MAX && c->ret == -ENAMETOOLONG) /* 4095 bytes also fill the buffer, but are complete */
		r->flags |= RAW_TRUNCATED;
	__u32 len = n > 0 ? (n - 1) & (PATH_MAX - 1) : 0;
	call__end_text(c, s, which, off, len);
	return 0;
}

/* Appends the path buffer's content from `start`; returns the length. */
static __always_inline __u32 call__append_path(struct call_state *c, struct scratch *s, long start)
{
	__u32 off = c->off;
	barrier_var(off);
	if (!CALL_ROOM(off, PATH_MAX))
		return 0;
	__u32 len = path__copy_buffer(s->b + off, start) & (PATH_MAX - 1);
	c->off = off + len;
	return len;
}

/* Copies the directory that string `which` is relative to; for an absolute string, only that of a detour. */
__noinline int call__store_directory(struct call_state *c, __u32 which)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s || which > 2)
		return 0;
	struct rec_call *r = (void *)s->b;
	__u32 arg = c->spec.dirs[which] & 7;
	bool start_counts = (c->relative & (1 << which)) || (c->spec.flags & CALL_NEW_CWD);
	__s32 fd = arg == NOT_AN_ARGUMENT ? AT_FDCWD : (__s32)c->args[arg];
	if (!start_counts)
		fd = c->detours[which];
	if (!arg || (!start_counts && fd == NO_DETOUR))
		return 0;
	struct task_struct *task = scope__current();
	bool moved = (c->spec.flags & CALL_NEW_ROOT) && c->ret == 0;
	long start = file__write_directory(task, fd, moved ? NULL : task->fs);
	if (start < 0)
		return 0;
	if ((start >> PATH_FLAGS_SHIFT) & FILE_PATH_TRUNCATED)
		r->flags |= CWD_TRUNCATED;
	(&r->dir1_len)[which] = call__append_path(c, s, start);
	return 0;
}

/* The number of the call's kind, for its first path or descriptor, or its second path (src/plan/verdicts/call-kinds.ts). */
static __always_inline __u32 call__kind(const struct call_state *c, __u32 which)
{
	__u32 mode = c->spec.mode ? c->args[c->spec.mode & 7] : 0;
	return VERDICT_OPEN_KINDS + ((c->spec.judged - 1) * 2 + which) * VERDICT_PATH_KINDS + (c->ret < 0) +
	       verdict__mode_kind(mode);
}

/* Notes the table that judges the call. 0 if no rule can match such a call, whatever its paths. */
__noinline int call__may_match_kind(struct call_state *c, __u32 table)
{
	if (!c)
		return 1;
	c->table = 0;
	c->failing = ALL_FAILING;
	bool is_connect = c->spec.event == EVENT_CONNECT;
	if (!table || (!c->spec.judged && !is_connect) || (c->spec.mode && c->args[c->spec.mode & 7] & ~MODE_BITS))
		return 1;
	struct verdict_table *t = verdict__find_table(table);
	if (!t)
		return 1;
	c->table = table;
	if (is_connect) /* judged when its socket is stored, which also ends the connection in `connecting` */
		return 1;
	return verdict__has_kind(t, call__kind(c, 0)) || verdict__has_kind(t, call__kind(c, 1));
}

/* 0 if no rule can match the call by its path `which` (0 or 1), joined with the directory that it is relative to. */
__noinline int call__may_match_path(struct call_state *c, __u32 which)
{
	struct scratch *s = ring__get_scratch();
	struct verdict_call *v = verdict__get_call();
	if (!c || !s || !v || which > 1)
		return 1;
	if (!(c->spec.dirs[which] & 7))
		return 0;
	__u32 failing = c->failing;
	c->failing = ALL_FAILING;
	struct rec_call *r = (void *)s->b;
	if (r->flags & (RAW_TRUNCATED | RAW_UNREADABLE | CWD_TRUNCATED))
		return 1;
	__u32 text = sizeof(*r) + (which ? r->raw1_len : 0), from = 0;
	if (c->relative & (1 << which)) {
		__u32 dir = sizeof(*r) + r->raw1_len + r->raw2_len + r->raw3_len + (which ? r->dir1_len : 0);
		if (!verdict__append_path(v, 0, s->b + (dir & (SCRATCH_BYTES / 2 - 1)), (&r->dir1_len)[which]))
			return 1;
		from = v->len;
		if (from > 1) {
			v->path[from & (VERDICT_PATH_MAX - 1)] = '/';
			from++;
		}
	}
	if (!verdict__append_path(v, from, s->b + (text & (SCRATCH_BYTES / 2 - 1)), (&r->raw1_len)[which]))
		return 1;
	v->table = c->table;
	v->kind = call__kind(c, which);
	v->directory = v->dots = 0;
	v->layer = LAYER_NONE;
	v->is_part = (c->spec.dirs[0] & 7) && (c->spec.dirs[1] & 7);
	bool passes = verdict__passes_claim(v);
	v->is_part = 0;
	if (v->is_odd || verdict__is_detour(v))
		return 1;
	c->failing = failing | v->failing;
	return passes;
}

/* 0 if no rule can match the call by the file of its descriptor, whose path was stored last. */
__noinline int call__may_match_descriptor(struct call_state *c)
{
	struct scratch *s = ring__get_scratch();
	struct verdict_call *v = verdict__get_call();
	if (!c || !s || !v)
		return 1;
	struct rec_call *r = (void *)s->b;
	__u32 len = r->path_len, at = c->off - len;
	c->failing = ALL_FAILING;
	if (!(r->file_flags & FILE_KNOWN) || r->file_flags & (FILE_PATH_TRUNCATED | FILE_DETACHED))
		return 1;
	if (!verdict__append_path(v, 0, s->b + (at & (SCRATCH_BYTES / 2 - 1)), len))
		return 1;
	v->table = c->table;
	v->kind = call__kind(c, 0);
	v->directory = (r->file_mode & S_IFMT) == S_IFDIR;
	v->dots = 0;
	v->layer = LAYER_NONE;
	bool passes = verdict__passes(ASKS_ALL);
	c->failing = v->failing;
	return passes;
}

/*
 * 0 if no rule can match the call, whose strings and directories, or whose file, are stored. Sets `failing` to the
 * certain rules that may fail.
 */
__noinline int call__may_match(struct call_state *c)
{
	if (!c || !c->table)
		return 1;
	struct verdict_table *t = verdict__find_table(c->table);
	c->failing = 0;
	bool passes;
	if (c->spec.event == EVENT_CONNECT)
		passes = connect__may_match(c);
	else
		passes = c->spec.fd ? call__may_match_descriptor(c) : call__may_match_path(c, 0);
	if (!c->spec.fd && call__may_match_path(c, 1))
		passes = 1;
	/* The paths may have been judged by different tables, as the chunks of one path (see verdict__passes). */
	if (t && verdict__find_table(c->table) == t && scope__is_filtering(c->table))
		return passes;
	c->failing = ALL_FAILING;
	return 1;
}
