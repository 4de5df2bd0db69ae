/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 1: the path of a dentry, relative to a root, across mounts. */
#pragma once

#define PATH_FLAGS_SHIFT 16
#define NAME_MASK 255

/*
 * One step towards the root: 0 to go on, FILE_* + 1 to stop. A global function with its state in the map: the
 * verifier proves it once, not per component (which takes a second of load time). It treats reloaded values as
 * unknown, so states do not multiply.
 */
__noinline int path__step(struct path_buffer *out)
{
	if (!out)
		return FILE_PATH_TRUNCATED + 1;
	__u64 mnt_offset = bpf_core_field_offset(struct mount, mnt);
	__u64 dentry = out->dentry, vfsmount = out->vfsmount;
	if (dentry == out->root_dentry && vfsmount == out->root_vfsmount)
		return 1;
	if (dentry == (__u64)LOAD(vfsmount, struct vfsmount, mnt_root)) {
		__u64 mount = vfsmount - mnt_offset;
		__u64 up = (__u64)LOAD(mount, struct mount, mnt_parent);
		if (up == mount || !up)
			return FILE_DETACHED + 1;
		out->dentry = (__u64)LOAD(mount, struct mount, mnt_mountpoint);
		out->vfsmount = up + mnt_offset;
		return 0;
	}
	__u64 parent = (__u64)LOAD(dentry, struct dentry, d_parent);
	__u32 len = LOAD(dentry, struct dentry, d_name.len) & NAME_MASK;
	const unsigned char *name = LOAD(dentry, struct dentry, d_name.name);
	__u32 at = out->at;
	if (len + 1 >= at) /* the first byte stays free: a path of PATH_MAX bytes would read as empty */
		return FILE_PATH_TRUNCATED + 1;
	at -= len;
	barrier_var(at);
	if (bpf_probe_read_kernel((void *)&out->b[at & (PATH_MAX - 1)], len, name))
		maps__count_read_error();
	out->at = at;
	if (parent == dentry) /* a pseudo file: memfd, pipe */
		return FILE_DETACHED + 1;
	at -= 1;
	barrier_var(at);
	out->b[at & (PATH_MAX - 1)] = '/';
	out->at = at;
	out->dentry = parent;
	return 0;
}

/* Locks around each change of a name and each change of mounts (fs/dcache.c, fs/namespace.c). They begin with a sequence number. */
extern const void rename_lock __ksym __weak;
extern const void mount_lock __ksym __weak;

/* Both numbers; 0 if a change goes on, or they are not to be had. */
static __always_inline __u64 path__sequences(void)
{
	if (!&rename_lock || !&mount_lock)
		return 0;
	__u32 renames = LOAD(&rename_lock, struct seqcount, sequence), mounts = LOAD(&mount_lock, struct seqcount, sequence);
	return (renames | mounts) & 1 ? 0 : (__u64)renames << 32 | mounts;
}

/*
 * Whether the buffer has the path that is asked for. A hook that denies writes the path of a file that the end of the call asks for
 * again. No other task has run since on this CPU, so nobody has written to the buffer but this one's calls; and no name and no mount
 * has changed on this host.
 */
static __always_inline bool path__is_kept(struct path_buffer *out, __u64 sequences)
{
	const struct path_kept *kept = &out->kept;
	return kept->sequences == sequences && kept->dentry == out->dentry && kept->vfsmount == out->vfsmount &&
	       kept->root_dentry == out->root_dentry && kept->root_vfsmount == out->root_vfsmount &&
	       out->kept_thread == bpf_get_current_pid_tgid() &&
	       out->kept_switches == scope__switches();
}

/*
 * Writes the path into this CPU's path_buffer, from its end. Returns its start (0..PATH_MAX) with FILE_* flags above
 * PATH_FLAGS_SHIFT, or -1. A global function, so that the verifier proves it once. It takes its arguments through the
 * buffer, since global functions take no kernel pointers. All reads are of memory that may change meanwhile: a torn
 * walk gives a wrong name (d_path has rename races too), never a fault.
 */
__noinline long path__walk(void)
{
	__u32 zero = 0;
	struct path_buffer *out = bpf_map_lookup_elem(&path_buffer, &zero);
	if (!out)
		return -1;
	__u64 switches = scope__switches(), sequences = *(volatile __u32 *)&state.keeps_paths ? path__sequences() : 0;
	if (sequences && path__is_kept(out, sequences))
		return out->kept.result;
	out->kept.sequences = 0;
	out->kept.dentry = out->dentry;
	out->kept.vfsmount = out->vfsmount;
	out->kept.root_dentry = out->root_dentry;
	out->kept.root_vfsmount = out->root_vfsmount;
	__u32 flags = FILE_PATH_TRUNCATED;
	out->at = PATH_MAX;
	for (int i = 0; i < PATH_COMPONENTS_MAX; i++) {
		__u32 stop = path__step(out);
		if (stop) {
			flags = stop - 1;
			break;
		}
	}
	__u32 at = out->at;
	if (at == PATH_MAX && (!(flags & FILE_DETACHED) || !out->root_dentry)) {
		at = PATH_MAX - 1;
		out->b[PATH_MAX - 1] = '/';
	}
	long result = (at & 0xffff) | (flags << PATH_FLAGS_SHIFT);
	out->kept.source = ++out->writes;
	out->kept.result = result;
	out->kept_thread = bpf_get_current_pid_tgid();
	out->kept_switches = switches;
	/* if another task has run meanwhile, this one's switches are others from now on */
	out->kept.sequences = sequences;
	return result;
}

/* Which of the paths that this CPU has written is in its buffer; 0: none. */
static __always_inline __u64 path__source(void)
{
	__u32 zero = 0;
	struct path_buffer *from = bpf_map_lookup_elem(&path_buffer, &zero);
	return from ? from->kept.source : 0;
}

/*
 * path__walk from a dentry and its mount up to the root of `fs`; if that is NULL, to the root of the mount namespace.
 */
static __always_inline long path__write_buffer(struct dentry *dentry, struct vfsmount *mnt, struct fs_struct *fs)
{
	__u32 zero = 0;
	struct path_buffer *out = bpf_map_lookup_elem(&path_buffer, &zero);
	if (!out)
		return -1;
	out->dentry = (__u64)dentry;
	out->vfsmount = (__u64)mnt;
	out->root_dentry = fs ? (__u64)LOAD(fs, struct fs_struct, root.dentry) : 0;
	out->root_vfsmount = fs ? (__u64)LOAD(fs, struct fs_struct, root.mnt) : 0;
	return path__walk();
}

/* Copies the buffer from `start` to `dst` (room for PATH_MAX - 1); returns the length. */
static __always_inline __u32 path__copy_buffer(char *dst, long start)
{
	__u32 zero = 0, at = start & 0xffff;
	struct path_buffer *from = bpf_map_lookup_elem(&path_buffer, &zero);
	if (!from || start < 0 || at > PATH_MAX)
		return 0;
	__u32 len = (PATH_MAX - at) & (PATH_MAX - 1);
	bpf_probe_read_kernel(dst, len, &from->b[at & (2 * PATH_MAX - 1)]);
	return len;
}

/* Copies the buffer from `start` to `dst` if it is shorter than `room`, a power of two. */
static __always_inline void path__copy_tail(char *dst, long start, __u32 room)
{
	__u32 zero = 0, at = start & 0xffff;
	struct path_buffer *from = bpf_map_lookup_elem(&path_buffer, &zero);
	if (!from || at > PATH_MAX || PATH_MAX - at >= room)
		return;
	__u32 len = (PATH_MAX - at) & (room - 1);
	bpf_probe_read_kernel(dst, len, &from->b[at & (2 * PATH_MAX - 1)]);
}
