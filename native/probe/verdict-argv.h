/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: verdicts on the words with which a program is run. */
#pragma once

/* The next step of both automata over the words. */
static __always_inline void verdict__argv_step(struct verdict_call *call, struct verdict_table *t, __u8 byte)
{
	call->argv_row = verdict__step(t, MACHINE_ARGV, call->argv_row, byte);
	call->within_row = verdict__step(t, MACHINE_WITHIN, call->within_row, byte);
	call->within |= verdict__cell(t, call->within_row, ROW_END);
}

/*
 * Reads the next bytes of a text of the words, from argv_at to argv_end; returns 0 at its end. As verdict__chunk, proved
 * for these few bytes only. Words are separated by spaces, as in proc.args.
 */
__noinline int verdict__argv_chunk(void)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	struct scratch *s = ring__get_scratch();
	if (!t || !s)
		return 0;
	__u32 at = call->argv_at, end = call->argv_end, is_first = call->argv_is_first;
	for (int i = 0; i < VERDICT_CHUNK; i++) {
		if (at >= end)
			break;
		__u32 place = at & (SCRATCH_BYTES - 1);
		barrier_var(place); /* keeps the bound in the register that is added */
		__u8 byte = ((const __u8 *)s)[place];
		if (!byte && is_first) {
			end = call->argv_end = at;
			break;
		}
		verdict__argv_step(call, t, byte ? byte : ' ');
		at++;
	}
	call->argv_at = at;
	return at < end;
}

static __always_inline void verdict__begin_argv(struct verdict_call *call, struct verdict_table *t, bool is_first)
{
	call->argv_row = t->start[MACHINE_ARGV];
	call->within_row = t->start[MACHINE_WITHIN];
	call->within = verdict__cell(t, call->within_row, ROW_END);
	call->argv_is_first = is_first;
}

/* Reads from `from` to `end`; returns where it ended. */
static __always_inline __u32 verdict__walk_argv(struct verdict_call *call, __u32 from, __u32 end)
{
	call->argv_at = from;
	call->argv_end = end;
	for (int i = 0; i < VERDICT_ARGV_MAX / VERDICT_CHUNK; i++)
		if (!verdict__argv_chunk())
			break;
	return call->argv_at;
}

/* Removes the clauses that do not hold for the text (ARGV_*) that was read. */
__noinline int verdict__narrow_by_text(__u32 text)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	if (!t || text >= ARGV_TEXTS)
		return 0;
	verdict__narrow_by(call->left, t, verdict__cell(t, call->argv_row, text));
	__u32 found = call->within, asked = t->asked_within[text];
	for (__u32 i = 0; i < VERDICT_WITHIN; i++) {
		if (!(asked >> i & 1))
			continue;
		__u32 is_found = found >> i & 1;
		barrier_var(is_found);
		verdict__narrow(call->left, t->within[text][i][is_found & 1]);
	}
	return 0;
}

/* Removes the clauses that do not hold for the words of the program, if they are known. */
__noinline int verdict__narrow_by_argv(void)
{
	struct verdict_call *call = verdict__get_call(), *program = verdict__get_program();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	struct scratch *s = ring__get_scratch();
	if (!t || !program || !s)
		return 0;
	__u32 from = call->argv_from, len = call->argv_len, wanted = t->argv;
	if (!len || len > VERDICT_ARGV_MAX)
		return 0;
	__u32 end = from + len, last = (end - 1) & (SCRATCH_BYTES - 1);
	barrier_var(last);
	verdict__begin_argv(call, t, 1);
	/* after the first word's NUL */
	__u32 args = verdict__walk_argv(call, from, end) + 1;
	if (wanted & (1 << ARGV_FIRST))
		verdict__narrow_by_text(ARGV_FIRST);
	end -= !((const __u8 *)s)[last];
	bool has_args = args <= end;
	if (wanted & (1 << ARGV_ARGS)) {
		verdict__begin_argv(call, t, 0);
		if (has_args)
			verdict__walk_argv(call, args, end);
		verdict__narrow_by_text(ARGV_ARGS);
	}
	if (wanted & (1 << ARGV_LINE)) {
		verdict__begin_argv(call, t, 0);
		for (int i = 0; i < COMM_LEN; i++) {
			__u8 byte = program->name[i];
			if (!byte)
				break;
			verdict__argv_step(call, t, byte);
		}
		if (has_args) {
			verdict__argv_step(call, t, ' ');
			verdict__walk_argv(call, args, end);
		}
		verdict__narrow_by_text(ARGV_LINE);
	}
	return 0;
}
