// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses unshare(2) of the user namespace where a rule denies that, with EPERM. An object of its own, which uses the probe's maps:
 * the hook is there since Linux 6.1. It changes the result of security_create_user_ns() (fmod_ret), which 64-bit and 32-bit calls
 * pass. So do clone(2) and clone3(2), which go on: a process that was not made has no record.
 */
#include "deny-way.h"

#define WAY_NEW_USER 1

SEC("fmod_ret/security_create_user_ns")
int deny_user_namespace(__u64 *ctx)
{
	return deny__result(deny__judge(EVENT_UNSHARE, EVENT_UNSHARE, 0, WAY_NEW_USER));
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
