/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What the hooks share of calls that are refused for their paths, or for who makes them: whether such a call was. */
#pragma once

/* Limit on refused calls that are not reported yet; the least recently noted are forgotten. */
#define REFUSED_PATHS_MAX 1024

/* A call that was refused for a rule, and the paths that the verdict was about, as the kernel resolved them. */
struct path_refusal {
	__u64 start; /* of the thread: ids are reused */
	__u64 ts;    /* of the verdict, CLOCK_BOOTTIME ns */
	char comm[COMM_LEN]; /* the name of the thread that it was about */
	__u32 event; /* EVENT_* */
	__u32 len[2]; /* of the paths; 0: the call has none there */
	__u32 socket_type; /* of a connection to a unix socket, whose name is the first path */
	struct file_facts facts; /* of the file of a descriptor */
	char path[2][VERDICT_PATH_MAX];
};
_Static_assert(__builtin_offsetof(struct path_refusal, ts) == REFUSED_AT, "the loader reads it");
/* By thread, which makes one call at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, REFUSED_PATHS_MAX);
	__type(key, __u64);
	__type(value, struct path_refusal);
} refused_paths SEC(".maps");
