/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* uring.bpf.c, before the result: makes the record of a prepared request from the kernel's own copy. */
#pragma once

/* The file name that a prepared request holds in this field. */
#define URING_FILENAME(req, T, field)                                                                              \
	(bpf_core_type_exists(struct delayed_filename)                                                             \
		 ? LOAD(req, struct T##___delayed, field.__incomplete_filename)                                    \
		 : LOAD(req, struct T, field))

/*
 * Appends a file name held by the kernel as string `which` of the call. Returns the pointer that was passed; 0 where
 * the kernel does not keep it (7.3).
 */
__noinline __u64 uring__store_name(struct call_state *c, __u32 which, __u64 filename)
{
	struct scratch *s = ring__get_scratch();
	if (!c || !s || which > 2 || !filename)
		return 0;
	__u32 off = c->off;
	barrier_var(off);
	if (!CALL_ROOM(off, PATH_MAX))
		return 0;
	long n = bpf_probe_read_kernel_str(s->b + off, PATH_MAX, LOAD(filename, struct filename, name));
	__u32 len = n > 0 ? (n - 1) & (PATH_MAX - 1) : 0;
	call__end_text(c, s, which, off, len);
	return bpf_core_field_exists(struct filename, uptr) ? (__u64)BPF_CORE_READ((struct filename *)filename, uptr) : 0;
}

/* Stores the arguments as the call would have them, and appends paths. False if the layout is unknown. */
static __always_inline bool uring__store_arguments(struct call_state *c, __u64 req, __u8 opcode)
{
	struct filename *first = NULL, *second = NULL;
	__u32 at = 2;
	if (opcode == OP_UNLINKAT) {
		c->args[1] = LOAD(req, struct io_unlink, dfd);
		c->args[3] = LOAD(req, struct io_unlink, flags);
		first = URING_FILENAME(req, io_unlink, filename);
	} else if (opcode == OP_MKDIRAT) {
		c->args[1] = LOAD(req, struct io_mkdir, dfd);
		c->args[3] = LOAD(req, struct io_mkdir, mode);
		first = URING_FILENAME(req, io_mkdir, filename);
	} else if (opcode == OP_RENAMEAT) {
		c->args[1] = LOAD(req, struct io_rename, old_dfd);
		c->args[3] = LOAD(req, struct io_rename, new_dfd);
		c->args[5] = LOAD(req, struct io_rename, flags);
		first = URING_FILENAME(req, io_rename, oldpath);
		second = URING_FILENAME(req, io_rename, newpath);
	} else if (!bpf_core_type_exists(struct io_link)) { /* 5.19 and older */
		return 0;
	} else if (opcode == OP_LINKAT) {
		c->args[1] = LOAD(req, struct io_link, old_dfd);
		c->args[3] = LOAD(req, struct io_link, new_dfd);
		c->args[5] = LOAD(req, struct io_link, flags);
		first = URING_FILENAME(req, io_link, oldpath);
		second = URING_FILENAME(req, io_link, newpath);
	} else { /* symlinkat(target, directory, path) */
		c->args[2] = LOAD(req, struct io_link, new_dfd);
		first = URING_FILENAME(req, io_link, oldpath);
		second = URING_FILENAME(req, io_link, newpath);
		at = 1;
	}
	__u64 passed = uring__store_name(c, 0, maps__forget_type(first));
	if (at == 1)
		c->args[1] = passed;
	else
		c->args[2] = passed;
	if (second) {
		passed = uring__store_name(c, 1, maps__forget_type(second));
		if (at == 1)
			c->args[3] = passed;
		else
			c->args[4] = passed;
	}
	return 1;
}

/* connect: the address, from the kernel's copy if it makes one beforehand. */
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
	call__append_address(c, s, (__u64)passed, copy, len);
	return 0;
}

/* Makes the record of the request in the scratch, except for the result. False if it is not wanted. */
__noinline int uring__prepare(__u64 req, __u32 opcode, __u32 nr)
{
	struct call_state *c = call__get_state();
	struct scratch *s = ring__get_scratch();
	if (!c || !s || nr >= CALL_NR_MAX)
		return 0;
	struct task_struct *task = scope__current();
	if (opcode == OP_OPENAT || opcode == OP_OPENAT2) {
		__u32 mask = *(volatile __u32 *)&state.open_mask, flags = LOAD(req, struct io_open, how.flags);
		if (!open__is_wanted(mask, flags, 0) && !(mask & OPEN_FAILED))
			return 0;
		task__store_header(&s->h, task, c->cgroup, KIND_OPEN, opcode == OP_OPENAT ? EVENT_OPENAT : EVENT_OPENAT2, 0);
		struct rec_open *r = (void *)s->b;
		__builtin_memset(r, 0, sizeof(*r));
		r->dirfd = LOAD(req, struct io_open, dfd);
		r->open_flags = flags & ~O_LARGEFILE; /* io_uring sets this flag itself */
		r->mode = LOAD(req, struct io_open, how.mode);
		r->resolve = LOAD(req, struct io_open, how.resolve);
		r->flags = VIA_IO_URING;
		struct filename *filename = URING_FILENAME(req, io_open, filename);
		long n = bpf_probe_read_kernel_str(s->b + sizeof(*r), PATH_MAX, LOAD(filename, struct filename, name));
		__u32 off = sizeof(*r), len = n > 0 ? (n - 1) & (PATH_MAX - 1) : 0;
		r->raw_len = len;
		off += len;
		call__forget_strings(c);
		c->off = sizeof(*r);
		__s32 start = r->dirfd;
		if (len && s->b[sizeof(*r)] == '/') {
			call__find_detour(c, 0);
			start = c->detours[0];
		}
		if (len && start != NO_DETOUR) {
			/* always: when requests complete together, a descriptor may already refer to another file */
			len = open__store_directory(s->b + off, task, start) & (PATH_MAX - 1);
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
		call__forget_strings(c);
		if (opcode == OP_CONNECT) {
			uring__store_address(c, req);
		} else if (opcode == OP_SOCKET) {
			if (!bpf_core_type_exists(struct io_socket))
				return 0;
			c->args[1] = LOAD(req, struct io_socket, domain);
			c->args[2] = LOAD(req, struct io_socket, type);
			c->args[3] = LOAD(req, struct io_socket, protocol);
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
	/* a kernel thread of the ring: its name is not the process's */
	if (BPF_CORE_READ((struct task_struct___flags *)task, flags) & PF_IO_WORKER) {
		s->h.tid = s->h.pid;
		s->h.vtid = s->h.vpid;
		bpf_probe_read_kernel(s->h.comm, sizeof(s->h.comm), task->group_leader->comm);
	}
	return 1;
}
