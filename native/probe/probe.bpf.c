// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The probe. Its layers; each uses only those above it:
 *   0 kernel-types.h uring-types.h arch.h events.gen.h maps.h cpu.h what is read, what is written
 *   1 scope.h path.h                                            is it watched; where is it
 *   2 task.h file.h socket.h ring.h lineage.h image.h verdict*.h contents of a record, how it is sent, whether it is made
 *   3 hooks/                                                    one file per hook: a list of what is stored
 */
#include "kernel-types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "uring-types.h"
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
#include "verdict-claim.h"
#include "verdict-run.h"
#include "hooks/cgroup.bpf.c"
#include "hooks/clone-call.h"
#include "hooks/fork.bpf.c"
#include "hooks/connect-call.h"
#include "hooks/exec-env.h"
#include "hooks/exec.bpf.c"
#include "hooks/exit.bpf.c"
#include "hooks/adopt.bpf.c"
#include "hooks/open-call.h"
#include "hooks/open.bpf.c"
#include "hooks/connect-verdict.h"
#include "hooks/call-numbers.h"
#include "hooks/path-refusal.h"
#include "hooks/call-paths.h"
#include "hooks/call-refusal.h"
#include "hooks/call-messages.h"
#include "hooks/connect.bpf.c"
#include "hooks/call.bpf.c"
#include "hooks/compat.bpf.c"
#include "hooks/uring-prepare.h"
#include "hooks/uring.bpf.c"

/* GPL: required by the tracing helpers; the source may be used under either licence. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
