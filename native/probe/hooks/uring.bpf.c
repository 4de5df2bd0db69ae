// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Reports io_uring requests as the system calls that they replace. After its preparation a request holds the kernel's
 * own copy of paths, flags and (6.10) address. The record is made then (uring-prepare.h), in the submitter's name,
 * and waits for the result under the request's address. Completions may come from a worker, or from a kernel task.
 *
 * A request cannot avoid a report by hiding its end. If it will not complete visibly (IOSQE_CQE_SKIP_SUCCESS, a full
 * completion queue, no room to wait), it is reported as successful, with RESULT_UNKNOWN.
 */

#define URING_WAITING_MAX 1024
#define URING_RECORD_BYTES 8832
#define URING_ASIDE 16384 /* offset in the scratch, after any record of an open */

const volatile __u16 uring_calls[OP_MAX] SEC(".rodata.uring") = { IO_URING_CALLS };

/* A record that waits for its result, with what is needed then. The first part has the layout of struct scratch. */
struct uring_waiting {
	struct rec_header h; /* h.len: bytes so far */
	char b[URING_RECORD_BYTES - sizeof(struct rec_header)];
	__u64 ctx, user_data;
	__u32 slot; /* open, socket: slot of the file, from 1, if it gets no descriptor; 0: a descriptor */
	__u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, URING_WAITING_MAX);
	__type(key, __u64);
	__type(value, struct uring_waiting);
} uring_waiting SEC(".maps");

/* The file in a slot of the ring's file table. */
static __always_inline struct file *uring__slot_file(__u64 ctx, __u32 slot, __s32 res)
{
	__u32 at = slot == FILE_INDEX_ALLOC ? (__u32)res : slot - 1;
	unsigned long word = 0;
	if (bpf_core_field_exists(struct io_ring_ctx, file_table.data)) {
		if (at >= LOAD(ctx, struct io_ring_ctx, file_table.data.nr))
			return NULL;
		struct io_rsrc_node **nodes = LOAD(ctx, struct io_ring_ctx, file_table.data.nodes), *node = NULL;
		bpf_probe_read_kernel(&node, sizeof(node), nodes + at);
		word = node ? LOAD(node, struct io_rsrc_node, file_ptr) : 0;
	} else if (bpf_core_field_exists(struct io_ring_ctx___until_6_12, file_table.files)) {
		if (at >= BPF_CORE_READ((struct io_ring_ctx___until_6_12 *)ctx, nr_user_files))
			return NULL;
		unsigned long *files = BPF_CORE_READ((struct io_ring_ctx___until_6_12 *)ctx, file_table.files);
		bpf_probe_read_kernel(&word, sizeof(word), files + at);
	}
	return (struct file *)(word & FIXED_FILE_MASK);
}

/* Completes an open with its file. Returns the record's end. */
static __always_inline __u32 uring__finish_open(struct scratch *s, __u32 off, __u64 ctx, __u32 slot, __s32 res)
{
	struct rec_open *r = (void *)s->b;
	struct task_struct *task = scope__current();
	/* if its process has ended, a kernel task completes it: the descriptors are not its own */
	if (res < 0 || (r->flags & RESULT_UNKNOWN) || task->tgid != s->h.pid)
		return off;
	struct file *file = slot ? uring__slot_file(ctx, slot, res) : file__from_fd(task, res);
	if (!file)
		return off;
	/* the path comes before the directory */
	__u32 dir_len = r->dir_len & (PATH_MAX - 1), raw_len = r->raw_len & (PATH_MAX - 1);
	off = sizeof(*r) + raw_len;
	bpf_probe_read_kernel(s->b + URING_ASIDE, dir_len, s->b + off);
	off = open__store_file(s, off, file, task);
	barrier_var(off);
	if (off > URING_ASIDE - PATH_MAX)
		return off;
	bpf_probe_read_kernel(s->b + off, dir_len, s->b + URING_ASIDE);
	return off + dir_len;
}

/* Completes a connect with its socket's ends. */
static __always_inline __u32 uring__finish_connect(struct scratch *s, __u32 off, __u64 req, __s32 res)
{
	struct rec_call *r = (void *)s->b;
	struct sock *sk = socket__from_file(LOAD(req, struct io_kiocb, file));
	if (!sk)
		return off;
	SOCKET_STORE_KIND(r, sk);
	if (socket__is_connected(sk))
		r->flags |= CONNECTED;
	if (!socket__has_begun(res))
		return off;
	r->flags |= TUPLE_KNOWN;
	SOCKET_STORE_ENDS(r, sk);
	if (r->family != AF_UNIX)
		return off;
	__u32 len = socket__store_unix_peer(s->b + off, sk) & 127;
	if (!len)
		len = socket__store_unix_path(s->b + off, sk) & 127;
	r->unix_len = len;
	return off + len;
}

/* Completes a new socket with its kind. */
static __always_inline void uring__finish_socket(struct scratch *s, __u64 ctx, __u32 slot, __s32 res)
{
	struct rec_call *r = (void *)s->b;
	struct task_struct *task = scope__current();
	if (res < 0 || task->tgid != s->h.pid)
		return;
	if (!slot)
		r->fd = res;
	struct sock *sk = socket__from_file(slot ? uring__slot_file(ctx, slot, res) : file__from_fd(task, res));
	if (sk)
		SOCKET_STORE_KIND(r, sk);
}

/* A refused open of a process, the one that was noted first. */
struct uring_refusal {
	struct refused_open_key key;
	__u64 ts, start;
	__u32 pid;
};

static long uring__match_refusal(void *map, struct refused_open_key *key, struct open_refusal *refusal,
				 struct uring_refusal *first)
{
	bool is_other = key->thread || refusal->pid != first->pid || refusal->start != first->start;
	if (is_other || (first->ts && refusal->ts >= first->ts))
		return 0;
	first->ts = refusal->ts;
	first->key = *key;
	return 0;
}

/*
 * Makes the record one of an open that the kernel has refused to its process for a rule. Of several it takes that which
 * was refused first: each is reported once, though perhaps with the path that another request has passed. Returns the
 * record's end; 0 if none was refused.
 */
__noinline int uring__store_refusal(void)
{
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	struct uring_refusal first = { .start = s->h.start, .pid = s->h.pid };
	bpf_for_each_map_elem(&refused_opens, uring__match_refusal, &first, 0);
	if (!first.ts)
		return 0;
	__u32 raw_len = ((struct rec_open *)s->b)->raw_len & (PATH_MAX - 1);
	return open__store_refusal(sizeof(struct rec_open) + raw_len, 0, first.key.request);
}

/* Sends the record in the scratch. `slot` as in struct uring_waiting. */
__noinline int uring__send(__u64 req, __u64 ctx, __u32 slot, __s32 res, __u32 unknown)
{
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	struct scope_entry *entry = scope__find_entry(s->h.cgroup);
	__u32 off = s->h.len - sizeof(s->h);
	barrier_var(off);
	if (!entry || !CALL_ROOM(off, PATH_MAX))
		return 0;
	s->h.ret = res;
	s->h.ts = bpf_ktime_get_boot_ns();
	s->h.cpu = bpf_get_smp_processor_id();
	if (s->h.kind == KIND_OPEN) {
		struct rec_open *r = (void *)s->b;
		__u32 end = res == -EPERM ? uring__store_refusal() : 0;
		if (end) {
			open__send_record(s, sizeof(s->h) + end, entry);
			return 0;
		}
		if (!open__is_wanted(*(volatile __u32 *)&state.open_mask, r->open_flags, res)) {
			ring__count_filtered(entry, s->h.event);
			return 0;
		}
		r->flags |= unknown ? RESULT_UNKNOWN : 0;
		off = uring__finish_open(s, off, ctx, slot, res);
	} else {
		struct rec_call *r = (void *)s->b;
		r->flags |= unknown ? RESULT_UNKNOWN : 0;
		if (s->h.event == EVENT_CONNECT && !unknown)
			off = uring__finish_connect(s, off, req, res);
		if (s->h.event == EVENT_CONNECT && res == -EPERM) {
			if (connect__is_refused())
				connect__store_refusal();
			else
				off = call__store_unix_refusal(off);
		}
		if (s->h.event == EVENT_SOCKET && !unknown)
			uring__finish_socket(s, ctx, slot, res);
	}
	connect__send_record(s, sizeof(s->h) + off, entry);
	return 0;
}

/* The request has ended: sends its record. */
__noinline int uring__finish(__u64 req, __s32 res, __u32 unknown)
{
	struct scratch *s = ring__get_scratch();
	struct uring_waiting *waiting = bpf_map_lookup_elem(&uring_waiting, &req);
	if (!s || !waiting)
		return 0;
	__u32 len = waiting->h.len, slot = waiting->slot;
	__u64 ctx = waiting->ctx;
	if (len > URING_RECORD_BYTES)
		len = URING_RECORD_BYTES;
	barrier_var(len);
	if (len <= URING_RECORD_BYTES)
		bpf_probe_read_kernel(s, len, waiting);
	bpf_map_delete_elem(&uring_waiting, &req);
	return uring__send(req, ctx, slot, res, unknown);
}

/* Keeps the record in the scratch until the request ends; sends it if the end cannot be awaited. */
__noinline int uring__wait(__u64 req)
{
	struct uring_waiting *waiting = (void *)ring__get_scratch();
	if (!waiting)
		return 0;
	__u64 ctx = maps__forget_type(LOAD(req, struct io_kiocb, ctx));
	__u32 slot = waiting->h.kind == KIND_OPEN ? LOAD(req, struct io_open, file_slot) : 0;
	if (waiting->h.event == EVENT_SOCKET && bpf_core_type_exists(struct io_socket))
		slot = LOAD(req, struct io_socket, file_slot);
	if (!(LOAD(req, struct io_kiocb, flags) & REQ_CQE_SKIP) && waiting->h.len <= URING_RECORD_BYTES) {
		waiting->ctx = ctx;
		waiting->slot = slot;
		waiting->user_data = LOAD(req, struct io_kiocb, cqe.user_data);
		if (!bpf_map_update_elem(&uring_waiting, &req, waiting, BPF_ANY))
			return 0;
	}
	return uring__send(req, ctx, slot, 0, 1);
}

static __always_inline int uring__on_submit(__u64 typed)
{
	__u64 req = typed;
	__u32 opcode = LOAD(req, struct io_kiocb, opcode);
	if (opcode >= OP_MAX)
		return 0;
	__u32 nr = uring_calls[opcode];
	if (!nr)
		return 0;
	if (opcode == OP_RENAMEAT && LOAD(req, struct io_rename, flags))
		nr = NR_RENAMEAT2;
	barrier_var(nr); /* keeps the bound in the register that is added, where Linux 6.1 looks for it */
	if (nr >= CALL_NR_MAX || !*(volatile __u8 *)&state.wanted[nr])
		return 0;
	__u64 cgroup = scope__cgroup_id(scope__current());
	struct call_state *c = call__get_state();
	if (!c || !scope__find_entry(cgroup))
		return 0;
	req = maps__forget_type((void *)typed);
	/* an earlier request at this address has ended unnoticed */
	uring__finish(req, 0, 1);
	c->cgroup = cgroup;
	if (uring__prepare(req, opcode, nr))
		uring__wait(req);
	return 0;
}

/* The loader picks the programs that fit this kernel (addon/variant.cc). Since 6.3: (req) */
SEC("tp_btf/io_uring_submit_req")
int uring_submit_1(__u64 *ctx)
{
	return CPU_HELD(uring__on_submit(ctx[0]));
}

/* 6.1, 6.2: (req, force_nonblock) */
SEC("tp_btf/io_uring_submit_sqe")
int uring_submit_2(__u64 *ctx)
{
	return CPU_HELD(uring__on_submit(ctx[0]));
}

/* Before 6.1: (ctx, req, user_data, opcode, …) */
SEC("tp_btf/io_uring_submit_sqe")
int uring_submit_7(__u64 *ctx)
{
	return CPU_HELD(uring__on_submit(ctx[1]));
}

/* Since 6.13: (ctx, req, cqe) */
SEC("tp_btf/io_uring_complete")
int uring_complete_3(__u64 *ctx)
{
	return CPU_HELD(uring__finish(ctx[1], LOAD(ctx[2], struct io_uring_cqe, res), 0));
}

/* 5.18 to 6.12: (ctx, req, user_data, res, cflags, extra1, extra2); before 5.18 without the request */
SEC("tp_btf/io_uring_complete")
int uring_complete_7(__u64 *ctx)
{
	return CPU_HELD(uring__finish(ctx[1], ctx[3], 0));
}

struct uring_overflow {
	__u64 ctx, user_data, req;
};

static long uring__match_overflow(void *map, __u64 *req, struct uring_waiting *waiting, struct uring_overflow *overflow)
{
	if (waiting->ctx != overflow->ctx || waiting->user_data != overflow->user_data)
		return 0;
	overflow->req = *req;
	return 1;
}

/*
 * The completion queue is full: io_uring_complete does not fire, and this tracepoint does not name the request. If
 * several have the same user_data, any of them is taken, and its result is not trusted.
 */
SEC("tp_btf/io_uring_cqe_overflow")
int uring_overflow(__u64 *ctx)
{
	if (!scope__find_entry(scope__cgroup_id(scope__current())))
		return 0;
	struct uring_overflow overflow = { ctx[0], ctx[1], 0 };
	bpf_for_each_map_elem(&uring_waiting, uring__match_overflow, &overflow, 0);
	return overflow.req ? CPU_HELD(uring__finish(overflow.req, 0, 1)) : 0;
}
