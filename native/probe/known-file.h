/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Layer 2: files that rules name, known by their inodes: they are recognised whatever name they are opened by, such as a hard link, a bind
 * mount, or a name from another root. The agent finds them in the container, and tells of each (file_identify).
 */
#pragma once

/* Limit on such files, of all containers. */
#define KNOWN_FILES_MAX 16384

/* A file in a container: what known_file_args begins with. */
struct known_file_key {
	__u64 cgroup; /* of the container */
	__u64 ino;
	__u32 dev, generation;
};
/* What rules know it by: what known_file_args ends with. */
struct known_file {
	__u32 len;
	char path[VERDICT_PATH_MAX];
};
_Static_assert(__builtin_offsetof(struct known_file_args, fd) == sizeof(struct known_file_key), "the key");
_Static_assert(__builtin_offsetof(struct known_file_args, path) == __builtin_offsetof(struct known_file_args, len) + 4, "the value");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, KNOWN_FILES_MAX);
	__type(key, struct known_file_key);
	__type(value, struct known_file);
} known_files SEC(".maps");

/* One bit for a group of inodes: it is set for those of known files, so that most others need no lookup. Never cleared. */
#define KNOWN_BITS 65536
__u64 known_bits[KNOWN_BITS / 64];

static __always_inline __u32 known__bit(const struct known_file_key *key)
{
	__u64 mixed = (key->ino ^ (__u64)key->dev << 32 ^ key->generation) * 0x9e3779b97f4a7c15ull;
	return mixed >> 48;
}

/* struct ovl_inode (fs/overlayfs/ovl_entry.h, 4.13+): its flags are right before the VFS inode, the upper dentry right after it. */
#define OVL_CONST_INO (1 << 4) /* the inode's number stays when the file is copied up */

/*
 * Which file it is, of which these facts were read. In the upper layer of overlayfs that is the inode there, as its number is used again when
 * it is gone. A file of an image has the number of the lower layer, and most keep it when they are copied up.
 */
static __always_inline void known__identify(struct known_file_key *key, struct inode *inode, const struct file_facts *facts)
{
	key->ino = facts->ino;
	key->dev = facts->dev;
	if (facts->flags & FILE_LOWER_LAYER)
		return;
	if (facts->flags & FILE_UPPER_LAYER) {
		unsigned long flags = 0;
		struct dentry *upper = NULL;
		bpf_probe_read_kernel(&flags, sizeof(flags), (void *)inode - sizeof(flags));
		if (flags & OVL_CONST_INO)
			return;
		bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + bpf_core_type_size(struct inode));
		inode = LOAD(upper, struct dentry, d_inode);
		key->ino = LOAD(inode, struct inode, i_ino);
		key->dev = LOAD(LOAD(inode, struct inode, i_sb), struct super_block, s_dev);
	}
	key->generation = LOAD(inode, struct inode, i_generation);
}

/*
 * Run by the loader, not attached: says which file the caller's descriptor is of, for the key of known_files. From then on it is looked up
 * there.
 */
SEC("syscall")
int file_identify(struct known_file_args *args)
{
	struct known_file_key key = {};
	struct file_facts facts = {};
	struct file *file = file__from_fd(scope__current(), args->fd);
	if (!file) {
		args->error = 1;
		return 0;
	}
	struct inode *inode = LOAD(file, struct file, f_inode);
	struct super_block *sb = LOAD(inode, struct inode, i_sb);
	file__read_inode(&facts, inode, sb);
	facts.flags = file__overlay_flags(inode, sb);
	known__identify(&key, inode, &facts);
	__u32 bit = known__bit(&key);
	__sync_fetch_and_or(&known_bits[(bit / 64) & (KNOWN_BITS / 64 - 1)], 1ull << (bit % 64));
	args->ino = key.ino;
	args->dev = key.dev;
	args->generation = key.generation;
	args->error = 0;
	return 0;
}

/* What rules know the file by in this container; NULL: it is not known. */
static __always_inline struct known_file *known__find(struct file *file, const struct file_facts *facts, __u64 cgroup)
{
	struct known_file_key key = {};
	known__identify(&key, LOAD(file, struct file, f_inode), facts);
	__u32 bit = known__bit(&key);
	if (!(*(volatile __u64 *)&known_bits[(bit / 64) & (KNOWN_BITS / 64 - 1)] & 1ull << (bit % 64)))
		return NULL;
	key.cgroup = cgroup;
	return bpf_map_lookup_elem(&known_files, &key);
}
