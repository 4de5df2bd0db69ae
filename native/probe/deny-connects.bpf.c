// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses connections that a rule denies, before anything is sent: TCP's, connected sockets of UDP, and UDP messages that
 * name their receiver, with EPERM. Such a message counts as a connection of its socket to there.
 * An object of its own, which uses the probe's maps: loaded when a rule is to deny. Attached to the root cgroup of v2,
 * so that it sees the tasks of all cgroups, of v1 too (Linux 5.7, links of cgroups).
 */
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
#include "hooks/connect-call.h"
#include "deny.h"

#define REFUSE 0
#define ALLOW 1
#define TCP_ESTABLISHED 1 /* of UDP: it is connected */

/* The context, include/uapi/linux/bpf.h. Addresses and ports are in network order. */
struct bpf_sock {
	__u32 bound_dev_if, family, type, protocol, mark, priority;
	__u32 src_ip4, src_ip6[4], src_port;
	__u16 dst_port, unused;
	__u32 dst_ip4, dst_ip6[4], state;
};
struct bpf_sock_addr {
	__u32 user_family, user_ip4, user_ip6[4], user_port;
	__u32 family, type, protocol;
	__u32 msg_src_ip4, msg_src_ip6[4];
	__u64 sk; /* struct bpf_sock */
};

/* Where the socket is to be connected to, and what of the thread the verdict was about. */
struct connection {
	__u32 table;
	struct refusal refusal;
};

/* Whether a rule that denies certainly matches the connection, however the call would end: as verdict__answer. */
__noinline int deny__is_certain(struct connection *to)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = to ? verdict__find_table(to->table) : NULL;
	if (!call || !to)
		return 0;
	if (!t)
		return to->table ? VERDICT_REPLACED : 0;
	struct refusal *of = &to->refusal;
	__u32 table = to->table, failing = 0;
	__u32 kind = VERDICT_FIRST_CONNECT + connect__note_end(call, of->family, of->protocol, of->raddr, of->rport);
	/* it succeeds at once, or goes on by itself */
	if (!(verdict__denying(t, kind) & verdict__denying(t, kind + 1)))
		return 0;
	call->table = table;
	call->directory = call->dots = call->len = call->is_part = 0;
	call->layer = LAYER_NONE;
	/* read once: another thread can change it at any time */
	if (bpf_probe_read_kernel(of->comm, sizeof(of->comm), scope__current()->comm))
		return 0;
	__builtin_memcpy(call->name, of->comm, sizeof(call->name));
	call->named_for = bpf_get_current_pid_tgid();
	for (__u32 begun = 0; begun < 2; begun++) {
		call->kind = kind + begun;
		verdict__passes(ASKS_DENYING);
		failing |= call->failing;
		/* most calls: nothing is certain of the first, so that the other need not be asked */
		if (failing == ALL_FAILING)
			break;
	}
	call->named_for = 0;
	if (failing != ALL_FAILING)
		of->ts = bpf_ktime_get_boot_ns();
	return verdict__answer(t, table, ~failing);
}

/* What connects or sends. Of a message: no other call of a program can name its receiver. */
enum { BY_KERNEL, BY_REQUEST, BY_CALL, BY_UNREPORTED_CALL };

/* A request of io_uring is issued by a worker, or by the thread itself, in any call that it makes. */
static __always_inline int deny__maker(struct task_struct *task)
{
	unsigned long nr = SYSCALL_NR((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	if (task->flags & PF_IO_WORKER)
		return BY_REQUEST;
	int by_compat = *(volatile __u32 *)&state.sees_compat ? BY_CALL : BY_UNREPORTED_CALL;
	if (task->thread_info.status & TS_COMPAT) {
		switch (nr) {
		case NR32_CONNECT:
		case NR32_SOCKETCALL:
		case NR32_SENDTO:
		case NR32_SENDMSG:
		case NR32_SENDMMSG:
			return by_compat;
		}
		return task->io_uring ? BY_REQUEST : BY_KERNEL;
	}
	switch (nr & ~X32_SYSCALL_BIT) {
	case NR_X32_SENDMSG:
	case NR_X32_SENDMMSG:
		return by_compat;
	case NR_CONNECT:
	case NR_SENDTO:
	case NR_SENDMSG:
	case NR_SENDMMSG:
		return *(volatile __u8 *)&state.wanted[nr & (CALL_NR_MAX - 1)] ? BY_CALL : BY_UNREPORTED_CALL;
	}
	return task->io_uring ? BY_REQUEST : BY_KERNEL;
}

/*
 * Notes the refusal for the end of its call. Messages by io_uring are not reported, and of two refusals that one thread has
 * noted the end of a call reports one: the other is counted.
 */
static __always_inline void deny__note_refusal(struct refusal *of, int maker, bool is_datagram)
{
	__u64 thread = bpf_get_current_pid_tgid();
	bool is_reported = maker == BY_CALL || (maker == BY_REQUEST && !is_datagram);
	struct refusal *before = bpf_map_lookup_elem(&refused, &thread);
	if (is_reported && before && before->start == of->start)
		__sync_fetch_and_add(&state.denied_dropped, 1);
	if (!is_reported || bpf_map_update_elem(&refused, &thread, of, BPF_ANY))
		__sync_fetch_and_add(&state.denied_dropped, 1);
}

static __always_inline int deny__judge_connect(struct task_struct *task, struct scope_entry *entry,
					       struct connection *to, bool is_datagram)
{
	for (int i = 0; i < DENY_TRIES; i++) {
		__u64 before = scope__switches();
		to->table = *(volatile __u32 *)&entry->table;
		int answer = deny__is_certain(to);
		bool denies = answer && deny__is_inside();
		if (scope__switches() != before || answer == VERDICT_REPLACED)
			continue;
		if (!denies)
			return ALLOW;
		int maker = deny__maker(task);
		/* a message that the kernel sends while the program waits: of a file system on the network */
		if (is_datagram && maker == BY_KERNEL)
			return ALLOW;
		to->refusal.start = task->start_boottime;
		deny__note_refusal(&to->refusal, maker, is_datagram);
		verdict__count_denial(entry);
		return REFUSE;
	}
	return ALLOW;
}

static __always_inline int deny__judge(struct connection *to, bool is_datagram)
{
	struct task_struct *task = scope__current();
	struct scope_entry *entry = scope__find_entry(scope__cgroup_id(task));
	if (!entry || !*(volatile __u32 *)&entry->table || !verdict__denies_any())
		return ALLOW;
	return CPU_HELD(deny__judge_connect(task, entry, to, is_datagram));
}

static __always_inline int deny__answer(struct connection *to, bool is_datagram)
{
	int verdict = deny__judge(to, is_datagram);
	barrier_var(verdict); /* keeps the mask: the verifier wants to see that it is 0 or 1 */
	return verdict & 1;
}

static __always_inline void deny__note(struct refusal *of, struct bpf_sock_addr *ctx, __u16 family)
{
	__u32 port = ctx->user_port;
	of->family = family;
	of->protocol = ctx->protocol;
	of->socket_type = ctx->type;
	of->rport = (port >> 8 & 0xff) | (port & 0xff) << 8;
}

/*
 * An address of another family fails later. One that is not specified means the host itself: which of its addresses, the
 * kernel decides later.
 */
static __always_inline int deny__ipv4(struct bpf_sock_addr *ctx, bool is_datagram)
{
	struct connection to = {};
	__u32 address = ctx->user_ip4, family = ctx->user_family;
	/* a message to an address of no family goes to the IPv4 address in it */
	if (!(family == AF_INET || (is_datagram && family == AF_UNSPEC)) || !address)
		return ALLOW;
	deny__note(&to.refusal, ctx, AF_INET);
	*(__u32 *)to.refusal.raddr = address;
	return deny__answer(&to, is_datagram);
}

static __always_inline int deny__ipv6(struct bpf_sock_addr *ctx, bool is_datagram)
{
	struct connection to = {};
	if (ctx->user_family != AF_INET6)
		return ALLOW;
	deny__note(&to.refusal, ctx, AF_INET6);
	__u32 *words = (void *)to.refusal.raddr;
	words[0] = ctx->user_ip6[0];
	words[1] = ctx->user_ip6[1];
	words[2] = ctx->user_ip6[2];
	words[3] = ctx->user_ip6[3];
	if (!words[0] && !words[1] && !words[3] && (!words[2] || words[2] == 0xffff0000))
		return ALLOW;
	return deny__answer(&to, is_datagram);
}

SEC("cgroup/connect4")
int deny_connect4(struct bpf_sock_addr *ctx)
{
	return deny__ipv4(ctx, 0);
}

SEC("cgroup/connect6")
int deny_connect6(struct bpf_sock_addr *ctx)
{
	return deny__ipv6(ctx, 0);
}

/*
 * Whether an IPv6 socket sends to the IPv4 address that it is connected to: the kernel asks about each of its messages, as if
 * it named its receiver. Whether it may connect to there was asked before.
 */
static __always_inline bool deny__is_own_peer(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = (void *)ctx->sk;
	return sk && sk->state == TCP_ESTABLISHED && sk->family == AF_INET6 && sk->dst_ip6[2] == 0xffff0000 &&
	       sk->dst_ip6[3] == ctx->user_ip4 && sk->dst_port == (__u16)ctx->user_port;
}

/* UDP messages that name their receiver, since Linux 4.18. Those of a connected socket that do not are not asked about. */
SEC("cgroup/sendmsg4")
int deny_sendmsg4(struct bpf_sock_addr *ctx)
{
	return deny__is_own_peer(ctx) ? ALLOW : deny__ipv4(ctx, 1);
}

SEC("cgroup/sendmsg6")
int deny_sendmsg6(struct bpf_sock_addr *ctx)
{
	return deny__ipv6(ctx, 1);
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
