/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: a record's facts about a socket, from the kernel's object. */
#pragma once

#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define SOCK_DGRAM 2
#define SOCK_TYPE_MASK 0xf /* include/linux/net.h */
#define S_IFMT 0170000
#define S_IFDIR 0040000
#define S_IFSOCK 0140000
#define UNIX_PATH_MAX 108
/*
 * States of a socket with a peer, as bits (include/net/tcp_states.h). These are ESTABLISHED, which connected sockets
 * of other protocols have too, and those in which one or both sides have stopped writing.
 */
#define CONNECTED_STATES (1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11)

#define EPERM 1
#define EINTR 4
#define EINPROGRESS 115
#define ERESTARTSYS 512 /* include/linux/errno.h; the caller sees EINTR, or the call restarts */

/* The request succeeded, or goes on by itself: a signal that ends connect(2) does not stop the connection attempt. */
static __always_inline bool socket__has_begun(__s64 ret)
{
	return ret >= 0 || ret == -EINPROGRESS || ret == -EINTR || ret == -ERESTARTSYS;
}

/* The socket of a file that is one, or NULL. */
static __always_inline struct sock *socket__from_file(struct file *file)
{
	if (!file)
		return NULL;
	struct inode *inode = LOAD(file, struct file, f_inode);
	if ((LOAD(inode, struct inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	void *socket = LOAD(file, struct file, private_data);
	return LOAD(socket, struct socket, sk);
}

/* Whether it has a peer. A unix socket that another has connected to is in the same state without a peer. */
static __always_inline bool socket__is_connected(struct sock *sk)
{
	if (LOAD(sk, struct sock, __sk_common.skc_family) == AF_UNIX)
		return BPF_CORE_READ((struct unix_sock *)sk, peer) != NULL;
	return CONNECTED_STATES >> (LOAD(sk, struct sock, __sk_common.skc_state) & 15) & 1;
}

/* Fills the fields common to all records of a socket: `r` is any struct with the table's SOCKET fields. */
#define SOCKET_STORE_KIND(r, sk)                                                                           \
	({                                                                                                 \
		(r)->family = LOAD(sk, struct sock, __sk_common.skc_family);                               \
		(r)->protocol = (r)->family == AF_UNIX ? 0 : LOAD(sk, struct sock, sk_protocol);           \
		(r)->socket_type = LOAD(sk, struct sock, sk_type);                                         \
	})

static __always_inline bool socket__is_network(struct sock *sk)
{
	__u16 family = sk ? LOAD(sk, struct sock, __sk_common.skc_family) : 0;
	return family == AF_INET || family == AF_INET6;
}

#define SOCKET_STORE_ENDS(r, sk)                                                                           \
	({                                                                                                 \
		if ((r)->family == AF_INET || (r)->family == AF_INET6) {                                   \
			(r)->lport = LOAD(sk, struct sock, __sk_common.skc_num);                           \
			__u16 _port = LOAD(sk, struct sock, __sk_common.skc_dport);                        \
			(r)->rport = (_port >> 8) | (_port << 8);                                          \
		}                                                                                          \
		if ((r)->family == AF_INET) {                                                              \
			*(__u32 *)(r)->laddr = LOAD(sk, struct sock, __sk_common.skc_rcv_saddr);           \
			*(__u32 *)(r)->raddr = LOAD(sk, struct sock, __sk_common.skc_daddr);               \
		} else if ((r)->family == AF_INET6) {                                                      \
			BPF_CORE_READ_INTO(&(r)->laddr, sk, __sk_common.skc_v6_rcv_saddr);                 \
			BPF_CORE_READ_INTO(&(r)->raddr, sk, __sk_common.skc_v6_daddr);                     \
		}                                                                                          \
	})

/* The path that a unix socket is bound to; abstract names keep their leading NUL. Returns its length. */
static __always_inline __u32 socket__store_unix_path(char *dst, struct sock *sk)
{
	struct unix_address *address = BPF_CORE_READ((struct unix_sock *)sk, addr);
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

/* The same for the peer's socket. */
static __always_inline __u32 socket__store_unix_peer(char *dst, struct sock *sk)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
	return peer ? socket__store_unix_path(dst, peer) : 0;
}
