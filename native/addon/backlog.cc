// SPDX-License-Identifier: Apache-2.0
#include "backlog.h"
#include <algorithm>
#include <cstring>

bool Backlog::HasRoom(size_t bytes) const {
  for (size_t ring = 0; ring < limits_.size(); ring++) {
    if (waiting_[ring] + bytes > 2 * limits_[ring]) return false;
  }
  return true;
}

void Backlog::Push(uint64_t container, int ring, const uint8_t* record, uint32_t bytes) {
  auto [found, fresh] = queues_.try_emplace(container);
  Queue& queue = found->second;
  if (fresh) turns_.push_back(container);
  // Each byte moves once on average: half of them are gone.
  if (queue.read > queue.data.size() / 2) {
    queue.data.erase(queue.data.begin(), queue.data.begin() + static_cast<std::ptrdiff_t>(queue.read));
    queue.read = 0;
  }
  const Kept kept{next_++, bytes, static_cast<uint32_t>(ring)};
  const size_t at = queue.data.size();
  queue.data.resize(at + sizeof(kept) + bytes);
  memcpy(&queue.data[at], &kept, sizeof(kept));
  memcpy(&queue.data[at + sizeof(kept)], record, bytes);
  queue.bytes[ring] += bytes;
  waiting_[ring] += bytes;
  Adjust(container, &queue);
}

size_t Backlog::Take(uint8_t* out, size_t most) {
  if (queues_.empty()) return 0;
  const uint64_t container = turns_.front();
  std::rotate(turns_.begin(), turns_.begin() + 1, turns_.end());
  auto found = queues_.find(container);
  Queue& queue = found->second;
  size_t used = 0;
  while (queue.read < queue.data.size()) {
    const Kept kept = First(queue);
    if (used > 0 && used + kept.bytes > most) break;
    memcpy(out + used, &queue.data[queue.read + sizeof(kept)], kept.bytes);
    used += kept.bytes;
    queue.read += sizeof(kept) + kept.bytes;
    queue.bytes[kept.ring] -= kept.bytes;
    waiting_[kept.ring] -= kept.bytes;
  }
  Adjust(container, &queue);
  if (queue.read == queue.data.size()) {
    queues_.erase(found);
    turns_.pop_back();
  }
  return used;
}

uint64_t Backlog::Oldest() const {
  uint64_t oldest = next_;
  for (const auto& entry : queues_) oldest = std::min(oldest, First(entry.second).number);
  return oldest;
}

Backlog::Kept Backlog::First(const Queue& queue) const {
  Kept kept;
  memcpy(&kept, &queue.data[queue.read], sizeof(kept));
  return kept;
}

void Backlog::Adjust(uint64_t container, Queue* queue) {
  uint32_t held = queue->held;
  for (size_t ring = 0; ring < limits_.size(); ring++) {
    // One alone has half: there is room for whoever comes next.
    const size_t share = limits_[ring] / (queues_.size() + 1);
    if (queue->bytes[ring] > share) held |= 1u << ring;
    else if (queue->bytes[ring] <= share - share / 8) held &= ~(1u << ring);
  }
  if (held == queue->held) return;
  queue->held = held;
  hold_(container, held);
}
