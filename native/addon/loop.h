// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <uv.h>
#include "ring.h"

// Decides when to drain: the one-wakeup protocol. state->awake is 1 while this side polls on a short tick. After two
// empty ticks it is set to 0 and the rings are drained once more. From then on the producer that changes it from 0 to 1
// forces exactly one wakeup. A producer that read 1 just before may still commit silently: safety ticks after going to
// sleep find that record. Switching by whether the last poll found data would deadlock: a record committed between
// check and sleep wakes nobody, nor do later ones.
class Loop {
 public:
  // Called with the number of bytes in the buffer; runs JavaScript. Returns false if it has closed this loop.
  using OnBatch = std::function<bool(size_t)>;
  Status Start(uv_loop_t* loop, Consumer* consumer, probe_state* state, int exec_fd, int bulk_fd, uint8_t* buffer,
               size_t capacity, uint32_t tick_ms, uint32_t safety_ms, OnBatch on_batch);
  // Drains and delivers what is there now; returns the bytes.
  size_t DrainNow();
  // Stops at once; `closed` runs (on the loop) when the handles are closed and this object may be deleted.
  void Close(std::function<void()> closed);
  bool running() const { return running_; }

 private:
  static void OnReadable(uv_poll_t* handle, int status, int events);
  static void OnTick(uv_timer_t* handle);
  bool Deliver();
  void Tick();
  void Wake();
  void Sleep();
  uv_poll_t poll_{};
  uv_timer_t timer_{};
  int epoll_ = -1;
  int handles_ = 0;
  bool running_ = false;
  bool asleep_ = false;
  int empty_ticks_ = 0;
  int safety_ticks_ = 0;
  Consumer* consumer_ = nullptr;
  probe_state* state_ = nullptr;
  uint8_t* buffer_ = nullptr;
  size_t capacity_ = 0;
  uint32_t tick_ms_ = 2, safety_ms_ = 200;
  OnBatch on_batch_;
  std::function<void()> closed_;
};
