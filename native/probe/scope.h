/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 1: is this task's cgroup watched? */
#pragma once

extern void *bpf_rdonly_cast(const void *obj__ign, __u32 btf_id__k) __ksym __weak;
/* Direct loads from a kernel pointer (6.2+), a third of the cost of bpf_probe_read_kernel; see LOAD. */
#define HAVE_CAST (bpf_ksym_exists(bpf_rdonly_cast))
#define CAST(p, T) ((T *)bpf_rdonly_cast((const void *)(p), bpf_core_type_id_kernel(T)))
/* One field behind a kernel pointer of any origin; a fault reads as zero. */
#define LOAD(p, T, field)                                                                                  \
	({                                                                                                 \
		const void *_p = (const void *)(p);                                                        \
		typeof(((T *)0)->field) _v;                                                                \
		if (HAVE_CAST)                                                                             \
			_v = CAST(_p, T)->field;                                                           \
		else                                                                                       \
			_v = BPF_CORE_READ((T *)_p, field);                                                \
		_v;                                                                                        \
	})

static __always_inline __u64 scope__cgroup_id(struct task_struct *task)
{
	if (!config.v1_pids)
		return task->cgroups->dfl_cgrp->kn->id;
	struct css_set *set = task->cgroups;
	struct cgroup_subsys_state *css = NULL;
	__u64 at = bpf_core_field_offset(struct css_set, subsys) +
		   8 * bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
	if (bpf_probe_read_kernel(&css, sizeof(css), (void *)set + at) || !css)
		return 0;
	struct cgroup *cgrp = LOAD(css, struct cgroup_subsys_state, cgroup);
	struct kernfs_node *node = LOAD(cgrp, struct cgroup, kn);
	return LOAD(node, struct kernfs_node, id);
}

static __always_inline struct scope_entry *scope__find_entry(__u64 id)
{
	struct scope_entry *entry = bpf_map_lookup_elem(&scope, &id);
	return entry && entry->state != SCOPE_EXCLUDED ? entry : NULL;
}
