// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Every system call but exec and open, at its exit, by one program: native/schema/calls.mjs says what to read of
 * each. Its steps are global functions over call_state, so that the verifier proves each of them once, and not once
 * for every way that leads to it.
 */

#define EINPROGRESS 115
#define MSG_FASTOPEN 0x20000000
#define SOCK_STREAM 1
#define PR_SET_NAME 15
#define PR_GET_NAME 16
#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define NOT_AN_ARGUMENT 7
#define VECTORS_MAX 8
#define MESSAGES_MAX 8
#define NO_DETOUR (-1)
#define DESCRIPTOR_DIGITS 8

const volatile struct call_spec call_specs[CALL_NR_MAX] SEC(".rodata.calls") = { CALL_SPECS };

/* Bytes that the record has room for behind `off`, which this makes sure is inside. */
#define CALL_ROOM(off, bytes) ((off) <= SCRATCH_BYTES - sizeof(struct rec_header) - (bytes) - 8)

static __always_inline struct call_state *call__get_state(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&call_state, &zero);
}

/* Before the first string. */
static __always_inline void call__forget_strings(struct call_state *c)
{
	c->relative = 0;
	c->detours[0] = c->detours[1] = c->detours[2] = NO_DETOUR;
}

/*
 * String `which`, which has just been put at c->off, may begin with the caller's own working directory or descriptor, by
 * way of /proc: where that leads is known now only. Other spellings are not looked for: their paths stay below /proc,
 * where nothing can be linked or moved, and rules can tell.
 */
__noinline int call__find_detour(struct call_state *c, __u32 which)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s || which > 2)
		return 0;
	__u32 off = c->off, skip = 0;
	barrier_var(off);
	if (!CALL_ROOM(off, PATH_MAX))
		return 0;
	char start[18] = {}, rest[4 + DESCRIPTOR_DIGITS] = {};
	bpf_probe_read_kernel(start, sizeof(start), s->b + off);
	if (!__builtin_memcmp(start, "/proc/self/", 11))
		skip = 11;
	else if (!__builtin_memcmp(start, "/proc/thread-self/", 18))
		skip = 18;
	else if (!__builtin_memcmp(start, "/dev/", 5))
		skip = 5;
	else
		return 0;
	bpf_probe_read_kernel(rest, sizeof(rest), s->b + off + skip);
	if (!__builtin_memcmp(rest, "cwd", 3) && (!rest[3] || rest[3] == '/') && skip > 5) {
		c->detours[which] = AT_FDCWD;
		return 0;
	}
	if (__builtin_memcmp(rest, "fd/", 3))
		return 0;
	__s32 fd = NO_DETOUR;
	for (int i = 0; i < DESCRIPTOR_DIGITS; i++) {
		char digit = rest[3 + i];
		if (digit < '0' || digit > '9') {
			c->detours[which] = !digit || digit == '/' ? fd : NO_DETOUR;
			return 0;
		}
		fd = (i ? fd * 10 : 0) + digit - '0';
	}
	return 0;
}

/* Copies string `which` of the call (0 to 2). */
__noinline int call__store_text(struct call_state *c, __u32 which)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s || which > 2)
		return 0;
	struct rec_call *r = (void *)s->b;
	__u32 arg = c->spec.strings[which] & 7;
	if (!arg)
		return 0;
	if (!c->args[arg]) {
		r->flags |= RAW_UNREADABLE;
		return 0;
	}
	__u32 off = c->off;
	barrier_var(off);
	if (!CALL_ROOM(off, PATH_MAX))
		return 0;
	long n = bpf_probe_read_user_str(s->b + off, PATH_MAX, (void *)c->args[arg]);
	if (n < 0) {
		r->flags |= RAW_UNREADABLE;
		maps__count_read_error();
		return 0;
	}
	if (n == PATH_MAX && c->ret == -ENAMETOOLONG) /* 4095 bytes fill the buffer too, and are whole */
		r->flags |= RAW_TRUNCATED;
	__u32 len = n > 0 ? (n - 1) & (PATH_MAX - 1) : 0;
	if (len == 0 || s->b[off & (SCRATCH_BYTES / 2 - 1)] != '/')
		c->relative |= 1 << which;
	else
		call__find_detour(c, which);
	(&r->raw1_len)[which] = len;
	c->off = off + len;
	return 0;
}

/* Appends what the path buffer holds from `start`; returns the length. */
static __always_inline __u32 call__append_path(struct call_state *c, struct scratch *s, long start)
{
	__u32 off = c->off;
	barrier_var(off);
	if (!CALL_ROOM(off, PATH_MAX))
		return 0;
	__u32 len = path__copy_buffer(s->b + off, start) & (PATH_MAX - 1);
	c->off = off + len;
	return len;
}

/* Copies the directory that string `which` is relative to; when it is absolute, only that of a detour. */
__noinline int call__store_directory(struct call_state *c, __u32 which)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s || which > 2)
		return 0;
	struct rec_call *r = (void *)s->b;
	__u32 arg = c->spec.dirs[which] & 7;
	bool start_counts = (c->relative & (1 << which)) || (c->spec.flags & CALL_NEW_CWD);
	__s32 fd = arg == NOT_AN_ARGUMENT ? AT_FDCWD : (__s32)c->args[arg];
	if (!start_counts)
		fd = c->detours[which];
	if (!arg || (!start_counts && fd == NO_DETOUR))
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	bool moved = (c->spec.flags & CALL_NEW_ROOT) && c->ret == 0;
	long start = file__write_directory(task, fd, moved ? NULL : task->fs);
	if (start < 0)
		return 0;
	if ((start >> PATH_FLAGS_SHIFT) & FILE_PATH_TRUNCATED)
		r->flags |= CWD_TRUNCATED;
	(&r->dir1_len)[which] = call__append_path(c, s, start);
	return 0;
}

/* A pointer or length in user memory: `index` counts such words from `base`. 0 when it cannot be read. */
static __always_inline __u64 call__read_word(struct call_state *c, __u64 base, __u32 index)
{
	__u64 word = 0;
	if (c->compat) {
		__u32 half = 0;
		bpf_probe_read_user(&half, sizeof(half), (void *)(base + 4 * index));
		return half;
	}
	bpf_probe_read_user(&word, sizeof(word), (void *)(base + 8 * index));
	return word;
}

/* Did a message that is sent connect its stream (tcp(7), TCP Fast Open), or begin to? Where to, the socket knows then. */
static __always_inline bool call__connects(const struct call_state *c)
{
	if ((c->spec.flags & CALL_RECEIVES) || (c->ret < 0 && c->ret != -EINPROGRESS))
		return 0;
	bool single = (c->spec.flags & CALL_MSGHDR) && !(c->spec.flags & CALL_MESSAGES);
	return c->args[single ? 3 : 4] & MSG_FASTOPEN;
}

/* Does a message that is sent say itself where it goes? Also one of a connected socket can. */
static __always_inline bool call__has_address(struct call_state *c)
{
	return c->spec.flags & CALL_MSGHDR ? call__read_word(c, c->message, 0) : c->args[c->spec.addr & 7];
}

/* The same, where that counts: a stream's goes where the stream does. */
static __always_inline bool call__names_receiver(struct call_state *c, struct sock *sk)
{
	if (!(c->spec.flags & CALL_MESSAGE) || (c->spec.flags & CALL_RECEIVES))
		return 0;
	return LOAD(sk, struct sock, sk_type) == SOCK_STREAM ? call__connects(c) : call__has_address(c);
}

/* The file or socket behind the descriptor that the call is about. */
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
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file = file__from_fd(task, fd);
	if (!file)
		return 0;
	struct sock *sk = socket__from_file(file);
	if (!sk) {
		struct file_facts facts = {};
		long start = file__read_facts(&facts, file, task);
		r->file_ino = facts.ino;
		r->file_dev = facts.dev;
		r->file_flags = facts.flags;
		r->file_uid = facts.uid;
		r->file_gid = facts.gid;
		r->file_mode = facts.mode;
		r->path_len = call__append_path(c, s, start);
		return 0;
	}
	c->socket = (__u64)sk;
	c->socket_ino = LOAD(LOAD(file, struct file, f_inode), struct inode, i_ino);
	SOCKET_STORE_KIND(r, sk);
	if (socket__is_connected(sk) && !call__names_receiver(c, sk))
		r->flags |= CONNECTED;
	if (c->ret >= 0 || c->ret == -EINPROGRESS) {
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

/* Appends an address from user memory, or from the kernel's copy of it. */
static __always_inline void call__append_address(struct call_state *c, struct scratch *s, __u64 from, const void *copy,
						 __u32 len)
{
	struct rec_call *r = (void *)s->b;
	if (len > SOCKADDR_MAX)
		len = SOCKADDR_MAX;
	__u32 off = c->off;
	barrier_var(off);
	barrier_var(len);
	if (!len || !CALL_ROOM(off, SOCKADDR_MAX) || len > SOCKADDR_MAX)
		return;
	long error = copy ? bpf_probe_read_kernel(s->b + off, len, copy)
			  : bpf_probe_read_user(s->b + off, len, (void *)from);
	if (error) {
		r->flags |= RAW_UNREADABLE;
		maps__count_read_error();
		return;
	}
	r->addr_len = len;
	c->off = off + len;
}

/* The address that the call was passed, or gave back. */
__noinline int call__store_address(struct call_state *c)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s)
		return 0;
	__u64 from = c->args[c->spec.addr & 7];
	__u32 len = c->args[c->spec.addr_len & 7];
	bool returned = c->spec.flags & CALL_RECEIVES;
	if (returned && c->ret < 0)
		return 0;
	if (c->spec.flags & CALL_MSGHDR) { /* struct msghdr: name, its length, vectors, their number, … */
		from = call__read_word(c, c->message, 0);
		len = call__read_word(c, c->message, 1);
	} else if (!(c->spec.addr & 7)) {
		return 0;
	} else if (c->spec.flags & CALL_LENGTH_POINTER) {
		__u32 value = 0;
		bpf_probe_read_user(&value, sizeof(value), (void *)c->args[c->spec.addr_len & 7]);
		len = value;
	}
	if (from)
		call__append_address(c, s, from, NULL, len);
	return 0;
}

/*
 * A message of an unconnected socket is to or from the address in it: that becomes the record's remote end.
 * Returns whether it is another one than in the message before.
 */
__noinline int call__note_peer(struct call_state *c)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s)
		return 0;
	struct rec_call *r = (void *)s->b;
	__u32 off = c->off - r->addr_len;
	barrier_var(off);
	if (r->addr_len < 8 || !CALL_ROOM(off, SOCKADDR_MAX))
		return 0;
	struct peer peer = {};
	const char *addr = s->b + off;
	peer.family = *(__u16 *)addr;
	peer.port = *(__u16 *)(addr + 2);
	if (peer.family == AF_UNSPEC && r->family == AF_INET) /* IPv4 takes it for its own */
		peer.family = AF_INET;
	if (peer.family == AF_INET && r->family == AF_INET) {
		__builtin_memcpy(peer.address, addr + 4, 4);
	} else if (peer.family == AF_INET && r->family == AF_INET6) {
		peer.address[10] = peer.address[11] = 0xff;
		__builtin_memcpy(peer.address + 12, addr + 4, 4);
	} else if (peer.family == AF_INET6 && r->family == AF_INET6 && r->addr_len >= 24) {
		__builtin_memcpy(peer.address, addr + 8, 16);
	} else {
		return 0;
	}
	__builtin_memcpy(r->raddr, peer.address, 16);
	r->rport = (peer.port >> 8) | (peer.port << 8);
	__u64 ino = c->socket_ino;
	struct peer *before = bpf_map_lookup_elem(&peers, &ino);
	if (before) {
		__u64 *a = (void *)before, *b = (void *)&peer;
		if (a[0] == b[0] && a[1] == b[1] && a[2] == b[2])
			return 0;
	}
	bpf_map_update_elem(&peers, &ino, &peer, BPF_ANY);
	return 1;
}

__noinline int call__store_unix(struct call_state *c)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s || !c->socket)
		return 0;
	struct rec_call *r = (void *)s->b;
	__u32 off = c->off;
	barrier_var(off);
	if (r->family != AF_UNIX || !(r->flags & TUPLE_KNOWN) || !CALL_ROOM(off, 128))
		return 0;
	struct sock *sk = (void *)c->socket;
	__u32 len = socket__store_unix_peer(s->b + off, sk);
	if (!len)
		len = socket__store_unix_path(s->b + off, sk);
	r->unix_len = len;
	c->off = off + (len & 127);
	return 0;
}

/* Appends `len` bytes of user memory to the data, as far as DATA_MAX goes. */
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

/* The first bytes of a message's vector, and how many it holds. */
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

/* The first bytes of a buffer, or of a message's vectors; and how many all of them hold. */
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

/* False when no rule can match what such a call does. */
static __always_inline bool call__is_wanted(const struct call_state *c)
{
	if ((c->spec.flags & CALL_IF_EXECUTABLE) && !(c->args[3] & PROT_EXEC))
		return 0;
	return !(c->spec.flags & CALL_IF_ANONYMOUS) || (c->args[4] & MAP_ANONYMOUS);
}

/* The same for a message, by its socket: most are of connections, and no rule looks at these. */
static __always_inline bool call__is_message_wanted(struct call_state *c, __u32 mask)
{
	if (mask & MESSAGE_OTHER)
		return 1;
	if (!(mask & MESSAGE_NEW_PEER))
		return 0;
	bool sent = !(c->spec.flags & CALL_RECEIVES);
	/* Most are: so much is told without a look at the socket. */
	if (sent && !call__connects(c) && !call__has_address(c))
		return 0;
	struct sock *sk = socket__from_file(file__from_fd(bpf_get_current_task_btf(), (__s32)c->args[1]));
	if (!sk)
		return 0;
	if (sent)
		return call__names_receiver(c, sk);
	return LOAD(sk, struct sock, sk_type) != SOCK_STREAM && !socket__is_connected(sk);
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
	bool message = c->spec.flags & CALL_MESSAGE;
	__u32 mask = *(volatile __u32 *)&state.message_mask;
	if (!call__is_wanted(c) || (message && !call__is_message_wanted(c, mask))) {
		__sync_fetch_and_add(&entry->prefiltered, 1);
		return 0;
	}
	struct task_struct *task = bpf_get_current_task_btf();
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
	if (!(c->spec.flags & CALL_TEXT_IF_NAME) || option == PR_SET_NAME || option == PR_GET_NAME) {
		for (int i = 0; i < 3; i++)
			call__store_text(c, i);
		for (int i = 0; i < 3; i++)
			call__store_directory(c, i);
	}
	call__store_object(c);
	call__store_address(c);
	/* One that failed changes nothing: the next to the same peer is the first. */
	bool unconnected = message && c->socket && !(r->flags & CONNECTED);
	if (unconnected && (r->socket_type == SOCK_STREAM ? call__connects(c) : c->ret >= 0 && call__note_peer(c)))
		r->flags |= PEER_CHANGED;
	if (message && !(mask & MESSAGE_OTHER) && !(r->flags & PEER_CHANGED)) {
		__sync_fetch_and_add(&entry->prefiltered, 1);
		return 0;
	}
	call__store_unix(c);
	call__store_data(c);
	__u32 len = sizeof(s->h) + c->off;
	ring__send_record(&bulk_ring, BUDGET_BULK, s, len, entry);
	return 0;
}

/* Sends the record of the call in call_state; of one that takes several messages, a record of each. */
__noinline int call__send_messages(void)
{
	struct call_state *c = call__get_state();
	if (!c)
		return 0;
	c->message = c->args[2];
	if (!(c->spec.flags & CALL_MESSAGES) || c->ret <= 0)
		return call__send();
	/* struct mmsghdr: a struct msghdr and how many bytes it was */
	long n = c->ret;
	for (int i = 0; i < MESSAGES_MAX && i < n; i++) {
		__u32 bytes = 0;
		bpf_probe_read_user(&bytes, sizeof(bytes), (void *)(c->message + (c->compat ? 28 : 56)));
		c->ret = bytes;
		call__send();
		c->message += c->compat ? 32 : 64;
	}
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_call")
int sys_call(struct trace_event_raw_sys_exit *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 cgroup = scope__cgroup_id(task);
	if (!scope__find_entry(cgroup))
		return 0;
	struct call_state *c = call__get_state();
	__u32 nr = ctx->id;
	if (!c || nr >= CALL_NR_MAX)
		return 0;
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
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
