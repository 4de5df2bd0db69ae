// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* clone, clone3, fork, vfork: sched_process_fork, in the parent, before the child can run. */

#define CLONE_PARENT 0x8000ull /* include/uapi/linux/sched.h */

/* Writes the caller, its ancestors and their programs after rec_clone; returns the number of bytes. Global, proved once. */
__noinline int fork__store_lineage(void)
{
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	struct rec_clone *r = (void *)s->b;
	struct task_struct *task = scope__current();
	char *dst = s->b + sizeof(*r);
	r->exes_len = lineage__store_exes(dst, task);
	r->ancestors_len = lineage__store_ancestors(dst + ANCESTOR_EXES * ANCESTOR_EXE_MAX, task, 1);
	return ANCESTOR_EXES * ANCESTOR_EXE_MAX + (r->ancestors_len & 511);
}

static __always_inline int fork__send(struct task_struct *parent, struct task_struct *child, __u64 cgroup,
				      struct scope_entry *entry)
{
	image__inherit(parent, child);
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	struct rec_clone *r = (void *)s->b;
	__builtin_memset(r, 0, sizeof(*r));
	__u16 event = clone__read_call(parent, &r->clone_flags);
	if (!event) /* threads of the kernel, and others that make no call */
		event = EVENT_CLONE;
	/* By now the caller's memory may say something else than when the call began. */
	r->clone_flags &= ~CLONE_PARENT;
	if (child->real_parent->tgid != parent->tgid)
		r->clone_flags |= CLONE_PARENT;

	/* The call's result: the child's number in the parent's pid namespace. */
	struct pid *child_pid = child->thread_pid;
	__u32 nr = task__pid_number_at(child_pid, LOAD(parent->thread_pid, struct pid, level));
	task__store_header(&s->h, parent, cgroup, KIND_CLONE, event, nr);
	r->child_start = child->group_leader->start_boottime;
	r->child_pid = child->tgid;
	r->child_tid = child->pid;
	r->child_vtid = task__pid_number(child_pid);
	r->child_vpid = r->child_vtid;
	__u32 off = sizeof(*r);
	if (lineage__is_outside(parent)) {
		r->flags = PARENT_OUT_OF_SCOPE;
		off += fork__store_lineage() & 2047;
	}
	if (!ring__send_record(&exec_ring, BUDGET_EXEC, s, sizeof(s->h) + off, entry))
		image__forget(child);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(sched_fork, struct task_struct *trusted_parent, struct task_struct *trusted_child)
{
	struct task_struct *parent = UNTRUSTED(trusted_parent, struct task_struct);
	struct task_struct *child = UNTRUSTED(trusted_child, struct task_struct);
	if (child->pid != child->tgid) /* a thread */
		return 0;
	__u64 cgroup = scope__cgroup_id(child); /* not the parent's: CLONE_INTO_CGROUP enters at fork */
	struct scope_entry *entry = scope__find_entry(cgroup);
	return entry ? CPU_HELD(fork__send(parent, child, cgroup, entry)) : 0;
}
