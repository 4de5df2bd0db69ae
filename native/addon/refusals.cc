// SPDX-License-Identifier: Apache-2.0
#include "refusals.h"
#include <cstring>
#include <vector>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include "events.gen.h"
#include "shared.h"

uint64_t RemoveRefusals(int map, uint64_t before) {
  bpf_map_info info{};
  uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(map, &info, &length) || info.value_size < REFUSED_AT + sizeof(uint64_t)) return 0;
  std::vector<uint8_t> key(info.key_size), next(info.key_size), value(info.value_size);
  std::vector<std::vector<uint8_t>> old;
  // A key that is removed meanwhile begins the walk anew: it is bounded.
  bool has_key = false;
  for (uint32_t i = 0; i < info.max_entries; i++) {
    if (bpf_map_get_next_key(map, has_key ? key.data() : nullptr, next.data())) break;
    key = next;
    has_key = true;
    if (bpf_map_lookup_elem(map, key.data(), value.data())) continue;
    uint64_t time = 0;
    memcpy(&time, value.data() + REFUSED_AT, sizeof(time));
    if (time < before) old.push_back(key);
  }
  uint64_t removed = 0;
  // Fails for what was listed twice, or has ended.
  for (const auto& one : old)
    if (!bpf_map_delete_elem(map, one.data())) removed++;
  return removed;
}
