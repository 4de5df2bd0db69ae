// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Cuts a container off from the network but for loopback and the host's name servers. Attached to the container's
 * cgroup (v2), so that no other task's sockets run these programs. Needs Linux 5.7 (links of cgroups).
 *
 * isolate_egress and isolate_ingress decide: they see each IP packet from and to sockets that the cgroup's processes
 * have made, on connections from before too. isolate_connect only makes a connect fail at once, which would otherwise
 * wait for an answer for minutes. What is not seen is in manifests/docs/responses.md, "Not covered".
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "isolate.h"

#define AF_INET 2
#define AF_INET6 10
#define LOOPBACK_IFINDEX 1 /* of every network namespace (include/net/net_namespace.h) */
#define PORT_DNS 53
#define FRAGMENT_OFFSET 0x1fff
#define REFUSE 0
#define ALLOW 1

const volatile struct isolate_config isolate_config SEC(".rodata.isolate");
struct isolate_counts isolate_counts SEC(".data.isolate");

/*
 * Own addresses of isolated containers: packets to them stay on loopback. One container's entry lets another connect
 * there too, whose packets are dropped all the same.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ISOLATE_LOCAL_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct isolate_address);
	__type(value, __u8);
} isolate_local SEC(".maps");

static __always_inline int isolate__is_server(const struct isolate_address *to, __u16 port)
{
	if (port != bpf_htons(PORT_DNS))
		return 0;
	for (int i = 0; i < ISOLATE_SERVERS_MAX; i++) {
		const volatile struct isolate_address *one = &isolate_config.servers[i];
		if (i < isolate_config.n_servers && one->family == to->family && one->words[0] == to->words[0] &&
		    one->words[1] == to->words[1] && one->words[2] == to->words[2] && one->words[3] == to->words[3])
			return 1;
	}
	return 0;
}

/* Whether the packet may pass. `out`: it leaves, so its destination counts; else its source. */
static __always_inline int isolate__packet(struct __sk_buff *skb, int out)
{
	struct isolate_address peer = {};
	__u32 at = 0;
	__u8 protocol = 0;
	__u16 port = 0;
	if (skb->ifindex == LOOPBACK_IFINDEX)
		return ALLOW;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;
		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
			goto drop;
		peer.family = AF_INET;
		peer.words[0] = out ? ip.daddr : ip.saddr;
		protocol = ip.frag_off & bpf_htons(FRAGMENT_OFFSET) ? 0 : ip.protocol;
		at = ip.ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;
		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
			goto drop;
		peer.family = AF_INET6;
		__builtin_memcpy(peer.words, out ? &ip.daddr : &ip.saddr, sizeof(peer.words));
		protocol = ip.nexthdr;
		at = sizeof(ip);
	}
	/* both headers begin with the ports, the source's first */
	if ((protocol == IPPROTO_UDP || protocol == IPPROTO_TCP) &&
	    !bpf_skb_load_bytes(skb, at + (out ? sizeof(port) : 0), &port, sizeof(port)) && isolate__is_server(&peer, port))
		return ALLOW;
drop:
	__sync_fetch_and_add(&isolate_counts.packets, 1);
	return REFUSE;
}

SEC("cgroup_skb/egress")
int isolate_egress(struct __sk_buff *skb)
{
	return isolate__packet(skb, 1);
}

SEC("cgroup_skb/ingress")
int isolate_ingress(struct __sk_buff *skb)
{
	return isolate__packet(skb, 0);
}

static __always_inline int isolate__connect(const struct isolate_address *to, __u32 port)
{
	if (isolate__is_server(to, port) || bpf_map_lookup_elem(&isolate_local, to))
		return ALLOW;
	__sync_fetch_and_add(&isolate_counts.connects, 1);
	return REFUSE;
}

static __always_inline int isolate__connect_ipv4(__u32 address, __u32 port)
{
	struct isolate_address to = { .family = AF_INET, .words = { address } };
	/* 0.0.0.0 means this host, and is answered on loopback */
	if (!address || (bpf_ntohl(address) >> 24) == 127)
		return ALLOW;
	return isolate__connect(&to, port);
}

SEC("cgroup/connect4")
int isolate_connect4(struct bpf_sock_addr *ctx)
{
	return isolate__connect_ipv4(ctx->user_ip4, ctx->user_port);
}

SEC("cgroup/connect6")
int isolate_connect6(struct bpf_sock_addr *ctx)
{
	struct isolate_address to = { .family = AF_INET6 };
	to.words[0] = ctx->user_ip6[0];
	to.words[1] = ctx->user_ip6[1];
	to.words[2] = ctx->user_ip6[2];
	to.words[3] = ctx->user_ip6[3];
	if (!to.words[0] && !to.words[1]) {
		if (to.words[2] == bpf_htonl(0xffff)) /* an IPv4 address by an IPv6 socket */
			return isolate__connect_ipv4(to.words[3], ctx->user_port);
		if (!to.words[2] && (!to.words[3] || to.words[3] == bpf_htonl(1))) /* :: and ::1 */
			return ALLOW;
	}
	return isolate__connect(&to, ctx->user_port);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
