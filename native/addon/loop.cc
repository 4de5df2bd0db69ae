// SPDX-License-Identifier: Apache-2.0
#include "loop.h"
#include <cerrno>
#include <sys/epoll.h>
#include <unistd.h>

static const int kSafetyTicks = 3;
// Time limit for batches in one turn of the event loop: a flood must not starve timers and sockets, nor delay lines.
static const uint64_t kTurnNs = 5 * 1000 * 1000;

Status Loop::Start(uv_loop_t* loop, Consumer* consumer, probe_state* state, int exec_fd, int bulk_fd, uint8_t* buffer,
                   size_t capacity, uint32_t tick_ms, uint32_t safety_ms, OnBatch on_batch) {
  consumer_ = consumer;
  state_ = state;
  buffer_ = buffer;
  capacity_ = capacity;
  tick_ms_ = tick_ms;
  safety_ms_ = safety_ms;
  on_batch_ = std::move(on_batch);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return Status::Fail(errno, "create an epoll descriptor");
  for (int fd : {exec_fd, bulk_fd}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return Status::Fail(errno, "watch a ring");
  }
  int error = uv_poll_init(loop, &poll_, epoll_);
  if (error) return Status::Fail(-error, "poll the rings");
  poll_.data = this;
  handles_++;
  error = uv_timer_init(loop, &timer_);
  if (error) return Status::Fail(-error, "start the tick");
  timer_.data = this;
  handles_++;
  running_ = true;
  Wake();
  return {};
}

bool Loop::Deliver() {
  size_t bytes = consumer_->Drain(buffer_, capacity_);
  if (bytes == 0) return false;
  on_batch_(bytes);
  return true;
}

size_t Loop::DrainNow() {
  size_t total = 0;
  // Takes only what is there now: producers may be faster than this loop. Waits a while for a record that is being
  // written.
  Consumer::Mark mark = consumer_->Produced();
  for (int idle = 0; running_ && idle < 64 && !consumer_->HasTaken(&mark);) {
    size_t bytes = consumer_->Drain(buffer_, capacity_, mark.was_read);
    if (bytes == 0) {
      idle++;
      continue;
    }
    total += bytes;
    on_batch_(bytes);
  }
  return total;
}

void Loop::Wake() {
  asleep_ = false;
  empty_ticks_ = 0;
  __atomic_store_n(&state_->awake, 1u, __ATOMIC_SEQ_CST);
  uv_poll_stop(&poll_);
  uv_timer_start(&timer_, OnTick, tick_ms_, tick_ms_);
}

void Loop::Sleep() {
  asleep_ = true;
  safety_ticks_ = kSafetyTicks;
  uv_poll_start(&poll_, UV_READABLE, OnReadable);
  uv_timer_start(&timer_, OnTick, safety_ms_, safety_ms_);
}

void Loop::Tick() {
  bool any = false, out_of_time = false;
  const uint64_t began = uv_hrtime();
  while (running_ && !out_of_time && Deliver()) {
    any = true;
    out_of_time = uv_hrtime() - began > kTurnNs;
  }
  if (!running_) return;
  if (any || consumer_->Pending()) {
    if (asleep_) Wake();
    empty_ticks_ = 0;
    // The next turn follows after other pending work, not a tick later. With 0, libuv before 1.49 would not handle
    // anything else.
    if (out_of_time) uv_timer_start(&timer_, OnTick, 1, tick_ms_);
    return;
  }
  if (asleep_) {
    if (--safety_ticks_ <= 0) uv_timer_stop(&timer_);
    return;
  }
  if (++empty_ticks_ < 2) return;
  __atomic_store_n(&state_->awake, 0u, __ATOMIC_SEQ_CST);
  any = Deliver();
  if (!running_) return;
  if (any || consumer_->Pending()) {
    __atomic_store_n(&state_->awake, 1u, __ATOMIC_SEQ_CST);
    empty_ticks_ = 0;
    return;
  }
  Sleep();
}

void Loop::OnReadable(uv_poll_t* handle, int, int) {
  Loop* self = static_cast<Loop*>(handle->data);
  if (!self->running_) return;
  self->Wake();
  self->Tick();
}

void Loop::OnTick(uv_timer_t* handle) {
  Loop* self = static_cast<Loop*>(handle->data);
  if (self->running_) self->Tick();
}

void Loop::Close(std::function<void()> closed) {
  running_ = false;
  closed_ = std::move(closed);
  auto on_closed = [](uv_handle_t* handle) {
    Loop* self = static_cast<Loop*>(handle->data);
    if (--self->handles_ > 0) return;
    if (self->epoll_ >= 0) close(self->epoll_);
    self->epoll_ = -1;
    auto done = std::move(self->closed_);
    done();
  };
  if (handles_ == 0) {
    if (epoll_ >= 0) close(epoll_);
    epoll_ = -1;
    closed_();
    return;
  }
  const int handles = handles_;
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), on_closed);
  if (handles > 1) uv_close(reinterpret_cast<uv_handle_t*>(&timer_), on_closed);
}
