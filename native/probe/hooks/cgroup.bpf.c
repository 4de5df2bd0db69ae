// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Adds new cgroups to the scope before a process can be in them. The tracepoints carry the path from the hierarchy's
 * root (include/trace/events/cgroup.h).
 */

static __always_inline bool cgroup__has_prefix(const char *text, const volatile char *prefix, __u32 len, __u32 max)
{
	for (__u32 i = 0; i < max; i++) {
		/*
		 * otherwise clang, which knows that len <= max, drops `max`, the only bound that Linux 6.1's verifier
		 * follows
		 */
		barrier_var(len);
		if (i >= len)
			break;
		if (text[i] != prefix[i])
			return 0;
	}
	return 1;
}

static __always_inline bool cgroup__is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

struct cgroup_match {
	char path[CGROUP_PATH_MAX + 128]; /* spare room: comparisons stay inside without masks */
	__u32 len;
	__u32 leaf; /* start of the last component */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_match);
} cgroup_match SEC(".maps");

/* 1: container, 0: no, -1: a negative pattern. Global: proved once, not sixteen times. */
__noinline int cgroup__match_pattern(__u32 index)
{
	__u32 zero = 0;
	struct cgroup_match *m = bpf_map_lookup_elem(&cgroup_match, &zero);
	if (!m || index >= PATTERNS_MAX)
		return 0;
	const volatile struct scope_pattern *p = &config.patterns[index];
	__u32 leaf = m->leaf, len = m->len;
	if (leaf > CGROUP_PATH_MAX - 1 || len > CGROUP_PATH_MAX || len <= leaf)
		return 0;
	if (p->deep ? leaf < p->prefix_len : leaf != p->prefix_len)
		return 0;
	if (!cgroup__has_prefix(m->path, p->prefix, p->prefix_len, sizeof(p->prefix)))
		return 0;
	__u32 handle = leaf + (p->leaf_prefix_len & 31);
	__u32 suffix_len = p->leaf_suffix_len & 31;
	if (len < handle + suffix_len)
		return 0;
	__u32 end = len - suffix_len;
	if ((end == handle) != (p->handle == HANDLE_NONE))
		return 0;
	if (leaf > CGROUP_PATH_MAX - 1 || end > CGROUP_PATH_MAX - 1 || handle > CGROUP_PATH_MAX)
		return 0;
	/* Linux 6.1 loses bounds compared in a copy; a mask stays with the value */
	barrier_var(end);
	end &= CGROUP_PATH_MAX - 1;
	barrier_var(handle);
	handle &= 2 * CGROUP_PATH_MAX - 1;
	if (!cgroup__has_prefix(&m->path[leaf], p->leaf_prefix, p->leaf_prefix_len & 31, sizeof(p->leaf_prefix)))
		return 0;
	if (!cgroup__has_prefix(&m->path[end], p->leaf_suffix, suffix_len, sizeof(p->leaf_suffix)))
		return 0;
	if (p->handle == HANDLE_HEX64) {
		if (end - handle != 64)
			return 0;
		for (int i = 0; i < 64; i++) {
			if (!cgroup__is_hex(m->path[handle + i]))
				return 0;
		}
	}
	return p->negative ? -1 : 1;
}

static __always_inline bool cgroup__match_path(const char *path)
{
	__u32 zero = 0;
	struct cgroup_match *m = bpf_map_lookup_elem(&cgroup_match, &zero);
	if (!m)
		return 0;
	long n = bpf_probe_read_kernel_str(m->path, CGROUP_PATH_MAX, path);
	if (n <= 1 || n >= CGROUP_PATH_MAX)
		return 0;
	m->len = n - 1;
	m->leaf = 0;
	for (__u32 i = 0; i < CGROUP_PATH_MAX; i++) {
		if (i >= n - 1)
			break;
		if (m->path[i] == '/')
			m->leaf = i + 1;
	}
	for (__u32 i = 0; i < PATTERNS_MAX; i++) {
		if (i >= config.n_patterns)
			break;
		int result = cgroup__match_pattern(i);
		if (result)
			return result > 0;
	}
	return 0;
}

/* `container`: id of the container's cgroup, which is `cgrp` or contains it; `entry`: its entry. */
static __always_inline int cgroup__send(struct task_struct *task, struct cgroup *cgrp, const char *path, __u32 op,
					 __u64 container, struct scope_entry *entry)
{
	struct scratch *s = ring__get_scratch();
	if (!s)
		return 0;
	task__store_header(&s->h, task, container, KIND_CGROUP, 0, 0);
	struct rec_cgroup *r = (void *)s->b;
	r->id = cgrp->kn->id;
	r->root_id = container;
	r->op = op;
	r->state = entry->state;
	r->exes_len = 0;
	r->ancestors_len = 0;
	__u32 off = sizeof(*r);
	struct task_struct *parent = task->real_parent;
	if (op == CGROUP_ATTACH && lineage__is_outside(parent)) { /* its runtime may end before anybody can ask */
		r->exes_len = lineage__store_exes(s->b + off, parent);
		off += ANCESTOR_EXES * ANCESTOR_EXE_MAX;
		r->ancestors_len = lineage__store_ancestors(s->b + off, parent, 1);
		off += r->ancestors_len & 511;
	}
	long n = bpf_probe_read_kernel_str(s->b + off, CGROUP_PATH_MAX, path);
	r->path_len = n > 0 ? (n - 1) & (CGROUP_PATH_MAX - 1) : 0;
	off += r->path_len;
	/*
	 * Only the runtime makes containers' cgroups, and a lost mkdir is a lost container. But tenants can enter
	 * cgroups.
	 */
	enum ring_budget budget = op == CGROUP_ATTACH ? BUDGET_EXEC : BUDGET_NONE;
	ring__send_record(&exec_ring, budget, s, sizeof(s->h) + off, entry);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir, struct cgroup *trusted_cgrp, const char *path)
{
	struct cgroup *cgrp = UNTRUSTED(trusted_cgrp, struct cgroup);
	if (cgrp->root->hierarchy_id != config.hierarchy_id)
		return 0;
	__u64 id = cgrp->kn->id, container = scope__container_id(cgrp, cgrp->level);
	/* Cgroups made inside a container need no entry and no record: they are found by their ancestors. */
	if (container && container != id && bpf_map_lookup_elem(&scope, &container))
		return 0;
	if (!cgroup__match_path(path))
		return 0;
	struct scope_entry fresh = { .state = SCOPE_PENDING };
	if (cgrp->level > LEVEL_MAX || bpf_map_update_elem(&scope, &id, &fresh, BPF_ANY)) {
		__sync_fetch_and_add(&state.scope_full, 1);
		return 0;
	}
	scope__note_level(cgrp->level); /* no process can be in it yet */
	struct scope_entry *entry = bpf_map_lookup_elem(&scope, &id);
	return entry ? CPU_HELD(cgroup__send(scope__current(), cgrp, path, CGROUP_MKDIR, id, entry)) : 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_rmdir, struct cgroup *trusted_cgrp, const char *path)
{
	struct cgroup *cgrp = UNTRUSTED(trusted_cgrp, struct cgroup);
	if (cgrp->root->hierarchy_id != config.hierarchy_id)
		return 0;
	__u64 id = cgrp->kn->id;
	struct scope_entry *entry = bpf_map_lookup_elem(&scope, &id);
	return entry ? CPU_HELD(cgroup__send(scope__current(), cgrp, path, CGROUP_RMDIR, id, entry)) : 0;
}

static __always_inline int cgroup__attach(struct task_struct *task, struct cgroup *cgrp, const char *path,
					  __u64 container, struct scope_entry *entry)
{
	image__enter(task);
	return cgroup__send(task, cgrp, path, CGROUP_ATTACH, container, entry);
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cgroup_attach_task, struct cgroup *trusted_cgrp, const char *path, struct task_struct *trusted_task)
{
	struct cgroup *cgrp = UNTRUSTED(trusted_cgrp, struct cgroup);
	if (cgrp->root->hierarchy_id != config.hierarchy_id)
		return 0;
	__u64 container = scope__container_id(cgrp, cgrp->level);
	struct scope_entry *entry = scope__find_entry(container);
	if (!entry)
		return 0;
	return CPU_HELD(cgroup__attach(UNTRUSTED(trusted_task, struct task_struct), cgrp, path, container, entry));
}

/*
 * Run by the loader, not attached. Changes an entry's state in place, so that no count is lost, unlike with a lookup
 * and an update from user space.
 */
SEC("syscall")
int scope_set(struct scope_set_args *args)
{
	__u64 id = args->cgroup;
	struct scope_entry *entry = bpf_map_lookup_elem(&scope, &id);
	__u32 level = args->level;
	scope__note_level(level);
	if (entry) {
		if (args->table)
			*(volatile __u32 *)&entry->table = args->table - 1;
		*(volatile __u32 *)&entry->state = args->state;
		args->error = 0;
		return 0;
	}
	struct scope_entry fresh = {};
	fresh.state = args->state;
	if (args->table)
		fresh.table = args->table - 1;
	args->error = bpf_map_update_elem(&scope, &id, &fresh, BPF_ANY);
	return 0;
}

/* Run by the loader like scope_set. */
SEC("syscall")
int scope_hold(struct scope_hold_args *args)
{
	__u64 id = args->cgroup;
	struct scope_entry *entry = bpf_map_lookup_elem(&scope, &id);
	if (entry)
		*(volatile __u32 *)&entry->held = args->held;
	return 0;
}
