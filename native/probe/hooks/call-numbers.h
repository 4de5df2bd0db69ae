/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Which call a number is: of x86-64, of ia32 and of x32, and what to read of it. */
#pragma once

#define COMPAT_NUMBER 511

const volatile struct call_spec call_specs[CALL_NR_MAX] SEC(".rodata.calls") = { CALL_SPECS };
const volatile __u16 ia32_calls[CALL_NR_MAX] SEC(".rodata.ia32") = { CALL_NR32 };
const volatile __u16 x32_calls[64] SEC(".rodata.x32") = { CALL_NRX32 };

/* The entry for the number as called: COMPAT_* and a number on x86-64; 0: not of interest. */
static __always_inline __u32 compat__find_call(__u32 nr, bool ia32)
{
	if (ia32)
		return nr < CALL_NR_MAX ? ia32_calls[nr] : 0;
	nr &= ~X32_SYSCALL_BIT;
	if (nr < X32_FIRST)
		return nr;
	nr -= X32_FIRST;
	return nr < 64 ? x32_calls[nr] : 0;
}
