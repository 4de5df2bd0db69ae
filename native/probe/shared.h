/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What the probe and the loader both lay out: shared state, scope map values. The configuration is in events.gen.h. */
#pragma once

/* The consumer reads every few milliseconds. Records lost after so long without a read are its fault, not the container's. */
#define READ_LATE_NS 500000000ull

/* Shared with the consumer by mmap. */
struct probe_state {
	__u32 awake;	/* 1: the consumer polls; 0: the next record must wake it (CAS 0 -> 1) */
	__u32 epoch;	/* moves on when all records of the epoch before are taken: a container's budget starts anew */
	__u64 emitted;	/* records of all cgroups */
	__u64 dropped;
	__u64 dropped_exec; /* of those: of the exec ring, without which the process tree is not complete */
	__u64 scope_full;  /* a container's cgroup found no place in the scope map */
	__u64 read_errors; /* values that could not be read: a claim in memory that is not there, a name that went away */
	__u32 open_mask;   /* OPEN_*: which opens a rule can match */
	__u32 call_mask;    /* MESSAGE_*, DUP_*: which messages and new descriptors a rule can match */
	__u32 wants_env;    /* a rule looks at environments */
	__u32 levels;	    /* bit n: there is a container n levels below the hierarchy's root */
	__u32 loss_look;    /* counts the agent's looks at losses: each begins a new interval */
	__u32 pad;
	__u64 tables;	    /* bit n: opens may be judged by table n of verdict_tables */
	__u64 unread_since; /* CLOCK_BOOTTIME ns: all that came before has been read by the consumer */
	__u8 wanted[CALL_NR_MAX]; /* by number on x86-64: WANTED_*; other ways to make a call are reported by it too */
};
/* What to read of a system call: a row of native/schema/calls.mjs. Arguments are 1 to 6, 0 for none. */
struct call_spec {
	__u16 event; /* EVENT_*; 0 (an exec): no such row */
	__u16 flags; /* CALL_* */
	__u8 strings[3];
	__u8 dirs[3]; /* 7: the working directory */
	__u8 fd;      /* 7: the result */
	__u8 addr, addr_len;
	__u8 data, data_len; /* 7: the result; above: so many bytes */
};

#define WANTED 1
#define WANTED_UNTRACED 2 /* and no tracepoint of its own reports it */

/* A container's: one entry, whatever cgroups it makes inside. */
struct scope_entry {
	__u32 state;
	__u32 epoch;
	__u64 emitted;
	__u64 dropped;
	__u64 dropped_exec;  /* of dropped: of the exec ring */
	__u64 dropped_late;  /* of dropped: the consumer had not read for READ_LATE_NS */
	__u64 dropped_share; /* of dropped: the container had used up its own share, and the consumer was not late */
	__u64 prefiltered;
	__u64 first_drop; /* CLOCK_BOOTTIME ns, of the interval that loss_look says */
	__u64 last_drop;
	__u64 late_ns; /* the longest that the consumer had not read when a record was lost, in that interval */
	__u32 exec_bytes;
	__u32 bulk_bytes;
	__u32 loss_look;
	__u32 table; /* of verdict_tables: what its rules say; 0: every event of it is reported */
	__u32 held;  /* HELD_*: the rings to which nothing more of it is sent for now */
	__u32 pad;
};

/* The consumer has more of the container waiting than its share. */
#define HELD_EXEC 1
#define HELD_BULK 2

/* Argument of the scope_hold program (BPF_PROG_TYPE_SYSCALL). */
struct scope_hold_args {
	__u64 cgroup;
	__u32 held;
	__u32 pad;
};

/* Argument of the scope_set program (BPF_PROG_TYPE_SYSCALL). */
struct scope_set_args {
	__u64 cgroup;
	__u32 level; /* how many levels below the hierarchy's root, at most LEVEL_MAX */
	__u32 state;
	__s32 error; /* out: 0 or -errno */
	__u32 table; /* scope_entry.table plus 1; 0: as it is */
};

/* How the automata are numbered (src/plan/verdicts/path-tests.ts). */
enum { MACHINE_BEGINNING, MACHINE_ENDING, MACHINE_NAME, MACHINE_ANYWHERE };

#define VERDICT_KINDS 32
#define VERDICT_LAYERS 4
/* Where a file is, as src/plan/verdicts/layer-tests.ts numbers it. */
enum { LAYER_NONE, LAYER_UPPER, LAYER_LOWER, LAYER_NO_FILE };
#define VERDICT_WORDS (VERDICT_CLAUSES / 64)

/*
 * What rules say of opens: sets of clauses, of which one at least has to hold where a rule matches. Each part of the table says which
 * clauses can hold for a kind of open, for a layer, or for a state of an automaton. If no clause is in all of these sets, no
 * rule matches. Made by src/plan/verdicts/table.ts.
 */
struct verdict_table {
	__u32 start[VERDICT_MACHINES]; /* where the first row of an automaton is */
	__u64 kinds[VERDICT_KINDS][VERDICT_WORDS];
	__u64 layers[VERDICT_LAYERS][VERDICT_WORDS];
	__u64 no_name[VERDICT_WORDS]; /* a directory: its path has no file name */
	__u64 root[VERDICT_WORDS];    /* a file right below the root: its directory is '/' */
	__u8 classes[VERDICT_MACHINES][256]; /* of a byte: its place in a row */
	__u16 seen_end[1 << VERDICT_SEEN];     /* by the texts that are in the path: a number of `masks` */
	__u16 seen_slash[1 << VERDICT_SEEN];   /* the same of its directory */
	/*
	 * Rows, one a state: the number of `masks` at the path's end, that behind the last slash, and by class where the next row is.
	 * MACHINE_ANYWHERE has the texts that end there, a bit each, in place of the first.
	 */
	__u32 next[VERDICT_NEXT];
	__u64 masks[VERDICT_MASKS][VERDICT_WORDS];
};
