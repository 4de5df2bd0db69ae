/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Layer 2: whether a rule can match this file call. What is checked, and why the answer is sound:
 * manifests/docs/verdicts.md.
 */
#pragma once

#define ALL_FAILING 0xffffffff

#define O_ACCMODE 3
#define O_WRONLY 1
#define O_CREAT 0100
#define O_TRUNC 01000
#define O_DIRECTORY 0200000
#define O_PATH 010000000

/* The number of the kind of an open (src/plan/verdicts/call-kinds.ts); `call` as OPEN_EVENTS there. */
static __always_inline __u32 verdict__kind(__u32 call, __u32 flags, bool failed)
{
	__u32 access = flags & O_ACCMODE;
	bool path_only = flags & O_PATH;
	bool reads = !path_only && (access == 0 || access == 2);
	bool writes = !path_only && (access == 1 || access == 2 || (flags & (O_CREAT | O_TRUNC)));
	__u32 kind = reads ? (writes ? 2 : 0) : writes ? 1 : 3;
	return call * 8 + kind + (failed ? 4 : 0);
}

#define MODE_BITS 07777 /* of a file: the kernel ignores others */

/* What the mode that a call asks for adds to its kind: 2: set-user-id or set-group-id, 4: may be executed by somebody. */
static __always_inline __u32 verdict__mode_kind(__u32 mode)
{
	return (mode & 06000 ? 2 : 0) + (mode & 0111 ? 4 : 0);
}

/* Appends text to the path to be judged, after its first `from` bytes; false if there is none, or it is too long. */
static __always_inline bool verdict__append_path(struct verdict_call *v, __u32 from, const char *text, __u32 len)
{
	if (!len || from + len >= VERDICT_PATH_MAX)
		return 0;
	barrier_var(from);
	barrier_var(len);
	from &= VERDICT_PATH_MAX - 1;
	len &= VERDICT_PATH_MAX - 1;
	/* both bounds together are less than `path` and `spare` */
	if (bpf_probe_read_kernel(&v->path[from], len, text))
		return 0;
	v->len = from + len;
	return 1;
}

/* A path below these directories may name another file: user space resolves that (withoutProcRoot). */
static __always_inline bool verdict__is_detour(const struct verdict_call *v)
{
	const char *p = v->path;
	return (p[1] == 'p' && p[2] == 'r' && p[3] == 'o' && p[4] == 'c') || (p[1] == 'd' && p[2] == 'e' && p[3] == 'v');
}

static __always_inline const __u64 *verdict__of_kind(struct verdict_table *t, __u32 kind)
{
	barrier_var(kind); /* keeps the mask, which Linux 6.1 needs */
	return t->kinds[kind & (VERDICT_KINDS - 1)];
}

/* Whether a rule can match a call of this kind with any path. */
static __always_inline bool verdict__has_kind(struct verdict_table *t, __u32 kind)
{
	return verdict__has_any(verdict__of_kind(t, kind), t->may);
}

/* Whether the program's path is that of the call. */
__noinline int verdict__is_same_program(void)
{
	struct verdict_call *call = verdict__get_call(), *program = verdict__get_program();
	if (!call || !program || call->len != program->len)
		return 0;
	/* Bytes after the end are the same: both have four slashes there. */
	for (__u32 i = 0; i < VERDICT_PATH_MAX; i += 4) {
		if (i >= call->len)
			return 1;
		if (*(__u32 *)&call->path[i] != *(__u32 *)&program->path[i])
			return 0;
	}
	return 1;
}

/*
 * Reads which program this process runs; 0 if it is not known. Its path can be unknown where its layer is not. A global
 * function, so that its stack is free again where the path is walked: Linux 6.1 counts 512 bytes for all callers.
 */
__noinline int verdict__load_program(void)
{
	struct verdict_call *program = verdict__get_program();
	if (!program)
		return 0;
	if (program->is_given)
		return program->is_known;
	program->is_known = 0;
	struct task_struct *task = scope__current();
	__u32 pid = task->tgid;
	struct image *made = image__get_made(), *image = image__find(pid, task->group_leader->start_boottime);
	program->len = 0;
	if (!made || !image || !image__copy(made, image, pid) || made->program != PROGRAM_KNOWN ||
	    made->exec_id != task->self_exec_id)
		return 0;
	__u32 len = made->len;
	program->parent = made->parent;
	program->parent_start = made->parent_start;
	program->is_entrant = made->is_entrant;
	program->layer = made->layer;
	program->loads = made->loads;
	__builtin_memcpy(program->name, made->name, sizeof(program->name));
	verdict__load_numbers(program, made);
	if (len >= 2 && len < VERDICT_PATH_MAX) {
		__builtin_memcpy(program->path, made->path, VERDICT_PATH_MAX);
		program->len = len;
	}
	program->is_known = 1;
	return 1;
}

/* Removes the clauses that do not hold for the thread that makes the call. */
static __always_inline void verdict__narrow_by_thread(struct verdict_call *call, struct verdict_call *program)
{
	/* a given call has a given name */
	if (!program || (!program->is_given && call->named_for != bpf_get_current_pid_tgid() &&
			 bpf_probe_read_kernel(call->name, sizeof(call->name), scope__current()->comm)))
		return;
	verdict__narrow_by_name(VERDICT_CALL);
}

/* Removes the clauses that do not hold for the program that makes the call, which is loaded. */
__noinline int verdict__narrow_by_program(__u32 has_path)
{
	struct verdict_call *call = verdict__get_call(), *program = verdict__get_program();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	if (!t || !program)
		return 0;
	program->table = call->table;
	__u64 *left = call->left;
	__u32 form = (program->layer & (VERDICT_LAYERS - 1)) + (program->loads ? VERDICT_LAYERS : 0);
	barrier_var(form); /* keeps the mask, which Linux 6.1 needs */
	verdict__narrow(left, t->program_forms[form & (VERDICT_PROGRAM_FORMS - 1)]);
	if (!program->len)
		return 0;
	verdict__walk(t, program, VERDICT_PROGRAM);
	if (has_path)
		verdict__narrow(left, t->same_program[verdict__is_same_program() & 1]);
	for (int m = 0; m < MACHINE_ANYWHERE; m++)
		verdict__narrow_by(left, t, verdict__cell(t, program->state[m], ROW_PROGRAM));
	verdict__narrow_by(left, t, t->seen_program[program->seen & ((1 << VERDICT_SEEN) - 1)]);
	return 0;
}

/* The rules that deny, as bits, that can be certain of a call of this kind. */
static __always_inline __u32 verdict__denying(struct verdict_table *t, __u32 kind)
{
	barrier_var(kind); /* keeps the mask, which Linux 6.1 needs */
	return t->denying[kind & (VERDICT_KINDS - 1)];
}

/* What is asked of a call: which rules can match it, or which of them deny it. */
enum { ASKS_ALL, ASKS_DENYING };

/* Notes which of the certain rules may fail, of all of them or of those that deny such a call: the others count as failing then. */
__noinline int verdict__note_failing(__u32 asks)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	if (!t)
		return 0;
	__u32 failing = ALL_FAILING, asked = asks == ASKS_DENYING ? verdict__denying(t, call->kind) : ALL_FAILING;
	for (int rule = 0; rule < VERDICT_CERTAIN; rule++) {
		if (rule < t->certain && asked & (1u << rule) && !verdict__has_any(call->left, t->failures[rule]))
			failing &= ~(1u << rule);
	}
	call->failing = failing;
	return 0;
}

/*
 * Whether a rule that denies such a call can be certain, whatever is looked at after this stage (SETTLED_*). Of most calls none can:
 * nothing of that is looked at then.
 */
__noinline int verdict__may_deny(__u32 stage)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	if (!t || stage >= SETTLED_STAGES)
		return 0;
	const __u64 *settled = t->settled[stage];
	__u32 denying = verdict__denying(t, call->kind);
	for (int rule = 0; rule < VERDICT_CERTAIN; rule++) {
		if (!(denying & (1u << rule)))
			continue;
		__u64 fails = 0;
		for (int i = 0; i < VERDICT_WORDS; i++)
			fails |= call->left[i] & t->failures[rule][i] & settled[i];
		if (!fails)
			return 1;
	}
	return 0;
}

/*
 * Whether a rule can match the call in verdict_call: 0 only if none can. If it returns 1 or the path is_part,
 * `failing` says which of the certain rules may fail. The path must be that of its file, or have no component that is
 * empty, '.' or '..' (is_odd); of a program that is run, it is that as passed. If it does not begin with a slash or is too long, only kind, form and program count.
 *
 * ASKS_DENYING: `failing` is about the rules that deny such a call, and 0 means that none of them is certain. Who makes the call is
 * only looked at where what the call is leaves that open.
 */
__noinline int verdict__passes(__u32 asks)
{
	struct verdict_call *call = verdict__get_call();
	if (!call)
		return 1;
	__u64 source = call->source;
	call->source = 0;
	call->failing = ALL_FAILING;
	struct verdict_table *t = verdict__find_table(call->table);
	if (!t)
		return 1;
	__u64 *left = call->left;
	__builtin_memcpy(left, verdict__of_kind(t, call->kind), sizeof(call->left));
	bool is_way = call->kind >= VERDICT_FIRST_WAY, is_connect = !is_way && call->kind >= VERDICT_FIRST_CONNECT;
	bool is_exec = call->kind >= VERDICT_FIRST_EXEC && call->kind < VERDICT_FIRST_CONNECT;
	bool is_whole = call->is_part || is_exec || is_way;
	__u32 form = is_exec ? call->standard
			     : (call->layer & (VERDICT_LAYERS - 1)) + (call->directory ? VERDICT_LAYERS : 0) +
				       (call->dots ? 2 * VERDICT_LAYERS : 0);
	barrier_var(form); /* keeps the mask, which Linux 6.1 needs */
	verdict__narrow(left, t->forms[form & (VERDICT_FORMS - 1)]);
	__u32 len = call->len;
	call->is_odd = 0;
	/* a program that is run, or a call that is judged by who makes it, has no path, but `failing` is wanted */
	if (!is_whole && !verdict__has_any(left, t->may))
		return 0;
	bool has_path = len >= 2 && len < VERDICT_PATH_MAX && call->path[0] == '/';
	if (has_path)
		verdict__narrow_by_path(t, call, source);
	if (is_connect && call->kind < VERDICT_FIRST_CONNECT + CONNECT_UNIX)
		verdict__narrow_by_end();
	bool passes = verdict__has_any(left, t->may);
	if ((passes || is_whole) && t->names & NAMES_THREAD)
		verdict__narrow_by_thread(call, verdict__get_program());
	if (asks == ASKS_DENYING && (passes || is_whole) && !verdict__may_deny(SETTLED_BY_CALL))
		return 0;
	if ((passes || is_whole) && (t->programs || t->names)) {
		if (t->programs && verdict__load_program()) {
			if (t->names & NAMES_PROCESS)
				verdict__narrow_by_name(VERDICT_PROGRAM);
			if (t->numbers)
				verdict__narrow_by_numbers();
			/* its path is the longest text */
			if (is_whole || verdict__has_any(left, t->may))
				verdict__narrow_by_program(has_path);
		}
		passes = verdict__has_any(left, t->may);
	}
	/* of a connect all is known but an unreadable path */
	bool is_known = has_path || is_exec || is_way || (is_connect && call->kind != VERDICT_FIRST_CONNECT + CONNECT_UNIX);
	if ((passes || is_whole) && is_known)
		verdict__note_failing(asks);
	/*
	 * Chunks may have used different tables, whose combined result belongs to neither. A removed table never
	 * comes back.
	 */
	if (verdict__find_table(call->table) == t)
		return passes || (asks == ASKS_DENYING && is_whole);
	call->failing = ALL_FAILING;
	return 1;
}

/* Removes the clauses that do not hold for what is above the process: ancestors, and the age of the oldest one. */
static __always_inline void verdict__look_above(struct verdict_table *t)
{
	verdict__narrow_by_ancestors();
	if (t->numbers)
		verdict__narrow_by_numbers();
}

/*
 * After verdict__passes, of a program that is run: notes again which of the certain rules may fail, now with what is known
 * of its words, its environment and its ancestors. Not a part of it, since other calls would then have too many functions
 * on their stack.
 */
static __always_inline void verdict__judge_exec(struct verdict_table *t, __u32 asks)
{
	struct verdict_call *program = verdict__get_program();
	if (!program || !program->is_known || !(t->argv || t->ancestors) || !verdict__may_deny(SETTLED_BY_PROGRAM))
		return;
	if (t->argv & ((1 << ARGV_VARIABLES) - 1))
		verdict__narrow_by_argv();
	if (verdict__may_deny(SETTLED_BY_WORDS)) {
		if (t->argv >> ARGV_VARIABLES)
			verdict__narrow_by_variables();
		if (t->ancestors && verdict__may_deny(SETTLED_BY_ENVIRONMENT))
			verdict__look_above(t);
	}
	verdict__note_failing(asks);
}

/*
 * After verdict__passes, of a call that is refused where a rule denies it: notes again which of the certain rules may fail, now
 * with what is known of the ancestors at the time call->since. Calls that are only reported do without.
 */
static __always_inline void verdict__judge_ancestors(struct verdict_table *t, __u32 asks)
{
	struct verdict_call *program = verdict__get_program();
	if (!t->ancestors || !program || !program->is_known || !verdict__may_deny(SETTLED_BY_PROGRAM))
		return;
	verdict__look_above(t);
	verdict__note_failing(asks);
}

/* Whether anything is denied: the agent is there, or it has ended not too long ago. */
static __always_inline bool verdict__denies_any(void)
{
	__u64 until = *(volatile __u64 *)&state.deny_until;
	return !until || bpf_ktime_get_boot_ns() < until;
}

/* Another table has come in the place of the one that was asked: the container has a new number by now. */
#define VERDICT_REPLACED 2
/* How often a new one is asked then. */
#define VERDICT_TRIES 4

/* What a table says that was found by this number: 1: it is denied, 0: it is not, or VERDICT_REPLACED. */
static __always_inline int verdict__answer(struct verdict_table *t, __u32 number, __u32 denies)
{
	return verdict__find_table(number) != t ? VERDICT_REPLACED : !!denies;
}

/* Counts a denial that no agent will tell of. */
static __always_inline void verdict__count_denial(struct scope_entry *entry)
{
	__u64 seen = *(volatile __u64 *)&state.seen;
	if (seen && bpf_ktime_get_boot_ns() > seen + UNSEEN_NS)
		__sync_fetch_and_add(&entry->denied_unseen, 1);
}

/*
 * Whether a rule that denies certainly matches the program that this process has begun to run (image__store).
 * `table`: that of its container. Its record is in the scratch, with the path as passed. Its words are there, `argv_len`
 * bytes at `argv_from`; 0: they are not known. So is its environment at `env_from`; 0: that is not known. `standard`:
 * bit n: descriptor n is a connection. Returns as verdict__answer.
 */
__noinline int verdict__denies(__u32 table, __u32 standard, __u32 argv_from, __u32 argv_len, __u32 env_from)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = verdict__find_table(table);
	struct scratch *s = ring__get_scratch();
	if (!t)
		return VERDICT_REPLACED;
	if (!call || !s)
		return 0;
	__u32 kind = VERDICT_FIRST_EXEC + (s->h.event == EVENT_EXECVEAT);
	if (!verdict__denying(t, kind) || !verdict__denies_any())
		return 0;
	call->table = table;
	call->kind = kind;
	call->since = s->h.ts;
	call->standard = standard;
	call->directory = call->dots = 0;
	call->layer = LAYER_NONE;
	/* As passed: if it is not absolute, or too long, nothing is said of it. */
	const struct rec_exec *r = (void *)s->b;
	__u32 raw_from = sizeof(*r) + r->exes_len + r->ancestors_len;
	call->len = 0;
	verdict__append_path(call, 0, s->b + raw_from, r->raw_len);
	call->argv_from = argv_from;
	call->argv_len = argv_len;
	call->env_from = env_from;
	call->env_len = env_from ? r->env_len : 0;
	if (verdict__passes(ASKS_DENYING))
		verdict__judge_exec(t, ASKS_DENYING);
	return verdict__answer(t, table, ~call->failing);
}
