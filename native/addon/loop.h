// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <uv.h>
#include "ring.h"

// Decides when to drain, by what state->awake is:
// - AWAKE_POLLS: on a short tick, while records come that are urgent, or many.
// - AWAKE_DOZES: on a long tick, while others come. An urgent record wakes, and a ring that is an eighth full.
// - AWAKE_ASLEEP: after an empty tick. The next record wakes. Safety ticks follow, then none.
// Before each wait the value is set and the rings are looked at once more. From then on the producer that changes it to
// AWAKE_POLLS forces exactly one wakeup. A producer that read AWAKE_POLLS just before may still commit silently: the next
// tick finds that record. Switching by whether the last poll found data would deadlock: a record committed between check
// and sleep wakes nobody, nor do later ones.
class Loop {
 public:
  // Called with the number of bytes in the buffer; runs JavaScript. Returns false if it has closed this loop.
  using OnBatch = std::function<bool(size_t)>;
  // Between two looks, by the way of waiting: polls, dozes, asleep.
  struct Times {
    uint32_t tick_ms, doze_ms, safety_ms;
  };
  Status Start(uv_loop_t* loop, Consumer* consumer, probe_state* state, int exec_fd, int bulk_fd, uint8_t* buffer,
               size_t capacity, Times times, OnBatch on_batch);
  // Drains and delivers what is there now; returns the bytes.
  size_t DrainNow();
  // Stops at once; `closed` runs (on the loop) when the handles are closed and this object may be deleted.
  void Close(std::function<void()> closed);
  bool running() const { return running_; }

 private:
  static void OnReadable(uv_poll_t* handle, int status, int events);
  static void OnTick(uv_timer_t* handle);
  size_t Deliver();
  void Tick();
  void Wait(uint32_t awake);
  bool TakeUrgent();
  uv_poll_t poll_{};
  uv_timer_t timer_{};
  int epoll_ = -1;
  int handles_ = 0;
  bool running_ = false;
  uint32_t waits_ = AWAKE_POLLS; // as state->awake was set by this side
  int safety_ticks_ = 0;
  Consumer* consumer_ = nullptr;
  probe_state* state_ = nullptr;
  uint8_t* buffer_ = nullptr;
  size_t capacity_ = 0;
  Times times_{};
  OnBatch on_batch_;
  std::function<void()> closed_;
};
