// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bpf/libbpf.h>
#include <map>
#include <string>
#include <vector>

// Hooks whose tracepoints differ between kernels, or are not everywhere: the programs of each that fit this one, in the
// order in which to attach them. Whatever does not fit is not loaded. To be called between open and load.
std::map<std::string, std::vector<bpf_program*>> ChooseVariants(bpf_object* object);
