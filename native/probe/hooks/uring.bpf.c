// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Requests of io_uring that do what a system call does, as the event of that call. After its preparation a request
 * holds the kernel's own copy of paths, flags and (6.10) address: the record is made then, in the submitter's name, and
 * waits for the result by the request's address. Completions may come from a worker, or from a task of the kernel.
 *
 * Nothing goes unreported because it hides its end: a request that will not complete visibly (IOSQE_CQE_SKIP_SUCCESS, a
 * full completion queue, no room to wait) is reported as if it had succeeded, with RESULT_UNKNOWN.
 */

#define OP_CONNECT 16
#define OP_OPENAT 18
#define OP_OPENAT2 28
#define OP_RENAMEAT 35
#define OP_UNLINKAT 36
#define OP_MKDIRAT 37
#define OP_SYMLINKAT 38
#define OP_LINKAT 39
#define OP_MAX 64
#define REQ_FIXED_FILE 1
#define REQ_CQE_SKIP 64 /* bits of REQ_F_* that have not moved since they are there */
#define FILE_INDEX_ALLOC 0xffffffff
#define FIXED_FILE_MASK (~7ull)
#define O_LARGEFILE 0100000
#define PF_IO_WORKER 0x10
#define URING_WAITING_MAX 1024
#define URING_RECORD_BYTES 8832
#define URING_ASIDE 16384 /* of the scratch, behind any record of an open */

const volatile __u16 uring_calls[OP_MAX] SEC(".rodata.uring") = { IO_URING_CALLS };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct io_cqe {
	__u64 user_data;
	__s32 res;
	union {
		__u32 flags;
		int fd; /* until there is a result */
	};
};
struct io_uring_cqe {
	__s32 res;
};
struct io_rsrc_node {
	unsigned long file_ptr;
};
struct io_rsrc_data {
	unsigned int nr;
	struct io_rsrc_node **nodes;
};
struct io_file_table {
	struct io_rsrc_data data;
};
struct io_ring_ctx {
	struct io_file_table file_table;
};
/* until 6.12: an array of struct io_fixed_file, a word each; how many is in the context */
struct io_file_table___until_6_12 {
	unsigned long *files;
};
struct io_ring_ctx___until_6_12 {
	struct io_file_table___until_6_12 file_table;
	unsigned int nr_user_files;
};
/* what the opcode needs begins at the request's own beginning */
struct io_kiocb {
	struct file *file;
	__u8 opcode;
	__u32 flags; /* 64 bits since 6.8: the low ones */
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
	void *async_data;
};
struct filename {
	const char *name;
	const char *uptr;
};
struct open_how {
	__u64 flags, mode, resolve;
};
struct io_open {
	int dfd;
	__u32 file_slot;
	struct filename *filename;
	struct open_how how;
};
struct io_connect {
	void *addr;
	int addr_len;
};
struct io_unlink {
	int dfd, flags;
	struct filename *filename;
};
struct io_mkdir {
	int dfd;
	__u16 mode;
	struct filename *filename;
};
struct io_rename {
	int old_dfd, new_dfd;
	struct filename *oldpath, *newpath;
	int flags;
};
struct io_link {
	int old_dfd, new_dfd;
	struct filename *oldpath, *newpath;
	int flags;
};
/* until 6.9 connect had one of its own, and only when it went to a worker */
struct io_async_connect {
	char address[128];
};
struct io_async_msghdr {
	char addr[128];
};
struct task_struct___flags {
	unsigned int flags;
};
#pragma clang attribute pop

/* A record that waits for its result, and what is needed then. The first part is laid out as struct scratch. */
struct uring_waiting {
	struct rec_header h; /* h.len: bytes so far */
	char b[URING_RECORD_BYTES - sizeof(struct rec_header)];
	__u64 ctx, user_data;
	__u32 slot; /* open: where the file goes instead of to a descriptor, counted from 1; 0 for a descriptor */
	__u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, URING_WAITING_MAX);
	__type(key, __u64);
	__type(value, struct uring_waiting);
} uring_waiting SEC(".maps");

/* Appends a file name that the kernel holds as string `which` of the call; returns the pointer that was passed. */
__noinline __u64 uring__store_name(struct call_state *c, __u32 which, __u64 filename)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s || which > 2 || !filename)
		return 0;
	struct rec_call *r = (void *)s->b;
	__u32 off = c->off;
	barrier_var(off);
	if (!CALL_ROOM(off, PATH_MAX))
		return 0;
	long n = bpf_probe_read_kernel_str(s->b + off, PATH_MAX, LOAD(filename, struct filename, name));
	__u32 len = n > 0 ? (n - 1) & (PATH_MAX - 1) : 0;
	if (len == 0 || s->b[off & (SCRATCH_BYTES / 2 - 1)] != '/')
		c->relative |= 1 << which;
	(&r->raw1_len)[which] = len;
	c->off = off + len;
	return (__u64)BPF_CORE_READ((struct filename *)filename, uptr);
}

/* The arguments as the call would have them; paths are appended. False: not in a way that is known. */
static __always_inline bool uring__store_arguments(struct call_state *c, __u64 req, __u8 opcode)
{
	struct filename *first = NULL, *second = NULL;
	__u32 at = 2;
	if (opcode == OP_UNLINKAT) {
		c->args[1] = LOAD(req, struct io_unlink, dfd);
		c->args[3] = LOAD(req, struct io_unlink, flags);
		first = LOAD(req, struct io_unlink, filename);
	} else if (opcode == OP_MKDIRAT) {
		c->args[1] = LOAD(req, struct io_mkdir, dfd);
		c->args[3] = LOAD(req, struct io_mkdir, mode);
		first = LOAD(req, struct io_mkdir, filename);
	} else if (opcode == OP_RENAMEAT) {
		c->args[1] = LOAD(req, struct io_rename, old_dfd);
		c->args[3] = LOAD(req, struct io_rename, new_dfd);
		c->args[5] = LOAD(req, struct io_rename, flags);
		first = LOAD(req, struct io_rename, oldpath);
		second = LOAD(req, struct io_rename, newpath);
	} else if (!bpf_core_type_exists(struct io_link)) { /* 5.19 and older */
		return 0;
	} else if (opcode == OP_LINKAT) {
		c->args[1] = LOAD(req, struct io_link, old_dfd);
		c->args[3] = LOAD(req, struct io_link, new_dfd);
		c->args[5] = LOAD(req, struct io_link, flags);
		first = LOAD(req, struct io_link, oldpath);
		second = LOAD(req, struct io_link, newpath);
	} else { /* symlinkat(target, directory, path) */
		c->args[2] = LOAD(req, struct io_link, new_dfd);
		first = LOAD(req, struct io_link, oldpath);
		second = LOAD(req, struct io_link, newpath);
		at = 1;
	}
	__u64 passed = uring__store_name(c, 0, task__forget_type(first));
	if (at == 1)
		c->args[1] = passed;
	else
		c->args[2] = passed;
	if (second) {
		passed = uring__store_name(c, 1, task__forget_type(second));
		if (at == 1)
			c->args[3] = passed;
		else
			c->args[4] = passed;
	}
	return 1;
}

/* connect: the address, as the kernel copied it where it does so beforehand. */
__noinline int uring__store_address(struct call_state *c, __u64 req)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s)
		return 0;
	struct rec_call *r = (void *)s->b;
	void *passed = LOAD(req, struct io_connect, addr), *copy = NULL;
	__u32 len = LOAD(req, struct io_connect, addr_len);
	c->args[1] = bpf_core_field_exists(struct io_cqe, fd) ? LOAD(req, struct io_kiocb, cqe.fd) : -1;
	c->args[2] = (__u64)passed;
	c->args[3] = len;
	r->fd = LOAD(req, struct io_kiocb, flags) & REQ_FIXED_FILE ? -1 : (__s32)c->args[1];
	if (bpf_core_field_exists(struct io_async_msghdr, addr) && !bpf_core_type_exists(struct io_async_connect)) {
		copy = LOAD(req, struct io_kiocb, async_data);
		if (copy)
			copy += bpf_core_field_offset(struct io_async_msghdr, addr);
	}
	if (len > SOCKADDR_MAX)
		len = SOCKADDR_MAX;
	__u32 off = c->off;
	barrier_var(off);
	barrier_var(len);
	if (!len || !CALL_ROOM(off, SOCKADDR_MAX) || len > SOCKADDR_MAX)
		return 0;
	long error = copy ? bpf_probe_read_kernel(s->b + off, len, copy) : bpf_probe_read_user(s->b + off, len, passed);
	if (error) {
		r->flags |= RAW_UNREADABLE;
		maps__count_read_error();
		return 0;
	}
	r->addr_len = len;
	c->off = off + len;
	return 0;
}

/* Makes the record of the request, in the scratch, as far as it is known before the result. False: nobody wants it. */
__noinline int uring__prepare(__u64 req, __u32 opcode, __u32 nr)
{
	struct call_state *c = call__get_state();
	struct scratch *s = ring__get_scratch();
	if (!c || !s || nr >= CALL_NR_MAX)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	if (opcode == OP_OPENAT || opcode == OP_OPENAT2) {
		__u32 mask = *(volatile __u32 *)&state.open_mask, flags = LOAD(req, struct io_open, how.flags);
		if (!open__is_wanted(mask, flags, 0) && !(mask & OPEN_FAILED))
			return 0;
		task__store_header(&s->h, task, c->cgroup, KIND_OPEN, opcode == OP_OPENAT ? EVENT_OPENAT : EVENT_OPENAT2, 0);
		struct rec_open *r = (void *)s->b;
		__builtin_memset(r, 0, sizeof(*r));
		r->dirfd = LOAD(req, struct io_open, dfd);
		r->open_flags = flags & ~O_LARGEFILE; /* it sets this one by itself */
		r->mode = LOAD(req, struct io_open, how.mode);
		r->resolve = LOAD(req, struct io_open, how.resolve);
		r->flags = VIA_IO_URING;
		struct filename *filename = LOAD(req, struct io_open, filename);
		long n = bpf_probe_read_kernel_str(s->b + sizeof(*r), PATH_MAX, LOAD(filename, struct filename, name));
		__u32 off = sizeof(*r), len = n > 0 ? (n - 1) & (PATH_MAX - 1) : 0;
		r->raw_len = len;
		off += len;
		if (len && s->b[sizeof(*r)] != '/') {
			/* always: when requests complete together, a descriptor may already be another file's */
			len = open__store_directory(s->b + off, task, r->dirfd) & (PATH_MAX - 1);
			r->dir_len = len;
			off += len;
		}
		s->h.len = sizeof(s->h) + off;
	} else {
		c->spec = *(const struct call_spec *)&call_specs[nr];
		task__store_header(&s->h, task, c->cgroup, KIND_CALL, c->spec.event, 0);
		struct rec_call *r = (void *)s->b;
		__builtin_memset(r, 0, sizeof(*r));
		__builtin_memset(c->args, 0, sizeof(c->args));
		r->flags = VIA_IO_URING;
		r->fd = -1;
		c->off = sizeof(*r);
		c->relative = 0;
		if (opcode == OP_CONNECT) {
			uring__store_address(c, req);
		} else {
			if (!uring__store_arguments(c, req, opcode))
				return 0;
			for (int i = 0; i < 3; i++)
				call__store_directory(c, i);
		}
		r->arg1 = c->args[1];
		r->arg2 = c->args[2];
		r->arg3 = c->args[3];
		r->arg4 = c->args[4];
		r->arg5 = c->args[5];
		s->h.len = sizeof(s->h) + c->off;
	}
	/* a thread that the kernel made for the ring: not what the process calls itself */
	if (BPF_CORE_READ((struct task_struct___flags *)task, flags) & PF_IO_WORKER) {
		s->h.tid = s->h.pid;
		s->h.vtid = s->h.vpid;
		bpf_probe_read_kernel(s->h.comm, sizeof(s->h.comm), task->group_leader->comm);
	}
	return 1;
}

/* The file in a slot of the ring's own table. */
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

/* What the result adds to an open: its file. Returns where the record ends. */
static __always_inline __u32 uring__finish_open(struct scratch *s, __u32 off, __u64 ctx, __u32 slot, __s32 res)
{
	struct rec_open *r = (void *)s->b;
	struct task_struct *task = bpf_get_current_task_btf();
	/* when its process has ended, a task of the kernel completes it: the descriptors are not its own */
	if (res < 0 || (r->flags & RESULT_UNKNOWN) || task->tgid != s->h.pid)
		return off;
	struct file *file = slot ? uring__slot_file(ctx, slot, res) : file__from_fd(task, res);
	if (!file)
		return off;
	/* the path goes before the directory */
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

/* The same for a connect: its socket's ends. */
static __always_inline __u32 uring__finish_connect(struct scratch *s, __u32 off, __u64 req, __s32 res)
{
	struct rec_call *r = (void *)s->b;
	struct sock *sk = socket__from_file(LOAD(req, struct io_kiocb, file));
	if (!sk)
		return off;
	SOCKET_STORE_KIND(r, sk);
	if (socket__is_connected(sk))
		r->flags |= CONNECTED;
	if (res < 0 && res != -EINPROGRESS)
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
		if (!open__is_wanted(*(volatile __u32 *)&state.open_mask, r->open_flags, res)) {
			__sync_fetch_and_add(&entry->prefiltered, 1);
			return 0;
		}
		r->flags |= unknown ? RESULT_UNKNOWN : 0;
		off = uring__finish_open(s, off, ctx, slot, res);
	} else {
		struct rec_call *r = (void *)s->b;
		r->flags |= unknown ? RESULT_UNKNOWN : 0;
		if (s->h.event == EVENT_CONNECT && !unknown)
			off = uring__finish_connect(s, off, req, res);
	}
	ring__send_record(&bulk_ring, BUDGET_BULK, s, sizeof(s->h) + off, entry);
	return 0;
}

/* The request has ended: its record goes out. */
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

/* Keeps the record in the scratch until the request ends; sends it where that cannot be waited for. */
__noinline int uring__wait(__u64 req)
{
	struct uring_waiting *waiting = (void *)ring__get_scratch();
	if (!waiting)
		return 0;
	__u64 ctx = task__forget_type(LOAD(req, struct io_kiocb, ctx));
	__u32 slot = waiting->h.kind == KIND_OPEN ? LOAD(req, struct io_open, file_slot) : 0;
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
	barrier_var(nr); /* the bound stays in the register that is added: Linux 6.1 looks for it there */
	if (nr >= CALL_NR_MAX || !*(volatile __u8 *)&state.wanted[nr])
		return 0;
	__u64 cgroup = scope__cgroup_id(bpf_get_current_task_btf());
	struct call_state *c = call__get_state();
	if (!c || !scope__find_entry(cgroup))
		return 0;
	req = task__forget_type((void *)typed);
	/* one that had this address before has ended without a word */
	uring__finish(req, 0, 1);
	c->cgroup = cgroup;
	if (uring__prepare(req, opcode, nr))
		uring__wait(req);
	return 0;
}

/* The loader takes those that fit this kernel (addon/variant.cc). Since 6.3: (req) */
SEC("tp_btf/io_uring_submit_req")
int uring_submit_1(__u64 *ctx)
{
	return uring__on_submit(ctx[0]);
}

/* 6.1, 6.2: (req, force_nonblock) */
SEC("tp_btf/io_uring_submit_sqe")
int uring_submit_2(__u64 *ctx)
{
	return uring__on_submit(ctx[0]);
}

/* Before: (ctx, req, user_data, opcode, …) */
SEC("tp_btf/io_uring_submit_sqe")
int uring_submit_7(__u64 *ctx)
{
	return uring__on_submit(ctx[1]);
}

/* Since 6.13: (ctx, req, cqe) */
SEC("tp_btf/io_uring_complete")
int uring_complete_3(__u64 *ctx)
{
	return uring__finish(ctx[1], LOAD(ctx[2], struct io_uring_cqe, res), 0);
}

/* 5.18 to 6.12: (ctx, req, user_data, res, cflags, extra1, extra2); without the request before */
SEC("tp_btf/io_uring_complete")
int uring_complete_7(__u64 *ctx)
{
	return uring__finish(ctx[1], ctx[3], 0);
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
 * The completion queue is full: io_uring_complete does not fire, and this one does not name the request. Several may have
 * the same user_data: one of them is taken, and its result is not believed.
 */
SEC("tp_btf/io_uring_cqe_overflow")
int uring_overflow(__u64 *ctx)
{
	if (!scope__find_entry(scope__cgroup_id(bpf_get_current_task_btf())))
		return 0;
	struct uring_overflow overflow = { ctx[0], ctx[1], 0 };
	bpf_for_each_map_elem(&uring_waiting, uring__match_overflow, &overflow, 0);
	if (overflow.req)
		uring__finish(overflow.req, 0, 1);
	return 0;
}
