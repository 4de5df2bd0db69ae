/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Layer 2: what the hooks share that refuse calls (deny-connects.bpf.c, deny-opens.bpf.c, deny-paths.bpf.c).
 *
 * These hooks can be preempted, but not migrated. Where they cannot prevent that (cpu.h), what they share by CPU with the other
 * hooks of the probe (verdict_call, image_made, path_buffer) may change under them. So a verdict only counts if no other task has
 * run meanwhile.
 */
#pragma once

/* A verdict is asked for again if another task has run, or its table was replaced; beyond that the call goes on, and is reported. */
#define DENY_TRIES 4
#define PF_IO_WORKER 0x10 /* include/linux/sched.h, since 5.12 */

/* What a hook returns: of LSM hooks the kernel wants to know that it is 0 or an error. */
static __always_inline int deny__result(int refused)
{
	int result = 0;
	if (refused) {
		result = -EPERM;
		barrier_var(result);
	}
	return result;
}

/* Whether this process is the container's own, as far as is known. */
__noinline int deny__is_inside(void)
{
	struct task_struct *task = scope__current();
	struct image *image = image__find_own(task);
	return image ? image->inside : image__seems_inside(task);
}
