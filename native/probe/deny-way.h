/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Layer 2: what the objects share that include this: verdicts on calls of which nothing is known but their kind, or the name of the unix
 * socket that they connect to.
 */
#pragma once
#include "kernel-types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "arch.h"
#include "events.gen.h"
#include "maps.h"
#include "cpu.h"
#include "scope.h"
#include "path.h"
#include "task.h"
#include "file.h"
#include "socket.h"
#include "ring.h"
#include "lineage.h"
#include "image.h"
#include "verdict-walk.h"
#include "verdict-argv.h"
#include "verdict-variables.h"
#include "verdict-numbers.h"
#include "verdict-ancestors.h"
#include "verdict.h"
#include "hooks/open-call.h"
#include "hooks/call-numbers.h"
#include "hooks/path-refusal.h"
#include "hooks/connect-call.h"
#include "deny.h"
#include "deny-call.h"

/* Of mknod: what it makes. */
#define WAY_CHARACTER_DEVICE 1
#define WAY_BLOCK_DEVICE 2

/* Whether a rule that denies certainly matches the call in `changing`: as verdict__answer. */
__noinline int deny__is_certain(void)
{
	struct verdict_call *call = verdict__get_call();
	struct changing *ch = deny__get_changing();
	struct verdict_table *t = ch ? verdict__find_table(ch->table) : NULL;
	if (!t)
		return ch && ch->table ? VERDICT_REPLACED : 0;
	if (!verdict__denying(t, ch->kind))
		return 0;
	struct path_refusal *refusal = &ch->refusal;
	/* read once: another thread can change it at any time */
	if (!call || bpf_probe_read_kernel(refusal->comm, sizeof(refusal->comm), scope__current()->comm))
		return 0;
	call->since = refusal->ts = bpf_ktime_get_boot_ns();
	call->table = ch->table;
	call->kind = ch->kind;
	call->len = refusal->len[0];
	if (call->len)
		__builtin_memcpy(call->path, refusal->path[0], VERDICT_PATH_MAX);
	call->directory = call->dots = 0;
	call->layer = LAYER_NONE;
	call->is_part = 0;
	__builtin_memcpy(call->name, refusal->comm, sizeof(call->name));
	call->named_for = bpf_get_current_pid_tgid();
	if (verdict__passes(ASKS_DENYING))
		verdict__judge_ancestors(t, ASKS_DENYING);
	call->named_for = 0;
	if (call->is_odd)
		return 0;
	return verdict__answer(t, ch->table, ~call->failing);
}

static __always_inline struct changing *deny__begin(struct scope_entry *entry)
{
	__u32 number = *(volatile __u32 *)&entry->table;
	if (!number || !verdict__denies_any())
		return NULL;
	struct changing *ch = deny__get_changing();
	if (ch) {
		ch->table = number;
		ch->refusal.len[0] = ch->refusal.len[1] = 0;
	}
	return ch;
}

/* As deny__forget; a call that sends a signal to many processes is refused for each, and reported once. */
static __always_inline void deny__forget_former(struct changing *ch)
{
	__u32 event = ch->refusal.event;
	if (event >= EVENT_KILL && event <= EVENT_TGKILL) {
		__u64 thread = bpf_get_current_pid_tgid();
		struct path_refusal *former = bpf_map_lookup_elem(&refused_paths, &thread);
		if (former && former->event == event)
			return;
	}
	deny__forget();
}

/* Which of these calls it is, made in this way. */
static __always_inline bool deny__take_way(struct changing *ch, __u32 nr, __u32 way)
{
	barrier_var(nr);
	const volatile struct call_spec *spec = &call_specs[nr & (CALL_NR_MAX - 1)];
	if (!spec->way)
		return 0;
	ch->refusal.event = spec->event;
	ch->kind = VERDICT_FIRST_WAY + spec->way - 1 + way;
	return 1;
}

/* That it is a connection to this unix socket. False if no rule denies any, or the socket is bound to no whole path. */
static __always_inline bool deny__take_peer(struct changing *ch, struct sock *peer)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = verdict__find_table(ch->table);
	/* one that was replaced is asked for again */
	if (t && !verdict__denying(t, VERDICT_FIRST_CONNECT + CONNECT_UNIX))
		return 0;
	if (!call || !connect__end_name(call, socket__store_unix_path(call->path, peer)))
		return 0;
	ch->refusal.event = EVENT_CONNECT;
	ch->kind = VERDICT_FIRST_CONNECT + CONNECT_UNIX;
	ch->refusal.len[0] = call->len;
	ch->refusal.socket_type = LOAD(peer, struct sock, sk_type);
	__builtin_memcpy(ch->refusal.path[0], call->path, VERDICT_PATH_MAX);
	/* unlike those of other calls, the ends of its requests are reported as refused */
	if (ch->is_lost == BY_REQUEST)
		ch->is_lost = 0;
	return 1;
}

static __always_inline int deny__judge_call(struct task_struct *task, struct scope_entry *entry,
					    struct changing_calls calls, __u32 way, struct sock *peer)
{
	for (int i = 0; i < DENY_TRIES; i++) {
		__u64 before = scope__switches();
		struct changing *ch = deny__begin(entry);
		__u32 nr = ch ? deny__call_number(task, calls, &ch->is_lost) : 0;
		if (!ch || !nr || !(peer ? deny__take_peer(ch, peer) : deny__take_way(ch, nr, way)))
			return 0;
		if (!ch->is_lost)
			deny__forget_former(ch);
		int answer = deny__is_certain();
		int result = deny__settle(task, entry, ch, answer, before);
		if (result != DENY_AGAIN)
			return result;
	}
	return 0;
}

/*
 * Judges the call of one of these events that is made in this way. Between the first and the last one are others, which have no
 * ways, or do not pass the hook. A global function: each hook's program is small then.
 */
__noinline int deny__judge(__u32 first, __u32 last, __u32 request, __u32 way)
{
	struct task_struct *task = scope__current();
	struct scope_entry *entry = scope__find_entry(scope__cgroup_id(task));
	if (!entry)
		return 0;
	struct changing_calls calls = { first, last, request, request != 0 };
	return CPU_HELD(deny__judge_call(task, entry, calls, way, NULL));
}

/* The first argument of the thread's call. */
static __always_inline __u32 deny__first_argument(void)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return scope__current()->thread_info.status & TS_COMPAT ? COMPAT_ARG1(regs) : ARG1(regs);
}

/* The program of a hook that is about these calls: as deny__judge. */
#define REFUSES(hook, first, last, request, way) \
	SEC("fmod_ret/security_" #hook) \
	int deny_##hook(__u64 *ctx) \
	{ \
		return deny__result(deny__judge(first, last, request, way)); \
	}
