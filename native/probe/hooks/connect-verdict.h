// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Whether a rule can match a connect, by where it goes. */

/* By container and end: how often no rule was about a connect to there. */
struct end {
	__u64 cgroup;
	__u8 address[16];
	__u32 port, address_len;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, ENDS_MAX);
	__type(key, struct end);
	__type(value, __u32);
} ends SEC(".maps");

/*
 * Whether a connect that no rule is about is reported all the same: the first one to an end, and those at which their
 * number has doubled. So it is known which ends an app uses. Its number goes into the record.
 */
__noinline int connect__is_milestone(struct call_state *c)
{
	struct scratch *s = ring__get_scratch();
	struct verdict_call *v = verdict__get_call();
	if (!c || !s || !v || v->kind >= VERDICT_FIRST_CONNECT + CONNECT_UNIX)
		return 0;
	struct end end = { .cgroup = c->cgroup, .port = v->port, .address_len = v->address_len };
	__builtin_memcpy(end.address, v->address, sizeof(end.address));
	__u32 one = 1, *known = bpf_map_lookup_elem(&ends, &end);
	/* two at once may count as one */
	__u32 count = known ? *known + 1 : one;
	if (known)
		*known = count;
	else
		bpf_map_update_elem(&ends, &end, &one, BPF_ANY);
	((struct rec_call *)s->b)->size = count;
	return !(count & (count - 1));
}

/* Notes the path that the peer is bound to; false if it is none, or not known. */
static __always_inline bool connect__note_path(struct verdict_call *v, const struct call_state *c, const struct rec_call *r)
{
	if (c->ret || !c->socket || !(r->flags & CONNECTED))
		return 0;
	return connect__end_name(v, socket__store_unix_peer(v->path, (void *)c->socket));
}

/* 0 if no rule can match the connect, whose socket is stored. Sets `failing` to the certain rules that may fail. */
__noinline int connect__may_match(struct call_state *c)
{
	struct scratch *s = ring__get_scratch();
	struct verdict_call *v = verdict__get_call();
	if (!c || !s || !v)
		return 1;
	struct rec_call *r = (void *)s->b;
	c->failing = ALL_FAILING;
	/* a descriptor that is no socket has other fields */
	if (!r->socket_type)
		return 1;
	v->len = 0;
	if (!(r->flags & TUPLE_KNOWN)) {
		v->kind = CONNECT_FAILED;
	} else if (r->family == AF_INET || r->family == AF_INET6) {
		v->kind = connect__note_end(v, r->family, r->protocol, r->raddr, r->rport) + (c->ret < 0);
	} else {
		v->kind = CONNECT_UNIX;
		if (r->family != AF_UNIX || !connect__note_path(v, c, r))
			return 1;
	}
	v->kind += VERDICT_FIRST_CONNECT;
	v->table = c->table;
	v->directory = v->dots = 0;
	v->layer = LAYER_NONE;
	bool passes = verdict__passes(ASKS_ALL);
	if (v->kind == VERDICT_FIRST_CONNECT + CONNECT_UNIX && v->is_odd)
		return 1;
	c->failing = v->failing;
	return passes;
}
