// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The end of a process: only its last thread's, since a thread that calls exec ends the leader first. */

#define SIGNAL_GROUP_EXIT 4

/*
 * Is this the process's last thread? Since 6.16 the tracepoint says so; before, two threads that end together can
 * both find nobody else alive, and their process ends twice.
 */
static __always_inline bool exit__is_last(volatile __u64 *ctx, struct task_struct *task)
{
	if (bpf_core_field_exists(struct trace_event_raw_sched_process_exit, group_dead))
		return ctx[1];
	return task->signal->live.counter == 0;
}

SEC("tp_btf/sched_process_exit")
int sched_exit(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	if (!exit__is_last(ctx, task))
		return 0;
	__u64 cgroup = scope__cgroup_id(task);
	struct scope_entry *entry = scope__find_entry(cgroup);
	if (!entry)
		return 0;
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	task__store_header(&s->h, task, cgroup, KIND_EXIT, EVENT_PROCEXIT, 0);
	struct rec_exit *r = (void *)s->b;
	__builtin_memset(r, 0, sizeof(*r));
	/* a thread that ended by itself meanwhile has a code of its own */
	struct signal_struct *signal = task->signal;
	r->status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : task->exit_code;
	ring__send_record(&exec_ring, BUDGET_EXEC, s, sizeof(s->h) + sizeof(*r), entry);
	return 0;
}
