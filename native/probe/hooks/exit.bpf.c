// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The end of a process: only that of its last thread, since a thread that calls exec ends the leader first. */

#define SIGNAL_GROUP_EXIT 4
#define EEXIST 17

/* Since 6.16 the tracepoint says whether this is the process's last thread. */
#define HAVE_GROUP_DEAD (bpf_core_field_exists(struct trace_event_raw_sched_process_exit, group_dead))

static __always_inline bool exit__is_last(volatile __u64 *ctx, struct task_struct *task)
{
	if (HAVE_GROUP_DEAD)
		return ctx[1];
	return task->signal->live.counter == 0;
}

/*
 * Processes that have just ended. Before 6.16, threads that end together can all find no other thread alive: only the
 * first counts as the process's end. The others follow within microseconds, so a small map is enough.
 */
struct exit_key {
	__u64 start;
	__u64 pid;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct exit_key);
	__type(value, __u8);
} ended SEC(".maps");

static __always_inline bool exit__is_first(struct task_struct *task)
{
	if (HAVE_GROUP_DEAD)
		return 1;
	struct exit_key key = { task->group_leader->start_boottime, task->tgid };
	__u8 one = 1;
	/* int: before 6.4 the upper half of the result is not set */
	int error = bpf_map_update_elem(&ended, &key, &one, BPF_NOEXIST);
	return error != -EEXIST;
}

static __always_inline int exit__send(struct task_struct *task, __u64 cgroup, struct scope_entry *entry)
{
	image__end(task);
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	task__store_header(&s->h, task, cgroup, KIND_EXIT, EVENT_PROCEXIT, 0);
	struct rec_exit *r = (void *)s->b;
	__builtin_memset(r, 0, sizeof(*r));
	/* a thread that exited by itself meanwhile has its own code */
	struct signal_struct *signal = task->signal;
	r->status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : task->exit_code;
	ring__send_record(&exec_ring, BUDGET_EXEC, s, sizeof(s->h) + sizeof(*r), entry);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int sched_exit(__u64 *ctx)
{
	struct task_struct *task = UNTRUSTED(ctx[0], struct task_struct);
	if (!exit__is_last(ctx, task))
		return 0;
	__u64 cgroup = scope__cgroup_id(task);
	struct scope_entry *entry = scope__find_entry(cgroup);
	if (!entry || !exit__is_first(task))
		return 0;
	return CPU_HELD(exit__send(task, cgroup, entry));
}
