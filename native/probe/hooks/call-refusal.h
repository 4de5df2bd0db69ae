/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: the record of a call that was refused for a rule, by deny-paths.bpf.c or an object with deny-way.h. */
#pragma once

static __always_inline struct path_refusal *call__find_refusal(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	return bpf_map_lookup_elem(&refused_paths, &thread);
}

static __always_inline void call__forget_refusal(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	bpf_map_delete_elem(&refused_paths, &thread);
}

/* Whether the failed call of this thread was refused for a rule. */
__noinline int call__is_refused(struct call_state *c)
{
	struct path_refusal *refusal = c ? call__find_refusal() : NULL;
	if (!refusal)
		return 0;
	if (refusal->event == c->spec.event && refusal->start == scope__current()->start_boottime && c->ret == -EPERM)
		return 1;
	/* It was not reported, or another program has refused the call as well, with an error of its own. */
	__sync_fetch_and_add(&state.denied_dropped, 1);
	call__forget_refusal();
	return 0;
}

/*
 * Makes the record one of the connection to a unix socket that was refused to this thread, and stores the socket's name at `off`.
 * Returns the record's end. By then the descriptor may be another socket.
 */
__noinline __u32 call__store_unix_refusal(__u32 off)
{
	struct scratch *s = ring__get_scratch();
	struct path_refusal *refusal = call__find_refusal();
	if (!s || !refusal || refusal->event != EVENT_CONNECT || refusal->start != scope__current()->start_boottime ||
	    !CALL_ROOM(off, 128))
		return off;
	struct rec_call *r = (void *)s->b;
	__u32 len = refusal->len[0] & 127;
	bpf_probe_read_kernel(s->b + off, len, refusal->path[0]);
	r->unix_len = len;
	r->family = AF_UNIX;
	r->protocol = r->lport = r->rport = 0;
	r->socket_type = refusal->socket_type;
	r->flags = (r->flags & ~CONNECTED) | TUPLE_KNOWN | DENIED;
	s->h.ts = refusal->ts;
	__builtin_memcpy(s->h.comm, refusal->comm, sizeof(s->h.comm));
	call__forget_refusal();
	return off + len;
}

/* Appends path `which` of the refused call; returns its length. */
static __always_inline __u32 call__append_refused(struct call_state *c, struct scratch *s, struct path_refusal *refusal,
						  __u32 which)
{
	__u32 off = c->off, len = refusal->len[which] & (VERDICT_PATH_MAX - 1);
	barrier_var(off);
	if (!len || !CALL_ROOM(off, PATH_MAX))
		return 0;
	bpf_probe_read_kernel(s->b + off, len, refusal->path[which]);
	c->off = off + len;
	return len;
}

/* Stores the paths that the verdict was about, in the place of those that were passed. Symbolic links keep their target. */
__noinline int call__store_refused_paths(struct call_state *c)
{
	struct scratch *s = ring__get_scratch();
	struct path_refusal *refusal = call__find_refusal();
	if (!c || !s || !refusal || c->spec.fd)
		return 0;
	struct rec_call *r = (void *)s->b;
	if (refusal->len[0])
		r->raw1_len = call__append_refused(c, s, refusal, 0);
	else
		call__store_text(c, 0);
	r->raw2_len = call__append_refused(c, s, refusal, 1);
	return 0;
}

/* Makes the record one of the refused call. */
__noinline int call__store_refusal(struct call_state *c)
{
	struct scratch *s = ring__get_scratch();
	struct path_refusal *refusal = call__find_refusal();
	if (!c || !s || !refusal)
		return 0;
	struct rec_call *r = (void *)s->b;
	__u32 mode = c->spec.mode & 7;
	if (mode && c->spec.judged) /* judged without the bits that the kernel ignores */
		(&r->arg1)[(mode - 1) & 7] &= MODE_BITS;
	if (c->spec.judged)
		r->fd = -1;
	if (c->spec.fd && c->spec.judged) {
		/* as judged: another thread may have changed what the descriptor is */
		r->fd = c->args[c->spec.fd & 7];
		FILE_STORE_FACTS(r, &refusal->facts);
		r->path_len = call__append_refused(c, s, refusal, 0);
	}
	r->flags |= DENIED;
	s->h.ts = refusal->ts;
	__builtin_memcpy(s->h.comm, refusal->comm, sizeof(s->h.comm));
	c->failing = ALL_FAILING;
	call__forget_refusal();
	return 0;
}
