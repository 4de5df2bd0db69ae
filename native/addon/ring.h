// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <linux/types.h>
#include <unordered_map>
#include <vector>
#include "backlog.h"
#include "events.gen.h"
#include "shared.h"
#include "status.h"

// One mapped BPF ring buffer (kernel/bpf/ringbuf.c): a writable consumer page, a producer page, and the data. The
// data is mapped twice in a row so that no record wraps.
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

// Reads the exec ring and the bulk ring as one stream. The records of a container's cgroup are in time order. Records
// beyond its turn wait behind those of others, in a backlog of at most twice the rings' size. A process that enters a
// cgroup is reported after all records that are then queued.
class Consumer {
 public:
  Consumer(Ring* exec, Ring* bulk, probe_state* state, Backlog::Hold hold);
  // Copies complete records into out; returns the bytes. Never splits a record; capacity must be at least twice the
  // largest record (64 KiB). `backlog_alone`: takes nothing from the rings.
  size_t Drain(uint8_t* out, size_t capacity, bool backlog_alone = false);
  // Whether a ring has a record, committed or not, or one is queued.
  bool Pending() const;
  // The time of the oldest record that was read and is queued (CLOCK_BOOTTIME ns); UINT64_MAX if there is none.
  uint64_t WaitingSince() const { return backlog_.OldestTime(); }
  // The kernel's write positions in both rings; for HasTaken.
  struct Mark {
    uint64_t rings[2];
    bool was_read = false;
    uint64_t next = 0;
  };
  Mark Produced() const;
  // Whether everything up to the mark was delivered.
  bool HasTaken(Mark* mark) const;

 private:
  struct Entry {
    uint64_t ts;
    const uint8_t* record;
    uint32_t bytes;
    uint64_t end; // the ring's position after it
  };
  uint64_t Scan(Ring* ring, std::vector<Entry>* entries);
  bool TakePiece(uint64_t now, uint8_t* out, size_t* used);
  bool HasTurn(uint64_t container, uint32_t bytes);
  bool HasRead(const uint64_t positions[2]) const;
  void RenewBudgets();
  Ring* rings_[2];
  uint64_t epoch_marks_[2] = {0, 0};
  probe_state* state_;
  Backlog backlog_;
  bool backlog_is_next_ = false; // alternates with the rings
  std::unordered_map<uint64_t, size_t> passed_; // bytes in this drain that did not wait, by container
  std::vector<Entry> entries_[2];
  std::vector<std::pair<Entry, int>> merged_; // with the ring's index
};

uint64_t BootTimeNs();
