/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: hand-over of a finished record, and who pays for it. */
#pragma once

/* flags of bpf_ringbuf_query, include/uapi/linux/bpf.h */
#define BPF_RB_AVAIL_DATA 0
#define BPF_RB_RING_SIZE 1

static __always_inline struct scratch *ring__get_scratch(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&scratch, &zero);
}

/*
 * One wakeup per idle period: whoever turns awake from 0 to 1 forces it, everybody else is silent. The
 * consumer sets 0 only when it found nothing twice, and drains once more after it did (addon/ring.cc).
 */
static __always_inline __u64 ring__wake_flags(bool *woke)
{
	*woke = *(volatile __u32 *)&state.awake == 0 && __sync_val_compare_and_swap(&state.awake, 0, 1) == 0;
	return *woke ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Stops counting where it is full: what a stalled consumer leaves out must not wrap around to zero. */
static __always_inline bool ring__take_bytes(__u32 *used, __u32 budget, __u32 len)
{
	return *(volatile __u32 *)used < budget && __sync_fetch_and_add(used, len) + len <= budget;
}

/*
 * False when the container has used up its share of the ring for this epoch, and half of the ring is not free: a burst
 * of one container may have what nobody needs, but the rest is kept for those within their shares.
 */
static __always_inline bool ring__take_budget(void *ring, struct scope_entry *entry, __u64 cgroup, __u32 len,
					      bool bulk)
{
	struct scope_entry *payer = entry;
	if (entry->root != cgroup) { /* nested cgroups share the container's budget: nesting buys nothing */
		struct scope_entry *root = bpf_map_lookup_elem(&scope, &entry->root);
		if (root)
			payer = root;
	}
	__u32 epoch = *(volatile __u32 *)&state.epoch;
	if (payer->epoch != epoch) { /* a race here only lends a few records */
		payer->epoch = epoch;
		payer->exec_bytes = 0;
		payer->bulk_bytes = 0;
	}
	if (bulk ? ring__take_bytes(&payer->bulk_bytes, config.bulk_budget, len)
		 : ring__take_bytes(&payer->exec_bytes, config.exec_budget, len))
		return 1;
	return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) + len < bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 2;
}

enum ring_budget { BUDGET_NONE, BUDGET_EXEC, BUDGET_BULK };

/*
 * Sends the first `len` bytes of the scratch, padded to 8. `entry` is of the record's cgroup: what is sent or lost
 * counts there.
 */
static __always_inline void ring__send_record(void *ring, enum ring_budget budget, struct scratch *s, __u32 len,
					      struct scope_entry *entry)
{
	if (len > SCRATCH_BYTES - 8)
		return;
	barrier_var(len);
	*(__u64 *)((char *)s + (len & (SCRATCH_BYTES - 1))) = 0; /* the padding */
	len = (len + 7) & ~7u;
	s->h.len = len;
	bool woke = 0;
	long error = -1;
	/* Before the record can be read: whoever has read it finds it counted. */
	__sync_fetch_and_add(&state.emitted, 1);
	__sync_fetch_and_add(&entry->emitted, 1);
	if (budget == BUDGET_NONE || ring__take_budget(ring, entry, s->h.cgroup, len, budget == BUDGET_BULK)) {
		__u64 flags = ring__wake_flags(&woke);
		barrier_var(len);
		if (len <= SCRATCH_BYTES)
			error = bpf_ringbuf_output(ring, s, len, flags);
		if (error && woke)
			state.awake = 0; /* nothing was sent: the next record must wake */
	}
	if (error) {
		__sync_fetch_and_add(&state.emitted, -1);
		__sync_fetch_and_add(&entry->emitted, -1);
		__sync_fetch_and_add(&state.dropped, 1);
		__sync_fetch_and_add(&entry->dropped, 1);
		if (budget != BUDGET_BULK) {
			__sync_fetch_and_add(&state.dropped_exec, 1);
			__sync_fetch_and_add(&entry->dropped_exec, 1);
		}
	}
}
