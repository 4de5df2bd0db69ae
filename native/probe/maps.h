/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 0: what the probe shares with user space. */
#pragma once

#include "shared.h"

const volatile struct probe_config config SEC(".rodata.config");

struct probe_state state SEC(".data.state");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SCOPE_MAX);
	__type(key, __u64);
	__type(value, struct scope_entry);
} scope SEC(".maps");

static __always_inline void maps__count_read_error(void)
{
	__sync_fetch_and_add(&state.read_errors, 1);
}

/* Exec, clone, exit and cgroup records: few, and every later record needs them. Sizes set before load. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} exec_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} bulk_ring SEC(".maps");

/* The record under construction. Per-CPU values stop at 32 KiB (PCPU_MIN_UNIT_SIZE). */
#define SCRATCH_BYTES RECORD_MAX
struct scratch {
	struct rec_header h;
	char b[SCRATCH_BYTES - sizeof(struct rec_header)];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

/* A path is written from its end: twice the bound lets one mask keep every write inside. */
struct path_buffer {
	/* The walk's arguments and state, see path.h */
	__u64 dentry, vfsmount, root_dentry, root_vfsmount;
	__u32 at, pad;
	char b[2 * PATH_MAX];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct path_buffer);
} path_buffer SEC(".maps");
