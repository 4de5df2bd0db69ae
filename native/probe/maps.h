/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 0: what the probe shares with user space. */
#pragma once

#include "shared.h"

const volatile struct probe_config config SEC(".rodata.config");

struct probe_state state SEC(".data.state");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SCOPE_MAX);
	__type(key, __u64);
	__type(value, struct scope_entry);
} scope SEC(".maps");

static __always_inline void maps__count_read_error(void)
{
	__sync_fetch_and_add(&state.read_errors, 1);
}

/* By event: calls that no rule can match. Per CPU, since there are many. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EVENT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} filtered SEC(".maps");

/* Exec, clone, exit and cgroup records: few, but all later records depend on them. Sizes are set before load. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} exec_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} bulk_ring SEC(".maps");

/* The record under construction. Per-CPU values stop at 32 KiB (PCPU_MIN_UNIT_SIZE). */
#define SCRATCH_BYTES RECORD_MAX
struct scratch {
	struct rec_header h;
	char b[SCRATCH_BYTES - sizeof(struct rec_header)];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

/* Of what the path in a path_buffer is, while it is kept (path__is_kept). */
struct path_kept {
	__u64 dentry, vfsmount, root_dentry, root_vfsmount;
	__u64 sequences; /* 0: none is kept */
	__s64 result;
	__u64 source; /* its number among those that were written there */
};

/* A path is written from its end: with twice the bound, one mask keeps every write inside. */
struct path_buffer {
	/* The walk's arguments and state, see path.h */
	__u64 dentry, vfsmount, root_dentry, root_vfsmount;
	struct path_kept kept;
	__u64 kept_thread, kept_switches;
	__u64 writes; /* how many paths have been written here */
	__u32 at, pad;
	char b[2 * PATH_MAX];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct path_buffer);
} path_buffer SEC(".maps");

/* One system call, for the functions of call.bpf.c; in a map, since global functions take no kernel pointers. */
struct call_state {
	struct call_spec spec;
	__u64 args[8]; /* numbered from 1; 7 is the result */
	__s64 ret;
	__u64 cgroup;
	__u32 off;	/* bytes of the record after its header so far */
	__u32 relative; /* bit n: string n is not an absolute path */
	__s32 detours[3]; /* by string: the descriptor that its beginning refers to, or NO_DETOUR */
	__u64 socket;	/* struct sock behind the descriptor, 0 if none */
	__u64 socket_ino;
	__u32 compat; /* pointers and lengths in user memory are 32-bit */
	__u32 left;   /* bytes of a message that are not processed yet */
	__u32 table;  /* judges its paths; 0: none does */
	__u32 failing; /* of all its paths: see verdict_call */
	__u64 message; /* struct msghdr in user memory */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct call_state);
} call_state SEC(".maps");

/*
 * By the inode of an unconnected socket: the address in its last message. An evicted socket counts as new again: that
 * reports one message more, never one less.
 */
struct peer {
	__u8 address[16];
	__u16 port, family;
	__u32 zero;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct peer);
} peers SEC(".maps");

struct verdict_table_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct verdict_table));
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, VERDICT_TABLES);
	__type(key, __u32);
	__array(values, struct verdict_table_map);
} verdict_tables SEC(".maps");

/*
 * What a process runs, and who its parent is, by its pid: kept from exec on, since the file may be moved or replaced
 * later. The parent is what forked it, as in the agent, whoever adopts it.
 */
enum {
	PROGRAM_UNKNOWN,
	PROGRAM_KNOWN,	/* by an exec */
	PROGRAM_ADOPTED, /* its path and name, by the agent: for ancestors only */
};
struct image {
	__u64 start; /* of the process, CLOCK_BOOTTIME ns; of one that was there before the probe: the last tick before it */
	__u64 since; /* of the record that tells of its exec; 0: it has run nothing since it is in scope */
	__u32 program; /* PROGRAM_*: whether it is known what it runs */
	__u32 is_changing; /* 1: it is about to run another program */
	__u32 parent;	   /* pid, if parent_start is known */
	__u32 is_entrant;  /* 1: its parent is out of scope */
	__u32 len;   /* of the path; 0: it is too long, or not below the root of the process */
	__u32 layer; /* LAYER_* */
	__u32 inside; /* it is the container's own: not that of a runtime's set-up, nor of a process that was moved in */
	__u32 loads;  /* its environment may have a variable LD_*: it has, or is not known */
	__u32 vpid, parent_vpid; /* its number in its own pid namespace, and that of its parent; 0: not known */
	__u64 parent_start; /* of its parent; 0: not known, or it is out of scope */
	__u64 exec_id;	    /* self_exec_id at its exec: with another one it has run a program that was not seen */
	char name[COMM_LEN]; /* of the process at its exec */
	char path[VERDICT_PATH_MAX];
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, IMAGES_MAX);
	__type(key, __u32);
	__type(value, struct image);
} images SEC(".maps");
/* The same of processes that have ended, whose children may still run programs. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, ENDED_IMAGES_MAX);
	__type(key, __u32);
	__type(value, struct image);
} ended_images SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct image);
} image_made SEC(".maps");

/*
 * A call to be judged, by one of its paths; the program that makes it; and an ancestor of its process. In a map, since
 * global functions take no kernel pointers.
 */
enum { VERDICT_CALL, VERDICT_PROGRAM, VERDICT_ANCESTOR, VERDICT_PARTS };
struct verdict_call {
	__u32 table, kind, directory, layer;
	__u32 dots; /* of an open: the path as passed may contain ".." */
	__u32 standard; /* of a program that is run: bit n: descriptor n is a connection */
	__u64 left[VERDICT_WORDS]; /* the clauses that hold; of an ancestor: those that do for it */
	__u64 met[VERDICT_WORDS]; /* of ancestors: the clauses that hold for one of them, or ask for none */
	/* of a program and of an ancestor: its parent, see struct image; `since`: of the call, CLOCK_BOOTTIME ns */
	__u32 parent, is_entrant;
	__u64 parent_start, since;
	__u32 is_part;	/* one of two paths: `failing` is wanted even if the call does not pass by it */
	__u32 failing;	/* out: bit n: rule n of the certain ones may fail; so do all numbers that are no rule's */
	__u32 is_given; /* of a program: it is not that of this process (verdict_run) */
	__u64 named_for; /* of a call: the thread to whose call `name` belongs, whatever it is called by now; 0: none */
	__u32 is_known; /* of a program: what it is; given, or loaded for the call */
	__u32 loads;	/* of a program and of an ancestor: see struct image */
	__u32 len;	/* of the path; of a program 0: its path is not known */
	__u32 is_odd; /* out: a component of the path is empty, '.' or '..' */
	__u32 at, seen, state[VERDICT_PATH_MACHINES]; /* so far: bytes, texts found, states */
	__u32 tidied, is_dot; /* of verdict__tidy_chunk, so far: bytes kept; the next byte is the '.' of a '/./' */
	__u32 slash_at, seen_slash, slash[VERDICT_PATH_MACHINES]; /* last slash: position, texts before it, states after it */
	/*
	 * A hook that denies judges a path that the end of the call judges again (path__is_kept). `source`: path_kept.source of the
	 * path, for the next verdict__passes only; 0: it is another one. `walked`: the source of the path that the automata have read
	 * last, by the table at the address `walked_by`; `path_left`: the clauses that can hold for it.
	 */
	__u64 source, walked, walked_by, walked_directory;
	__u64 path_left[VERDICT_WORDS];
	__u32 argv_from, argv_len; /* of a program that is run: its words in the scratch; no length: they are not known */
	__u32 argv_at, argv_end, argv_row, within_row, within; /* of verdict__argv_chunk, so far: bytes, states, texts found */
	__u32 argv_is_first; /* it reads the first word only */
	__u32 env_from, env_len; /* of a program that is run: its environment in the scratch; no length: it is not known */
	__u64 env_starts;	 /* bit n: a variable that is asked for begins with a byte whose last six bits are n */
	__u32 env_at, env_end;	 /* of verdict__env_chunk, so far: bytes */
	__u32 variable_at[VERDICT_VARIABLES]; /* where the values of the table's variables begin; 0: it has none */
	__u32 address_len; /* of a connect: 4 or 16 */
	__u16 port;
	__u8 address[16];
	__u64 numbers[NUMBER_FIELDS]; /* of a program; of an ancestor NUMBER_AGE only */
	char name[COMM_LEN]; /* of a call: that of its thread; of a program: that of the process since its exec */
	char path[VERDICT_PATH_MAX];
	char spare[VERDICT_PATH_MAX]; /* keeps writes at any place of the path inside */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICT_PARTS);
	__type(key, __u32);
	__type(value, struct verdict_call);
} verdict_call SEC(".maps");

/* A kernel pointer as a number: storing and loading it removes its type. Global functions take no kernel pointers. */
static __always_inline __u64 maps__forget_type(const void *pointer)
{
	__u32 zero = 0;
	volatile struct path_buffer *memory = bpf_map_lookup_elem(&path_buffer, &zero);
	if (!memory)
		return 0;
	memory->dentry = (__u64)pointer;
	return memory->dentry;
}
