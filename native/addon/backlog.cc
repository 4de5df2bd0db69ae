// SPDX-License-Identifier: Apache-2.0
#include "backlog.h"
#include <algorithm>
#include <cstring>

// Limit on a block, which holds at least one record: memory is freed block by block as it is read.
static const size_t kBlockBytes = 64 << 10;

bool Backlog::HasRoom(size_t bytes) const {
  for (size_t ring = 0; ring < limits_.size(); ring++) {
    if (waiting_[ring] + bytes > 2 * limits_[ring]) return false;
  }
  return true;
}

void Backlog::Push(uint64_t container, int ring, const uint8_t* record, uint32_t bytes, bool is_last) {
  auto [found, fresh] = queues_.try_emplace(container);
  Queue& queue = found->second;
  if (fresh) turns_.push_back(container);
  const Kept kept{next_++, bytes, static_cast<uint16_t>(ring), is_last};
  if (queue.blocks.empty() || queue.blocks.back().size() + sizeof(kept) + bytes > kBlockBytes) queue.blocks.emplace_back();
  std::vector<uint8_t>& block = queue.blocks.back();
  const uint8_t* head = reinterpret_cast<const uint8_t*>(&kept);
  block.insert(block.end(), head, head + sizeof(kept));
  block.insert(block.end(), record, record + bytes);
  queue.bytes[ring] += bytes;
  waiting_[ring] += bytes;
  Adjust(container, &queue);
}

size_t Backlog::Take(uint8_t* out, size_t most) {
  // The container with the oldest record may always go, so a full round finds one.
  for (size_t tries = turns_.size(); tries > 0; tries--) {
    const uint64_t container = turns_.front();
    turns_.pop_front();
    turns_.push_back(container);
    auto found = queues_.find(container);
    Queue& queue = found->second;
    size_t used = 0;
    while (!queue.blocks.empty() && MayGo(queue)) {
      const Kept kept = First(queue);
      if (used > 0 && used + kept.bytes > most) break;
      memcpy(out + used, queue.blocks.front().data() + queue.read + sizeof(kept), kept.bytes);
      used += kept.bytes;
      queue.read += sizeof(kept) + kept.bytes;
      queue.bytes[kept.ring] -= kept.bytes;
      waiting_[kept.ring] -= kept.bytes;
      if (queue.read < queue.blocks.front().size()) continue;
      queue.blocks.pop_front();
      queue.read = 0;
    }
    if (used == 0) continue;
    Adjust(container, &queue);
    if (queue.blocks.empty()) {
      queues_.erase(found);
      turns_.pop_back();
    }
    return used;
  }
  return 0;
}

void Backlog::Retry() {
  for (auto entry = unsaid_.begin(); entry != unsaid_.end();) entry = hold_(entry->first, entry->second) ? unsaid_.erase(entry) : std::next(entry);
}

uint64_t Backlog::Oldest() const {
  uint64_t oldest = next_;
  for (const auto& entry : queues_) oldest = std::min(oldest, First(entry.second).number);
  return oldest;
}

uint64_t Backlog::OldestTime() const {
  uint64_t oldest = UINT64_MAX;
  for (const auto& entry : queues_) {
    rec_header header;
    memcpy(&header, entry.second.blocks.front().data() + entry.second.read + sizeof(Kept), sizeof(header));
    oldest = std::min<uint64_t>(oldest, header.ts);
  }
  return oldest;
}

Backlog::Kept Backlog::First(const Queue& queue) const {
  Kept kept;
  memcpy(&kept, queue.blocks.front().data() + queue.read, sizeof(kept));
  return kept;
}

bool Backlog::MayGo(const Queue& queue) const {
  const Kept first = First(queue);
  return !first.is_last || Oldest() == first.number;
}

void Backlog::Adjust(uint64_t container, Queue* queue) {
  uint32_t held = queue->held;
  for (size_t ring = 0; ring < limits_.size(); ring++) {
    // A single container gets half, which leaves room for the next one. Among many, each gets what the kernel lets
    // through in an epoch.
    const size_t share = std::max(limits_[ring] / (queues_.size() + 1), limits_[ring] / 8);
    if (queue->bytes[ring] > share) held |= 1u << ring;
    else if (queue->bytes[ring] <= share - share / 8) held &= ~(1u << ring);
  }
  if (held == queue->held) return;
  queue->held = held;
  if (hold_(container, held)) unsaid_.erase(container);
  else unsaid_[container] = held;
}
