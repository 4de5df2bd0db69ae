// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Steps of a system call's record for sockets: addresses, and receivers of messages. */

#define MSG_FASTOPEN 0x20000000
#define SOCK_STREAM 1

/* Reads a pointer or length in user memory: word `index` from `base`. 0 if it cannot be read. */
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

/*
 * Whether sending the message connected its stream, or began to (tcp(7), TCP Fast Open). The socket then knows the
 * peer.
 */
static __always_inline bool call__connects(const struct call_state *c)
{
	if ((c->spec.flags & CALL_RECEIVES) || !socket__has_begun(c->ret))
		return 0;
	bool single = (c->spec.flags & CALL_MSGHDR) && !(c->spec.flags & CALL_MESSAGES);
	return c->args[single ? 3 : 4] & MSG_FASTOPEN;
}

/* Whether a sent message names its receiver itself, which is possible on a connected socket too. */
static __always_inline bool call__has_address(struct call_state *c)
{
	return c->spec.flags & CALL_MSGHDR ? call__read_word(c, c->message, 0) : c->args[c->spec.addr & 7];
}

/* Whether a sent message names a receiver that counts: a stream's message goes to the stream's peer. */
static __always_inline bool call__names_receiver(struct call_state *c, struct sock *sk)
{
	if (!(c->spec.flags & CALL_MESSAGE) || (c->spec.flags & CALL_RECEIVES))
		return 0;
	return LOAD(sk, struct sock, sk_type) == SOCK_STREAM ? call__connects(c) : call__has_address(c);
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

/* Stores the address that the call was passed, or returned. */
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
 * A message of an unconnected socket is to or from the address in it, which becomes the record's remote end. Returns
 * whether it differs from that of the previous message.
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
	if (peer.family == AF_UNSPEC && r->family == AF_INET) /* IPv4 treats it as its own family */
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

/*
 * False if no rule can match such a message, judging by its socket. Most messages belong to connections, which no
 * rule looks at.
 */
static __always_inline bool call__is_message_wanted(struct call_state *c, __u32 mask)
{
	if (mask & MESSAGE_OTHER)
		return 1;
	if (!(mask & MESSAGE_NEW_PEER))
		return 0;
	bool sent = !(c->spec.flags & CALL_RECEIVES);
	/* Decides most messages without reading the socket. */
	if (sent && !call__connects(c) && !call__has_address(c))
		return 0;
	struct sock *sk = socket__from_file(file__from_fd(scope__current(), (__s32)c->args[1]));
	if (!sk)
		return 0;
	if (sent)
		return call__names_receiver(c, sk);
	return LOAD(sk, struct sock, sk_type) != SOCK_STREAM && !socket__is_connected(sk);
}
