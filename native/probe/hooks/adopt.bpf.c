// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Processes that were there before the probe, as the agent knows them. */

static __always_inline int adopt__store(struct image_adopt_args *args)
{
	struct image *made = image__get_made();
	__u32 pid = args->pid;
	struct image *ended = bpf_map_lookup_elem(&ended_images, &pid);
	if (!made || (ended && image__is_start(ended->start, args->start)))
		return 0;
	__builtin_memset(made, 0, sizeof(*made));
	made->start = args->start;
	made->program = PROGRAM_ADOPTED;
	made->parent = args->parent;
	made->parent_start = args->parent_start;
	made->is_entrant = args->is_entrant;
	made->loads = 1;
	made->len = args->len < VERDICT_PATH_MAX ? args->len : 0;
	__builtin_memcpy(made->name, args->name, sizeof(made->name));
	__builtin_memcpy(made->path, args->path, sizeof(made->path));
	bpf_map_update_elem(&images, &pid, made, BPF_NOEXIST);
	return 0;
}

/*
 * Run by the loader, not attached. Keeps what the agent knows of a process, for those that ask for their ancestors. What
 * an exec has told meanwhile stays, also of a process that has ended.
 */
SEC("syscall")
int image_adopt(struct image_adopt_args *args)
{
	return CPU_HELD(adopt__store(args));
}
