// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Every system call except exec and open, at its exit, by one program: native/schema/calls.mjs says what to read of
 * each. Its steps are global functions over call_state, so that the verifier proves each of them once, not once per
 * path that leads to it.
 */

#define PR_SET_NAME 15
#define PR_GET_NAME 16
#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define VECTORS_MAX 8
#define MESSAGES_MAX 8

/* Stores the file or socket of the call's descriptor. */
__noinline int call__store_object(struct call_state *c)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s)
		return 0;
	struct rec_call *r = (void *)s->b;
	c->socket = 0;
	r->fd = -1;
	__u32 arg = c->spec.fd & 7;
	if (!arg)
		return 0;
	__s32 fd = c->args[arg];
	r->fd = fd < 0 ? -1 : fd;
	struct task_struct *task = scope__current();
	struct file *file = file__from_fd(task, fd);
	struct sock *sk = socket__from_file(file);
	if (c->spec.event == EVENT_CONNECT && connect__store_other(c, maps__forget_type(sk)))
		return 0;
	if (!file)
		return 0;
	if (!sk) {
		struct file_facts facts = {};
		long start = file__read_facts(&facts, file, task);
		FILE_STORE_FACTS(r, &facts);
		r->path_len = call__append_path(c, s, start);
		return 0;
	}
	c->socket = (__u64)sk;
	c->socket_ino = LOAD(LOAD(file, struct file, f_inode), struct inode, i_ino);
	SOCKET_STORE_KIND(r, sk);
	if (socket__is_connected(sk) && !call__names_receiver(c, sk))
		r->flags |= CONNECTED;
	if (socket__has_begun(c->ret)) {
		r->flags |= TUPLE_KNOWN;
		SOCKET_STORE_ENDS(r, sk);
	}
	if (c->spec.flags & CALL_QUEUE) {
		struct sock *listener = socket__from_file(file__from_fd(task, (__s32)c->args[1]));
		if (listener) {
			r->queue_len = LOAD(listener, struct sock, sk_ack_backlog);
			r->queue_max = LOAD(listener, struct sock, sk_max_ack_backlog);
		}
	}
	return 0;
}

/* Appends `len` bytes of user memory to the data, up to DATA_MAX. */
__noinline int call__append_data(struct call_state *c, __u64 from, __u64 len)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s)
		return 0;
	struct rec_call *r = (void *)s->b;
	__u32 off = c->off, have = r->data_len, want = len > DATA_MAX ? DATA_MAX : len;
	if (have >= DATA_MAX || !from)
		return 0;
	if (want > DATA_MAX - have)
		want = DATA_MAX - have;
	barrier_var(off);
	barrier_var(want);
	if (!want || want > DATA_MAX || !CALL_ROOM(off, DATA_MAX))
		return 0;
	if (bpf_probe_read_user(s->b + off, want, (void *)from)) {
		r->flags |= RAW_UNREADABLE;
		maps__count_read_error();
		return 0;
	}
	r->data_len = have + want;
	c->off = off + want;
	return 0;
}

/* Stores the first bytes of one vector of a message, and adds its size. */
__noinline int call__store_vector(struct call_state *c, __u64 vectors, __u32 which)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s)
		return 0;
	__u64 len = call__read_word(c, vectors, 2 * which + 1);
	((struct rec_call *)s->b)->size += len;
	if (len > c->left)
		len = c->left;
	c->left -= len;
	call__append_data(c, call__read_word(c, vectors, 2 * which), len);
	return 0;
}

/* Stores the first bytes of a buffer, or of a message's vectors, and the total size of the vectors. */
__noinline int call__store_data(struct call_state *c)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s)
		return 0;
	if (c->spec.flags & CALL_MSGHDR) {
		__u64 vectors = call__read_word(c, c->message, 2), n = call__read_word(c, c->message, 3);
		c->left = c->ret > 0 ? c->ret : 0;
		for (int i = 0; i < VECTORS_MAX; i++) {
			if (i >= n)
				break;
			call__store_vector(c, vectors, i);
		}
		return 0;
	}
	__u32 length = c->spec.data_len;
	if (!c->spec.data || (length == NOT_AN_ARGUMENT && c->ret <= 0))
		return 0;
	call__append_data(c, c->args[c->spec.data & 7], length > NOT_AN_ARGUMENT ? length : c->args[length & 7]);
	return 0;
}

/* False if no rule can match the new descriptor. */
static __always_inline bool call__is_dup_wanted(const struct call_state *c, __u32 mask)
{
	if (!(~mask & (DUP_NETWORK | DUP_OTHER)))
		return 1;
	bool network = socket__is_network(socket__from_file(file__from_fd(scope__current(), (__s32)c->args[7])));
	return mask & (network ? DUP_NETWORK : DUP_OTHER);
}

/* The kind of the socket that the call asks for: SOCKET_*. */
static __always_inline __u32 call__socket_kind(const struct call_state *c)
{
	__u32 domain = c->args[1], type = c->args[2] & SOCK_TYPE_MASK;
	if (domain == AF_UNIX || domain == AF_NETLINK)
		return SOCKET_LOCAL;
	bool ip = domain == AF_INET || domain == AF_INET6;
	return ip && (type == SOCK_STREAM || type == SOCK_DGRAM) ? SOCKET_ORDINARY : SOCKET_OTHER;
}

/* False if no rule can match such a call. */
static __always_inline bool call__is_wanted(const struct call_state *c, __u32 mask)
{
	if ((c->spec.flags & CALL_DUP) && !call__is_dup_wanted(c, mask))
		return 0;
	if ((c->spec.flags & CALL_SOCKET) && !(mask & call__socket_kind(c)))
		return 0;
	if ((c->spec.flags & CALL_IF_EXECUTABLE) && !(c->args[3] & PROT_EXEC))
		return 0;
	return !(c->spec.flags & CALL_IF_ANONYMOUS) || (c->args[4] & MAP_ANONYMOUS);
}

/* Whether it connects a socket, or sends messages: those that a connection is made for, and UDP's, can be refused. */
static __always_inline bool call__may_connect(const struct call_state *c)
{
	__u16 event = c->spec.event;
	return event == EVENT_CONNECT || event == EVENT_SENDTO || event == EVENT_SENDMSG || event == EVENT_SENDMMSG;
}

/* A message that was refused is reported as a connect of its socket to its receiver. */
static __always_inline void call__become_connect(struct call_state *c)
{
	if (c->spec.event == EVENT_CONNECT)
		return;
	if (c->spec.flags & CALL_MSGHDR) { /* struct msghdr begins with the name and its length */
		c->args[2] = call__read_word(c, c->message, 0);
		c->args[3] = (__u32)call__read_word(c, c->message, 1);
	} else {
		c->args[2] = c->args[5];
		c->args[3] = c->args[6];
	}
	c->args[4] = c->args[5] = c->args[6] = 0;
	c->spec = *(const struct call_spec *)&call_specs[NR_CONNECT];
}

/* Sends the record of the call in call_state. */
__noinline int call__send(void)
{
	struct call_state *c = call__get_state();
	struct scratch *s = ring__get_scratch();
	if (!c || !s)
		return 0;
	struct scope_entry *entry = scope__find_entry(c->cgroup);
	if (!entry)
		return 0;
	if (c->spec.mode) /* a umode_t: the kernel does not see higher bits */
		c->args[c->spec.mode & 7] &= 0xffff;
	bool is_refused = c->ret < 0 && call__may_connect(c) && connect__is_refused();
	if (is_refused && c->ret != -EPERM) {
		/* another program has refused it as well, with an error of its own */
		connect__drop_refusal();
		is_refused = 0;
	}
	if (is_refused)
		call__become_connect(c);
	bool is_connect = c->spec.event == EVENT_CONNECT;
	bool is_change = (c->spec.judged || c->spec.way || is_connect) && c->ret < 0 && call__is_refused(c);
	bool is_unix = is_change && is_connect;
	bool message = c->spec.flags & CALL_MESSAGE;
	__u32 mask = *(volatile __u32 *)&state.call_mask;
	if (!is_refused && !is_change && (!call__is_wanted(c, mask) || (message && !call__is_message_wanted(c, mask)) ||
			    !call__may_match_kind(c, scope__filter_of(entry)))) {
		ring__count_filtered(entry, c->spec.event);
		return 0;
	}
	struct task_struct *task = scope__current();
	task__store_header(&s->h, task, c->cgroup, KIND_CALL, c->spec.event, c->ret);
	struct rec_call *r = (void *)s->b;
	__builtin_memset(r, 0, sizeof(*r));
	r->arg1 = c->args[1];
	r->arg2 = c->args[2];
	r->arg3 = c->args[3];
	r->arg4 = c->args[4];
	r->arg5 = c->args[5];
	r->arg6 = c->args[6];
	c->off = sizeof(*r);
	call__forget_strings(c);
	__u32 option = c->args[1];
	/* of a call that was judged by who makes it, the paths are those that were passed */
	bool has_judged_paths = is_change && c->spec.judged;
	if (has_judged_paths) {
		call__store_refused_paths(c);
	} else if (!(c->spec.flags & CALL_TEXT_IF_NAME) || option == PR_SET_NAME || option == PR_GET_NAME) {
		for (int i = 0; i < 3; i++)
			call__store_text(c, i);
		for (int i = 0; i < 3; i++)
			call__store_directory(c, i);
	}
	if (is_unix)
		r->fd = (__s32)c->args[1];
	else if (!has_judged_paths)
		call__store_object(c);
	if (is_unix) {
		c->failing = ALL_FAILING;
	} else if (is_change) {
		call__store_refusal(c);
	} else if (is_refused) {
		connect__store_refusal();
		c->failing = ALL_FAILING;
	} else if (!call__may_match(c) && !(is_connect && connect__is_milestone(c))) {
		ring__count_filtered(entry, c->spec.event);
		return 0;
	}
	if (c->failing != ALL_FAILING)
		r->flags |= RULE_MATCHES;
	call__store_address(c);
	/* A failed message changes nothing: the next one to the same peer counts as the first. */
	bool unconnected = message && c->socket && !(r->flags & CONNECTED);
	if (unconnected && (r->socket_type == SOCK_STREAM ? call__connects(c) : c->ret >= 0 && call__note_peer(c)))
		r->flags |= PEER_CHANGED;
	if (message && !(mask & MESSAGE_OTHER) && !(r->flags & PEER_CHANGED)) {
		ring__count_filtered(entry, c->spec.event);
		return 0;
	}
	if (is_unix)
		c->off = call__store_unix_refusal(c->off);
	else
		call__store_unix(c);
	call__store_data(c);
	__u32 len = sizeof(s->h) + c->off;
	connect__send_record(s, len, entry);
	return 0;
}

/* Sends the record of the call in call_state; for a call with several messages, one record each. */
__noinline int call__send_messages(void)
{
	struct call_state *c = call__get_state();
	if (!c)
		return 0;
	c->message = c->args[2];
	if (!(c->spec.flags & CALL_MESSAGES) || c->ret <= 0)
		return call__send();
	/* struct mmsghdr: a struct msghdr and the number of bytes transferred */
	long n = c->ret;
	__u32 size = c->compat ? 32 : 64;
	for (int i = 0; i < MESSAGES_MAX && i < n; i++) {
		__u32 bytes = 0;
		bpf_probe_read_user(&bytes, sizeof(bytes), (void *)(c->message + (c->compat ? 28 : 56)));
		c->ret = bytes;
		call__send();
		c->message += size;
	}
	/* one was refused after others: the call returns how many went before it */
	if (c->spec.event == EVENT_SENDMMSG && connect__is_refused()) {
		c->message = c->args[2] + n * size;
		c->ret = -EPERM;
		call__send();
	}
	return 0;
}

static __always_inline int call__on_exit(struct trace_event_raw_sys_exit *ctx, __u64 cgroup)
{
	struct call_state *c = call__get_state();
	__u32 nr = ctx->id;
	if (!c || nr >= CALL_NR_MAX)
		return 0;
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	c->spec = *(const struct call_spec *)&call_specs[nr];
	if (!c->spec.event)
		return 0;
	c->args[1] = ARG1(regs);
	c->args[2] = ARG2(regs);
	c->args[3] = ARG3(regs);
	c->args[4] = ARG4(regs);
	c->args[5] = ARG5(regs);
	c->args[6] = ARG6(regs);
	c->args[7] = ctx->ret;
	c->ret = ctx->ret;
	c->cgroup = cgroup;
	c->compat = 0;
	return call__send_messages();
}

SEC("tracepoint/syscalls/sys_exit_call")
int sys_call(struct trace_event_raw_sys_exit *ctx)
{
	__u64 cgroup = scope__cgroup_id(scope__current());
	return scope__find_entry(cgroup) ? CPU_HELD(call__on_exit(ctx, cgroup)) : 0;
}
