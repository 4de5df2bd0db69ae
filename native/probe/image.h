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

/* Keeps the program of this process, whose path is in the path buffer at `start` (path__walk). */
static __always_inline void image__store(struct task_struct *task, long start, __u32 file_flags)
{
	__u32 zero = 0, pid = task->tgid, at = start & 0xffff;
	struct image *made = image__get_made();
	struct path_buffer *from = bpf_map_lookup_elem(&path_buffer, &zero);
	if (!made || !from)
		return;
	made->start = task->group_leader->start_boottime;
	made->layer = file_flags & FILE_UPPER_LAYER ? LAYER_UPPER : file_flags & FILE_LOWER_LAYER ? LAYER_LOWER : LAYER_NONE;
	made->len = 0;
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
}

/* The program of the process; NULL if it is not known. */
static __always_inline struct image *image__find(__u32 pid, __u64 start)
{
	struct image *image = bpf_map_lookup_elem(&images, &pid);
	return image && image->start == start ? image : NULL;
}

/* Copies a program; false if the map has given its place to another process meanwhile. */
static __always_inline bool image__copy(struct image *to, struct image *from, __u32 pid)
{
	return !bpf_probe_read_kernel(to, sizeof(*to), from) && bpf_map_lookup_elem(&images, &pid) == from;
}

/* A new process runs its parent's program. */
static __always_inline void image__inherit(struct task_struct *parent, struct task_struct *child)
{
	__u32 pid = parent->tgid, child_pid = child->tgid;
	struct image *made = image__get_made(), *image = image__find(pid, parent->group_leader->start_boottime);
	if (!made || !image || !image__copy(made, image, pid))
		return;
	made->start = child->group_leader->start_boottime;
	bpf_map_update_elem(&images, &child_pid, made, BPF_ANY);
}

static __always_inline void image__forget(struct task_struct *task)
{
	__u32 pid = task->tgid;
	bpf_map_delete_elem(&images, &pid);
}
