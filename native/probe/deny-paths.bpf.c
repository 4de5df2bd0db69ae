// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses calls that change a name, a mode or an owner where a rule denies that, with EPERM: unlink, rmdir, rename, link,
 * symlink, mkdir, chmod and chown, and the other calls of their kinds. An object of its own, which uses the probe's maps. It
 * changes the results of security_path_*() (fmod_ret, Linux 5.7; CONFIG_SECURITY_PATH), which 64-bit and 32-bit calls pass,
 * and the requests of io_uring. The paths are those that the kernel has resolved.
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
#include "verdict-numbers.h"
#include "verdict-ancestors.h"
#include "verdict.h"
#include "hooks/open-call.h"
#include "hooks/call-numbers.h"
#include "hooks/path-refusal.h"
#include "deny.h"
#include "deny-call.h"

/* Copies path `which` of the call for the verdict, and for the record. 0: it is not known. */
__noinline int deny__take_path(__u32 which)
{
	struct changing *ch = deny__get_changing();
	struct verdict_call *call = verdict__get_call();
	if (!ch || !call || which > 1)
		return 0;
	long start = path__write_buffer((void *)ch->dentry[which], (void *)ch->vfsmount[which], scope__current()->fs);
	if (!open__judge_buffer(call, start, 1) || call->len < 2 || call->path[0] != '/')
		return 0;
	/* user space may read another file into such a path (withoutProcRoot); procfs lets nobody change a name */
	const char *p = call->path;
	if (p[1] == 'p' && p[2] == 'r' && p[3] == 'o' && p[4] == 'c' && p[5] == '/')
		return 0;
	ch->refusal.len[which] = call->len;
	__builtin_memcpy(ch->refusal.path[which], call->path, VERDICT_PATH_MAX);
	return 1;
}

/* Whether there is a rule that denies such calls, by all of their paths. */
static __always_inline bool deny__may_refuse(struct verdict_table *t, struct changing *ch)
{
	__u32 denying = ALL_FAILING;
	for (__u32 which = 0; which < 2; which++) {
		if (!ch->dentry[which])
			continue;
		denying &= verdict__denying(t, ch->kind + which * VERDICT_PATH_KINDS);
		if (ch->other_kind)
			denying &= verdict__denying(t, ch->other_kind + which * VERDICT_PATH_KINDS);
	}
	return denying;
}

/* Whether a rule that denies certainly matches the call in `changing`: as verdict__answer. */
__noinline int deny__is_certain(void)
{
	struct verdict_call *call = verdict__get_call();
	struct changing *ch = deny__get_changing();
	struct verdict_table *t = ch ? verdict__find_table(ch->table) : NULL;
	if (!t)
		return ch && ch->table ? VERDICT_REPLACED : 0;
	if (!deny__may_refuse(t, ch))
		return 0;
	struct path_refusal *refusal = &ch->refusal;
	/* read once: another thread can change it at any time */
	if (!call || bpf_probe_read_kernel(refusal->comm, sizeof(refusal->comm), scope__current()->comm))
		return 0;
	__u32 failing = 0, both = ch->dentry[0] && ch->dentry[1];
	call->since = refusal->ts = bpf_ktime_get_boot_ns();
	for (__u32 which = 0; which < 2; which++) {
		refusal->len[which & 1] = 0;
		if (!ch->dentry[which & 1])
			continue;
		if (!deny__take_path(which))
			return 0;
		call->table = ch->table;
		call->kind = ch->kind + which * VERDICT_PATH_KINDS;
		call->directory = ch->directory;
		call->dots = 0;
		call->layer = LAYER_NONE;
		call->is_part = both;
		__builtin_memcpy(call->name, refusal->comm, sizeof(call->name));
		call->named_for = bpf_get_current_pid_tgid();
		if (verdict__passes(ASKS_DENYING))
			verdict__judge_ancestors(t, ASKS_DENYING);
		failing |= call->failing;
		if (ch->other_kind) {
			call->kind = ch->other_kind + which * VERDICT_PATH_KINDS;
			if (verdict__passes(ASKS_DENYING))
				verdict__judge_ancestors(t, ASKS_DENYING);
			failing |= call->failing;
		}
		call->is_part = 0;
		call->named_for = 0;
	}
	return verdict__answer(t, ch->table, ~failing);
}

/* The mode that the call asks for in this argument, as the kernel takes it. */
static __always_inline __u32 deny__mode(struct task_struct *task, __u32 argument)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	bool ia32 = task->thread_info.status & TS_COMPAT;
	__u32 second = ia32 ? COMPAT_ARG2(regs) : ARG2(regs), third = ia32 ? COMPAT_ARG3(regs) : ARG3(regs);
	return (argument == 2 ? second : third) & MODE_BITS;
}

static __always_inline __u32 deny__first_kind(__u32 nr)
{
	barrier_var(nr);
	return VERDICT_OPEN_KINDS + (call_specs[nr & (CALL_NR_MAX - 1)].judged - 1) * 2 * VERDICT_PATH_KINDS;
}

/* Fills in which call it is; 0 if no rule that denies is about it. */
static __always_inline int deny__take_call(struct task_struct *task, struct changing *ch, struct changing_calls calls)
{
	__u32 nr = deny__call_number(task, calls, &ch->is_lost);
	if (!nr)
		return 0;
	barrier_var(nr);
	const volatile struct call_spec *spec = &call_specs[nr & (CALL_NR_MAX - 1)];
	__u32 argument = spec->mode, mode = argument ? deny__mode(task, argument) : 0;
	ch->refusal.event = spec->event;
	ch->kind = deny__first_kind(nr) + verdict__mode_kind(mode);
	/* with flags a request counts as the other one: they are not known here */
	ch->other_kind = nr == NR_RENAMEAT && ch->is_lost ? deny__first_kind(NR_RENAMEAT2) : 0;
	return 1;
}

static __always_inline struct changing *deny__begin(struct task_struct *task, struct scope_entry *entry)
{
	__u32 number = entry ? *(volatile __u32 *)&entry->table : 0;
	struct verdict_table *t = number ? verdict__find_table(number) : NULL;
	if (!t || !verdict__denies_any())
		return NULL;
	struct changing *ch = deny__get_changing();
	if (ch)
		ch->directory = ch->dentry[0] = ch->dentry[1] = 0;
	return ch;
}

/* Reads what the record tells of the file of a descriptor. */
static __always_inline void deny__take_file(struct changing *ch, struct dentry *dentry)
{
	struct inode *inode = LOAD(dentry, struct dentry, d_inode);
	struct file_facts *facts = &ch->refusal.facts;
	struct super_block *sb = LOAD(inode, struct inode, i_sb);
	file__read_inode(facts, inode, sb);
	facts->flags = FILE_KNOWN | file__overlay_flags(inode, sb);
	ch->directory = (facts->mode & S_IFMT) == S_IFDIR;
}

static __always_inline int deny__judge(struct task_struct *task, struct scope_entry *entry, struct dentry *first,
				       struct vfsmount *first_mount, struct dentry *second,
				       struct vfsmount *second_mount, struct changing_calls calls)
{
	for (int i = 0; i < DENY_TRIES; i++) {
		__u64 before = scope__switches();
		struct changing *ch = deny__begin(task, entry);
		if (!ch || !deny__take_call(task, ch, calls))
			return 0;
		if (!ch->is_lost)
			deny__forget();
		ch->table = *(volatile __u32 *)&entry->table;
		ch->dentry[0] = (__u64)first;
		ch->vfsmount[0] = (__u64)first_mount;
		ch->dentry[1] = (__u64)second;
		ch->vfsmount[1] = (__u64)second_mount;
		/* a call with a descriptor is judged by its file */
		if (ch->refusal.event == EVENT_FCHMOD || ch->refusal.event == EVENT_FCHOWN)
			deny__take_file(ch, first);
		int answer = deny__is_certain();
		int result = deny__settle(task, entry, ch, answer, before);
		if (result != DENY_AGAIN)
			return result;
	}
	return 0;
}

/*
 * Each entry of a directory is named by its dentry and the path of the directory; NULL: the call has none there.
 */
static __always_inline int deny__change(struct dentry *first, const struct path *first_dir, struct dentry *second,
					const struct path *second_dir, struct changing_calls calls)
{
	struct task_struct *task = scope__current();
	struct scope_entry *entry = scope__find_entry(scope__cgroup_id(task));
	if (!entry)
		return 0;
	struct vfsmount *first_mount = first_dir ? LOAD(first_dir, struct path, mnt) : NULL;
	struct vfsmount *second_mount = second_dir ? LOAD(second_dir, struct path, mnt) : NULL;
	return deny__result(CPU_HELD(deny__judge(task, entry, first, first_mount, second, second_mount, calls)));
}

/* By hook: events follow each other in the table of calls. */
#define CALLS_UNLINK ((struct changing_calls){ EVENT_UNLINK, EVENT_UNLINKAT, NR_UNLINKAT, 0 })
#define CALLS_RMDIR ((struct changing_calls){ EVENT_UNLINKAT, EVENT_RMDIR, NR_UNLINKAT, 0 })
#define CALLS_MKDIR ((struct changing_calls){ EVENT_MKDIR, EVENT_MKDIRAT, NR_MKDIRAT, 0 })
#define CALLS_SYMLINK ((struct changing_calls){ EVENT_SYMLINK, EVENT_SYMLINKAT, NR_SYMLINKAT, 0 })
#define CALLS_LINK ((struct changing_calls){ EVENT_LINK, EVENT_LINKAT, NR_LINKAT, 0 })
#define CALLS_RENAME ((struct changing_calls){ EVENT_RENAME, EVENT_RENAMEAT2, NR_RENAMEAT, 0 })
#define CALLS_CHMOD ((struct changing_calls){ EVENT_CHMOD, EVENT_FCHMODAT, 0, 0 })
#define CALLS_CHOWN ((struct changing_calls){ EVENT_CHOWN, EVENT_FCHOWNAT, 0, 0 })
_Static_assert(EVENT_UNLINKAT == EVENT_UNLINK + 1 && EVENT_RMDIR == EVENT_UNLINKAT + 1, "unlink and rmdir");
_Static_assert(EVENT_MKDIRAT == EVENT_MKDIR + 1 && EVENT_SYMLINKAT == EVENT_SYMLINK + 1, "mkdir and symlink");
_Static_assert(EVENT_LINKAT == EVENT_LINK + 1 && EVENT_RENAMEAT2 == EVENT_RENAME + 2, "link and rename");
_Static_assert(EVENT_FCHMODAT == EVENT_CHMOD + 2 && EVENT_FCHOWNAT == EVENT_CHOWN + 3, "chmod and chown");

SEC("fmod_ret/security_path_unlink")
int deny_unlink(__u64 *ctx)
{
	return deny__change((void *)ctx[1], (void *)ctx[0], NULL, NULL, CALLS_UNLINK);
}

SEC("fmod_ret/security_path_rmdir")
int deny_rmdir(__u64 *ctx)
{
	return deny__change((void *)ctx[1], (void *)ctx[0], NULL, NULL, CALLS_RMDIR);
}

SEC("fmod_ret/security_path_mkdir")
int deny_mkdir(__u64 *ctx)
{
	return deny__change((void *)ctx[1], (void *)ctx[0], NULL, NULL, CALLS_MKDIR);
}

/* The target is a text; only the link itself is judged, as the call's second path. */
SEC("fmod_ret/security_path_symlink")
int deny_symlink(__u64 *ctx)
{
	return deny__change(NULL, NULL, (void *)ctx[1], (void *)ctx[0], CALLS_SYMLINK);
}

/* Both names are on the same mount: the kernel has refused others before. */
SEC("fmod_ret/security_path_link")
int deny_link(__u64 *ctx)
{
	return deny__change((void *)ctx[0], (void *)ctx[1], (void *)ctx[2], (void *)ctx[1], CALLS_LINK);
}

SEC("fmod_ret/security_path_rename")
int deny_rename(__u64 *ctx)
{
	return deny__change((void *)ctx[1], (void *)ctx[0], (void *)ctx[3], (void *)ctx[2], CALLS_RENAME);
}

SEC("fmod_ret/security_path_chmod")
int deny_chmod(__u64 *ctx)
{
	struct path *path = (void *)ctx[0];
	return deny__change(LOAD(path, struct path, dentry), path, NULL, NULL, CALLS_CHMOD);
}

SEC("fmod_ret/security_path_chown")
int deny_chown(__u64 *ctx)
{
	struct path *path = (void *)ctx[0];
	return deny__change(LOAD(path, struct path, dentry), path, NULL, NULL, CALLS_CHOWN);
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
