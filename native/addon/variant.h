// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bpf/libbpf.h>
#include <map>
#include <string>
#include <vector>

// The first number of the running kernel's version; 0: not known.
int KernelMajor();

// Reports programs that sched_exec was skipped for. The probe does without where it cannot be attached.
inline constexpr char kExecAgain[] = "exec_again";

// Chooses, for hooks whose tracepoints differ between kernels or are missing in some, the programs that fit this
// kernel. They are in the order in which to attach them. All others are not loaded. Call it between open and load.
std::map<std::string, std::vector<bpf_program*>> ChooseVariants(bpf_object* object);
