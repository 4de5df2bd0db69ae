/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What the hooks of a connection share: what makes it, where it goes, and whether it was refused. */
#pragma once

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

/*
 * By thread: the connection that was refused to it, for a rule. The end of the call reports it, as there it cannot be
 * preempted, and removes it.
 */
struct refusal {
	__u64 start; /* of the thread: ids are reused */
	__u64 ts;    /* of the verdict, CLOCK_BOOTTIME ns */
	char comm[COMM_LEN]; /* the name that it was about */
	__u16 family, protocol, socket_type, rport;
	__u8 raddr[16];
};
_Static_assert(__builtin_offsetof(struct refusal, ts) == REFUSED_AT, "the loader reads it");
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct refusal);
} refused SEC(".maps");

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

/* Takes the name of a unix socket, just stored as the path to be judged, with its length; false if it is no whole path. */
static __always_inline bool connect__end_name(struct verdict_call *v, __u32 len)
{
	if (len < 2 || len >= UNIX_PATH_MAX || v->path[0] != '/')
		return 0;
	/* without the NUL that most names end with */
	v->len = v->path[(len - 1) & 127] ? len : len - 1;
	return v->len >= 2;
}

/* Whether a connection was refused to this thread for a rule, which the end of its call has not told of yet. */
static __always_inline bool connect__is_refused(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct refusal *refusal = bpf_map_lookup_elem(&refused, &thread);
	return refusal && refusal->start == scope__current()->start_boottime;
}

/* Drops a refusal that no record will tell of, and counts it. */
static __always_inline void connect__drop_refusal(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	if (!bpf_map_delete_elem(&refused, &thread))
		__sync_fetch_and_add(&state.denied_dropped, 1);
}
