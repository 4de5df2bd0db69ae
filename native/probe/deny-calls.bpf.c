// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses calls by who makes them where a rule denies that, with EPERM, before they do anything: mounts, modules of the kernel,
 * a new root, devices, what one process does to another, bpf and others (schema/ways.mjs). An object of its own, which uses the
 * probe's maps. It changes the results of security_*() (fmod_ret, Linux 5.7), which 64-bit and 32-bit calls pass. Their paths and
 * most of their arguments are not looked at.
 */
#include "kernel-types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "arch.h"
#include "events.gen.h"
#include "maps.h"
#include "cpu.h"
#include "scope.h"
#include "path.h"
#include "task.h"
#include "file.h"
#include "socket.h"
#include "ring.h"
#include "lineage.h"
#include "image.h"
#include "verdict-walk.h"
#include "verdict-argv.h"
#include "verdict-variables.h"
#include "verdict-ancestors.h"
#include "verdict.h"
#include "hooks/open-call.h"
#include "hooks/call-numbers.h"
#include "hooks/path-refusal.h"
#include "deny.h"
#include "deny-call.h"

#define S_IFCHR 0020000
#define S_IFBLK 0060000
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206
/* Ways to make a call, as src/plan/verdicts/ways.ts has them. */
#define WAY_TRACEME 1
#define WAY_ATTACH 2
#define WAY_SEIZE 3
#define WAY_CHARACTER_DEVICE 1
#define WAY_BLOCK_DEVICE 2
#define WAYS_OF_BPF 40

/* Whether a rule that denies certainly matches the call in `changing`, of which nothing but its kind is known: as verdict__answer. */
__noinline int deny__is_certain(void)
{
	struct verdict_call *call = verdict__get_call();
	struct changing *ch = deny__get_changing();
	struct verdict_table *t = ch ? verdict__find_table(ch->table) : NULL;
	if (!t)
		return ch && ch->table ? VERDICT_REPLACED : 0;
	if (!verdict__denying(t, ch->kind))
		return 0;
	struct path_refusal *refusal = &ch->refusal;
	/* read once: another thread can change it at any time */
	if (!call || bpf_probe_read_kernel(refusal->comm, sizeof(refusal->comm), scope__current()->comm))
		return 0;
	call->since = refusal->ts = bpf_ktime_get_boot_ns();
	call->table = ch->table;
	call->kind = ch->kind;
	call->len = 0;
	call->directory = call->dots = 0;
	call->layer = LAYER_NONE;
	call->is_part = 0;
	__builtin_memcpy(call->name, refusal->comm, sizeof(call->name));
	call->named_for = bpf_get_current_pid_tgid();
	if (verdict__passes(ASKS_DENYING))
		verdict__judge_ancestors(t, ASKS_DENYING);
	call->named_for = 0;
	return verdict__answer(t, ch->table, ~call->failing);
}

static __always_inline struct changing *deny__begin(struct scope_entry *entry)
{
	__u32 number = *(volatile __u32 *)&entry->table;
	if (!number || !verdict__denies_any())
		return NULL;
	struct changing *ch = deny__get_changing();
	if (ch) {
		ch->table = number;
		ch->refusal.len[0] = ch->refusal.len[1] = 0;
	}
	return ch;
}

static __always_inline int deny__judge_call(struct task_struct *task, struct scope_entry *entry,
					    struct changing_calls calls, __u32 way)
{
	for (int i = 0; i < DENY_TRIES; i++) {
		__u64 before = scope__switches();
		struct changing *ch = deny__begin(entry);
		__u32 nr = ch ? deny__call_number(task, calls, &ch->is_lost) : 0;
		if (!ch || !nr)
			return 0;
		barrier_var(nr);
		const volatile struct call_spec *spec = &call_specs[nr & (CALL_NR_MAX - 1)];
		if (!spec->way)
			return 0;
		ch->refusal.event = spec->event;
		ch->kind = VERDICT_FIRST_WAY + spec->way - 1 + way;
		if (!ch->is_lost)
			deny__forget();
		int answer = deny__is_certain();
		int result = deny__settle(task, entry, ch, answer, before);
		if (result != DENY_AGAIN)
			return result;
	}
	return 0;
}

/*
 * Judges the call of one of these events that is made in this way. Between the first and the last one are others, which have no
 * ways, or do not pass the hook. A global function: each hook's program is small then.
 */
__noinline int deny__judge(__u32 first, __u32 last, __u32 request, __u32 way)
{
	struct task_struct *task = scope__current();
	struct scope_entry *entry = scope__find_entry(scope__cgroup_id(task));
	if (!entry)
		return 0;
	struct changing_calls calls = { first, last, request, request != 0 };
	return CPU_HELD(deny__judge_call(task, entry, calls, way));
}

/* The first argument of the thread's call. */
static __always_inline __u32 deny__first_argument(void)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return scope__current()->thread_info.status & TS_COMPAT ? COMPAT_ARG1(regs) : ARG1(regs);
}

/* The program of a hook that is about these calls: as deny__judge. */
#define REFUSES(hook, first, last, request, way) \
	SEC("fmod_ret/security_" #hook) \
	int deny_##hook(__u64 *ctx) \
	{ \
		return deny__result(deny__judge(first, last, request, way)); \
	}

REFUSES(sb_mount, EVENT_MOUNT, EVENT_MOUNT, 0, 0)
REFUSES(sb_umount, EVENT_UMOUNT2, EVENT_UMOUNT2, 0, 0)
REFUSES(move_mount, EVENT_MOVE_MOUNT, EVENT_MOVE_MOUNT, 0, 0)
REFUSES(sb_pivotroot, EVENT_PIVOT_ROOT, EVENT_PIVOT_ROOT, 0, 0)
REFUSES(path_chroot, EVENT_CHROOT, EVENT_CHROOT, 0, 0)

/* security_path_mknod(dir, dentry, mode, dev): also of what open(2) creates, which is another call. */
SEC("fmod_ret/security_path_mknod")
int deny_mknod(__u64 *ctx)
{
	__u32 type = ctx[2] & S_IFMT, dev = ctx[3];
	__u32 way = !dev ? 0 : type == S_IFCHR ? WAY_CHARACTER_DEVICE : type == S_IFBLK ? WAY_BLOCK_DEVICE : 0;
	return deny__result(deny__judge(EVENT_MKNOD, EVENT_MKNODAT, 0, way));
}

/* Modules in memory; the kernel loads other things by itself, in other calls. */
REFUSES(kernel_load_data, EVENT_INIT_MODULE, EVENT_INIT_MODULE, 0, 0)

/* And those of files. */
REFUSES(kernel_read_file, EVENT_FINIT_MODULE, EVENT_FINIT_MODULE, 0, 0)

/* Looks at other processes by /proc pass it too, in other calls. */
SEC("fmod_ret/security_ptrace_access_check")
int deny_access(__u64 *ctx)
{
	if (deny__judge(EVENT_PROCESS_VM_READV, EVENT_PIDFD_GETFD, 0, 0))
		return -EPERM;
	__u32 request = deny__first_argument();
	__u32 way = request == PTRACE_ATTACH ? WAY_ATTACH : request == PTRACE_SEIZE ? WAY_SEIZE : 0;
	return deny__result(deny__judge(EVENT_PTRACE, EVENT_PTRACE, 0, way));
}

REFUSES(ptrace_traceme, EVENT_PTRACE, EVENT_PTRACE, 0, WAY_TRACEME)

/* security_bpf(cmd, …) */
SEC("fmod_ret/security_bpf")
int deny_bpf(__u64 *ctx)
{
	__u32 cmd = ctx[0];
	return deny__result(deny__judge(EVENT_BPF, EVENT_BPF, 0, cmd < WAYS_OF_BPF - 1 ? cmd : WAYS_OF_BPF - 1));
}

REFUSES(capset, EVENT_CAPSET, EVENT_CAPSET, 0, 0)
REFUSES(task_fix_setuid, EVENT_SETUID, EVENT_SETRESUID, 0, 0)
REFUSES(socket_bind, EVENT_BIND, EVENT_BIND, NR_BIND, 0)
REFUSES(socket_listen, EVENT_LISTEN, EVENT_LISTEN, NR_LISTEN, 0)

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
