/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Which call makes a process, from the registers of the thread that makes it. */
#pragma once

/* The event of the call that the thread makes, and its flags; 0: it is none that makes a process. */
static __always_inline __u16 clone__read_call(struct task_struct *task, __u64 *flags)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	unsigned long nr = SYSCALL_NR(regs);
	*flags = 0;
	if (task->thread_info.status & TS_COMPAT) {
		switch (nr) {
		case NR32_FORK:
			return EVENT_FORK;
		case NR32_VFORK:
			return EVENT_VFORK;
		case NR32_CLONE:
			*flags = COMPAT_ARG1(regs);
			return EVENT_CLONE;
		case NR32_CLONE3: /* struct clone_args begins with its flags */
			bpf_probe_read_user(flags, sizeof(*flags), (void *)(__u64)(__u32)COMPAT_ARG1(regs));
			return EVENT_CLONE3;
		}
		return 0;
	}
	switch (nr & ~X32_SYSCALL_BIT) {
	case NR_FORK:
		return EVENT_FORK;
	case NR_VFORK:
		return EVENT_VFORK;
	case NR_CLONE:
		*flags = ARG1(regs);
		return EVENT_CLONE;
	case NR_CLONE3:
		bpf_probe_read_user(flags, sizeof(*flags), (void *)ARG1(regs));
		return EVENT_CLONE3;
	}
	return 0;
}
