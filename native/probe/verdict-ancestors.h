/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: verdicts on the ancestors of a process that makes a call, as far as they are the container's. */
#pragma once

/* Places in a row for an ancestor by its number - 1, then for any of them. */
#define ROW_ANCESTOR 3
#define ROW_ANY (ROW_ANCESTOR + VERDICT_LEVELS)
#define MET_BY_ANY VERDICT_LEVELS

enum { ANCESTOR_UNKNOWN, ANCESTOR_KNOWN, ANCESTOR_NONE };

/* Where the scratch has made-up ancestors, for tests: the parent first. */
#define GIVEN_ANCESTORS_AT 4096

static __always_inline struct verdict_call *verdict__get_ancestor(void)
{
	__u32 ancestor = VERDICT_ANCESTOR;
	return bpf_map_lookup_elem(&verdict_call, &ancestor);
}

/* Reads made-up ancestor number `at`. */
static __always_inline int verdict__load_given(struct verdict_call *above, __u32 at)
{
	struct scratch *s = ring__get_scratch();
	if (!s || at >= VERDICT_ANCESTORS)
		return ANCESTOR_UNKNOWN;
	const struct given_ancestor *given = (void *)s + GIVEN_ANCESTORS_AT;
	given += at;
	above->len = given->len < VERDICT_PATH_MAX ? given->len : 0;
	above->loads = given->loads;
	if (given->found == ANCESTOR_KNOWN)
		above->numbers[NUMBER_AGE] = given->age;
	__builtin_memcpy(above->name, given->name, sizeof(above->name));
	__builtin_memcpy(above->path, given->path, VERDICT_PATH_MAX);
	return given->found;
}

/*
 * Reads the next ancestor, number `at`; returns ANCESTOR_*. What it runs must be what the agent will say it ran at the
 * time of the call: it is not known of one that runs another program meanwhile, or has done so since.
 */
__noinline int verdict__load_ancestor(__u32 at)
{
	struct verdict_call *above = verdict__get_ancestor();
	if (!above)
		return ANCESTOR_UNKNOWN;
	above->numbers[NUMBER_AGE] = NUMBER_UNKNOWN;
	if (above->is_given)
		return verdict__load_given(above, at);
	if (above->is_entrant)
		return ANCESTOR_NONE;
	if (!above->parent_start)
		return ANCESTOR_UNKNOWN;
	struct image *made = image__find_any(above->parent, above->parent_start);
	if (made)
		above->numbers[NUMBER_AGE] = bpf_ktime_get_boot_ns() - made->start;
	if (!made || made->program == PROGRAM_UNKNOWN || made->is_changing || made->since > above->since)
		return ANCESTOR_UNKNOWN;
	above->parent = made->parent;
	above->parent_start = made->parent_start;
	above->is_entrant = made->is_entrant;
	above->len = made->len;
	above->loads = made->loads;
	__builtin_memcpy(above->name, made->name, sizeof(above->name));
	__builtin_memcpy(above->path, made->path, VERDICT_PATH_MAX);
	return ANCESTOR_KNOWN;
}

/* Removes the clauses that do not hold for ancestor number `at`, which is loaded; returns 0 if its path is not known. */
__noinline int verdict__narrow_by_ancestor(__u32 at)
{
	struct verdict_call *call = verdict__get_call(), *above = verdict__get_ancestor();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	if (!t || !above || above->len < 2 || above->len >= VERDICT_PATH_MAX)
		return 0;
	above->table = call->table;
	__u64 *met = above->left;
	__builtin_memset(met, 0xff, sizeof(above->left));
	verdict__walk(t, above, VERDICT_ANCESTOR);
	__u32 level = at < VERDICT_LEVELS ? at : 0;
	for (int m = 0; m <= MACHINE_ANYWHERE; m++) {
		__u32 row = m < MACHINE_ANYWHERE ? above->state[m] : verdict__name_row(t, above->name);
		verdict__narrow_by(met, t, verdict__cell(t, row, ROW_ANY));
		if (at < VERDICT_LEVELS)
			verdict__narrow_by(call->left, t, verdict__cell(t, row, ROW_ANCESTOR + level));
	}
	__u32 seen = above->seen & ((1 << VERDICT_SEEN) - 1);
	barrier_var(seen);
	seen &= (1 << VERDICT_SEEN) - 1;
	verdict__narrow_by(met, t, t->seen_ancestor[MET_BY_ANY][seen]);
	if (!above->loads)
		verdict__narrow(met, t->met_without_loads);
	if (at < VERDICT_LEVELS)
		verdict__narrow_by(call->left, t, t->seen_ancestor[level][seen]);
	for (int i = 0; i < VERDICT_WORDS; i++)
		call->met[i] |= met[i];
	return 1;
}

/*
 * Removes the clauses that do not hold for the ancestors of the process whose program is loaded. Its NUMBER_INSIDE_AGE is
 * then that of the oldest one that is found.
 */
__noinline int verdict__narrow_by_ancestors(void)
{
	struct verdict_call *call = verdict__get_call(), *program = verdict__get_program(),
			    *above = verdict__get_ancestor();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	if (!t || !program || !above)
		return 0;
	above->is_given = program->is_given;
	above->parent = program->parent;
	above->parent_start = program->parent_start;
	above->is_entrant = program->is_entrant;
	above->since = call->since;
	__builtin_memcpy(call->met, t->met_by_none, sizeof(call->met));
	for (__u32 at = 0; at < VERDICT_ANCESTORS; at++) {
		int found = verdict__load_ancestor(at);
		verdict__note_age(program, above);
		if (found == ANCESTOR_NONE) {
			verdict__narrow(call->left, call->met);
			for (__u32 level = 0; level < VERDICT_LEVELS; level++)
				if (level >= at)
					verdict__narrow(call->left, t->no_ancestor[level]);
			return 0;
		}
		if (found != ANCESTOR_KNOWN || !verdict__narrow_by_ancestor(at))
			return 0;
	}
	return 0;
}
