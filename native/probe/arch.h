/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Everything that depends on the architecture, x86-64. An arm64 port needs another version of this file. */
#pragma once

#define ARG1(regs) ((regs)->di)
#define ARG2(regs) ((regs)->si)
#define ARG3(regs) ((regs)->dx)
#define ARG4(regs) ((regs)->r10)
#define ARG5(regs) ((regs)->r8)
#define ARG6(regs) ((regs)->r9)
#define SYSCALL_NR(regs) ((regs)->orig_ax)
#define COMPAT_ARG1(regs) ((regs)->bx)
#define COMPAT_ARG2(regs) ((regs)->cx)
#define COMPAT_ARG3(regs) ((regs)->dx)
#define COMPAT_ARG4(regs) ((regs)->si)
#define COMPAT_ARG5(regs) ((regs)->di)
#define COMPAT_ARG6(regs) ((regs)->bp)

#define NR_OPEN 2
#define NR_CREAT 85
#define NR_OPENAT 257
#define NR_OPENAT2 437
#define NR_EXECVE 59
#define NR_EXECVEAT 322
#define NR_MKDIRAT 258
#define NR_UNLINKAT 263
#define NR_BIND 49
#define NR_LISTEN 50
#define NR_RENAMEAT 264
#define NR_LINKAT 265
#define NR_SYMLINKAT 266
#define NR_RENAMEAT2 316
#define NR_CONNECT 42
#define NR_SENDTO 44
#define NR_SENDMSG 46
#define NR_SENDMMSG 307
/* the same with x32's pointers */
#define NR_X32_SENDMSG 518
#define NR_X32_SENDMMSG 538
/* x32 calls have this bit in their number; numbers from 512 on are x32's own */
#define X32_SYSCALL_BIT 0x40000000
#define X32_FIRST 512
#define NR_CLONE 56
#define NR_FORK 57
#define NR_VFORK 58
#define NR_CLONE3 435
/* ia32 numbers; a task in a 32-bit call has TS_COMPAT in thread_info.status */
#define TS_COMPAT 2
#define NR32_FORK 2
#define NR32_CLONE 120
#define NR32_VFORK 190
#define NR32_CLONE3 435
#define NR32_OPEN 5
#define NR32_CREAT 8
#define NR32_OPENAT 295
#define NR32_OPENAT2 437
#define NR32_SOCKETCALL 102
#define NR32_CONNECT 362
#define NR32_SENDTO 369
#define NR32_SENDMSG 370
#define NR32_SENDMMSG 345
