// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses calls that change a name, a mode or an owner where a rule denies that, with EPERM: unlink, rmdir, rename, link,
 * symlink, mkdir, chmod and chown, and the other calls of their kinds. An object of its own, which uses the probe's maps. It
 * changes the results of security_path_*() (fmod_ret, Linux 5.7; CONFIG_SECURITY_PATH), which 64-bit and 32-bit calls pass,
 * and the requests of io_uring. The paths are those that the kernel has resolved.
 */
#define MAY_BE_PREEMPTED /* see deny.h */
#include "kernel-types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "arch.h"
#include "events.gen.h"
#include "maps.h"
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

#define MODE_BITS 07777
#define MODE_SET_ID 06000
#define MODE_EXECUTABLE 0111

/* The call that is judged. In a map: with its paths it is too large for the stack. */
struct changing {
	struct path_refusal refusal;
	__u64 dentry[2], vfsmount[2]; /* of its paths; 0: it has none there */
	__u32 table, kind; /* the kind of its first path */
	__u32 directory;   /* the file of a descriptor is one */
	__u32 is_request;  /* of io_uring */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct changing);
} changing SEC(".maps");

static __always_inline struct changing *deny__get_changing(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&changing, &zero);
}

/* Copies path `which` of the call for the verdict, and for the record. 0: it is not known. */
__noinline int deny__take_path(__u32 which)
{
	struct changing *ch = deny__get_changing();
	struct verdict_call *call = verdict__get_call();
	if (!ch || !call || which > 1)
		return 0;
	long start = path__write_buffer((void *)ch->dentry[which], (void *)ch->vfsmount[which], scope__current()->fs);
	if (!open__judge_buffer(call, start) || call->len < 2 || call->path[0] != '/' || verdict__is_detour(call))
		return 0;
	ch->refusal.len[which] = call->len;
	__builtin_memcpy(ch->refusal.path[which], call->path, VERDICT_PATH_MAX);
	return 1;
}

/* Whether a rule that denies certainly matches the call in `changing`: as verdict__answer. */
__noinline int deny__is_certain(void)
{
	struct verdict_call *call = verdict__get_call();
	struct changing *ch = deny__get_changing();
	struct verdict_table *t = ch ? verdict__find_table(ch->table) : NULL;
	if (!t)
		return ch && ch->table ? VERDICT_REPLACED : 0;
	struct path_refusal *refusal = &ch->refusal;
	/* read once: another thread can change it at any time */
	if (!call || bpf_probe_read_kernel(refusal->comm, sizeof(refusal->comm), scope__current()->comm))
		return 0;
	__u32 denying = t->denying, failing = 0, both = ch->dentry[0] && ch->dentry[1];
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
		verdict__passes();
		verdict__judge_ancestors(t);
		call->is_part = 0;
		call->named_for = 0;
		failing |= call->failing;
	}
	return verdict__answer(t, ch->table, ~failing & denying);
}

/* Notes the call for the record at its end. What is not reported, or was noted before and was not, is counted. */
static __always_inline void deny__note(struct task_struct *task, struct changing *ch, __u64 thread)
{
	ch->refusal.start = task->start_boottime;
	bool is_lost = ch->is_request || bpf_map_lookup_elem(&refused_paths, &thread);
	if ((!ch->is_request && bpf_map_update_elem(&refused_paths, &thread, &ch->refusal, BPF_ANY)) || is_lost)
		__sync_fetch_and_add(&state.denied_dropped, 1);
}

/*
 * The x86-64 number of the call that the thread makes. The requests of io_uring, `request`, are issued by workers, or by
 * the thread itself in any call that it makes. 0: none that is judged.
 */
static __always_inline __u32 deny__call_number(struct task_struct *task, __u32 request, __u32 *is_request)
{
	*is_request = 1;
	if (task->flags & PF_IO_WORKER)
		return request;
	__u32 nr = SYSCALL_NR((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	bool ia32 = task->thread_info.status & TS_COMPAT;
	__u32 call = compat__find_call(nr, ia32) & COMPAT_NUMBER;
	barrier_var(call);
	if (call_specs[call & (CALL_NR_MAX - 1)].judged) {
		*is_request = 0;
		return call;
	}
	return task->io_uring ? request : 0;
}

/* The mode that the call asks for in this argument. */
static __always_inline __u32 deny__mode(struct task_struct *task, __u32 argument)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	bool ia32 = task->thread_info.status & TS_COMPAT;
	if (argument == 2)
		return ia32 ? COMPAT_ARG2(regs) : ARG2(regs);
	return ia32 ? COMPAT_ARG3(regs) : ARG3(regs);
}

/* Fills in which call it is; 0 if no rule that denies is about it. */
static __always_inline int deny__take_call(struct task_struct *task, struct changing *ch, __u32 request)
{
	__u32 nr = deny__call_number(task, request, &ch->is_request);
	barrier_var(nr);
	const volatile struct call_spec *spec = &call_specs[nr & (CALL_NR_MAX - 1)];
	__u32 judged = spec->judged, argument = spec->mode, mode = 0;
	if (!nr || !judged)
		return 0;
	if (argument) {
		/* the words of a request are not known here */
		mode = ch->is_request ? ~0u : deny__mode(task, argument);
		if (mode & ~MODE_BITS)
			return 0;
	}
	ch->refusal.event = spec->event;
	ch->kind = VERDICT_OPEN_KINDS + (judged - 1) * 2 * VERDICT_PATH_KINDS + (mode & MODE_SET_ID ? 2 : 0) +
		   (mode & MODE_EXECUTABLE ? 4 : 0);
	return 1;
}

static __always_inline struct changing *deny__begin(struct task_struct *task, struct scope_entry *entry)
{
	__u32 number = entry ? *(volatile __u32 *)&entry->table : 0;
	struct verdict_table *t = number ? verdict__find_table(number) : NULL;
	if (!t || !t->denying_changes || !verdict__denies_any())
		return NULL;
	struct changing *ch = deny__get_changing();
	if (ch)
		ch->directory = ch->dentry[0] = ch->dentry[1] = 0;
	return ch;
}

static __always_inline int deny__judge(struct task_struct *task, struct scope_entry *entry, struct dentry *first,
				       struct vfsmount *first_mount, struct dentry *second,
				       struct vfsmount *second_mount, __u32 request)
{
	for (int i = 0; i < DENY_TRIES; i++) {
		__u64 before = deny__switches();
		struct changing *ch = deny__begin(task, entry);
		if (!ch || !deny__take_call(task, ch, request))
			return 0;
		ch->table = *(volatile __u32 *)&entry->table;
		ch->dentry[0] = (__u64)first;
		ch->vfsmount[0] = (__u64)first_mount;
		ch->dentry[1] = (__u64)second;
		ch->vfsmount[1] = (__u64)second_mount;
		/* a call with a descriptor is judged by its file */
		if (ch->refusal.event == EVENT_FCHMOD || ch->refusal.event == EVENT_FCHOWN)
			ch->directory = (LOAD(LOAD(first, struct dentry, d_inode), struct inode, i_mode) & S_IFMT) == S_IFDIR;
		int answer = deny__is_certain();
		bool denies = answer && deny__is_inside();
		if (deny__switches() != before || answer == VERDICT_REPLACED)
			continue;
		if (!denies)
			return 0;
		__u64 thread = bpf_get_current_pid_tgid();
		deny__note(task, ch, thread);
		if (deny__switches() != before) {
			/* another task's call may have been noted */
			bpf_map_delete_elem(&refused_paths, &thread);
			continue;
		}
		verdict__count_denial(entry);
		return -EPERM;
	}
	return 0;
}

/*
 * Each entry of a directory is named by its dentry and the path of the directory; NULL: the call has none there. `request`: the
 * number of the call that io_uring's request counts as.
 */
static __always_inline int deny__change(struct dentry *first, const struct path *first_dir, struct dentry *second,
					const struct path *second_dir, __u32 request)
{
	struct task_struct *task = scope__current();
	struct scope_entry *entry = scope__find_entry(scope__cgroup_id(task));
	if (!entry)
		return 0;
	return deny__judge(task, entry, first, first_dir ? LOAD(first_dir, struct path, mnt) : NULL, second,
			   second_dir ? LOAD(second_dir, struct path, mnt) : NULL, request);
}

SEC("fmod_ret/security_path_unlink")
int deny_unlink(__u64 *ctx)
{
	return deny__change((void *)ctx[1], (void *)ctx[0], NULL, NULL, NR_UNLINKAT);
}

SEC("fmod_ret/security_path_rmdir")
int deny_rmdir(__u64 *ctx)
{
	return deny__change((void *)ctx[1], (void *)ctx[0], NULL, NULL, NR_UNLINKAT);
}

SEC("fmod_ret/security_path_mkdir")
int deny_mkdir(__u64 *ctx)
{
	return deny__change((void *)ctx[1], (void *)ctx[0], NULL, NULL, NR_MKDIRAT);
}

/* The target is a text; only the link itself is judged, as the call's second path. */
SEC("fmod_ret/security_path_symlink")
int deny_symlink(__u64 *ctx)
{
	return deny__change(NULL, NULL, (void *)ctx[1], (void *)ctx[0], NR_SYMLINKAT);
}

/* Both names are on the same mount: the kernel has refused others before. */
SEC("fmod_ret/security_path_link")
int deny_link(__u64 *ctx)
{
	return deny__change((void *)ctx[0], (void *)ctx[1], (void *)ctx[2], (void *)ctx[1], NR_LINKAT);
}

SEC("fmod_ret/security_path_rename")
int deny_rename(__u64 *ctx)
{
	return deny__change((void *)ctx[1], (void *)ctx[0], (void *)ctx[3], (void *)ctx[2], NR_RENAMEAT);
}

SEC("fmod_ret/security_path_chmod")
int deny_chmod(__u64 *ctx)
{
	struct path *path = (void *)ctx[0];
	return deny__change(LOAD(path, struct path, dentry), path, NULL, NULL, 0);
}

SEC("fmod_ret/security_path_chown")
int deny_chown(__u64 *ctx)
{
	struct path *path = (void *)ctx[0];
	return deny__change(LOAD(path, struct path, dentry), path, NULL, NULL, 0);
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
