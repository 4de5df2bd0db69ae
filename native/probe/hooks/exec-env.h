/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The environment of a program that is run. */
#pragma once

/* Appends the environment, up to ENV_MAX and the record's room; returns the record's end. */
static __always_inline __u32 exec__store_env(struct scratch *s, struct rec_exec *r, __u32 off, struct mm_struct *mm)
{
	unsigned long from = mm->env_start, bytes = mm->env_end - from;
	__u32 room = sizeof(s->b) - ENV_MAX - 8;
	if (off > room) { /* argv and three paths of nearly maximal size */
		r->flags |= ENV_TRUNCATED;
		return off;
	}
	if (bytes > ENV_MAX) {
		bytes = ENV_MAX;
		r->flags |= ENV_TRUNCATED;
	}
	barrier_var(off);
	barrier_var(bytes);
	if (off > room || bytes > ENV_MAX)
		return 0;
	if (bpf_probe_read_user(s->b + off, bytes, (void *)from)) {
		r->flags |= ENV_TRUNCATED;
		maps__count_read_error();
		return off;
	}
	r->env_len = bytes;
	return off + bytes;
}

#define LD_AFTER_NUL 0x5f444c00 /* "\0LD_", little-endian */
#define LOADS_CHUNK 128

/*
 * Whether a variable LD_* begins after the next bytes of the environment, from `at` to `end` in the scratch. A global
 * function: the verifier proves these few bytes, not all.
 */
__noinline int exec__loads_chunk(__u32 at, __u32 end)
{
	struct scratch *s = ring__get_scratch();
	if (!s || at > sizeof(s->b) - LOADS_CHUNK - 8)
		return 1;
	const char *env = s->b + at;
	for (__u32 i = 0; i < LOADS_CHUNK; i += 8) {
		if (at + i >= end)
			return 0;
		__u64 word = *(__u64 *)(env + i);
		/* the highest bit of a byte that is NUL, and perhaps of some after it */
		__u64 nuls = (word - EACH_BYTE) & ~word & EACH_BYTE * 0x80;
		if (!nuls)
			continue;
		/* the same of a byte before an 'L' */
		__u64 ls = *(__u64 *)(env + i + 1) ^ EACH_BYTE * 'L';
		if (!(nuls & (ls - EACH_BYTE) & ~ls))
			continue;
		bool found = 0;
		for (int k = 0; k < 8; k++)
			found |= *(__u32 *)(env + i + k) == LD_AFTER_NUL;
		if (found)
			return 1;
	}
	return 0;
}

/* Whether the environment, `bytes` at `from` in the scratch, has a variable LD_*, which the loader may read. */
__noinline int exec__has_loads(__u32 from, __u32 bytes)
{
	struct scratch *s = ring__get_scratch();
	__u32 end = from + bytes;
	if (!s || from > sizeof(s->b) - ENV_MAX - 8 || bytes > ENV_MAX)
		return 1;
	barrier_var(end); /* what is left of the record before must not count */
	if (end <= sizeof(s->b) - 8)
		*(__u64 *)(s->b + end) = 0;
	if (bytes && (*(__u32 *)(s->b + from) << 8) == LD_AFTER_NUL)
		return 1;
	for (__u32 i = 0; i < ENV_MAX; i += LOADS_CHUNK) {
		if (i >= bytes)
			break;
		if (exec__loads_chunk(from + i, end))
			return 1;
	}
	return 0;
}
