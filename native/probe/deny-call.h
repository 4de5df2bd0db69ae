/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Layer 2: what all hooks share that refuse calls, but opens and connections to IP addresses: which call a hook is about, and the note
 * that its record is made of.
 */
#pragma once

/* The call that is judged. In a map: with its paths it is too large for the stack. */
struct changing {
	struct path_refusal refusal;
	__u64 dentry[2], vfsmount[2]; /* of its paths; 0: it has none there */
	__u32 table, kind; /* the kind of its first path */
	__u32 other_kind;  /* the same of another call that it may count as; 0: none */
	__u32 directory;   /* the file of a descriptor is one */
	__u32 is_lost;	   /* its end is not reported as that of a refused call: BY_* */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct changing);
} changing SEC(".maps");

static __always_inline struct changing *deny__get_changing(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&changing, &zero);
}

/*
 * The calls of a hook: events from the first to the last, and the number of the one that a request of io_uring counts as; 0: none.
 * `by_socketcall`: socketcall(2) of ia32 makes that one, too.
 */
struct changing_calls {
	__u16 first, last, request, by_socketcall;
};

/*
 * Why its end is not reported as that of a refused call: by io_uring, by a call of another sort that nothing reports, or since its
 * record is made when it is refused.
 */
enum { BY_REQUEST = 1, BY_UNREPORTED_CALL, BY_OWN_RECORD };

/*
 * The x86-64 number of the call that the thread makes. The requests of io_uring are issued by workers, or by the thread
 * itself in any other call that it makes. 0: none that is judged.
 */
static __always_inline __u32 deny__call_number(struct task_struct *task, struct changing_calls calls, __u32 *is_lost)
{
	*is_lost = BY_REQUEST;
	if (task->flags & PF_IO_WORKER)
		return calls.request;
	__u32 nr = SYSCALL_NR((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	bool ia32 = task->thread_info.status & TS_COMPAT, x32 = !ia32 && nr & X32_SYSCALL_BIT;
	__u32 found = compat__find_call(nr, ia32), call = found & COMPAT_NUMBER;
	if (found & COMPAT_SOCKETCALL && calls.by_socketcall) {
		*is_lost = *(volatile __u32 *)&state.sees_compat ? 0 : BY_UNREPORTED_CALL;
		return calls.request;
	}
	barrier_var(call);
	__u16 event = call_specs[call & (CALL_NR_MAX - 1)].event;
	if (event >= calls.first && event <= calls.last) {
		*is_lost = (ia32 || x32) && !*(volatile __u32 *)&state.sees_compat ? BY_UNREPORTED_CALL : 0;
		return call;
	}
	return task->io_uring ? calls.request : 0;
}

/* Forgets a call of this thread that was refused and not reported. It is counted. */
static __always_inline void deny__forget(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	if (!bpf_map_delete_elem(&refused_paths, &thread))
		__sync_fetch_and_add(&state.denied_dropped, 1);
}

/* The verdict does not count: another task has run, or the table was replaced. */
#define DENY_AGAIN 1

/* Notes the call for the record at its end; counts it if there will be none. */
static __always_inline void deny__note(struct task_struct *task, struct changing *ch, __u64 thread)
{
	if (ch->is_lost == BY_OWN_RECORD)
		return;
	ch->refusal.start = task->start_boottime;
	if (ch->is_lost || bpf_map_update_elem(&refused_paths, &thread, &ch->refusal, BPF_ANY))
		__sync_fetch_and_add(&state.denied_dropped, 1);
}

/*
 * What becomes of the call by this answer (verdict__answer), which was begun at `before` (scope__switches): 0: it goes on, -EPERM, or
 * DENY_AGAIN.
 */
static __always_inline int deny__settle(struct task_struct *task, struct scope_entry *entry, struct changing *ch, int answer,
					__u64 before)
{
	__u64 thread = bpf_get_current_pid_tgid();
	bool denies = answer && deny__is_inside();
	if (scope__switches() != before || answer == VERDICT_REPLACED)
		return DENY_AGAIN;
	if (!denies)
		return 0;
	deny__note(task, ch, thread);
	if (scope__switches() != before) {
		/* another task's call may have been noted */
		bpf_map_delete_elem(&refused_paths, &thread);
		return DENY_AGAIN;
	}
	verdict__count_denial(entry);
	return -EPERM;
}
