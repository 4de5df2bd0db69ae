// SPDX-License-Identifier: Apache-2.0
#include "variant.h"
#include <bpf/btf.h>
#include <cstdio>
#include <sys/utsname.h>

// Number of arguments that the tracepoint passes to programs, from the kernel's BTF; -1 if there is none.
static int CountArguments(const btf* types, const char* tracepoint) {
  const std::string name = std::string("btf_trace_") + tracepoint;
  const __s32 id = types ? btf__find_by_name_kind(types, name.c_str(), BTF_KIND_TYPEDEF) : -1;
  const btf_type* type = id < 0 ? nullptr : btf__type_by_id(types, static_cast<__u32>(id));
  if (type) type = btf__type_by_id(types, type->type); // a pointer to …
  if (type) type = btf__type_by_id(types, type->type); // … a function: void *, then the arguments
  return type && btf_is_func_proto(type) ? static_cast<int>(btf_vlen(type)) - 1 : -1;
}

int KernelMajor() {
  utsname name{};
  int major = 0;
  return uname(&name) == 0 && sscanf(name.release, "%d.", &major) == 1 ? major : 0;
}

namespace {
struct Variant {
  const char* hook;
  const char* program;
  const char* tracepoint;
  int arguments;
};
} // namespace

// hooks/uring.bpf.c lists the kernel versions.
static const Variant kVariants[] = {
    {"compat_exit", "compat_exit", "sys_exit", 2},
    {"io_uring", "uring_complete_3", "io_uring_complete", 3},
    {"io_uring", "uring_complete_7", "io_uring_complete", 7},
    {"io_uring", "uring_overflow", "io_uring_cqe_overflow", 5},
    {"io_uring", "uring_submit_1", "io_uring_submit_req", 1},
    {"io_uring", "uring_submit_2", "io_uring_submit_sqe", 2},
    {"io_uring", "uring_submit_7", "io_uring_submit_sqe", 7},
};
// Number of programs of the hook: with fewer it would miss events, so it is not offered.
static const size_t kIoUringPrograms = 3;

std::map<std::string, std::vector<bpf_program*>> ChooseVariants(bpf_object* object) {
  std::map<std::string, std::vector<bpf_program*>> hooks;
  btf* types = btf__load_vmlinux_btf();
  for (const Variant& variant : kVariants) {
    bpf_program* program = bpf_object__find_program_by_name(object, variant.program);
    if (!program) continue;
    bpf_program__set_autoload(program, false);
    if (CountArguments(types, variant.tracepoint) == variant.arguments) hooks[variant.hook].push_back(program);
  }
  btf__free(types);
  // Since 7.0 the kernel can skip sched_exec: what does it again is attached after it.
  bpf_program* exec = bpf_object__find_program_by_name(object, "sched_exec");
  bpf_program* again = bpf_object__find_program_by_name(object, kExecAgain);
  if (again) bpf_program__set_autoload(again, false);
  if (exec && again && KernelMajor() >= 7) hooks["sched_exec"] = {exec, again};
  auto io_uring = hooks.find("io_uring");
  if (io_uring != hooks.end() && io_uring->second.size() != kIoUringPrograms) hooks.erase(io_uring);
  for (const auto& hook : hooks)
    for (bpf_program* program : hook.second) bpf_program__set_autoload(program, true);
  return hooks;
}
