// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

// Begins to keep what libbpf prints in this thread, for an error's detail. Nothing of it is printed any more.
void KeepLibbpfLog();
// The last 8 KiB printed in this thread since KeepLibbpfLog.
const std::string& LibbpfLog();
