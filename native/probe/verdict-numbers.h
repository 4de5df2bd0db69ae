/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: verdicts on ages and numbers of the process that makes a call (NUMBER_*). */
#pragma once

/* What is known of the process with this image. The walk of its ancestors may find that NUMBER_INSIDE_AGE is more. */
static __always_inline void verdict__load_numbers(struct verdict_call *program, const struct image *made)
{
	__u64 now = bpf_ktime_get_boot_ns(), *numbers = program->numbers;
	/* only processes in scope have an image to inherit */
	__u64 oldest = made->parent_start ?: made->start;
	numbers[NUMBER_AGE] = now - made->start;
	numbers[NUMBER_PARENT_AGE] = made->parent_start ? now - made->parent_start : NUMBER_UNKNOWN;
	numbers[NUMBER_INSIDE_AGE] = now - oldest;
	numbers[NUMBER_FROM_OUTSIDE] = made->parent_start ? 0 : NUMBER_UNKNOWN;
	numbers[NUMBER_VPID] = made->vpid ?: NUMBER_UNKNOWN;
	numbers[NUMBER_PARENT_VPID] = made->parent_vpid ?: NUMBER_UNKNOWN;
}

/* An ancestor that is in scope: the container's oldest process above is at least as old. */
static __always_inline void verdict__note_age(struct verdict_call *program, const struct verdict_call *above)
{
	__u64 age = above->numbers[NUMBER_AGE], known = program->numbers[NUMBER_INSIDE_AGE];
	if (age != NUMBER_UNKNOWN && (known == NUMBER_UNKNOWN || known < age))
		program->numbers[NUMBER_INSIDE_AGE] = age;
}

/* Removes the clauses that do not hold for the numbers of the process that makes the call. */
__noinline int verdict__narrow_by_numbers(void)
{
	struct verdict_call *call = verdict__get_call(), *program = verdict__get_program();
	struct verdict_table *t = call ? verdict__find_table(call->table) : NULL;
	if (!t || !program)
		return 0;
	for (int i = 0; i < VERDICT_NUMBERS; i++) {
		if (i >= t->numbers)
			break;
		__u32 field = t->number_of[i];
		if (field >= NUMBER_FIELDS)
			break;
		__u64 number = program->numbers[field], bound = t->bounds[i];
		__u64 slack = field < NUMBER_FROM_OUTSIDE ? VERDICT_AGE_SLACK : 0;
		if (number == NUMBER_UNKNOWN)
			continue;
		if (number + slack < bound)
			verdict__narrow(call->left, t->below[i]);
		else if (number >= bound + slack)
			verdict__narrow(call->left, t->above[i]);
	}
	return 0;
}
