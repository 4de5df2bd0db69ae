/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 0: the kernel's types for an io_uring request: only the fields read, as in kernel-types.h. */
#pragma once

/* opcodes (include/uapi/linux/io_uring.h) */
#define OP_CONNECT 16
#define OP_OPENAT 18
#define OP_OPENAT2 28
#define OP_RENAMEAT 35
#define OP_UNLINKAT 36
#define OP_MKDIRAT 37
#define OP_SYMLINKAT 38
#define OP_LINKAT 39
#define OP_SOCKET 45
#define OP_MAX 64
#define REQ_FIXED_FILE 1
#define REQ_CQE_SKIP 64 /* bits of REQ_F_* that have never moved */
#define FILE_INDEX_ALLOC 0xffffffff
#define FIXED_FILE_MASK (~7ull)
#define O_LARGEFILE 0100000
#define PF_IO_WORKER 0x10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct io_cqe {
	__u64 user_data;
	__s32 res;
	union {
		__u32 flags;
		int fd; /* until there is a result */
	};
};
struct io_uring_cqe {
	__s32 res;
};
struct io_rsrc_node {
	unsigned long file_ptr;
};
struct io_rsrc_data {
	unsigned int nr;
	struct io_rsrc_node **nodes;
};
struct io_file_table {
	struct io_rsrc_data data;
};
struct io_ring_ctx {
	struct io_file_table file_table;
};
/* until 6.12: an array of struct io_fixed_file, one word each; its length is in the context */
struct io_file_table___until_6_12 {
	unsigned long *files;
};
struct io_ring_ctx___until_6_12 {
	struct io_file_table___until_6_12 file_table;
	unsigned int nr_user_files;
};
/* the data of the opcode starts at the start of the request */
struct io_kiocb {
	struct file *file;
	__u8 opcode;
	__u32 flags; /* 64 bits since 6.8: this reads the low ones */
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
	void *async_data;
};
struct filename {
	const char *name;
	const char *uptr; /* not since 7.3, or somewhat before */
};
struct open_how {
	__u64 flags, mode, resolve;
};
struct io_open {
	int dfd;
	__u32 file_slot;
	struct filename *filename;
	struct open_how how;
};
struct io_connect {
	void *addr;
	int addr_len;
};
struct io_socket {
	int domain, type, protocol;
	__u32 file_slot;
};
struct io_unlink {
	int dfd, flags;
	struct filename *filename;
};
struct io_mkdir {
	int dfd;
	__u16 mode;
	struct filename *filename;
};
struct io_rename {
	int old_dfd, new_dfd;
	struct filename *oldpath, *newpath;
	int flags;
};
struct io_link {
	int old_dfd, new_dfd;
	struct filename *oldpath, *newpath;
	int flags;
};
/* Since 7.3, or somewhat before, a file name is wrapped: it waits to be audited, but its text is complete. */
struct delayed_filename {
	struct filename *__incomplete_filename;
};
struct io_open___delayed {
	struct delayed_filename filename;
};
struct io_unlink___delayed {
	struct delayed_filename filename;
};
struct io_mkdir___delayed {
	struct delayed_filename filename;
};
struct io_rename___delayed {
	struct delayed_filename oldpath, newpath;
};
struct io_link___delayed {
	struct delayed_filename oldpath, newpath;
};
/* until 6.9 connect had its own async data, and only if it went to a worker */
struct io_async_connect {
	char address[128];
};
struct io_async_msghdr {
	char addr[128];
};
struct task_struct___flags {
	unsigned int flags;
};
#pragma clang attribute pop
