// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <linux/types.h>
#include <unordered_map>
#include <vector>
#include "events.gen.h"

// Records that wait so that those of other containers need not: each container's in its own order, the containers in turns.
// A container that has more waiting than its share of `limits` is held back: the kernel sends no more of that ring until an
// eighth of the share is free again. What is in the ring by then still comes; at twice the limits nothing is taken from it.
// Not for several threads.
class Backlog {
 public:
  // By ring: 0 exec, 1 bulk.
  using Bytes = std::array<size_t, 2>;
  // Told by container for which rings it is held back, a bit each (HELD_*); 0: no more. False: try again.
  using Hold = std::function<bool(uint64_t container, uint32_t held)>;
  Backlog(Bytes limits, Hold hold) : limits_(limits), hold_(std::move(hold)) {}
  bool Empty() const { return queues_.empty(); }
  bool Has(uint64_t container) const { return !queues_.empty() && queues_.count(container) != 0; }
  // With so many bytes more of each ring, no more than twice its limit waits.
  bool HasRoom(size_t bytes) const;
  // `is_last`: it comes after all that waits of other containers, too.
  void Push(uint64_t container, int ring, const uint8_t* record, uint32_t bytes, bool is_last);
  // Copies the oldest records of the container whose turn it is: up to `most` bytes, and at least one record. Returns the bytes,
  // which are 0 when nothing waits.
  size_t Take(uint8_t* out, size_t most);
  // Says again who is held back where that failed; to be called now and then.
  void Retry();
  // Records are numbered as they come. The number of the next one, and of the oldest that waits (or the next one).
  uint64_t Next() const { return next_; }
  uint64_t Oldest() const;
  // The time of the oldest record of any container (rec_header.ts); UINT64_MAX without any.
  uint64_t OldestTime() const;

 private:
  struct Kept {
    uint64_t number;
    uint32_t bytes;
    uint16_t ring;
    uint16_t is_last;
  };
  struct Queue {
    std::deque<std::vector<uint8_t>> blocks; // a Kept before each record; none is empty
    size_t read = 0;                         // of the first block
    Bytes bytes{};
    uint32_t held = 0;
  };
  Kept First(const Queue& queue) const;
  bool MayGo(const Queue& queue) const;
  void Adjust(uint64_t container, Queue* queue);
  const Bytes limits_;
  const Hold hold_;
  std::unordered_map<uint64_t, Queue> queues_;
  std::deque<uint64_t> turns_; // the containers in `queues_`; the first is next
  std::unordered_map<uint64_t, uint32_t> unsaid_; // what `hold_` was told in vain
  Bytes waiting_{};
  uint64_t next_ = 0;
};
