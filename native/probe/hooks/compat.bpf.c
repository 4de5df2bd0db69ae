// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Reports system calls that no tracepoint of their own reports. These are the calls of ia32 (int 0x80 and sysenter,
 * from any process), those of x32, and those that this kernel was built without. While this program is attached, no
 * other tracepoint is: it also reports all others, opens and failed execs among them. The raw tracepoint fires for every system call of the host: calls that
 * are none of these, or not wanted, return at once. Numbers and arguments are converted to those of the 64-bit call.
 */

#define COMPAT_PAGE_SHIFT 12
#define COMPAT_ID_NONE 0xffff

struct socket_call {
	__u16 nr, arguments;
};
const volatile struct socket_call socket_calls[32] SEC(".rodata.socket") = { SOCKETCALLS };

/* Reads arguments from an array of 32-bit words in user memory. */
static __always_inline void compat__read_arguments(struct call_state *c, __u64 from, __u32 count)
{
	for (int i = 0; i < 6; i++)
		c->args[i + 1] = i < count ? call__read_word(c, from, i) : 0;
}

static __always_inline __u64 compat__id(__u64 id)
{
	id &= 0xffff;
	return id == COMPAT_ID_NONE ? 0xffffffff : id;
}

/* Converts the arguments to those of the 64-bit call; returns its number. */
__noinline int compat__convert(struct call_state *c, __u32 call)
{
	if (!c)
		return 0;
	if (call & COMPAT_SOCKETCALL) {
		__u32 which = c->args[1];
		__u64 from = c->args[2];
		if (which >= 32)
			return 0;
		call = socket_calls[which].nr;
		compat__read_arguments(c, from, socket_calls[which].arguments);
	}
	if (call & COMPAT_IN_MEMORY)
		compat__read_arguments(c, c->args[1], 6);
	if (call & COMPAT_ONE_ARGUMENT)
		c->args[2] = 0;
	if (call & COMPAT_PAGES)
		c->args[6] <<= COMPAT_PAGE_SHIFT;
	if (call & COMPAT_IDS_FROM_1)
		c->args[1] = compat__id(c->args[1]);
	if (call & (COMPAT_IDS_FROM_1 | COMPAT_IDS_FROM_2)) {
		c->args[2] = compat__id(c->args[2]);
		c->args[3] = compat__id(c->args[3]);
	}
	return call & COMPAT_NUMBER;
}

/* Sends the open in call_state. */
__noinline int compat__send_open(__u32 nr)
{
	struct call_state *c = call__get_state();
	if (!c)
		return 0;
	struct scope_entry *entry = scope__find_entry(c->cgroup);
	if (!entry)
		return 0;
	struct open_call call;
	__u16 event = open__read_call(&call, nr, c->args);
	return open__send(scope__current(), entry, c->cgroup, &call, c->ret, event);
}

/* Sends the call with this x86-64 number from call_state. */
static __always_inline int compat__send(struct call_state *c, __u32 nr)
{
	switch (nr) {
	case NR_OPEN:
	case NR_CREAT:
	case NR_OPENAT:
	case NR_OPENAT2:
		return compat__send_open(nr);
	case NR_EXECVE:
		if (c->ret >= 0)
			return 0;
		return exec__send_failed(c->args[1], c->args[2], c->ret, EVENT_EXECVE, c->compat ? 4 : 8);
	case NR_EXECVEAT:
		if (c->ret >= 0)
			return 0;
		return exec__send_failed(c->args[2], c->args[3], c->ret, EVENT_EXECVEAT, c->compat ? 4 : 8);
	}
	if (nr >= CALL_NR_MAX)
		return 0;
	c->spec = *(const struct call_spec *)&call_specs[nr];
	return c->spec.event ? call__send_messages() : 0;
}

/* `call`: what compat__find_call has found. */
static __always_inline int compat__on_exit(struct pt_regs *regs, long ret, __u32 call, bool native, bool ia32, __u64 cgroup)
{
	struct call_state *c = call__get_state();
	__u32 nr = call;
	if (!c)
		return 0;
	c->cgroup = cgroup;
	c->ret = ret;
	c->args[7] = ret;
	c->compat = !native;
	if (ia32) {
		c->args[1] = (__u32)COMPAT_ARG1(regs);
		c->args[2] = (__u32)COMPAT_ARG2(regs);
		c->args[3] = (__u32)COMPAT_ARG3(regs);
		c->args[4] = (__u32)COMPAT_ARG4(regs);
		c->args[5] = (__u32)COMPAT_ARG5(regs);
		c->args[6] = (__u32)COMPAT_ARG6(regs);
		nr = compat__convert(c, call);
		barrier_var(nr); /* the verifier does not know what the compiler knows: that it is masked */
		if (!*(volatile __u8 *)&state.wanted[nr & COMPAT_NUMBER])
			return 0;
	} else {
		c->args[1] = ARG1(regs);
		c->args[2] = ARG2(regs);
		c->args[3] = ARG3(regs);
		c->args[4] = ARG4(regs);
		c->args[5] = ARG5(regs);
		c->args[6] = ARG6(regs);
	}
	return compat__send(c, nr);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(compat_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = scope__current();
	__u32 nr = regs->orig_ax;
	bool ia32 = task->thread_info.status & TS_COMPAT;
	bool native = !ia32 && !(nr & X32_SYSCALL_BIT);
	if (native && nr >= CALL_NR_MAX)
		return 0;
	__u32 call = compat__find_call(nr, ia32);
	if (!call)
		return 0;
	__u8 wanted = *(volatile __u8 *)&state.wanted[call & COMPAT_NUMBER];
	if (!(call & COMPAT_SOCKETCALL) && !(native ? wanted & WANTED_UNTRACED : wanted))
		return 0;
	__u64 cgroup = scope__cgroup_id(task);
	return scope__find_entry(cgroup) ? CPU_HELD(compat__on_exit(regs, ret, call, native, ia32, cgroup)) : 0;
}
