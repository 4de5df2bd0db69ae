// SPDX-License-Identifier: Apache-2.0
#include "loop.h"
#include <cerrno>
#include <sys/epoll.h>
#include <unistd.h>

static const int kSafetyTicks = 3;
// Bytes of a tick and of a doze from which on they are many: some 75,000 opens a second, with the default times.
static const size_t kManyInTick = 32 << 10, kManyInDoze = 256 << 10;
// Time limit for batches in one turn of the event loop: a flood must not starve timers and sockets, nor delay lines.
static const uint64_t kTurnNs = 5 * 1000 * 1000;

Status Loop::Start(uv_loop_t* loop, Consumer* consumer, probe_state* state, int exec_fd, int bulk_fd, uint8_t* buffer,
                   size_t capacity, Times times, OnBatch on_batch) {
  consumer_ = consumer;
  state_ = state;
  buffer_ = buffer;
  capacity_ = capacity;
  times_ = times;
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
  uv_timer_start(&timer_, OnTick, times.tick_ms, times.tick_ms);
  __atomic_store_n(&state_->awake, AWAKE_POLLS, __ATOMIC_SEQ_CST);
  return {};
}

size_t Loop::Deliver() {
  size_t bytes = consumer_->Drain(buffer_, capacity_);
  if (bytes > 0) on_batch_(bytes);
  return bytes;
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
  // What was taken may have been about to wake this side: that wakeup finds nothing now, and others may rely on it.
  if (running_) Wait(AWAKE_POLLS);
  return total;
}

bool Loop::TakeUrgent() { return __atomic_exchange_n(&state_->urgent, 0u, __ATOMIC_SEQ_CST) != 0; }

void Loop::Wait(uint32_t awake) {
  __atomic_store_n(&state_->awake, awake, __ATOMIC_SEQ_CST);
  if (awake == waits_) return;
  waits_ = awake;
  safety_ticks_ = kSafetyTicks;
  const uint64_t ms = awake == AWAKE_POLLS ? times_.tick_ms : awake == AWAKE_DOZES ? times_.doze_ms : times_.safety_ms;
  uv_timer_start(&timer_, OnTick, ms, ms);
  if (awake == AWAKE_POLLS)
    uv_poll_stop(&poll_);
  else
    uv_poll_start(&poll_, UV_READABLE, OnReadable);
}

void Loop::Tick() {
  size_t bytes = 0;
  bool out_of_time = false;
  const uint64_t began = uv_hrtime();
  while (running_ && !out_of_time) {
    const size_t taken = Deliver();
    if (taken == 0) break;
    bytes += taken;
    out_of_time = uv_hrtime() - began > kTurnNs;
  }
  if (!running_) return;
  const bool urgent = TakeUrgent();
  if (out_of_time) {
    // The next turn follows after other pending work, not a tick later. With 0, libuv before 1.49 would not handle
    // anything else.
    Wait(AWAKE_POLLS);
    uv_timer_start(&timer_, OnTick, 1, times_.tick_ms);
    return;
  }
  const bool nobody_woke = __atomic_load_n(&state_->awake, __ATOMIC_SEQ_CST) == AWAKE_ASLEEP;
  if (bytes == 0 && waits_ == AWAKE_ASLEEP && nobody_woke && !consumer_->Pending()) {
    if (--safety_ticks_ <= 0) uv_timer_stop(&timer_);
    return;
  }
  uint32_t next = AWAKE_POLLS;
  if (!urgent && bytes < (waits_ == AWAKE_DOZES ? kManyInDoze : kManyInTick))
    next = bytes > 0 || consumer_->Pending() ? AWAKE_DOZES : AWAKE_ASLEEP;
  Wait(next);
  if (next == AWAKE_POLLS) return;
  // What came before `awake` was set has woken nobody.
  bytes = Deliver();
  if (!running_) return;
  if (next == AWAKE_ASLEEP ? bytes > 0 || consumer_->Pending() : TakeUrgent()) Wait(AWAKE_POLLS);
}

void Loop::OnReadable(uv_poll_t* handle, int, int) {
  Loop* self = static_cast<Loop*>(handle->data);
  if (!self->running_) return;
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
