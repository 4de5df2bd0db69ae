/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 1: whether this task's cgroup is watched. */
#pragma once

extern void *bpf_rdonly_cast(const void *obj__ign, __u32 btf_id__k) __ksym __weak;
/* Direct loads from a kernel pointer (6.2+), a third of the cost of bpf_probe_read_kernel; see LOAD. */
#define HAVE_CAST (bpf_ksym_exists(bpf_rdonly_cast))
#define CAST(p, T) ((T *)bpf_rdonly_cast((const void *)(p), bpf_core_type_id_kernel(T)))
/* One field at a kernel pointer of any origin; a fault reads as zero. */
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

/*
 * A kernel pointer that the verifier does not trust: reads through it may fault, and then return zero. For each
 * trusted pointer, Linux 6.2+ checks whether its target is trusted too, by searching all type names of the kernel.
 * That took half of the probe's load time.
 */
#define UNTRUSTED(p, T) (HAVE_CAST ? CAST(p, T) : (T *)(p))

static __always_inline struct task_struct *scope__current(void)
{
	return UNTRUSTED(bpf_get_current_task_btf(), struct task_struct);
}

/* How often another task has run in place of this one. */
static __always_inline __u64 scope__switches(void)
{
	struct task_struct *task = scope__current();
	__u64 switches = task->nvcsw + task->nivcsw;
	barrier();
	return switches;
}

/* A field of a cgroup that may be of v1, whose pointer was read and so has no type. v2 fields are loaded directly. */
#define SCOPE_LOAD(p, T, field) (config.v1_pids ? LOAD(p, T, field) : (p)->field)

static __always_inline __u64 scope__own_id(struct cgroup *cgrp)
{
	struct kernfs_node *node = SCOPE_LOAD(cgrp, struct cgroup, kn);
	return SCOPE_LOAD(node, struct kernfs_node, id);
}

/* The id of the cgroup at this level below the hierarchy's root: `cgrp` or an ancestor. 0 if unreadable. */
static __always_inline __u64 scope__id_at_level(struct cgroup *cgrp, __u32 level)
{
	__u64 at = level & LEVEL_MAX;
	barrier_var(at); /* keeps the bound in the register that is added, where Linux 6.1 looks for it */
	at *= 8;
	/* `struct path` stands for a word of any type: it begins with a pointer in every kernel */
	if (bpf_core_field_exists(struct cgroup, ancestors)) {
		at += bpf_core_field_offset(struct cgroup, ancestors);
		struct cgroup *found = (void *)LOAD((void *)cgrp + at, struct path, mnt);
		struct kernfs_node *node = LOAD(found, struct cgroup, kn);
		return LOAD(node, struct kernfs_node, id);
	}
	at += bpf_core_field_offset(struct cgroup___before_6_1, ancestor_ids);
	return (__u64)LOAD((void *)cgrp + at, struct path, mnt);
}

/* The index of the lowest set bit; without branches, since the verifier follows both sides of each. */
static __always_inline __u32 scope__first_level(__u32 levels)
{
	__u32 below = (levels & -levels) - 1; /* as many set bits as the index */
	below -= (below >> 1) & 0x55555555;
	below = (below & 0x33333333) + ((below >> 2) & 0x33333333);
	below = (below + (below >> 4)) & 0x0f0f0f0f;
	return (below * 0x01010101) >> 24;
}

/*
 * Several levels: the outermost cgroup in the map decides. A global function, which the verifier proves once and not per call: it
 * takes the cgroup as a number.
 */
__noinline __u64 scope__search_levels(__u64 cgroup, __u32 levels)
{
	struct cgroup *cgrp = (void *)cgroup;
	__u64 id = 0;
	for (int i = 0; i <= LEVEL_MAX; i++) {
		if (!levels)
			break;
		id = scope__id_at_level(cgrp, scope__first_level(levels));
		levels &= levels - 1;
		if (!levels || bpf_map_lookup_elem(&scope, &id))
			break;
	}
	return id;
}

/* A cgroup as a number. Not by maps__forget_type, which shares memory of the CPU: it is not held yet (cpu.h). */
static __always_inline __u64 scope__number_of(struct cgroup *cgrp)
{
	__u64 number = 0;
	bpf_probe_read_kernel(&number, sizeof(number), &cgrp);
	return number;
}

/*
 * The id of the container's cgroup that this one is, or is in, at any depth. If there is none: 0, or an id that is
 * not in the map. Checks only cgroups at levels that have containers: with one such level, no lookup is needed.
 */
static __always_inline __u64 scope__container_id(struct cgroup *cgrp, __u32 level)
{
	__u32 levels = *(volatile __u32 *)&state.levels;
	if (level < LEVEL_MAX)
		levels &= (2u << level) - 1;
	if (levels & (levels - 1))
		return scope__search_levels(scope__number_of(cgrp), levels);
	if (!levels)
		return 0;
	if (level <= LEVEL_MAX && levels >> level) /* only its own level is left */
		return scope__own_id(cgrp);
	return scope__id_at_level(cgrp, scope__first_level(levels));
}

/* Like scope__container_id, for the task's cgroup. */
static __always_inline __u64 scope__cgroup_id(struct task_struct *task)
{
	if (!config.v1_pids) {
		struct cgroup *cgrp = task->cgroups->dfl_cgrp;
		return scope__container_id(cgrp, cgrp->level);
	}
	struct css_set *set = task->cgroups;
	struct cgroup_subsys_state *css = NULL;
	__u64 at = bpf_core_field_offset(struct css_set, subsys) +
		   8 * bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
	if (bpf_probe_read_kernel(&css, sizeof(css), (void *)set + at) || !css)
		return 0;
	struct cgroup *cgrp = LOAD(css, struct cgroup_subsys_state, cgroup);
	return scope__container_id(cgrp, LOAD(cgrp, struct cgroup, level));
}

/*
 * Call before a level's first container is in the map, so that nothing of it is missed. Levels stay until the probe
 * is unloaded.
 */
static __always_inline void scope__note_level(__u32 level)
{
	__u32 bit = 1u << (level & LEVEL_MAX);
	if (!(*(volatile __u32 *)&state.levels & bit))
		__sync_fetch_and_or(&state.levels, bit);
}

/* Skips the lookup for the id 0. */
/* Whether this table filters calls. */
static __always_inline bool scope__is_filtering(__u32 table)
{
	return *(volatile __u64 *)&state.filters & (1ULL << (table & 63));
}

/* The table that filters calls of this container; 0: none does. */
static __always_inline __u32 scope__filter_of(const struct scope_entry *entry)
{
	__u32 table = *(volatile __u32 *)&entry->table;
	return scope__is_filtering(table) ? table : 0;
}

static __always_inline struct scope_entry *scope__find_entry(__u64 id)
{
	if (!id)
		return NULL;
	struct scope_entry *entry = bpf_map_lookup_elem(&scope, &id);
	return entry && entry->state != SCOPE_EXCLUDED ? entry : NULL;
}
