// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses connections that a rule denies, before anything is sent: TCP's, and connected sockets of UDP, with EPERM.
 * An object of its own, which uses the probe's maps: loaded when a rule is to deny. Attached to the root cgroup of v2,
 * so that it sees the tasks of all cgroups, of v1 too (Linux 5.7, links of cgroups).
 *
 * These hooks can be preempted, but not migrated. What they share by CPU with the other hooks of the probe (verdict_call,
 * image_made) may change under them then. So a verdict only counts if no other task has run meanwhile.
 */
#include "kernel-types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "arch.h"
#include "events.gen.h"
#include "maps.h"
#include "scope.h"
#include "path.h"
#include "task.h"
#include "socket.h"
#include "ring.h"
#include "lineage.h"
#include "image.h"
#include "verdict-walk.h"
#include "verdict-argv.h"
#include "verdict.h"
#include "hooks/connect-call.h"

#define REFUSE 0
#define ALLOW 1
/* A verdict is asked for again if another task has run; beyond that the connection is made, and reported. */
#define TRIES 4
/* Records under construction at a time, by all CPUs. Beyond, one is lost, and counted. */
#define RECORDS 64

/* The context, include/uapi/linux/bpf.h. Addresses and ports are in network order. */
struct bpf_sock_addr {
	__u32 user_family, user_ip4, user_ip6[4], user_port;
	__u32 family, type, protocol;
};

/* struct sockaddr_in6; of struct sockaddr_in only the first 16 bytes count */
struct passed_address {
	__u16 family, port;
	__u32 first; /* the IPv4 address, or the flow */
	__u8 address[16];
	__u32 scope;
};

struct record {
	__u32 taken, pad;
	struct rec_header h;
	struct rec_call r;
	struct passed_address address;
	__u8 padding[8];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RECORDS);
	__type(key, __u32);
	__type(value, struct record);
} records SEC(".maps");

/* Where the socket is to be connected to. */
struct connection {
	__u32 table;
	__u16 family, protocol, type, rport;
	__u8 raddr[16];
};

/* Whether a rule that denies certainly matches the connection, however the call would end. */
__noinline int deny__is_certain(struct connection *to)
{
	struct verdict_call *call = verdict__get_call();
	struct verdict_table *t = to ? verdict__find_table(to->table) : NULL;
	if (!call || !t || !t->denying)
		return 0;
	__u32 denying = t->denying, table = to->table, failing = 0;
	call->table = table;
	call->directory = call->dots = call->len = call->is_part = 0;
	call->layer = LAYER_NONE;
	__u32 kind = VERDICT_FIRST_CONNECT + connect__note_end(call, to->family, to->protocol, to->raddr, to->rport);
	/* it succeeds at once, or goes on by itself */
	for (__u32 begun = 0; begun < 2; begun++) {
		call->kind = kind + begun;
		verdict__passes();
		failing |= call->failing;
	}
	return verdict__find_table(table) == t && (~failing & denying);
}

/* Whether this process is the container's own, as far as is known. */
__noinline int deny__is_inside(void)
{
	struct task_struct *task = scope__current();
	struct image *image = image__find(task->tgid, task->group_leader->start_boottime);
	return image ? image->inside : image__seems_inside(task);
}

/* How often another task has run in place of this one. */
static __always_inline __u64 deny__switches(void)
{
	struct task_struct *task = scope__current();
	__u64 switches = task->nvcsw + task->nivcsw;
	barrier();
	return switches;
}

/* The index of a record that nobody else uses; RECORDS if there is none. */
static __always_inline __u32 deny__take_record(void)
{
	__u32 first = bpf_get_prandom_u32();
	for (__u32 i = 0; i < RECORDS; i++) {
		__u32 at = (first + i) & (RECORDS - 1);
		struct record *record = bpf_map_lookup_elem(&records, &at);
		if (record && !__sync_val_compare_and_swap(&record->taken, 0, 1))
			return at;
	}
	return RECORDS;
}

static __always_inline void deny__fill(struct record *record, const struct connection *to, struct task_struct *task,
				       __u64 cgroup, bool is_call)
{
	struct rec_call *r = &record->r;
	__builtin_memset(r, 0, sizeof(*r));
	__builtin_memset(&record->address, 0, sizeof(record->address));
	task__store_header(&record->h, task, cgroup, KIND_CALL, EVENT_CONNECT, -EPERM);
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	bool compat = task->thread_info.status & TS_COMPAT;
	r->fd = -1;
	/* the arguments of ia32's socketcall() are in memory that the program may have changed */
	if (is_call && !(compat && SYSCALL_NR(regs) == NR32_SOCKETCALL)) {
		r->arg1 = compat ? (__u32)COMPAT_ARG1(regs) : ARG1(regs);
		r->arg2 = compat ? (__u32)COMPAT_ARG2(regs) : ARG2(regs);
		r->arg3 = compat ? (__u32)COMPAT_ARG3(regs) : ARG3(regs);
		r->fd = r->arg1;
	}
	r->family = to->family;
	r->protocol = to->protocol;
	r->socket_type = to->type;
	r->rport = to->rport;
	__builtin_memcpy(r->raddr, to->raddr, sizeof(r->raddr));
	r->flags = TUPLE_KNOWN | DENIED;
	struct passed_address *address = &record->address;
	address->family = to->family;
	address->port = (to->rport >> 8) | (to->rport << 8);
	r->addr_len = to->family == AF_INET ? 16 : 28;
	if (to->family == AF_INET)
		address->first = *(__u32 *)to->raddr;
	else
		__builtin_memcpy(address->address, to->raddr, sizeof(address->address));
}

/* Reports the denial: for a record as for any other, it can be dropped, and is counted then. */
static __always_inline void deny__report(struct scope_entry *entry, const struct connection *to, __u64 cgroup)
{
	struct task_struct *task = scope__current();
	bool is_call = connect__is_call(task);
	if (is_call) {
		__u64 thread = bpf_get_current_pid_tgid(), start = task->start_boottime;
		bpf_map_update_elem(&refused, &thread, &start, BPF_ANY);
	}
	__u32 at = deny__take_record();
	struct record *record = at < RECORDS ? bpf_map_lookup_elem(&records, &at) : NULL;
	bool is_sent = 0;
	if (record) {
		deny__fill(record, to, task, cgroup, is_call);
		__u32 len = sizeof(record->h) + sizeof(record->r) + record->r.addr_len;
		is_sent = ring__send(&bulk_ring, BUDGET_BULK, &record->h, len, sizeof(*record) - 8, entry);
		__sync_fetch_and_and(&record->taken, 0);
	}
	if (!is_sent)
		__sync_fetch_and_add(&state.denied_dropped, 1);
}

static __always_inline int deny__connect(struct connection *to)
{
	__u64 cgroup = scope__cgroup_id(scope__current());
	struct scope_entry *entry = scope__find_entry(cgroup);
	to->table = entry ? *(volatile __u32 *)&entry->table : 0;
	if (!entry || !to->table)
		return ALLOW;
	for (int i = 0; i < TRIES; i++) {
		__u64 before = deny__switches();
		bool denies = deny__is_certain(to) && deny__is_inside();
		if (deny__switches() != before)
			continue;
		if (!denies)
			return ALLOW;
		deny__report(entry, to, cgroup);
		return REFUSE;
	}
	return ALLOW;
}

SEC("cgroup/connect4")
int deny_connect4(struct bpf_sock_addr *ctx)
{
	struct connection to = { .family = AF_INET };
	to.protocol = ctx->protocol;
	to.type = ctx->type;
	__u32 port = ctx->user_port;
	to.rport = (port >> 8 & 0xff) | (port & 0xff) << 8;
	*(__u32 *)to.raddr = ctx->user_ip4;
	return deny__connect(&to);
}

SEC("cgroup/connect6")
int deny_connect6(struct bpf_sock_addr *ctx)
{
	struct connection to = { .family = AF_INET6 };
	to.protocol = ctx->protocol;
	to.type = ctx->type;
	__u32 port = ctx->user_port, *words = (void *)to.raddr;
	to.rport = (port >> 8 & 0xff) | (port & 0xff) << 8;
	words[0] = ctx->user_ip6[0];
	words[1] = ctx->user_ip6[1];
	words[2] = ctx->user_ip6[2];
	words[3] = ctx->user_ip6[3];
	return deny__connect(&to);
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
