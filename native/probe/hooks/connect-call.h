/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What the hooks of a connection share: what makes it, where it goes, and whether it was refused. */
#pragma once

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

/* By thread: when the thread was started whose connect was refused. The end of the call removes it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} refused SEC(".maps");

/* Whether the thread is in connect(2), whose end is seen: not in io_uring's, nor in a message that connects (MSG_FASTOPEN). */
static __always_inline bool connect__is_call(struct task_struct *task)
{
	unsigned long nr = SYSCALL_NR((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	if (task->thread_info.status & TS_COMPAT)
		return nr == NR32_CONNECT || nr == NR32_SOCKETCALL;
	return (nr & ~X32_SYSCALL_BIT) == NR_CONNECT;
}

/* Notes address and port of a connection to an IP address; returns the number of its kind, where it has succeeded. */
static __always_inline __u32 connect__note_end(struct verdict_call *v, __u16 family, __u16 protocol, const __u8 *raddr,
					       __u16 rport)
{
	const __u32 *words = (void *)raddr;
	/* a mapped address is IPv4, as in fd.type */
	bool mapped = family == AF_INET6 && !words[0] && !words[1] && words[2] == 0xffff0000;
	bool is_v6 = family == AF_INET6 && !mapped;
	v->address_len = is_v6 ? 16 : 4;
	__builtin_memset(v->address, 0, sizeof(v->address));
	if (is_v6)
		__builtin_memcpy(v->address, raddr, sizeof(v->address));
	else
		*(__u32 *)v->address = words[mapped ? 3 : 0];
	v->port = rport;
	__u32 which = protocol == IPPROTO_TCP ? 0 : protocol == IPPROTO_UDP ? 1 : 2;
	return (is_v6 ? CONNECT_IPV6 : 0) + 2 * which;
}
