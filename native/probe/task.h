/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: every record's facts about its task. */
#pragma once

#define OVERFLOW_ID 65534

/* The number of a pid in the namespace of that level; level 0 is the host's. */
static __always_inline __u32 task__pid_number_at(struct pid *pid, __u32 level)
{
	int nr = 0;
	__u64 at = level & 31;
	barrier_var(at); /* keeps the bound in the register that is added, where Linux 6.1 looks for it */
	at = bpf_core_field_offset(struct pid, numbers) + at * bpf_core_type_size(struct upid);
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)pid + at);
	return nr;
}

static __always_inline __u32 task__pid_number(struct pid *pid)
{
	return task__pid_number_at(pid, LOAD(pid, struct pid, level));
}

#define EXTENT_FOUND (1ULL << 63)

/*
 * One step of the search among `range`, the first index above the lowest 32 bits and the end in them. Returns the rest of the
 * range, 0 if it is empty, or EXTENT_FOUND with the id that is mapped. A global function: the verifier proves it once, not
 * per path through the steps.
 */
__noinline __u64 task__search_extent(__u64 sorted, __u64 range, __u32 id)
{
	struct uid_gid_extent extent;
	__u32 low = range >> 32, high = range;
	if (low >= high)
		return 0;
	__u32 middle = (low + high) / 2;
	if (bpf_probe_read_kernel(&extent, sizeof(extent), (struct uid_gid_extent *)sorted + middle))
		return 0;
	if (id < extent.lower_first)
		high = middle;
	else if (id - extent.lower_first >= extent.count)
		low = middle + 1;
	else
		return EXTENT_FOUND | (id - extent.lower_first + extent.first);
	return low < high ? (__u64)low << 32 | high : 0;
}

/*
 * Maps a kernel id to the user namespace of this map, like from_kuid_munged(). More than five extents are in an array
 * sorted by lower_first (kernel/user_namespace.c, since 4.15); at most 340. A global function, proved once: the map
 * is passed as a number (see maps__forget_type).
 */
__noinline __u32 task__map_id(__u64 map_address, __u32 id)
{
	struct uid_gid_map *map = (void *)map_address;
	__u32 n = 0;
	bpf_core_read(&n, sizeof(n), &map->nr_extents);
	if (n <= 5) {
		struct uid_gid_extent extents[5];
		if (bpf_core_read(extents, sizeof(extents), &map->extent))
			return OVERFLOW_ID;
		for (int i = 0; i < 5; i++) {
			if (i < n && id - extents[i].lower_first < extents[i].count)
				return id - extents[i].lower_first + extents[i].first;
		}
		return OVERFLOW_ID;
	}
	struct uid_gid_extent *sorted = NULL;
	bpf_core_read(&sorted, sizeof(sorted), &map->reverse);
	__u64 range = n > 340 ? 340 : n;
	for (int i = 0; i < 10; i++) {
		range = task__search_extent((__u64)sorted, range, id);
		if (range & EXTENT_FOUND)
			return range;
		if (!range)
			break;
	}
	return OVERFLOW_ID;
}

static __always_inline void task__store_credentials(struct rec_header *h, struct task_struct *task)
{
	const struct cred *cred = task->cred;
	h->host_uid = cred->uid.val;
	h->host_gid = cred->gid.val;
	h->host_euid = cred->euid.val;
	h->host_egid = cred->egid.val;
	bpf_core_read(&h->cap_inheritable, 8, &cred->cap_inheritable);
	bpf_core_read(&h->cap_permitted, 8, &cred->cap_permitted);
	bpf_core_read(&h->cap_effective, 8, &cred->cap_effective);
	struct user_namespace *ns = cred->user_ns;
	h->userns = ns->ns.inum;
	if (ns->level == 0) { /* the initial namespace maps every id to itself */
		h->uid = h->host_uid;
		h->gid = h->host_gid;
		h->euid = h->host_euid;
		h->egid = h->host_egid;
	} else {
		__u64 uid_map = maps__forget_type(&ns->uid_map), gid_map = maps__forget_type(&ns->gid_map);
		h->uid = task__map_id(uid_map, h->host_uid);
		h->gid = task__map_id(gid_map, h->host_gid);
		h->euid = h->host_euid == h->host_uid ? h->uid : task__map_id(uid_map, h->host_euid);
		h->egid = h->host_egid == h->host_gid ? h->gid : task__map_id(gid_map, h->host_egid);
	}
	h->loginuid = bpf_core_field_exists(task->loginuid) ? (int)task->loginuid.val : -1;
}

/* Encoded as in /proc/PID/stat (include/linux/kdev_t.h, new_encode_dev). */
static __always_inline __u32 task__tty_number(struct task_struct *task)
{
	struct tty_struct *tty = task->signal->tty;
	if (!tty)
		return 0;
	struct tty_driver *driver = LOAD(tty, struct tty_struct, driver);
	__u32 major = LOAD(driver, struct tty_driver, major);
	__u32 minor = LOAD(driver, struct tty_driver, minor_start) + LOAD(tty, struct tty_struct, index);
	return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
}

/* Stores the header except len. `event`: EVENT_*, `kind`: KIND_*. */
static __always_inline void task__store_header(struct rec_header *h, struct task_struct *task, __u64 cgroup,
					       __u16 kind, __u16 event, __s64 ret)
{
	struct task_struct *parent = task->real_parent;
	h->kind = kind;
	h->event = event;
	h->ts = bpf_ktime_get_boot_ns();
	h->cgroup = cgroup;
	h->pid = task->tgid;
	h->tid = task->pid;
	h->start = task->group_leader->start_boottime;
	h->ppid = parent->tgid;
	h->parent_start = parent->group_leader->start_boottime;
	h->cpu = bpf_get_smp_processor_id();
	h->ret = ret;
	h->vtid = task__pid_number(task->thread_pid);
	h->vpid = task->pid == task->tgid ? h->vtid : task__pid_number(task->signal->pids[PIDTYPE_TGID]);
	task__store_credentials(h, task);
	h->tty = task__tty_number(task);
	/* an exiting task has released its namespaces */
	struct nsproxy *nsproxy = task->nsproxy;
	h->mntns = nsproxy ? LOAD(LOAD(nsproxy, struct nsproxy, mnt_ns), struct mnt_namespace, ns.inum) : 0;
	bpf_probe_read_kernel(h->comm, sizeof(h->comm), task->comm);
}
