// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The destination of a TCP connection, from the socket on which the call started it (inet_sock_set_state, Linux
 * 4.16). By the end of the call another thread may have closed the descriptor, or put another socket behind it.
 */

#define TCP_SYN_SENT 2

/* By thread: the connection that its connect has started. The end of the call removes it. */
struct connecting {
	__u64 socket; /* struct sock */
	__u64 start;  /* of the thread: ids are reused */
	__u16 compat;
	__u16 family, protocol, socket_type, lport, rport;
	__u8 laddr[16], raddr[16];
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct connecting);
} connecting SEC(".maps");

/* Only calls whose end removes the connection again: not io_uring's, nor a message that connects (MSG_FASTOPEN). */
static __always_inline bool connect__is_call(struct task_struct *task)
{
	unsigned long nr = SYSCALL_NR((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	if (task->thread_info.status & TS_COMPAT)
		return nr == NR32_CONNECT || nr == NR32_SOCKETCALL;
	return (nr & ~X32_SYSCALL_BIT) == NR_CONNECT;
}

SEC("tp_btf/inet_sock_set_state")
int tcp_connect(__u64 *ctx)
{
	/* (sk, oldstate, newstate) */
	if ((int)ctx[2] != TCP_SYN_SENT)
		return 0;
	struct task_struct *task = scope__current();
	if (!connect__is_call(task) || !scope__find_entry(scope__cgroup_id(task)))
		return 0;
	struct sock *sk = (void *)ctx[0];
	__u64 thread = bpf_get_current_pid_tgid();
	/* the program's socket: a subflow of Multipath TCP is a socket of its own, in the same struct socket */
	struct connecting begun = { .socket = (__u64)BPF_CORE_READ(sk, sk_socket, sk), .start = task->start_boottime };
	if (!begun.socket)
		return 0;
	begun.compat = task->thread_info.status & TS_COMPAT;
	SOCKET_STORE_KIND(&begun, sk);
	SOCKET_STORE_ENDS(&begun, sk);
	bpf_map_update_elem(&connecting, &thread, &begun, BPF_ANY);
	return 0;
}

/*
 * Called at the end of a connect. False if it started a connection with this socket, or none. True if the descriptor
 * now refers to another socket, or to none: the record then has the connection's destination.
 */
__noinline int connect__store_other(struct call_state *c, __u64 socket)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s)
		return 0;
	struct task_struct *task = scope__current();
	__u64 thread = bpf_get_current_pid_tgid();
	struct connecting *begun = bpf_map_lookup_elem(&connecting, &thread);
	if (!begun)
		return 0;
	bool other = begun->socket != socket && begun->start == task->start_boottime && !begun->compat == !c->compat;
	if (other) {
		struct rec_call *r = (void *)s->b;
		r->family = begun->family;
		r->protocol = begun->protocol;
		r->socket_type = begun->socket_type;
		if (c->ret >= 0)
			r->flags |= CONNECTED;
		if (socket__has_begun(c->ret))
			r->flags |= TUPLE_KNOWN;
		r->lport = begun->lport; /* 0 if the kernel chooses it later */
		r->rport = begun->rport;
		__builtin_memcpy(r->raddr, begun->raddr, sizeof(r->raddr));
		__builtin_memcpy(r->laddr, begun->laddr, sizeof(r->laddr));
	}
	/* also for a call that restarts after a signal: its peer has been reported */
	bpf_map_delete_elem(&connecting, &thread);
	return other;
}

/* Sends the record of a call, `len` bytes of the scratch. A denial whose record is dropped is counted. */
static __always_inline void connect__send_record(struct scratch *s, __u32 len, struct scope_entry *entry)
{
	bool is_denied = s->h.kind == KIND_CALL && ((struct rec_call *)s->b)->flags & DENIED;
	if (!ring__send_record(&bulk_ring, BUDGET_BULK, s, len, entry) && is_denied)
		__sync_fetch_and_add(&state.denied_dropped, 1);
}

/* Makes the record in the scratch one of the connection that was refused. A global function: its stack is free again after it. */
__noinline int connect__store_refusal(void)
{
	struct scratch *s = ring__get_scratch();
	__u64 thread = bpf_get_current_pid_tgid();
	struct refusal *refusal = bpf_map_lookup_elem(&refused, &thread);
	if (!s || !refusal)
		return 0;
	struct rec_call *r = (void *)s->b;
	s->h.ts = refusal->ts;
	__builtin_memcpy(s->h.comm, refusal->comm, sizeof(s->h.comm));
	r->family = refusal->family;
	r->protocol = refusal->protocol;
	r->socket_type = refusal->socket_type;
	r->lport = 0;
	r->rport = refusal->rport;
	__builtin_memset(r->laddr, 0, sizeof(r->laddr));
	__builtin_memcpy(r->raddr, refusal->raddr, sizeof(r->raddr));
	r->flags = (r->flags & ~CONNECTED) | TUPLE_KNOWN | DENIED;
	bpf_map_delete_elem(&refused, &thread);
	return 0;
}
