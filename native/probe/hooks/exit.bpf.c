// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The end of a process: only its last thread's, since a thread that calls exec ends the leader first. */

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_exit, struct task_struct *task)
{
	if (task->signal->live.counter != 0)
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
	r->status = task->exit_code;
	ring__send_record(&exec_ring, BUDGET_EXEC, s, sizeof(s->h) + sizeof(*r), entry);
	return 0;
}
