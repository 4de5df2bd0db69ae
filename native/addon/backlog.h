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

// Queues records so that those of other containers need not wait. Each container's stay in order; containers take
// turns. A container with more queued than its share of `limits` is held back. The kernel then sends no more of that
// ring until an eighth of the share is free again. Records already in the ring still arrive; at twice the limits
// nothing more is taken from it. Not thread-safe.
class Backlog {
 public:
  // By ring: 0 exec, 1 bulk.
  using Bytes = std::array<size_t, 2>;
  // Called with a container and the rings for which it is held back, one bit each (HELD_*); 0: none. False: retry
  // later.
  using Hold = std::function<bool(uint64_t container, uint32_t held)>;
  Backlog(Bytes limits, Hold hold) : limits_(limits), hold_(std::move(hold)) {}
  bool Empty() const { return queues_.empty(); }
  bool Has(uint64_t container) const { return !queues_.empty() && queues_.count(container) != 0; }
  // Whether so many more bytes of each ring keep the queue within twice its limit.
  bool HasRoom(size_t bytes) const;
  // `is_last`: it comes after all records that other containers have queued.
  void Push(uint64_t container, int ring, const uint8_t* record, uint32_t bytes, bool is_last);
  // Copies the oldest records of the container whose turn it is: up to `most` bytes, but at least one record. Returns
  // the bytes; 0 if nothing is queued.
  size_t Take(uint8_t* out, size_t most);
  // Repeats failed calls of `hold`; call it now and then.
  void Retry();
  // Records are numbered as they arrive: the number of the next one, and of the oldest queued one (or the next one).
  uint64_t Next() const { return next_; }
  uint64_t Oldest() const;
  // The time of the oldest queued record (rec_header.ts); UINT64_MAX if there is none.
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
    size_t read = 0;                         // offset in the first block
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
  std::unordered_map<uint64_t, uint32_t> unsaid_; // failed calls of `hold_`, to repeat
  Bytes waiting_{};
  uint64_t next_ = 0;
};
