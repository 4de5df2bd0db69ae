/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Layer 2: which program a process runs, for verdicts. It is the one of its exec, as in the agent: what /proc/PID/exe
 * leads to can be moved, and prctl(PR_SET_MM_EXE_FILE) can change it.
 */
#pragma once

static __always_inline struct image *image__get_made(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&image_made, &zero);
}

/* The program of the process; NULL if it is not known. */
static __always_inline struct image *image__find(__u32 pid, __u64 start)
{
	struct image *image = bpf_map_lookup_elem(&images, &pid);
	return image && image->start == start ? image : NULL;
}

static __always_inline struct mnt_namespace *image__mounts(struct task_struct *task)
{
	return BPF_CORE_READ(task, nsproxy, mnt_ns);
}

/*
 * The first process of the task's pid namespace, if the task is in a container with one: that process is in scope, and
 * in the same mount namespace. A process of the host that was moved into the cgroup has another first process. So has
 * one in a container that shares a pid namespace: it is taken for a process from outside.
 */
static __always_inline struct task_struct *image__first(struct task_struct *task)
{
	/* The children's namespace is its own, but for one that has just unshared it. */
	struct task_struct *first = task->nsproxy->pid_ns_for_children->child_reaper;
	if (!first || !scope__find_entry(scope__cgroup_id(first)) || image__mounts(first) != image__mounts(task))
		return NULL;
	return first;
}

/* Whether the file that the task runs is in its own mount namespace. */
static __always_inline bool image__is_own_file(struct task_struct *task)
{
	void *vfsmount = BPF_CORE_READ(task, mm, exe_file, f_path.mnt);
	if (!vfsmount)
		return 0;
	struct mount *mount = vfsmount - bpf_core_field_offset(struct mount, mnt);
	return LOAD(mount, struct mount, mnt_ns) == image__mounts(task);
}

/*
 * Whether a process whose program is not known, as it runs since before the agent, is the container's own. It is not
 * while the first process is still a runtime's set-up, whose file is from outside: it may be a hook.
 */
static __always_inline bool image__seems_inside(struct task_struct *task)
{
	struct task_struct *first = image__first(task);
	return first && image__is_own_file(first) && image__is_own_file(task);
}

/* What runs the new program was in the container before. */
#define IMAGE_FROM_INSIDE 1
/* The new program is the container's own. */
#define IMAGE_INSIDE 2

/*
 * Where this process comes from, at its exec. It is not from inside where a runtime's set-up runs the program: the
 * first one of a container or of a session, or a hook. A global function: the verifier would prove the code after it
 * once per result.
 */
__noinline int image__origin(void)
{
	struct task_struct *task = scope__current(), *parent = task->real_parent;
	struct image *former = image__find(task->tgid, task->group_leader->start_boottime);
	bool is_outside = lineage__is_outside(parent), from_inside = former && former->inside;
	if (!former && !is_outside) {
		struct image *image = image__find(parent->tgid, parent->group_leader->start_boottime);
		from_inside = image ? image->inside : image__seems_inside(parent);
	}
	if (from_inside)
		return IMAGE_FROM_INSIDE | IMAGE_INSIDE;
	/* A runtime's set-up runs itself again before it enters the container's namespaces. */
	return is_outside && image__first(task) ? IMAGE_INSIDE : 0;
}

/*
 * Keeps the program of this process, whose path is in the path buffer at `start` (path__walk). True if it is run from
 * inside the container.
 */
static __always_inline bool image__store(struct task_struct *task, long start, __u32 file_flags)
{
	__u32 zero = 0, pid = task->tgid, at = start & 0xffff;
	struct image *made = image__get_made();
	struct path_buffer *from = bpf_map_lookup_elem(&path_buffer, &zero);
	if (!made || !from)
		return 0;
	int origin = image__origin();
	made->start = task->group_leader->start_boottime;
	made->inside = !!(origin & IMAGE_INSIDE);
	made->layer = file_flags & FILE_UPPER_LAYER   ? LAYER_UPPER
		      : file_flags & FILE_LOWER_LAYER ? LAYER_LOWER
		      : file_flags & FILE_MEMFD	      ? LAYER_MEMFD
						      : LAYER_NONE;
	made->loads = 1;
	made->len = 0;
	struct image *former = image__find(pid, made->start);
	made->parent_start = former ? former->parent_start : 0;
	bpf_probe_read_kernel(made->name, sizeof(made->name), task->comm);
	__u32 len = PATH_MAX - at;
	if (start >= 0 && !(start >> PATH_FLAGS_SHIFT) && at <= PATH_MAX && len < VERDICT_PATH_MAX) {
		barrier_var(len);
		len &= VERDICT_PATH_MAX - 1;
		if (!bpf_probe_read_kernel(made->path, len, &from->b[at & (2 * PATH_MAX - 1)]))
			made->len = len;
	}
	/* should there be no room, no program is better than the one before */
	bpf_map_delete_elem(&images, &pid);
	bpf_map_update_elem(&images, &pid, made, BPF_ANY);
	return origin & IMAGE_FROM_INSIDE;
}

/* Copies a program; false if the map has given its place to another process meanwhile. */
static __always_inline bool image__copy(struct image *to, struct image *from, __u32 pid)
{
	return !bpf_probe_read_kernel(to, sizeof(*to), from) && bpf_map_lookup_elem(&images, &pid) == from;
}

/* The environment of the program that this process has begun to run has no variable LD_*. */
static __always_inline void image__note_no_loads(struct task_struct *task)
{
	__u32 pid = task->tgid;
	struct image *made = image__get_made(), *image = image__find(pid, task->group_leader->start_boottime);
	if (!made || !image || !image__copy(made, image, pid))
		return;
	made->loads = 0;
	bpf_map_update_elem(&images, &pid, made, BPF_ANY);
}

/* A new process runs its parent's program. */
static __always_inline void image__inherit(struct task_struct *parent, struct task_struct *child)
{
	__u32 pid = parent->tgid, child_pid = child->tgid;
	struct image *made = image__get_made(), *image = image__find(pid, parent->group_leader->start_boottime);
	if (!made || !image || !image__copy(made, image, pid))
		return;
	made->start = child->group_leader->start_boottime;
	made->parent_start = child->real_parent->tgid == pid ? parent->group_leader->start_boottime : 0;
	bpf_map_update_elem(&images, &child_pid, made, BPF_ANY);
}

static __always_inline void image__forget(struct task_struct *task)
{
	__u32 pid = task->tgid;
	bpf_map_delete_elem(&images, &pid);
}
