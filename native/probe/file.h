/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 2: a record's facts about a file, from the kernel's object. */
#pragma once

#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define FMODE_CREATED 0x100000
#define AT_FDCWD (-100)

struct file_facts {
	__u64 ino;
	__u32 dev, flags, uid, gid, mode;
};

/* Stores the facts in the record at `r`, whose members of this name are the same in all records. */
#define FILE_STORE_FACTS(r, from)                                                                          \
	({                                                                                                 \
		const struct file_facts *_facts = (from);                                                  \
		(r)->file_ino = _facts->ino;                                                               \
		(r)->file_dev = _facts->dev;                                                               \
		(r)->file_flags = _facts->flags;                                                           \
		(r)->file_uid = _facts->uid;                                                               \
		(r)->file_gid = _facts->gid;                                                               \
		(r)->file_mode = _facts->mode;                                                             \
	})

/*
 * overlayfs stores the upper dentry right after the VFS inode (struct ovl_inode, 4.13+). It is set once the file is
 * in the upper layer.
 */
static __always_inline __u32 file__overlay_flags(struct inode *inode, struct super_block *sb)
{
	if (LOAD(sb, struct super_block, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return 0;
	/* `struct path` stands for a word of any type: it begins with a pointer in every kernel */
	void *upper = LOAD((void *)inode + bpf_core_type_size(struct inode), struct path, mnt);
	return upper ? FILE_UPPER_LAYER : FILE_LOWER_LAYER;
}

static __always_inline __u32 file__dentry_flags(struct dentry *dentry)
{
	if (LOAD(dentry, struct dentry, d_parent) == dentry) {
		char name[6] = {};
		bpf_probe_read_kernel(name, sizeof(name), LOAD(dentry, struct dentry, d_name.name));
		bool memfd = name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' &&
			     name[4] == 'd' && name[5] == ':';
		return memfd ? FILE_MEMFD : 0;
	}
	/* d_unhashed(): no name refers to it any more */
	return LOAD(dentry, struct dentry, d_hash.pprev) ? 0 : FILE_UNLINKED;
}

/* Fills in what the inode, of this super block, tells. */
static __always_inline void file__read_inode(struct file_facts *facts, struct inode *inode, struct super_block *sb)
{
	facts->ino = LOAD(inode, struct inode, i_ino);
	facts->dev = LOAD(sb, struct super_block, s_dev);
	facts->uid = LOAD(inode, struct inode, i_uid.val);
	facts->gid = LOAD(inode, struct inode, i_gid.val);
	facts->mode = LOAD(inode, struct inode, i_mode);
}

/* Fills `facts` and the path buffer; returns the buffer's start for path__copy_buffer, or -1. */
static __always_inline long file__read_facts(struct file_facts *facts, struct file *file, struct task_struct *task)
{
	struct inode *inode = LOAD(file, struct file, f_inode);
	struct super_block *sb = LOAD(inode, struct inode, i_sb);
	struct dentry *dentry = LOAD(file, struct file, f_path.dentry);

	file__read_inode(facts, inode, sb);
	long start = path__write_buffer(dentry, LOAD(file, struct file, f_path.mnt), task->fs);
	facts->flags = FILE_KNOWN | file__overlay_flags(inode, sb) | file__dentry_flags(dentry) |
		       (LOAD(file, struct file, f_mode) & FMODE_CREATED ? FILE_CREATED : 0) |
		       (start < 0 ? FILE_PATH_TRUNCATED : (__u32)(start >> PATH_FLAGS_SHIFT));
	return start;
}

/* The file behind a descriptor of this task, or NULL. */
static __always_inline struct file *file__from_fd(struct task_struct *task, __s64 fd)
{
	struct files_struct *files = task->files;
	if (!files || fd < 0)
		return NULL;
	struct fdtable *table = LOAD(files, struct files_struct, fdt);
	if (fd >= LOAD(table, struct fdtable, max_fds))
		return NULL;
	struct file **array = LOAD(table, struct fdtable, fd);
	struct file *file = NULL;
	bpf_probe_read_kernel(&file, sizeof(file), &array[fd]);
	return file;
}

/*
 * Writes the path of the directory that a relative path starts from, the working directory for AT_FDCWD. Works like
 * path__write_buffer, up to the root of `fs`; -1 if the descriptor is invalid.
 */
static __always_inline long file__write_directory(struct task_struct *task, __s32 fd, struct fs_struct *fs)
{
	struct fs_struct *own = task->fs;
	struct dentry *dentry;
	struct vfsmount *mnt;
	if (fd == AT_FDCWD) {
		dentry = LOAD(own, struct fs_struct, pwd.dentry);
		mnt = LOAD(own, struct fs_struct, pwd.mnt);
	} else {
		struct file *file = file__from_fd(task, fd);
		if (!file)
			return -1;
		dentry = LOAD(file, struct file, f_path.dentry);
		mnt = LOAD(file, struct file, f_path.mnt);
	}
	return path__write_buffer(dentry, mnt, fs);
}
