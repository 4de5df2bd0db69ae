// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses connections to unix sockets where a rule denies that, with EPERM, by the path that the other socket is bound to: however the
 * program names it. An object of its own, which uses the probe's maps. It changes the result of security_unix_stream_connect()
 * (fmod_ret, Linux 5.7), which connect(2), socketcall(2) of 32-bit programs, and the requests of io_uring pass, for stream and
 * seqpacket sockets. Those of datagrams pass another hook, with each message, and go on.
 */
#include "deny-way.h"

/* security_unix_stream_connect(sock, other, newsk) */
SEC("fmod_ret/security_unix_stream_connect")
int deny_unix_connect(__u64 *ctx)
{
	struct task_struct *task = scope__current();
	struct scope_entry *entry = scope__find_entry(scope__cgroup_id(task));
	if (!entry)
		return 0;
	struct changing_calls calls = { EVENT_CONNECT, EVENT_CONNECT, NR_CONNECT, 1 };
	return deny__result(CPU_HELD(deny__judge_call(task, entry, calls, 0, (void *)ctx[1])));
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
