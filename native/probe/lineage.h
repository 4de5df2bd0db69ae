/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: the ancestors of a task, and the programs of those that no record tells of. */
#pragma once

/*
 * Writes a list of `task` and its ancestors to `dst`, as struct rec_ancestor; returns its bytes. `outside`: the task is
 * not in scope, and so none of them is. It is inlined, and the verifier proves the code after it once per number of
 * ancestors: little should follow.
 */
static __always_inline __u32 lineage__store_ancestors(char *dst, struct task_struct *task, bool outside)
{
	struct rec_ancestor *out = (void *)dst;
	__u32 n = 0;
	for (int i = 0; i < ANCESTORS_MAX; i++) {
		struct task_struct *leader = task->group_leader;
		__u32 pid = task->tgid;
		if (!pid)
			break;
		out[i].pid = pid;
		out[i].start = leader->start_boottime;
		out[i].in_scope = !outside && scope__find_entry(scope__cgroup_id(task)) != NULL;
		bpf_probe_read_kernel(out[i].comm, sizeof(out[i].comm), leader->comm);
		n = i + 1;
		if (pid == 1)
			break;
		task = task->real_parent;
	}
	return n * sizeof(struct rec_ancestor);
}

/* Writes the path of the task's program into a slot of ANCESTOR_EXE_MAX bytes, NUL-padded; none if it is longer. */
static __always_inline void lineage__store_exe(char *slot, struct task_struct *task)
{
	__builtin_memset(slot, 0, ANCESTOR_EXE_MAX);
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	if (!file || !fs) /* a kernel thread, or a process that has ended */
		return;
	long start = path__write_buffer(LOAD(file, struct file, f_path.dentry), LOAD(file, struct file, f_path.mnt), fs);
	if (start >= 0 && !(start >> PATH_FLAGS_SHIFT)) /* whole, and below the task's root */
		path__copy_tail(slot, start, ANCESTOR_EXE_MAX);
}

/*
 * Writes the programs of `task` and its next ancestors to `dst`, ANCESTOR_EXES slots; returns their bytes. For tasks
 * outside the scope: no exec record tells theirs, and a runtime's process may end before /proc is read.
 */
static __always_inline __u32 lineage__store_exes(char *dst, struct task_struct *task)
{
	for (int i = 0; i < ANCESTOR_EXES; i++) {
		lineage__store_exe(dst + i * ANCESTOR_EXE_MAX, task);
		task = task->real_parent;
	}
	return ANCESTOR_EXES * ANCESTOR_EXE_MAX;
}

static __always_inline bool lineage__is_outside(struct task_struct *task)
{
	return task->tgid && !scope__find_entry(scope__cgroup_id(task));
}
