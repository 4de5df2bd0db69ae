// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses to make a user namespace where a rule denies that, with EPERM: unshare(2), clone(2) and clone3(2). An object of its own, which
 * uses the probe's maps: the hook is there since Linux 6.1. It changes the result of security_create_user_ns() (fmod_ret), which
 * 64-bit and 32-bit calls pass.
 */
#include "deny-way.h"
#include "hooks/clone-call.h"

#define CLONE_NEWUSER 0x10000000ull
#define WAY_NEW_USER 1

/* A call that would have made a process, and the thread that the verdict was about. */
struct refused_clone {
	__u64 cgroup, flags, ts;
	__u64 switches; /* before the verdict: scope__switches */
	__u32 event;
	char comm[COMM_LEN];
};

/*
 * Sends the record of the call: there is no process whose start would tell of it. It is made on the stack, as what is shared by CPU may
 * change where other tasks can run meanwhile.
 */
__noinline int deny__tell(const struct refused_clone *of)
{
	struct {
		struct rec_header h;
		struct rec_clone r;
	} made = {};
	struct task_struct *task = scope__current();
	struct scope_entry *entry = of ? scope__find_entry(of->cgroup) : NULL;
	if (!entry)
		return 0;
	task__store_header(&made.h, task, of->cgroup, KIND_CLONE, of->event, -EPERM);
	made.h.ts = of->ts;
	__builtin_memcpy(made.h.comm, of->comm, sizeof(made.h.comm));
	/* by now the caller's memory may say something else */
	made.r.clone_flags = of->flags | CLONE_NEWUSER;
	made.r.flags = DENIED;
	if (scope__switches() != of->switches || !ring__send_padded(&exec_ring, BUDGET_EXEC, &made.h, sizeof(made), entry))
		__sync_fetch_and_add(&state.denied_dropped, 1);
	return 0;
}

/* Judges the call once: as deny__settle. */
__noinline int deny__try_clone(struct refused_clone *of)
{
	struct task_struct *task = scope__current();
	struct scope_entry *entry = of ? scope__find_entry(of->cgroup) : NULL;
	if (!entry)
		return 0;
	of->switches = scope__switches();
	struct changing *ch = deny__begin(entry);
	if (!ch)
		return 0;
	ch->is_lost = BY_OWN_RECORD;
	ch->kind = VERDICT_FIRST_WAY + (of->event == EVENT_CLONE ? WAY_CLONE : WAY_CLONE3) - 1 + WAY_NEW_USER;
	int answer = deny__is_certain();
	of->ts = ch->refusal.ts;
	__builtin_memcpy(of->comm, ch->refusal.comm, sizeof(of->comm));
	return deny__settle(task, entry, ch, answer, of->switches);
}

static __always_inline int deny__judge_clone(struct refused_clone *of)
{
	for (int i = 0; i < DENY_TRIES; i++) {
		int result = deny__try_clone(of);
		if (result == DENY_AGAIN)
			continue;
		if (result)
			deny__tell(of);
		return result;
	}
	return 0;
}

SEC("fmod_ret/security_create_user_ns")
int deny_user_namespace(__u64 *ctx)
{
	struct task_struct *task = scope__current();
	struct refused_clone of = { .cgroup = scope__cgroup_id(task) };
	if (!scope__find_entry(of.cgroup))
		return 0;
	of.event = clone__read_call(task, &of.flags);
	if (!of.event)
		return deny__result(deny__judge(EVENT_UNSHARE, EVENT_UNSHARE, 0, WAY_NEW_USER));
	return deny__result(CPU_HELD(deny__judge_clone(&of)));
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
