/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What the hooks of an open share: how it is judged, and whether it was refused. */
#pragma once

/* Limit on opens that are refused and not reported yet; the least recently noted are forgotten. */
#define REFUSED_OPENS_MAX 1024

/* What a refused open is known by, until its end reports it. */
struct refused_open_key {
	__u64 thread;  /* 0: a request of io_uring, which may end in another thread of its process */
	__u64 request; /* of io_uring: a number of its own; else 0: a thread makes one call at a time */
};
/* An open that was refused for a rule: the file and the flags that the verdict was about. */
struct open_refusal {
	__u64 start; /* of the thread, or of its process for io_uring: ids are reused */
	__u64 ts;    /* of the verdict, CLOCK_BOOTTIME ns */
	char comm[COMM_LEN]; /* the name of the thread that it was about */
	struct file_facts facts;
	__u32 pid;
	__u32 flags; /* O_*, as the kernel took them */
	__u32 len;   /* of the path */
	__u32 pad;
	char path[VERDICT_PATH_MAX];
};
_Static_assert(__builtin_offsetof(struct open_refusal, ts) == REFUSED_AT, "the loader reads it");
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, REFUSED_OPENS_MAX);
	__type(key, struct refused_open_key);
	__type(value, struct open_refusal);
} refused_opens SEC(".maps");

/*
 * Copies the path in the path buffer for the verdict; false if there is none, or it is too long. `detached`: also one that ends
 * at another root than that of the process. Rules compare what there is of it.
 */
static __always_inline bool open__judge_buffer(struct verdict_call *v, long start, bool detached)
{
	__u32 zero = 0, at = start & 0xffff, len = PATH_MAX - at;
	struct path_buffer *from = bpf_map_lookup_elem(&path_buffer, &zero);
	__u32 flags = start >> PATH_FLAGS_SHIFT;
	if (!from || start < 0 || flags & ~(detached ? FILE_DETACHED : 0) || at > PATH_MAX || len >= VERDICT_PATH_MAX)
		return 0;
	barrier_var(len);
	len &= VERDICT_PATH_MAX - 1;
	if (bpf_probe_read_kernel(v->path, len, &from->b[at & (2 * PATH_MAX - 1)]))
		return 0;
	v->len = len;
	/* a pseudo file's name is no path */
	return !flags || v->path[0] == '/';
}

static __always_inline __u32 open__call_index(__u16 event)
{
	return event == EVENT_OPEN ? 0 : event == EVENT_OPENAT ? 1 : event == EVENT_OPENAT2 ? 2 : 3;
}
