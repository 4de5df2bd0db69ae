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

#define TICK_NS 10000000ull /* 1 / USER_HZ, in which /proc has starts */

/* Whether both are the start of one process: what the agent tells may be the tick. */
static __always_inline bool image__is_start(__u64 one, __u64 other)
{
	return one == other || ((one % TICK_NS == 0 || other % TICK_NS == 0) && one / TICK_NS == other / TICK_NS);
}

/* What is known of the process; NULL if nothing is. */
static __always_inline struct image *image__find(__u32 pid, __u64 start)
{
	struct image *image = bpf_map_lookup_elem(&images, &pid);
	return image && image__is_start(image->start, start) ? image : NULL;
}

/* The same, if an exec has told what it runs. */
static __always_inline struct image *image__find_program(__u32 pid, __u64 start)
{
	struct image *image = image__find(pid, start);
	return image && image->program == PROGRAM_KNOWN ? image : NULL;
}

/* The same of this task's process, which may have run another program since: the kernel can skip the hook (exec_again). */
static __always_inline struct image *image__find_own(struct task_struct *task)
{
	struct image *image = image__find_program(task->tgid, task->group_leader->start_boottime);
	return image && image->exec_id == task->self_exec_id ? image : NULL;
}

static __always_inline struct mnt_namespace *image__mounts(struct task_struct *task)
{
	return BPF_CORE_READ(task, nsproxy, mnt_ns);
}

/*
 * The first process of the task's pid namespace, if the task is in a container with one: that process is in scope, and
 * in the same mount namespace. A process of the host that was moved into the cgroup has another first process. So has
 * one in a container that shares a pid namespace: it is taken for a process from outside. The host's own namespace is no
 * container's, even if its first process is in a cgroup that is watched. Nor is one of a process that has kept the mounts
 * from outside, such as a browser's sandbox.
 */
static __always_inline struct task_struct *image__first(struct task_struct *task)
{
	/* The children's namespace is its own, but for one that has just unshared it. */
	struct pid_namespace *ns = task->nsproxy->pid_ns_for_children;
	struct task_struct *first = ns->level ? ns->child_reaper : NULL;
	if (!first || !scope__find_entry(scope__cgroup_id(first)))
		return NULL;
	struct mnt_namespace *mounts = image__mounts(task);
	struct task_struct *outside = BPF_CORE_READ(ns, parent, child_reaper);
	return mounts == image__mounts(first) && mounts != image__mounts(outside) ? first : NULL;
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

/* The number of the process in its own pid namespace. */
static __always_inline __u32 image__vpid(struct task_struct *task)
{
	return task__pid_number(task->signal->pids[PIDTYPE_TGID]);
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
	struct image *former = image__find_program(task->tgid, task->group_leader->start_boottime);
	bool is_outside = lineage__is_outside(parent), from_inside = former && former->inside;
	if (!former && !is_outside) {
		struct image *image = image__find_program(parent->tgid, parent->group_leader->start_boottime);
		from_inside = image ? image->inside : image__seems_inside(parent);
	}
	if (from_inside)
		return IMAGE_FROM_INSIDE | IMAGE_INSIDE;
	/* A runtime's set-up runs itself again before it enters the container's namespaces. */
	return is_outside && image__first(task) ? IMAGE_INSIDE : 0;
}

/*
 * Marks the program of this process as about to change. Done before the time of the record is taken: who finds the former
 * program without a mark looks at it before that time. The atomic operation keeps that order between CPUs.
 */
static __always_inline void image__mark(struct task_struct *task)
{
	__u32 pid = task->tgid;
	struct image *image = bpf_map_lookup_elem(&images, &pid);
	if (image)
		__sync_fetch_and_or(&image->is_changing, 1);
}

/*
 * The record of its exec is sent: who finds no mark now sends a later record. If it is not sent, the mark stays, since the
 * agent does not know what runs.
 */
static __always_inline void image__settle(struct task_struct *task)
{
	__u32 pid = task->tgid;
	struct image *image = bpf_map_lookup_elem(&images, &pid);
	if (image)
		__sync_fetch_and_and(&image->is_changing, 0);
}

/*
 * Keeps the program of this process, whose path is in the path buffer at `start` (path__walk). `since`: when its record
 * says that it runs it. True if it is run from inside the container.
 */
static __always_inline bool image__store(struct task_struct *task, long start, __u32 file_flags, __u64 since)
{
	__u32 zero = 0, pid = task->tgid, at = start & 0xffff;
	struct image *made = image__get_made();
	struct path_buffer *from = bpf_map_lookup_elem(&path_buffer, &zero);
	if (!made || !from)
		return 0;
	int origin = image__origin();
	made->start = task->group_leader->start_boottime;
	made->since = since;
	made->exec_id = task->self_exec_id;
	made->program = PROGRAM_KNOWN;
	made->is_changing = 1; /* until its record is sent */
	made->inside = !!(origin & IMAGE_INSIDE);
	made->layer = file_flags & FILE_UPPER_LAYER   ? LAYER_UPPER
		      : file_flags & FILE_LOWER_LAYER ? LAYER_LOWER
		      : file_flags & FILE_MEMFD	      ? LAYER_MEMFD
						      : LAYER_NONE;
	made->loads = 1;
	made->len = 0;
	struct image *former = image__find(pid, made->start);
	made->parent = former ? former->parent : 0;
	made->parent_start = former ? former->parent_start : 0;
	made->is_entrant = former && former->is_entrant;
	made->parent_vpid = former ? former->parent_vpid : 0;
	made->vpid = image__vpid(task);
	bpf_probe_read_kernel(made->name, sizeof(made->name), task->comm);
	__u32 len = PATH_MAX - at, flags = start >> PATH_FLAGS_SHIFT;
	if (start >= 0 && !(flags & ~FILE_DETACHED) && at <= PATH_MAX && len < VERDICT_PATH_MAX) {
		barrier_var(len);
		len &= VERDICT_PATH_MAX - 1;
		/* one that ends at another root is compared as far as there is of it; a program in memory has a name only */
		if (!bpf_probe_read_kernel(made->path, len, &from->b[at & (2 * PATH_MAX - 1)]) &&
		    (!flags || made->path[0] == '/'))
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

/* Keeps that the process's parent is not in scope. What it runs is not known until its exec. */
static __always_inline void image__note_entrant(struct task_struct *task)
{
	__u32 pid = task->tgid;
	struct image *made = image__get_made();
	if (!made)
		return;
	__builtin_memset(made, 0, sizeof(*made));
	made->start = task->group_leader->start_boottime;
	made->is_entrant = 1;
	made->loads = 1;
	bpf_map_update_elem(&images, &pid, made, BPF_NOEXIST);
}

/*
 * A process was moved into the scope. It comes from outside if it is still in its parent's mount namespace, and the
 * parent is outside. One that is in the container already, and is moved within it, may have been left to a process
 * outside.
 */
static __always_inline void image__enter(struct task_struct *task)
{
	struct task_struct *parent = task->real_parent;
	if (task->pid != task->tgid || !lineage__is_outside(parent) || !image__mounts(task))
		return;
	if (image__mounts(task) == image__mounts(parent))
		image__note_entrant(task);
}

/*
 * A new process runs its parent's program. With CLONE_PARENT it gets the parent of who made it, as in the agent. One that
 * is born into the scope from outside is an entrant.
 */
static __always_inline void image__inherit(struct task_struct *parent, struct task_struct *child)
{
	__u32 pid = parent->tgid, child_pid = child->tgid;
	struct image *made = image__get_made(), *image = image__find(pid, parent->group_leader->start_boottime);
	if (!image) {
		if (lineage__is_outside(parent) && lineage__is_outside(child->real_parent))
			image__note_entrant(child);
		return;
	}
	if (!made || !image__copy(made, image, pid))
		return;
	made->start = child->group_leader->start_boottime;
	if (child->real_parent->tgid == pid) {
		made->parent = pid;
		made->parent_start = parent->group_leader->start_boottime;
		made->parent_vpid = image__vpid(parent);
		made->is_entrant = 0;
	}
	made->vpid = image__vpid(child);
	bpf_map_update_elem(&images, &child_pid, made, BPF_ANY);
}

/* The record of its fork was not sent: the agent may not know whose child it is. */
static __always_inline void image__forget(struct task_struct *task)
{
	__u32 pid = task->tgid;
	bpf_map_delete_elem(&images, &pid);
}

/* The process has ended: others may still ask what their parent ran. */
static __always_inline void image__end(struct task_struct *task)
{
	__u32 pid = task->tgid;
	struct image *made = image__get_made(), *image = image__find(pid, task->group_leader->start_boottime);
	if (made && image && image__copy(made, image, pid))
		bpf_map_update_elem(&ended_images, &pid, made, BPF_ANY);
	bpf_map_delete_elem(&images, &pid);
}

/* Copies the program of a process that runs or has ended into image_made; NULL if it is not known. */
static __always_inline struct image *image__find_any(__u32 pid, __u64 start)
{
	struct image *made = image__get_made(), *image = image__find(pid, start);
	if (!made)
		return NULL;
	if (image)
		return image__copy(made, image, pid) && image__is_start(made->start, start) &&
				       *(volatile __u64 *)&image->since == made->since
			       ? made
			       : NULL;
	image = bpf_map_lookup_elem(&ended_images, &pid);
	if (!image || bpf_probe_read_kernel(made, sizeof(*made), image) || !image__is_start(made->start, start))
		return NULL;
	return bpf_map_lookup_elem(&ended_images, &pid) == image ? made : NULL;
}
