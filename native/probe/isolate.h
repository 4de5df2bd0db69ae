/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layouts that the isolation programs and their loader share. */
#pragma once

#define ISOLATE_SERVERS_MAX 8
/* Limit on addresses of isolated containers. */
#define ISOLATE_LOCAL_MAX 16384

/* An address of family AF_INET (the first word alone counts) or AF_INET6, network order. */
struct isolate_address {
	__u32 family;
	__u32 words[4];
};

/* Set before load. */
struct isolate_config {
	__u32 n_servers;
	struct isolate_address servers[ISOLATE_SERVERS_MAX];
};

/* Shared by mmap; monotonic, over all isolated containers. */
struct isolate_counts {
	__u64 packets;	/* dropped, in both directions */
	__u64 connects; /* refused */
};
