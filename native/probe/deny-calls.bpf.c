// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses calls by who makes them where a rule denies that, with EPERM, before they do anything: mounts, modules of the kernel,
 * a new root, devices, what one process does to another, bpf and others (schema/ways.mjs). An object of its own, which uses the
 * probe's maps. It changes the results of security_*() (fmod_ret, Linux 5.7), which 64-bit and 32-bit calls pass. Their paths and
 * most of their arguments are not looked at.
 */
#include "deny-way.h"

#define S_IFCHR 0020000
#define S_IFBLK 0060000
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206
/* Ways to make a call, as src/plan/verdicts/ways.ts has them. */
#define WAY_TRACEME 1
#define WAY_ATTACH 2
#define WAY_SEIZE 3
#define WAYS_OF_BPF 40
#define WAY_OTHER_SIGNAL 0

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

/* security_task_kill(p, info, sig, cred): once for each process that the call is about. Not of signals by the kernel. */
SEC("fmod_ret/security_task_kill")
int deny_kill(__u64 *ctx)
{
	__u32 way = WAY_OTHER_SIGNAL;
	switch ((__u32)ctx[2]) {
	case 0:
		way = 1;
		break;
	case 1: /* SIGHUP */
		way = 2;
		break;
	case 2: /* SIGINT */
		way = 3;
		break;
	case 9: /* SIGKILL */
		way = 4;
		break;
	case 15: /* SIGTERM */
		way = 5;
		break;
	case 19: /* SIGSTOP */
		way = 6;
		break;
	}
	return deny__result(deny__judge(EVENT_KILL, EVENT_TGKILL, 0, way));
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
