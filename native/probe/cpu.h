/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Layer 0: keeps other tasks from running on this CPU, since programs share memory by CPU. */
#pragma once

/*
 * Tracepoints cannot be preempted before Linux 7.0. From then on they can (CONFIG_PREEMPT_LAZY is the default), as functions that
 * refuse calls could always, if the kernel preempts at all. The record of one task could get the contents of another's then.
 * These functions are there since 6.10, and may enclose calls of global functions since 6.15: config.holds_cpu.
 */
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

static __always_inline void cpu__hold(void)
{
	if (config.holds_cpu)
		bpf_preempt_disable();
}

static __always_inline void cpu__release(void)
{
	if (config.holds_cpu)
		bpf_preempt_enable();
}

/* The result of this call, during which no other task runs on this CPU. */
#define CPU_HELD(call)                                                                                             \
	({                                                                                                         \
		cpu__hold();                                                                                       \
		int _result = (call);                                                                              \
		cpu__release();                                                                                    \
		_result;                                                                                           \
	})
