/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: the automata of a table of verdicts, over the texts of a call (manifests/docs/verdicts.md). */
#pragma once

#define VERDICT_CHUNK 16
/* places in a row */
#define ROW_END 0
#define ROW_SLASH 1
#define ROW_PROGRAM 2
/* of MACHINE_COMM */
#define ROW_PROCESS 0
#define ROW_THREAD 1

static __always_inline struct verdict_call *verdict__get_call(void)
{
	__u32 call = VERDICT_CALL;
	return bpf_map_lookup_elem(&verdict_call, &call);
}

static __always_inline struct verdict_call *verdict__get_program(void)
{
	__u32 program = VERDICT_PROGRAM;
	return bpf_map_lookup_elem(&verdict_call, &program);
}

static __always_inline struct verdict_table *verdict__find_table(__u32 number)
{
	__u32 zero = 0;
	if (number >= VERDICT_TABLES || !(state.tables & (1ULL << number)))
		return NULL;
	void *table = bpf_map_lookup_elem(&verdict_tables, &number);
	return table ? bpf_map_lookup_elem(table, &zero) : NULL;
}

/* The clauses that are left stay in verdict_call: six functions deep, the stack has no room for them. */
static __always_inline void verdict__narrow(__u64 *left, const __u64 *mask)
{
	for (int i = 0; i < VERDICT_WORDS; i++)
		left[i] &= mask[i];
	barrier(); /* or the compiler keeps them on the stack from one to the next */
}

static __always_inline void verdict__narrow_by(__u64 *left, struct verdict_table *t, __u32 number)
{
	verdict__narrow(left, t->masks[number & (VERDICT_MASKS - 1)]);
}

static __always_inline bool verdict__has_any(const __u64 *left, const __u64 *mask)
{
	__u64 any = 0;
	for (int i = 0; i < VERDICT_WORDS; i++)
		any |= left[i] & mask[i];
	return any;
}

static __always_inline __u32 verdict__cell(struct verdict_table *t, __u32 row, __u32 place)
{
	return t->next[(row + place) & (VERDICT_NEXT - 1)];
}

static __always_inline __u32 verdict__step(struct verdict_table *t, __u32 m, __u32 row, __u8 byte)
{
	return verdict__cell(t, row, t->classes[m][byte]);
}

/*
 * Runs the automata over the next bytes of the path of `which` (VERDICT_*); returns 0 at its
 * end. A global function: the verifier proves only these few bytes, not the whole path, which would be most of the
 * probe's load time.
 */
__noinline int verdict__chunk(__u32 which)
{
	struct verdict_call *call = bpf_map_lookup_elem(&verdict_call, &which);
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	if (!t)
		return 0;
	__u32 state[VERDICT_PATH_MACHINES], at = call->at, len = call->len, seen = call->seen;
	for (int m = 0; m < VERDICT_PATH_MACHINES; m++)
		state[m] = call->state[m];
	for (int i = 0; i < VERDICT_CHUNK; i++) {
		if (at >= len)
			break;
		__u32 place = at & (VERDICT_PATH_MAX - 1);
		barrier_var(place); /* keeps the bound in the register that is added */
		__u8 byte = call->path[place];
		for (int m = 0; m < VERDICT_PATH_MACHINES; m++)
			state[m] = verdict__step(t, m, state[m], byte);
		if (byte == '/') {
			/* '//', '/./' or '/../': four slashes follow the path */
			const char *p = &call->path[place];
			if (p[1] == '/' || (p[1] == '.' && (p[2] == '/' || (p[2] == '.' && p[3] == '/'))))
				call->is_odd = 1;
			call->slash_at = at;
			call->seen_slash = seen;
			for (int m = 0; m < VERDICT_PATH_MACHINES; m++)
				call->slash[m] = state[m];
		}
		seen |= verdict__cell(t, state[MACHINE_ANYWHERE], ROW_END);
		at++;
	}
	call->at = at;
	call->seen = seen;
	for (int m = 0; m < VERDICT_PATH_MACHINES; m++)
		call->state[m] = state[m];
	return at < len;
}

/* Ends the path with four slashes, for what looks beyond it. */
static __always_inline void verdict__end_path(struct verdict_call *call)
{
	__u32 end = call->len;
	barrier_var(end); /* keeps the mask, which Linux 6.12 needs */
	__builtin_memset(&call->path[end & (VERDICT_PATH_MAX - 1)], '/', 4);
}

/* Runs the automata over the whole path, of up to VERDICT_PATH_MAX - 1 bytes. */
static __always_inline void verdict__walk(struct verdict_table *t, struct verdict_call *call, __u32 which)
{
	verdict__end_path(call);
	call->at = call->slash_at = 0;
	call->seen = verdict__cell(t, t->start[MACHINE_ANYWHERE], ROW_END);
	for (int m = 0; m < VERDICT_PATH_MACHINES; m++)
		call->state[m] = t->start[m];
	for (int i = 0; i < VERDICT_PATH_MAX / VERDICT_CHUNK; i++)
		if (!verdict__chunk(which))
			break;
}

/* Runs the automata over the path of the call, and stores the clauses that can hold for it. */
static __always_inline void verdict__walk_call(struct verdict_table *t, struct verdict_call *call)
{
	bool directory = call->directory;
	__u64 *left = call->path_left;
	verdict__walk(t, call, VERDICT_CALL);
	__builtin_memset(left, 0xff, sizeof(call->path_left));
	__u32 seen = call->seen;
	bool is_below = directory || call->slash_at;
	for (int m = 0; m < MACHINE_ANYWHERE; m++) {
		__u32 state = call->state[m];
		if (m == MACHINE_NAME && directory)
			verdict__narrow(left, t->no_name);
		else
			verdict__narrow_by(left, t, verdict__cell(t, state, ROW_END));
		__u32 behind = directory ? verdict__step(t, m, state, '/') : call->slash[m];
		if (is_below)
			verdict__narrow_by(left, t, verdict__cell(t, behind, ROW_SLASH));
	}
	verdict__narrow_by(left, t, t->seen_end[seen & ((1 << VERDICT_SEEN) - 1)]);
	__u32 above = directory ? seen : call->seen_slash;
	if (is_below)
		verdict__narrow_by(left, t, t->seen_slash[above & ((1 << VERDICT_SEEN) - 1)]);
	else
		verdict__narrow(left, t->root);
}

/* Removes the clauses that do not hold for the path of the call. What the automata have just said of it is not asked again. */
static __always_inline void verdict__narrow_by_path(struct verdict_table *t, struct verdict_call *call, __u64 source)
{
	if (source && call->walked == source && call->walked_by == (__u64)t && call->walked_directory == call->directory) {
		verdict__end_path(call);
	} else {
		verdict__walk_call(t, call);
		call->walked = call->is_odd ? 0 : source;
		call->walked_by = (__u64)t;
		call->walked_directory = call->directory;
	}
	verdict__narrow(call->left, call->path_left);
}

/* The row of automaton `m` after the two halves of a byte. */
static __always_inline __u32 verdict__step_halves(struct verdict_table *t, __u32 m, __u32 row, __u8 byte)
{
	return verdict__step(t, m, verdict__step(t, m, row, byte >> 4), byte & 15);
}

/* Removes the clauses that do not hold for the address and port of the connect in verdict_call. */
__noinline int verdict__narrow_by_end(void)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	if (!t)
		return 0;
	__u32 len = call->address_len;
	__u32 row = verdict__step(t, MACHINE_ADDRESS, t->start[MACHINE_ADDRESS], len == 4 ? VERDICT_IPV4 : VERDICT_IPV6);
	for (int i = 0; i < sizeof(call->address); i++) {
		if (i >= len)
			break;
		row = verdict__step_halves(t, MACHINE_ADDRESS, row, call->address[i]);
	}
	verdict__narrow_by(call->left, t, verdict__cell(t, row, ROW_END));
	__u16 port = call->port;
	row = verdict__step_halves(t, MACHINE_PORT, t->start[MACHINE_PORT], port >> 8);
	row = verdict__step_halves(t, MACHINE_PORT, row, port & 0xff);
	verdict__narrow_by(call->left, t, verdict__cell(t, row, ROW_END));
	return 0;
}

/* The row of the automaton of names at the end of this one. */
static __always_inline __u32 verdict__name_row(struct verdict_table *t, const char *name)
{
	__u32 row = t->start[MACHINE_COMM];
	for (int i = 0; i < COMM_LEN; i++) {
		__u8 byte = name[i];
		if (!byte)
			break;
		row = verdict__step(t, MACHINE_COMM, row, byte);
	}
	return row;
}

/*
 * Removes the clauses that do not hold for a name: that of the thread (VERDICT_CALL), or that of the process since its
 * exec (VERDICT_PROGRAM).
 */
__noinline int verdict__narrow_by_name(__u32 which)
{
	struct verdict_call *call = verdict__get_call(), *of = bpf_map_lookup_elem(&verdict_call, &which);
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	if (!t || !of)
		return 0;
	__u32 row = verdict__name_row(t, of->name);
	verdict__narrow_by(call->left, t, verdict__cell(t, row, which == VERDICT_CALL ? ROW_THREAD : ROW_PROCESS));
	return 0;
}
