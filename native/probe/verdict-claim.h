/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: verdicts on paths as programs pass them, which need not be in their shortest form. */
#pragma once

/*
 * Moves the next bytes of the path to where they are without empty components and '.'; returns 0 at its end. Like
 * verdict__chunk, proved for these few bytes only, and without branches, of which each would double what is proved.
 */
__noinline int verdict__tidy_chunk(void)
{
	struct verdict_call *call = verdict__get_call();
	if (!call)
		return 0;
	__u32 at = call->at, len = call->len, tidied = call->tidied, is_dot = call->is_dot;
	for (int i = 0; i < VERDICT_CHUNK; i++) {
		if (at >= len)
			break;
		__u32 place = at & (VERDICT_PATH_MAX - 1), to = tidied & (VERDICT_PATH_MAX - 1);
		barrier_var(place); /* as in verdict__chunk */
		barrier_var(to);
		/* four slashes follow the path */
		const __u8 *p = (void *)&call->path[place];
		__u8 byte = p[0];
		/* each is 0 only if they are equal */
		__u32 slash = byte ^ '/', then_slash = p[1] ^ '/', then_dot = (p[1] ^ '.') | (p[2] ^ '/');
		__u32 skips_dot = ((slash | then_dot) - 1) >> 31, skips_slash = ((slash | then_slash) - 1) >> 31;
		call->path[to] = byte; /* already read; overwritten if it is not kept */
		tidied += 1 - (is_dot | skips_dot | skips_slash);
		is_dot = skips_dot;
		at++;
	}
	call->at = at;
	call->tidied = tidied;
	call->is_dot = is_dot;
	return at < len;
}

/* Takes empty components and '.' out of the path. */
__noinline int verdict__tidy(void)
{
	struct verdict_call *call = verdict__get_call();
	if (!call)
		return 0;
	call->at = call->tidied = call->is_dot = 0;
	for (int i = 0; i < VERDICT_PATH_MAX / VERDICT_CHUNK; i++)
		if (!verdict__tidy_chunk())
			break;
	call->len = call->tidied ? call->tidied : 1; /* the root: too short to be walked */
	return 0;
}

/*
 * verdict__passes for a path as a program passed it, which can have empty components and '.'. `is_odd` is left set if
 * it has '..'.
 */
static __always_inline bool verdict__passes_claim(struct verdict_call *v)
{
	int passes = verdict__passes(ASKS_ALL);
	if (v->is_odd) {
		verdict__tidy();
		passes = verdict__passes(ASKS_ALL);
	}
	return passes;
}
