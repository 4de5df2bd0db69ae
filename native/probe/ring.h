/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: sends a finished record, and charges it to a budget. */
#pragma once

/* flags of bpf_ringbuf_query, include/uapi/linux/bpf.h */
#define BPF_RB_AVAIL_DATA 0
#define BPF_RB_RING_SIZE 1

/* Eight bytes of 1: a byte's worth in each. */
#define EACH_BYTE 0x0101010101010101ull

static __always_inline struct scratch *ring__get_scratch(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&scratch, &zero);
}

/*
 * Whether a detection may come of this record at once. Those that are not urgent are forks that were not refused, exits, and
 * what no table of verdicts has judged. Of a container with a table, a record is one that a rule may match.
 */
static __always_inline bool ring__is_urgent(const struct rec_header *h, const struct scope_entry *entry, bool bulk)
{
	if (bulk)
		return scope__filter_of(entry) != 0;
	return h->kind != KIND_EXIT && (h->kind != KIND_CLONE || h->ret < 0);
}

/*
 * One wakeup per idle period: the producer that changes `awake` forces it, all others are silent. How the consumer
 * goes to sleep is said in addon/loop.h. Returns what `awake` was if this producer has changed it, else AWAKE_POLLS.
 */
static __always_inline __u32 ring__wake(void *ring, bool urgent)
{
	__u32 was = *(volatile __u32 *)&state.awake;
	if (urgent && !*(volatile __u32 *)&state.urgent)
		state.urgent = 1;
	if (was == AWAKE_POLLS)
		return AWAKE_POLLS;
	if (was == AWAKE_DOZES && !urgent &&
	    bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) < bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 8)
		return AWAKE_POLLS;
	if (__sync_val_compare_and_swap(&state.awake, was, AWAKE_POLLS) != was)
		return AWAKE_POLLS;
	if (was == AWAKE_ASLEEP) /* there was nothing to read: from now on it can be late */
		state.unread_since = bpf_ktime_get_boot_ns();
	return was;
}

/* Counts a call that no rule can match, instead of sending it. */
static __always_inline void ring__count_filtered(struct scope_entry *entry, __u32 event)
{
	__sync_fetch_and_add(&entry->prefiltered, 1);
	__u64 *count = bpf_map_lookup_elem(&filtered, &event);
	if (count)
		__sync_fetch_and_add(count, 1);
}

/* Stops counting at the budget: records skipped during a stall must not make the counter wrap around to zero. */
static __always_inline bool ring__take_bytes(__u32 *used, __u32 budget, __u32 len)
{
	return *(volatile __u32 *)used < budget && __sync_fetch_and_add(used, len) + len <= budget;
}

/*
 * False if the container has used up its share of the ring for this epoch and half of the ring is not free. A burst
 * of one container may use room that nobody needs, but the rest is kept for those within their shares. Also false
 * while the consumer has too many of its records queued.
 */
static __always_inline bool ring__take_budget(void *ring, struct scope_entry *entry, __u32 len, bool bulk)
{
	if (*(volatile __u32 *)&entry->held & (bulk ? HELD_BULK : HELD_EXEC))
		return 0;
	__u32 epoch = *(volatile __u32 *)&state.epoch;
	if (entry->epoch != epoch) { /* a race here only lends a few records */
		entry->epoch = epoch;
		entry->exec_bytes = 0;
		entry->bulk_bytes = 0;
	}
	if (bulk ? ring__take_bytes(&entry->bulk_bytes, config.bulk_budget, len)
		 : ring__take_bytes(&entry->exec_bytes, config.exec_budget, len))
		return 1;
	return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) + len < bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 2;
}

enum ring_budget { BUDGET_NONE, BUDGET_EXEC, BUDGET_BULK };

/*
 * Counts a record lost at `ts`, and its cause. That is the consumer if it has not read for long; else the container
 * if it has used up its own share. Otherwise others have filled the ring. If two CPUs start an interval at once, its
 * first time may be some microseconds late.
 */
static __always_inline void ring__count_drop(struct scope_entry *entry, __u64 ts, bool within_share, bool exec)
{
	__u64 since = *(volatile __u64 *)&state.unread_since, late = ts > since ? ts - since : 0;
	__u32 look = *(volatile __u32 *)&state.loss_look;
	if (entry->loss_look != look || !entry->first_drop) {
		entry->loss_look = look;
		entry->first_drop = ts;
		entry->late_ns = 0;
	}
	if (ts < entry->first_drop)
		entry->first_drop = ts;
	if (ts > entry->last_drop)
		entry->last_drop = ts;
	if (late > entry->late_ns)
		entry->late_ns = late;
	if (late > READ_LATE_NS)
		__sync_fetch_and_add(&entry->dropped_late, 1);
	else if (!within_share)
		__sync_fetch_and_add(&entry->dropped_share, 1);
	__sync_fetch_and_add(&state.dropped, 1);
	__sync_fetch_and_add(&entry->dropped, 1);
	if (exec) {
		__sync_fetch_and_add(&state.dropped_exec, 1);
		__sync_fetch_and_add(&entry->dropped_exec, 1);
	}
}

/* Sends this record, whose bytes are a multiple of 8. As ring__send_record. */
static __always_inline bool ring__send_padded(void *ring, enum ring_budget budget, struct rec_header *h, __u32 len,
					      struct scope_entry *entry)
{
	long error = -1;
	h->len = len;
	/* Before the record becomes readable: a reader finds it counted. */
	__sync_fetch_and_add(&state.emitted, 1);
	__sync_fetch_and_add(&entry->emitted, 1);
	bool within_share = budget == BUDGET_NONE || ring__take_budget(ring, entry, len, budget == BUDGET_BULK);
	if (within_share) {
		__u32 was = ring__wake(ring, ring__is_urgent(h, entry, budget == BUDGET_BULK));
		barrier_var(len);
		if (len <= SCRATCH_BYTES)
			error = bpf_ringbuf_output(ring, h, len,
						   was == AWAKE_POLLS ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP);
		if (error && was != AWAKE_POLLS)
			state.awake = was; /* nothing was sent: the next record must wake */
	}
	if (error) {
		__sync_fetch_and_add(&state.emitted, -1);
		__sync_fetch_and_add(&entry->emitted, -1);
		ring__count_drop(entry, h->ts, within_share, budget != BUDGET_BULK);
	}
	return !error;
}

/*
 * Sends the first `len` bytes of the scratch, padded to 8. `entry`: the entry of the record's container, which counts
 * records sent and lost. False if it was dropped.
 */
static __always_inline bool ring__send_record(void *ring, enum ring_budget budget, struct scratch *s, __u32 len,
					      struct scope_entry *entry)
{
	if (len > SCRATCH_BYTES - 8)
		return 0;
	barrier_var(len);
	*(__u64 *)((char *)s + (len & (SCRATCH_BYTES - 1))) = 0; /* the padding */
	return ring__send_padded(ring, budget, &s->h, (len + 7) & ~7u, entry);
}
