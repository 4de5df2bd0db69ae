/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Verdicts on made-up calls, for tests. */
#pragma once

/* Puts the ancestors where verdict__load_given reads them; those that are not given are not known. */
static __always_inline void verdict_run__set_ancestors(struct scratch *s, struct verdict_run_args *args)
{
	struct given_ancestor *given = (void *)s + GIVEN_ANCESTORS_AT;
	for (int i = 0; i < GIVEN_ANCESTORS; i++)
		__builtin_memcpy(&given[i], &args->ancestors[i], sizeof(*given));
	given[GIVEN_ANCESTORS].found = ANCESTOR_UNKNOWN;
}

/* What the hooks that deny such a call look at besides. */
static __always_inline void verdict_run__judge_more(struct verdict_run_args *args, __u32 asks)
{
	struct verdict_table *t = verdict__find_table(args->table);
	if (t && args->kind >= VERDICT_FIRST_EXEC && args->kind < VERDICT_FIRST_CONNECT)
		verdict__judge_exec(t, asks);
	else if (t && (args->kind < VERDICT_FIRST_EXEC || args->kind >= VERDICT_FIRST_WAY))
		verdict__judge_ancestors(t, asks);
}

/*
 * Returns the result of verdict__passes for any call: tests compare it with the same function in TypeScript. Loaded
 * only for them, since the kernel would verify the automata once more.
 */
SEC("?syscall")
int verdict_run(struct verdict_run_args *args)
{
	struct verdict_call *call = verdict__get_call(), *program = verdict__get_program();
	struct scratch *s = ring__get_scratch();
	args->passes = -1;
	if (!call || !program || !s || !verdict__find_table(args->table))
		return 0;
	call->table = args->table;
	call->kind = args->kind;
	call->directory = args->directory;
	call->dots = args->dots;
	call->layer = args->layer;
	call->len = args->len;
	call->is_part = 1;
	__builtin_memcpy(call->path, args->path, sizeof(call->path));
	program->is_given = 1;
	program->is_known = args->program_known;
	program->layer = args->program_layer;
	program->loads = args->program_loads;
	program->len = args->program_len < VERDICT_PATH_MAX ? args->program_len : 0;
	__builtin_memcpy(program->path, args->program, sizeof(program->path));
	__builtin_memcpy(program->name, args->program_name, sizeof(program->name));
	__builtin_memcpy(call->name, args->thread, sizeof(call->name));
	__builtin_memcpy(call->address, args->address, sizeof(call->address));
	program->numbers[NUMBER_AGE] = args->age;
	program->numbers[NUMBER_PARENT_AGE] = args->parent_age;
	program->numbers[NUMBER_INSIDE_AGE] = args->inside_age;
	program->numbers[NUMBER_FROM_OUTSIDE] = args->from_outside;
	program->numbers[NUMBER_VPID] = args->vpid;
	program->numbers[NUMBER_PARENT_VPID] = args->parent_vpid;
	call->address_len = args->address_len;
	call->port = args->port;
	call->argv_from = 0;
	call->argv_len = args->argv_len;
	call->standard = args->standard;
	call->env_from = GIVEN_ENV_AT;
	call->env_len = args->env_len;
	__builtin_memcpy(s, args->argv, sizeof(args->argv));
	__builtin_memcpy((void *)s + GIVEN_ENV_AT, args->env, sizeof(args->env));
	verdict_run__set_ancestors(s, args);
	args->passes = verdict__passes(ASKS_ALL);
	verdict_run__judge_more(args, ASKS_ALL);
	args->failing = call->failing;
	/* the same, with nothing looked at in vain: the answer must not be another one */
	if (verdict__passes(ASKS_DENYING))
		verdict_run__judge_more(args, ASKS_DENYING);
	args->denies = ~call->failing;
	program->is_given = 0;
	call->is_part = 0;
	return 0;
}
