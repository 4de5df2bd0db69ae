// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Refuses bind(2) to IP addresses and ports, and mknod(2) of devices, where a rule denies that, with EPERM: by hooks of the root cgroup
 * of v2, so that it sees the tasks of all cgroups, of v1 too. For kernels that let no program change what its functions return
 * (deny-calls.bpf.c). An object of its own, which uses the probe's maps. Linux 5.7, which has links of cgroups.
 */
#include "deny-way.h"

#define ALLOW 1

/* include/uapi/linux/bpf.h */
#define DEVCG_ACC_MKNOD 1
#define DEVCG_DEV_BLOCK 1
#define DEVCG_DEV_CHAR 2
struct bpf_cgroup_dev_ctx {
	__u32 access_type; /* access in the upper half, type in the lower one */
	__u32 major, minor;
};

static __always_inline int deny__allows(int refused)
{
	int verdict = !refused;
	barrier_var(verdict); /* keeps the mask: the verifier wants to see that it is 0 or 1 */
	return verdict & ALLOW;
}

/* Also called where the kernel binds a socket of its own, in no such call. */
SEC("cgroup/bind4")
int deny_bind4(void *ctx)
{
	return deny__allows(deny__judge(EVENT_BIND, EVENT_BIND, NR_BIND, 0));
}

SEC("cgroup/bind6")
int deny_bind6(void *ctx)
{
	return deny__allows(deny__judge(EVENT_BIND, EVENT_BIND, NR_BIND, 0));
}

/* Each open of a device of the host passes it, too. Not a whiteout of an overlay, which is a device with the number 0. */
SEC("cgroup/dev")
int deny_device(struct bpf_cgroup_dev_ctx *ctx)
{
	__u32 access = ctx->access_type >> 16, type = ctx->access_type & 0xffff;
	if (!(access & DEVCG_ACC_MKNOD) || !(ctx->major || ctx->minor))
		return ALLOW;
	__u32 way = type == DEVCG_DEV_CHAR ? WAY_CHARACTER_DEVICE : type == DEVCG_DEV_BLOCK ? WAY_BLOCK_DEVICE : 0;
	return deny__allows(deny__judge(EVENT_MKNOD, EVENT_MKNODAT, 0, way));
}

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
