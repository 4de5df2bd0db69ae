// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <linux/types.h>
#include <vector>
#include "events.gen.h"
#include "shared.h"
#include "status.h"

// One mapped BPF ring buffer (kernel/bpf/ringbuf.c): a consumer page we write, a producer page and the data,
// mapped twice in a row so that no record wraps.
class Ring {
 public:
  ~Ring() { Unmap(); }
  Status Map(int fd, size_t bytes);
  void Unmap();
  int fd() const { return fd_; }

 private:
  friend class Consumer;
  int fd_ = -1;
  size_t bytes_ = 0;
  uint64_t* consumer_ = nullptr;
  uint64_t* producer_ = nullptr;
  uint8_t* data_ = nullptr;
};

// Reads the exec ring and the bulk ring as one stream in the order of time.
class Consumer {
 public:
  Consumer(Ring* exec, Ring* bulk, probe_state* state);
  // Copies complete records into out, oldest first; returns the bytes. Never splits a record; capacity must be
  // at least twice the largest record (64 KiB).
  size_t Drain(uint8_t* out, size_t capacity);
  // Something is in a ring, perhaps not yet committed.
  bool Pending() const;
  // How far the kernel has written both rings.
  using Mark = std::array<uint64_t, 2>;
  Mark Produced() const;
  // All up to there was taken.
  bool HasTaken(const Mark& mark) const;

 private:
  struct Entry {
    uint64_t ts;
    const uint8_t* record;
    uint32_t bytes;
  };
  uint64_t Scan(Ring* ring, size_t share, std::vector<Entry>* entries, std::vector<uint64_t>* ends);
  void RenewBudgets();
  Ring* rings_[2];
  uint64_t epoch_marks_[2] = {0, 0};
  probe_state* state_;
  std::vector<Entry> entries_[2];
  std::vector<uint64_t> ends_[2];
  std::vector<Entry> merged_;
};

uint64_t BootTimeNs();
