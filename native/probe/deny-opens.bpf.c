// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses to open files that a rule denies, with EPERM. An object of its own, which uses the probe's maps: loaded when a rule
 * is to deny. It changes the result of security_file_open() (fmod_ret, Linux 5.7), which every open passes with its file,
 * however that was named: by open(2) and its kind, by 32-bit calls, and by io_uring. What opens with O_PATH does not: that
 * gives no access to what is in the file.
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
#include "deny.h"
#include "known-file.h"

#define FMODE_EXEC 0x20 /* in f_flags: the file is opened to run it (include/linux/fs.h) */

/* The calls that the open may be, as bits of open__call_index. */
#define CALL_OPEN 1
#define CALL_OPENAT 2
#define CALL_OPENAT2 4
#define CALL_CREAT 8
#define CALL_IS_REQUEST 16 /* of io_uring */

/* Of a file of an overlay whose open was judged, and not refused: what the open of the file in its layer is compared with. */
struct judged_open {
	__u64 thread, switches; /* no other task may have run since */
	struct path_kept kept; /* source 0: there is none to compare with */
	__u32 table, calls, kind; /* the kind that it would be by open() */
};

/* The open that is judged. In a map: with its path it is too large for the stack. */
struct opening {
	struct open_refusal refusal;
	struct judged_open judged;
	__u32 table, calls, is_request;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct opening);
} opening SEC(".maps");

static __always_inline struct opening *deny__get_opening(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&opening, &zero);
}

/*
 * Which call opens the file, as bits of open__call_index: the event that a rule asks for. 0: none that is reported. The
 * requests of io_uring are issued by workers, or by the thread itself, in any call that it makes.
 */
static __always_inline __u32 deny__calls(struct task_struct *task)
{
	__u32 request = CALL_OPENAT | CALL_OPENAT2 | CALL_IS_REQUEST;
	if (task->flags & PF_IO_WORKER)
		return request;
	unsigned long nr = SYSCALL_NR((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	if (task->thread_info.status & TS_COMPAT) {
		switch (nr) {
		case NR32_OPEN:
			return CALL_OPEN;
		case NR32_OPENAT:
			return CALL_OPENAT;
		case NR32_OPENAT2:
			return CALL_OPENAT2;
		case NR32_CREAT:
			return CALL_CREAT;
		}
	} else {
		switch (nr & ~X32_SYSCALL_BIT) {
		case NR_OPEN:
			return CALL_OPEN;
		case NR_OPENAT:
			return CALL_OPENAT;
		case NR_OPENAT2:
			return CALL_OPENAT2;
		case NR_CREAT:
			return CALL_CREAT;
		}
	}
	return task->io_uring ? request : 0;
}

/* Whether there is a rule that denies opens with these flags, by one of these calls. */
static __always_inline bool deny__may_refuse(struct verdict_table *t, __u32 calls, __u32 flags)
{
	__u32 denying = 0;
	for (__u32 which = 0; which < 4; which++)
		if (calls & (1 << which))
			denying |= verdict__denying(t, verdict__kind(which, flags, 0));
	return denying;
}

/* In place of a start in the path buffer: the path is in verdict_call. */
#define KNOWN_PATH (-2)

/* Whether a rule that denies certainly matches the open, whose path is in the path buffer at `start`: as verdict__answer. */
__noinline int deny__is_certain(long start)
{
	struct verdict_call *call = verdict__get_call();
	struct opening *o = deny__get_opening();
	struct verdict_table *t = o ? verdict__find_table(o->table) : NULL;
	if (!t)
		return o && o->table ? VERDICT_REPLACED : 0;
	if (!call || (start != KNOWN_PATH && !open__judge_buffer(call, start, 1)) || call->len < 2)
		return 0;
	struct open_refusal *of = &o->refusal;
	__u32 failing = 0, calls = o->calls;
	of->ts = 0;
	call->table = o->table;
	call->directory = (of->facts.mode & S_IFMT) == S_IFDIR;
	/* what the program passed is not known here; a rule that denies cannot ask that it has no ".." */
	call->dots = 1;
	call->is_part = 0;
	call->layer = of->facts.flags & FILE_UPPER_LAYER ? LAYER_UPPER :
		      of->facts.flags & FILE_LOWER_LAYER ? LAYER_LOWER : LAYER_NONE;
	/* read once: another thread can change it at any time */
	if (bpf_probe_read_kernel(of->comm, sizeof(of->comm), scope__current()->comm))
		return 0;
	__builtin_memcpy(call->name, of->comm, sizeof(call->name));
	call->named_for = bpf_get_current_pid_tgid();
	for (__u32 which = 0; which < 4; which++) {
		if (!(calls & (1 << which)))
			continue;
		call->kind = verdict__kind(which, of->flags, 0);
		call->source = start == KNOWN_PATH ? 0 : path__source();
		if (verdict__passes(ASKS_DENYING)) {
			if (!of->ts)
				of->ts = bpf_ktime_get_boot_ns();
			call->since = of->ts;
			verdict__judge_ancestors(t, ASKS_DENYING);
		}
		failing |= call->failing;
		if (failing == ALL_FAILING)
			break;
	}
	call->named_for = 0;
	if (failing != ALL_FAILING) {
		of->len = call->len;
		__builtin_memcpy(of->path, call->path, sizeof(of->path));
	}
	return verdict__answer(t, o->table, ~failing);
}

#define MNT_NS_INTERNAL ((void *)-22) /* of mounts that only the kernel uses (include/linux/mnt_namespace.h, fs/mount.h) */

/* Whether it may be the file of a layer: overlayfs opens those by mounts of its own, since Linux 6.7 with their own paths. */
static __always_inline bool deny__may_be_of_layer(struct file *file)
{
	void *vfsmount = LOAD(file, struct file, f_path.mnt);
	struct mount *mount = vfsmount - bpf_core_field_offset(struct mount, mnt);
	return LOAD(mount, struct mount, mnt_ns) == MNT_NS_INTERNAL;
}

/*
 * Notes that the open was judged, and not refused, by the path that the automata have read last. Only that of an overlay's file: the
 * next one is that of a file in a layer, unless it fails.
 */
static __always_inline void deny__note_judged(struct opening *o)
{
	__u32 zero = 0;
	struct path_buffer *from = bpf_map_lookup_elem(&path_buffer, &zero);
	struct judged_open *judged = &o->judged;
	judged->kept.source = 0;
	if (!from || !(o->refusal.facts.flags & (FILE_UPPER_LAYER | FILE_LOWER_LAYER)))
		return;
	judged->kept = from->kept;
	judged->thread = bpf_get_current_pid_tgid();
	judged->switches = scope__switches();
	judged->table = o->table;
	judged->calls = o->calls;
	judged->kind = verdict__kind(0, o->refusal.flags, 0);
}

/*
 * Whether it is the file in a layer, whose path is in the buffer at `start`, of the overlay's file that was just judged by the
 * same path: there is nothing to add, and that path is kept for the end of the call. The layers of another overlay, that is made in the
 * container, can have the container's files: then their paths are others, or they are in an overlay themselves.
 */
__noinline int deny__is_judged(long start)
{
	__u32 zero = 0, at = start & 0xffff, len = PATH_MAX - at;
	struct path_buffer *from = bpf_map_lookup_elem(&path_buffer, &zero);
	struct verdict_call *call = verdict__get_call();
	struct opening *o = deny__get_opening();
	if (!from || !call || !o)
		return 0;
	const struct judged_open *judged = &o->judged;
	/* `walked`: the path of the call is still the one that was judged */
	if (!judged->kept.source || judged->kept.source != call->walked || judged->thread != bpf_get_current_pid_tgid() ||
	    judged->switches != scope__switches() || judged->table != o->table || judged->calls != o->calls ||
	    judged->kind != verdict__kind(0, o->refusal.flags, 0) ||
	    o->refusal.facts.flags & (FILE_UPPER_LAYER | FILE_LOWER_LAYER))
		return 0;
	if (start < 0 || (start >> PATH_FLAGS_SHIFT) & ~FILE_DETACHED || at > PATH_MAX || len != call->len)
		return 0;
	for (__u32 i = 0; i < VERDICT_PATH_MAX; i += 8) {
		if (i >= len)
			break;
		__u64 differs = *(__u64 *)&call->path[i] ^ *(__u64 *)&from->b[(at + i) & (PATH_MAX - 1)];
		/* what is behind the path does not count: it is in the highest bytes */
		if (i + 8 > len)
			differs <<= 8 * (i + 8 - len);
		if (differs)
			return 0;
	}
	from->kept = judged->kept;
	return 1;
}

/* Takes the path that rules know the file by, if it is one that they name: it may be opened by another name. */
static __always_inline bool deny__take_known(struct opening *o, struct file *file, __u64 cgroup)
{
	struct known_file *known = known__find(file, &o->refusal.facts, cgroup);
	struct verdict_call *call = verdict__get_call();
	if (!known || !call || known->len >= VERDICT_PATH_MAX)
		return 0;
	call->len = known->len;
	__builtin_memcpy(call->path, known->path, VERDICT_PATH_MAX);
	/* these were said of the other path */
	o->refusal.facts.flags &= ~(FILE_DETACHED | FILE_PATH_TRUNCATED);
	return 1;
}

/* Notes the open for the record at its end. */
static __always_inline long deny__note(struct task_struct *task, struct opening *o, struct refused_open_key *key)
{
	o->refusal.pid = task->tgid;
	if (o->is_request) {
		key->request = o->refusal.ts ^ (__u64)task->pid << 32;
		o->refusal.start = task->group_leader->start_boottime;
	} else {
		key->thread = bpf_get_current_pid_tgid();
		o->refusal.start = task->start_boottime;
	}
	return bpf_map_update_elem(&refused_opens, key, &o->refusal, BPF_ANY);
}

static __always_inline int deny__judge(struct task_struct *task, struct scope_entry *entry, __u64 cgroup,
				       struct file *file, __u32 flags, __u32 calls)
{
	struct opening *o = deny__get_opening();
	if (!o)
		return 0;
	for (int i = 0; i < DENY_TRIES; i++) {
		struct refused_open_key key = {};
		__u64 before = scope__switches();
		o->table = *(volatile __u32 *)&entry->table;
		o->calls = calls;
		o->is_request = calls & CALL_IS_REQUEST;
		o->refusal.flags = flags;
		long start = file__read_facts(&o->refusal.facts, file, task);
		bool is_layer = deny__may_be_of_layer(file);
		int answer = is_layer && deny__is_judged(start) ? 0 : deny__is_certain(start);
		if (!answer && deny__take_known(o, file, cgroup))
			answer = deny__is_certain(KNOWN_PATH);
		bool denies = answer && deny__is_inside();
		if (scope__switches() != before || answer == VERDICT_REPLACED)
			continue;
		if (!denies) {
			if (!is_layer)
				deny__note_judged(o);
			return 0;
		}
		long error = deny__note(task, o, &key);
		if (scope__switches() != before) {
			/* another task's open may have been noted */
			bpf_map_delete_elem(&refused_opens, &key);
			continue;
		}
		if (error)
			__sync_fetch_and_add(&state.denied_dropped, 1);
		verdict__count_denial(entry);
		return -EPERM;
	}
	return 0;
}

SEC("fmod_ret/security_file_open")
int deny_open(__u64 *ctx)
{
	struct task_struct *task = scope__current();
	__u64 cgroup = scope__cgroup_id(task);
	struct scope_entry *entry = scope__find_entry(cgroup);
	__u32 number = entry ? *(volatile __u32 *)&entry->table : 0;
	struct verdict_table *t = number ? verdict__find_table(number) : NULL;
	if (!t)
		return 0;
	struct file *file = (void *)ctx[0];
	__u32 flags = LOAD(file, struct file, f_flags), calls = flags & FMODE_EXEC ? 0 : deny__calls(task);
	if (!deny__may_refuse(t, calls, flags) || !verdict__denies_any())
		return 0;
	/* until Linux 6.6 overlayfs opens the file below with the path of its own one, which was judged */
	if (LOAD(LOAD(file, struct file, f_inode), struct inode, i_sb) !=
	    LOAD(LOAD(file, struct file, f_path.dentry), struct dentry, d_sb))
		return 0;
	return deny__result(CPU_HELD(deny__judge(task, entry, cgroup, file, flags, calls)));
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
