/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: verdicts on variables of the environment with which a program is run. */
#pragma once

#define ENV_CHUNK 64
/* Where the scratch has a made-up environment, for tests. */
#define GIVEN_ENV_AT 2048

/* Whether the variable that begins at `at` in the scratch is this one. */
static __always_inline bool verdict__is_variable(struct scratch *s, __u32 at, const struct verdict_variable *variable)
{
	for (__u32 i = 0; i < VERDICT_VARIABLE_MAX; i++) {
		if (i >= variable->len)
			break;
		__u32 place = (at + i) & (SCRATCH_BYTES - 1);
		barrier_var(place); /* keeps the bound in the register that is added */
		if (((const char *)s)[place] != variable->name[i])
			return 0;
	}
	return 1;
}

/* Notes where the value of the variable begins that begins at `at`, if the table asks for it. The first of a name counts. */
__noinline int verdict__note_variable(__u32 at)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	struct scratch *s = ring__get_scratch();
	if (!t || !s || at >= call->env_end)
		return 0;
	__u32 first = at & (SCRATCH_BYTES - 1);
	barrier_var(first); /* as in verdict__is_variable */
	if (!(call->env_starts >> (((const __u8 *)s)[first] & 63) & 1))
		return 0;
	for (int i = 0; i < VERDICT_VARIABLES; i++) {
		const struct verdict_variable *variable = &t->variables[i];
		if (variable->len && !call->variable_at[i] && verdict__is_variable(s, at, variable))
			call->variable_at[i] = at + variable->len;
	}
	return 0;
}

/*
 * Looks for variables that begin after one of the eight bytes from `at` on, with a byte of `starts` (verdict_call.env_starts). A global
 * function, so that what it finds does not multiply what is proved of the loop around it: that was nine tenths of the probe.
 */
__noinline int verdict__env_word(__u32 at, __u64 starts)
{
	struct scratch *s = ring__get_scratch();
	__u64 place = at;
	barrier_var(place); /* as in verdict__env_chunk */
	/* nothing begins behind the last byte: eight are free behind the environment */
	if (!s || place > SCRATCH_BYTES - sizeof(__u64) - 1)
		return 0;
	const char *bytes = (const char *)s + place;
	__u64 word = *(__u64 *)bytes, next = *(__u64 *)(bytes + 1);
	for (__u32 k = 0; k < 8; k++)
		if (!(word >> 8 * k & 0xff) && starts >> (next >> 8 * k & 63) & 1)
			verdict__note_variable(at + k + 1);
	return 0;
}

/* Looks for variables that begin after the next bytes of the environment, from env_at on; returns 0 at its end. */
__noinline int verdict__env_chunk(void)
{
	struct verdict_call *call = verdict__get_call();
	struct scratch *s = ring__get_scratch();
	__u32 at = call ? call->env_at : 0, end = call ? call->env_end : 0;
	if (!call || !s)
		return 0;
	__u64 starts = call->env_starts;
	for (__u32 i = 0; i < ENV_CHUNK; i += 8) {
		__u64 place = at + i;
		if (place >= end)
			break;
		barrier_var(place); /* keeps the bound in the register that is added, where Linux 6.1 and 7.3 look for it */
		if (place > SCRATCH_BYTES - sizeof(__u64))
			break;
		__u64 word = *(__u64 *)((const char *)s + place);
		/* the highest bit of a byte that is NUL, and perhaps of some after it */
		if ((word - EACH_BYTE) & ~word & EACH_BYTE * 0x80)
			verdict__env_word(at + i, starts);
	}
	call->env_at = at + ENV_CHUNK;
	return call->env_at < end;
}

/* Removes the clauses that do not hold for the variables of the environment. One that there is not has an empty value. */
__noinline int verdict__narrow_by_variables(void)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	/* of an empty one the agent does not know that it is */
	if (!t || !call->env_len || call->env_len > ENV_MAX)
		return 0;
	__u32 wanted = t->argv >> ARGV_VARIABLES, end = call->env_from + call->env_len;
	__builtin_memset(call->variable_at, 0, sizeof(call->variable_at));
	call->env_at = call->env_from;
	call->env_end = end;
	call->env_starts = 0;
	for (int i = 0; i < VERDICT_VARIABLES; i++)
		if (t->variables[i].len)
			call->env_starts |= 1ULL << (t->variables[i].name[0] & 63);
	verdict__note_variable(call->env_from);
	for (int i = 0; i < ENV_MAX / ENV_CHUNK; i++)
		if (!verdict__env_chunk())
			break;
	for (__u32 i = 0; i < VERDICT_VARIABLES; i++) {
		if (!(wanted >> i & 1))
			continue;
		verdict__begin_argv(call, t, 1);
		__u32 at = call->variable_at[i];
		/* a longer one is not known */
		if (at && verdict__walk_argv(call, at, end) < call->argv_end)
			continue;
		verdict__narrow_by_text(ARGV_VARIABLES + i);
	}
	return 0;
}
