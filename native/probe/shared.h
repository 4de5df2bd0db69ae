/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layouts that probe and loader share: shared state, scope map values. The configuration is in events.gen.h. */
#pragma once

/* The consumer reads every few ms. Records lost after this time without a read are its fault, not the container's. */
#define READ_LATE_NS 500000000ull
/* Pinned programs deny without an agent: if it has not been seen for so long, it tells of no denial any more. */
#define UNSEEN_NS 3000000000ull

/* Where a call that was refused, and is not reported yet, has the time of its verdict (CLOCK_BOOTTIME ns). */
#define REFUSED_AT 8

/* How the consumer waits. A producer that has to wake it changes the value to AWAKE_POLLS first, so that one does. */
#define AWAKE_ASLEEP 0 /* the next record must wake it */
#define AWAKE_POLLS 1  /* it comes in a few ms: nobody wakes it */
#define AWAKE_DOZES 2  /* it comes in some 16 ms: an urgent record must wake it, and a ring that fills */

/* Shared with the consumer by mmap. */
struct probe_state {
	__u32 awake;	/* AWAKE_* */
	__u32 epoch;	/* incremented once the previous epoch's records are all taken: resets containers' budgets */
	__u64 emitted;	/* records of all cgroups */
	__u64 dropped;
	__u64 dropped_exec; /* of those, from the exec ring, without which the process tree is incomplete */
	__u64 scope_full;  /* a container's cgroup found the scope map full */
	__u64 read_errors; /* values that could not be read: user memory that is not mapped, a name that is gone */
	__u64 denied_dropped; /* denials whose record was dropped */
	__u64 made_up;	      /* programs that exec_again has reported, and sched_exec was skipped for, or is still to come */
	__u32 open_mask;   /* OPEN_*: which opens a rule can match */
	__u32 call_mask;    /* MESSAGE_*, DUP_*, SOCKET_*: which of such calls a rule can match */
	__u32 wants_env;    /* a rule reads environments */
	__u32 levels;	    /* bit n: a container exists n levels below the hierarchy's root */
	__u32 loss_look;    /* counts the agent's loss checks: each starts a new interval */
	__u32 sees_compat; /* WANTED_*: 32-bit calls are reported, and those of x32 */
	__u32 urgent;	    /* 1: an urgent record was sent since the consumer has set 0 */
	__u32 keeps_paths;  /* 1: a path that was written is kept, since two hooks of a call ask for it */
	__u64 tables;	    /* bit n: table n of verdict_tables is there */
	__u64 filters;	    /* bit n: it also filters; those that do not still deny */
	__u64 unread_since; /* CLOCK_BOOTTIME ns: the consumer has read everything from before */
	__u64 seen;	    /* the same: the agent was there; 0: it does not say so */
	__u64 deny_until;   /* the same: from then on nothing is denied; 0: no limit */
	__u8 wanted[CALL_NR_MAX]; /* by x86-64 number: WANTED_*; also enables reports of other ways to make the call */
};
/* What to read of a system call: a row of native/schema/calls.mjs. Arguments are numbered 1 to 6; 0: none. */
struct call_spec {
	__u16 event; /* EVENT_*; 0 (an exec): no such row */
	__u16 flags; /* CALL_* */
	__u8 strings[3];
	__u8 dirs[3]; /* 7: the working directory */
	__u8 fd;      /* 7: the result */
	__u8 addr, addr_len;
	__u8 data, data_len; /* 7: the result; above 7: a fixed number of bytes */
	__u8 judged; /* place in the list of calls whose paths verdicts judge, from 1; 0: not in it */
	__u8 mode;   /* the argument that is a file mode */
	__u8 way;    /* number of its first way (schema/ways.mjs), from 1; 0: not judged by who makes it */
};

#define WANTED 1
#define WANTED_UNTRACED 2 /* and no tracepoint of its own reports it */

/* A container's entry, which covers all cgroups inside. */
struct scope_entry {
	__u32 state;
	__u32 epoch;
	__u64 emitted;
	__u64 dropped;
	__u64 dropped_exec;  /* of dropped: from the exec ring */
	__u64 dropped_late;  /* of dropped: the consumer had not read for READ_LATE_NS */
	__u64 dropped_share; /* of dropped: the container had used up its share, and the consumer was not late */
	__u64 prefiltered;
	__u64 first_drop; /* CLOCK_BOOTTIME ns, in the interval of loss_look */
	__u64 last_drop;
	__u64 late_ns; /* the longest time without a read by the consumer at a loss, in that interval */
	__u32 exec_bytes;
	__u32 bulk_bytes;
	__u32 loss_look;
	__u32 table; /* of verdict_tables: filters its file calls, and denies; 0: none does */
	__u32 held;  /* HELD_*: the rings that get no more of its records for now */
	__u32 pad;
	__u64 denied_unseen; /* denials while no agent was there */
};

/* The consumer has queued more of the container than its share. */
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
	__u32 level; /* depth below the hierarchy's root, at most LEVEL_MAX */
	__u32 state;
	__s32 error; /* out: 0 or -errno */
	__u32 table; /* scope_entry.table plus 1; 0: no change */
};

/*
 * Numbers of the automata (src/plan/verdicts/path-tests.ts). The first ones read paths; the others names, a connect's
 * address and port, and the words of a program.
 */
enum {
	MACHINE_BEGINNING,
	MACHINE_ENDING,
	MACHINE_NAME,
	MACHINE_ANYWHERE,
	MACHINE_COMM,
	MACHINE_ADDRESS,
	MACHINE_PORT,
	MACHINE_ARGV,
	MACHINE_WITHIN,
};
/*
 * Kinds of connects, from VERDICT_FIRST_CONNECT on (src/plan/verdicts/call-kinds.ts). To an IP address:
 * 6 * (IPv6) + 2 * (0: TCP, 1: UDP, 2: other) + (it goes on by itself).
 */
enum { CONNECT_IPV6 = 6, CONNECT_UNIX = 12, CONNECT_FAILED };
_Static_assert(CONNECT_FAILED + 1 == VERDICT_CONNECT_KINDS, "kinds of connects");

/* Kinds of each path of a call that is not an open. */
#define VERDICT_PATH_KINDS 8
#define VERDICT_LAYERS 4
/* Layer, whether it is a directory, and whether the path as passed may contain "..": layer + 4 * directory + 8 * dots. */
#define VERDICT_FORMS 16
/* Layer of a program, and whether its environment may have a variable LD_*: layer + 4 * loads. */
#define VERDICT_PROGRAM_FORMS 8
/* Layers of a file, numbered as in src/plan/verdicts/form-tests.ts. The last one is that of programs. */
enum { LAYER_NONE, LAYER_UPPER, LAYER_LOWER, LAYER_NO_FILE, LAYER_MEMFD = LAYER_NO_FILE };
#define VERDICT_WORDS (VERDICT_CLAUSES / 64)
/* Sorts of names: of the process since its exec, of the thread at the call. */
#define NAMES_PROCESS 1
#define NAMES_THREAD 2
/* Texts of the words of a program that is run (src/plan/verdicts/call-kinds.ts), also places in a row of MACHINE_ARGV. */
enum {
	ARGV_ARGS,
	ARGV_LINE,
	ARGV_FIRST,
	ARGV_VARIABLES, /* the first of the table's variables of the environment */
	ARGV_TEXTS = ARGV_VARIABLES + VERDICT_VARIABLES
};
/* A variable of the environment that clauses ask for. */
struct verdict_variable {
	__u32 len; /* of its name and the '=' after it, which follow; at least 4 */
	char name[VERDICT_VARIABLE_MAX];
};
/*
 * When the hooks that deny look again whether a rule can still be certain: after the call and its thread's name, after its program,
 * and of a program that is run after its words, and after its environment.
 */
enum { SETTLED_BY_CALL, SETTLED_BY_PROGRAM, SETTLED_BY_WORDS, SETTLED_BY_ENVIRONMENT, SETTLED_STAGES };
/*
 * What is compared with numbers (src/plan/verdicts/number-tests.ts): ages in ns, whether the parent is out of scope, and numbers in
 * pid namespaces. NUMBER_INSIDE_AGE: the oldest process above that is in scope, or itself, is at least so old.
 */
enum {
	NUMBER_AGE,
	NUMBER_PARENT_AGE,
	NUMBER_INSIDE_AGE,
	NUMBER_FROM_OUTSIDE, /* the first that is no age */
	NUMBER_VPID,
	NUMBER_PARENT_VPID,
	NUMBER_FIELDS
};
#define NUMBER_UNKNOWN 0xffffffffffffffffULL

/*
 * The rules about file calls and connects as sets of clauses. Where a rule matches, at least one clause of `may` must hold; where
 * a rule fails, one of its `failures`. Each part of the table lists the clauses that can hold for a kind of call, a
 * form of file, or a state of an automaton. If no clause is in all of these sets, none holds. Built by
 * src/plan/verdicts/table.ts.
 */
struct verdict_table {
	__u32 start[VERDICT_MACHINES]; /* first row of each automaton */
	__u32 programs; /* 1: a clause is about the program that makes the call */
	__u32 certain;	/* rules in `failures` */
	__u32 dots;	/* 1: a clause is about whether the path as passed contains ".." */
	__u32 names;	/* NAMES_*: a clause is about names of this sort */
	__u32 numbers;	/* comparisons in `bounds` */
	__u32 argv;	/* bit ARGV_*: a clause is about that text */
	__u32 ancestors; /* 1: a clause is about ancestors */
	__u32 number_of[VERDICT_NUMBERS]; /* by comparison: NUMBER_* */
	__u32 asked_within[ARGV_TEXTS]; /* by ARGV_*, bit n: a clause asks for text n of MACHINE_WITHIN there */
	/* by kind, bit n: what rule n certainly matches is denied, and it can be certain of such a call */
	__u32 denying[VERDICT_KINDS];
	struct verdict_variable variables[VERDICT_VARIABLES];
	__u64 bounds[VERDICT_NUMBERS];
	__u64 below[VERDICT_NUMBERS][VERDICT_WORDS]; /* the clauses that can hold where the number is below the bound */
	__u64 above[VERDICT_NUMBERS][VERDICT_WORDS]; /* and where it is not */
	__u64 may[VERDICT_WORDS]; /* the clauses of which one must hold where a rule matches */
	__u64 failures[VERDICT_CERTAIN][VERDICT_WORDS]; /* by rule: the clauses of which one must hold where it fails */
	__u64 settled[SETTLED_STAGES][VERDICT_WORDS]; /* by SETTLED_*: the clauses that ask for nothing that is looked at later */
	/* by ARGV_* and number of the text that MACHINE_WITHIN finds: the clauses that can hold without it, and with it */
	__u64 within[ARGV_TEXTS][VERDICT_WITHIN][2][VERDICT_WORDS];
	__u64 kinds[VERDICT_KINDS][VERDICT_WORDS];
	__u64 forms[VERDICT_FORMS][VERDICT_WORDS]; /* of a program that is run: bit n: descriptor n is a connection */
	__u64 program_forms[VERDICT_PROGRAM_FORMS][VERDICT_WORDS];
	__u64 no_ancestor[VERDICT_LEVELS][VERDICT_WORDS]; /* by number - 1: the container has no such ancestor of the process */
	__u64 met_by_none[VERDICT_WORDS]; /* the clauses that can hold where it has none at all */
	__u64 met_without_loads[VERDICT_WORDS]; /* and that one can bring about that has no variable LD_* */
	__u64 same_program[2][VERDICT_WORDS]; /* the call's path is 0: not that of the program, 1: the same */
	__u64 no_name[VERDICT_WORDS]; /* a directory: its path has no file name */
	__u64 root[VERDICT_WORDS];    /* a file directly below the root: its directory is '/' */
	__u8 classes[VERDICT_MACHINES][256]; /* by byte: its place in a row */
	__u16 seen_end[1 << VERDICT_SEEN];     /* by the texts found in the path: a number of `masks` */
	__u16 seen_slash[1 << VERDICT_SEEN];   /* the same for its directory */
	__u16 seen_program[1 << VERDICT_SEEN]; /* the same for the path of the program */
	__u16 seen_ancestor[VERDICT_LEVELS + 1][1 << VERDICT_SEEN]; /* the same for that of an ancestor by its number - 1; last: of any */
	/*
	 * Rows, one per state: the number of `masks` at the end of the path or address, that after the last slash, that
	 * at the end of a program's path, those at the end of an ancestor's (by its number - 1, then of any), and by class
	 * the next row. For MACHINE_COMM, the first two are for names of processes and of threads, and for MACHINE_ARGV the
	 * first ones are for ARGV_*. For MACHINE_ANYWHERE and MACHINE_WITHIN, the first one holds the texts that end
	 * there, one bit each.
	 */
	__u32 next[VERDICT_NEXT];
	__u64 masks[VERDICT_MASKS][VERDICT_WORDS];
};
