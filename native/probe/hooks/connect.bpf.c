// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* connect at the exit of the call: the tuple from the kernel's socket, the address argument from user memory. */

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define EINPROGRESS 115
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define UNIX_PATH_MAX 108

static __always_inline struct sock *connect__find_socket(struct task_struct *task, __s64 fd)
{
	struct file *file = file__from_fd(task, fd);
	if (!file)
		return NULL;
	struct inode *inode = LOAD(file, struct file, f_inode);
	if ((LOAD(inode, struct inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	void *socket = LOAD(file, struct file, private_data);
	return LOAD(socket, struct socket, sk);
}

static __always_inline void connect__store_tuple(struct rec_connect *r, struct sock *sk)
{
	r->family = LOAD(sk, struct sock, __sk_common.skc_family);
	r->protocol = LOAD(sk, struct sock, sk_protocol);
	r->socket_type = LOAD(sk, struct sock, sk_type);
	if (r->family == AF_UNIX)
		r->protocol = 0;
	if (r->family != AF_INET && r->family != AF_INET6)
		return;
	r->lport = LOAD(sk, struct sock, __sk_common.skc_num);
	__u16 port = LOAD(sk, struct sock, __sk_common.skc_dport);
	r->rport = (port >> 8) | (port << 8);
	if (r->family == AF_INET) {
		*(__u32 *)r->laddr = LOAD(sk, struct sock, __sk_common.skc_rcv_saddr);
		*(__u32 *)r->raddr = LOAD(sk, struct sock, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO(&r->laddr, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&r->raddr, sk, __sk_common.skc_v6_daddr);
	}
}

/* The path that the listening peer is bound to; abstract names keep their leading NUL. */
static __always_inline __u32 connect__store_unix_peer(char *dst, struct sock *sk)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
	if (!peer)
		return 0;
	struct unix_address *address = BPF_CORE_READ((struct unix_sock *)peer, addr);
	if (!address)
		return 0;
	/* struct unix_address: refcnt, len, then the sockaddr: family (2 bytes), path */
	int len = BPF_CORE_READ(address, len) - 2;
	if (len <= 0 || len > UNIX_PATH_MAX)
		return 0;
	barrier_var(len);
	if (bpf_probe_read_kernel(dst, len & 127, (void *)address + bpf_core_field_offset(struct unix_address, len) + 4 + 2))
		return 0;
	return len & 127;
}

SEC("tracepoint/syscalls/sys_exit_connect")
int sys_connect(struct trace_event_raw_sys_exit *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 cgroup = scope__cgroup_id(task);
	struct scope_entry *entry = scope__find_entry(cgroup);
	if (!entry)
		return 0;
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	long ret = ctx->ret;
	task__store_header(&s->h, task, cgroup, KIND_CONNECT, EVENT_CONNECT, ret);
	struct rec_connect *r = (void *)s->b;
	__builtin_memset(r, 0, sizeof(*r));
	r->fd = ARG1(regs);
	__u32 off = sizeof(*r);
	__u32 len = ARG3(regs);
	if (len > SOCKADDR_MAX)
		len = SOCKADDR_MAX;
	barrier_var(len);
	if (len <= SOCKADDR_MAX && bpf_probe_read_user(s->b + off, len, (void *)ARG2(regs)) == 0)
		r->addr_len = len;
	else {
		r->flags |= RAW_UNREADABLE;
		maps__count_read_error();
	}
	off += r->addr_len & (2 * SOCKADDR_MAX - 1);
	struct sock *sk = connect__find_socket(task, r->fd);
	if (sk && (ret == 0 || ret == -EINPROGRESS)) {
		r->flags |= TUPLE_KNOWN;
		connect__store_tuple(r, sk);
		if (r->family == AF_UNIX) {
			len = connect__store_unix_peer(s->b + off, sk);
			r->unix_len = len;
			off += len & 127;
		}
	} else if (sk) {
		r->family = LOAD(sk, struct sock, __sk_common.skc_family);
		r->protocol = LOAD(sk, struct sock, sk_protocol);
		r->socket_type = LOAD(sk, struct sock, sk_type);
	}
	ring__send_record(&bulk_ring, BUDGET_BULK, s, sizeof(s->h) + off, entry);
	return 0;
}
