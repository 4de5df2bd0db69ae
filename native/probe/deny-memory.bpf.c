// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses to make memory that can be executed where a rule denies that by who does it, with EPERM: mmap(2) of memory without a file,
 * and mprotect(2). An object of its own, which uses the probe's maps: programs map memory all the time, so it is only loaded where a
 * rule denies this. It changes the results of security_mmap_file() and security_file_mprotect() (fmod_ret, Linux 5.7), which
 * 64-bit and 32-bit calls pass; pkey_mprotect(2) counts as mprotect(2).
 */
#include "deny-way.h"

#define PROT_EXEC 4
#define PROT_BITS 7
#define MAP_ANONYMOUS 0x20
#define WAY_OTHER 0

/* Argument 3 or 4 of the thread's call: what it wants to do with the memory, and of mmap(2) what memory it is. */
static __always_inline __u32 deny__argument(int number)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	bool ia32 = scope__current()->thread_info.status & TS_COMPAT;
	if (number == 3)
		return ia32 ? COMPAT_ARG3(regs) : ARG3(regs);
	return ia32 ? COMPAT_ARG4(regs) : ARG4(regs);
}

/* From 1: PROT_EXEC alone, with PROT_READ, with PROT_WRITE, with both. */
static __always_inline __u32 deny__protection_way(void)
{
	__u32 protection = deny__argument(3);
	return (protection & ~PROT_BITS) || !(protection & PROT_EXEC) ? WAY_OTHER : 1 + (protection & 3);
}

/*
 * security_mmap_file(file, prot, flags); the LSM hook has one more before `flags`. Only what is reported is judged: memory that has no
 * file (CALL_IF_EXECUTABLE, CALL_IF_ANONYMOUS).
 */
SEC("fmod_ret/security_mmap_file")
int deny_mmap(__u64 *ctx)
{
	if (!(ctx[1] & PROT_EXEC) || !(deny__argument(4) & MAP_ANONYMOUS))
		return 0;
	return deny__result(deny__judge(EVENT_MMAP, EVENT_MMAP, 0, deny__protection_way()));
}

/* security_file_mprotect(vma, reqprot, prot): before any part of the memory is changed, as all parts are judged alike. */
SEC("fmod_ret/security_file_mprotect")
int deny_mprotect(__u64 *ctx)
{
	if (!(ctx[1] & PROT_EXEC))
		return 0;
	return deny__result(deny__judge(EVENT_MPROTECT, EVENT_MPROTECT, 0, deny__protection_way()));
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
