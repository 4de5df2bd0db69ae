// SPDX-License-Identifier: Apache-2.0
#include "libbpf-log.h"
#include <bpf/libbpf.h>
#include <cstdarg>
#include <cstdio>
#include <vector>

// Each thread that loads or attaches has its own.
static thread_local std::string g_log;

static int Keep(libbpf_print_level level, const char* format, va_list args) {
  if (level == LIBBPF_DEBUG) return 0;
  // A refusal arrives in one piece, after the verifier's whole log of megabytes: its end gives the reason.
  va_list again;
  va_copy(again, args);
  int n = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (n <= 0) return n;
  std::vector<char> text(static_cast<size_t>(n) + 1);
  vsnprintf(text.data(), text.size(), format, args);
  g_log.append(text.data(), static_cast<size_t>(n));
  if (g_log.size() > 8192) g_log.erase(0, g_log.size() - 8192);
  return n;
}

void KeepLibbpfLog() {
  libbpf_set_print(Keep);
  g_log.clear();
}

const std::string& LibbpfLog() { return g_log; }
