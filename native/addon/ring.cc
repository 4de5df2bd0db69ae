// SPDX-License-Identifier: Apache-2.0
#include "ring.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

static const size_t kHeader = BPF_RINGBUF_HDR_SZ;

uint64_t BootTimeNs() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000ull + static_cast<uint64_t>(now.tv_nsec);
}

Status Ring::Map(int fd, size_t bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  fd_ = fd;
  bytes_ = bytes;
  void* consumer = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (consumer == MAP_FAILED) return Status::Fail(errno, "map the ring's consumer page");
  consumer_ = static_cast<uint64_t*>(consumer);
  void* producer = mmap(nullptr, page + 2 * bytes, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(page));
  if (producer == MAP_FAILED) return Status::Fail(errno, "map the ring's data");
  producer_ = static_cast<uint64_t*>(producer);
  data_ = static_cast<uint8_t*>(producer) + page;
  return {};
}

void Ring::Unmap() {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (consumer_) munmap(consumer_, page);
  if (producer_) munmap(producer_, page + 2 * bytes_);
  consumer_ = producer_ = nullptr;
  data_ = nullptr;
}

// Limit per container and drain: some 40 opens. Further records wait until others have had their turn.
static const size_t kTurnBytes = 8 << 10;

Consumer::Consumer(Ring* exec, Ring* bulk, probe_state* state, Backlog::Hold hold)
    : rings_{exec, bulk}, state_(state), backlog_({exec->bytes_, bulk->bytes_}, std::move(hold)) {
  // Before this, no read can have been late.
  __atomic_store_n(&state_->unread_since, BootTimeNs(), __ATOMIC_RELAXED);
}

// Lists the records that can be taken from one ring. Returns the time up to which the other ring may be taken with
// it. Why that is enough: within a ring, records are reserved one after another, and a record's time is read before
// its reservation. Let record r be left behind (busy, or past the piece). Then everything that r or a later record
// causes (a process's next record, in the other ring) was timed after r was reserved. So it was timed after every
// record up to r in this ring: it is later than the latest of those times. What r causes in its own ring comes after
// it. A busy record has caused nothing yet; the first committed one after it serves as r. The bound is the latest
// time, not r's own, so that one of two full rings always yields records. Record r may have been timed long before
// those that overtook it.
uint64_t Consumer::Scan(Ring* ring, std::vector<Entry>* entries) {
  entries->clear();
  uint64_t at = *ring->consumer_;
  const uint64_t end = __atomic_load_n(ring->producer_, __ATOMIC_ACQUIRE);
  size_t used = 0;
  uint64_t latest = 0;
  bool stopped = false;
  while (at < end) {
    const uint8_t* header = ring->data_ + (at & (ring->bytes_ - 1));
    const uint32_t word = __atomic_load_n(reinterpret_cast<const uint32_t*>(header), __ATOMIC_ACQUIRE);
    const uint32_t length = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
    const uint64_t next = at + kHeader + ((length + 7) & ~7u);
    if (word & BPF_RINGBUF_BUSY_BIT) {
      stopped = true;
    } else if (!(word & BPF_RINGBUF_DISCARD_BIT)) {
      const uint8_t* record = header + kHeader;
      const uint64_t ts = reinterpret_cast<const rec_header*>(record)->ts;
      latest = std::max(latest, ts);
      if (!stopped && used + length > RECORD_MAX) stopped = true;
      if (stopped) return latest;
      used += length;
      entries->push_back({ts, record, length, next});
    }
    at = next;
  }
  return UINT64_MAX;
}

// Starts a new epoch, and so a new budget for every container. It waits until everything that was in the rings when
// the last one started is taken. So beyond a ring's first half, where anybody may write, it never holds more than two
// budgets of one container, however slowly it is drained.
void Consumer::RenewBudgets() {
  if (!HasRead(epoch_marks_)) return;
  __atomic_fetch_add(&state_->epoch, 1, __ATOMIC_SEQ_CST);
  for (int i = 0; i < 2; i++) epoch_marks_[i] = __atomic_load_n(rings_[i]->producer_, __ATOMIC_ACQUIRE);
}

static bool IsAttach(const uint8_t* record) {
  if (reinterpret_cast<const rec_header*>(record)->kind != KIND_CGROUP) return false;
  return reinterpret_cast<const rec_cgroup*>(record + sizeof(rec_header))->op == CGROUP_ATTACH;
}

bool Consumer::HasTurn(uint64_t container, uint32_t bytes) {
  if (backlog_.Has(container)) return false;
  size_t& passed = passed_[container];
  if (passed > 0 && passed + bytes > kTurnBytes) return false;
  passed += bytes;
  return true;
}

// Takes a piece of both rings, each record to `out` or to the backlog. False if there is none, or no room for it.
bool Consumer::TakePiece(uint64_t now, uint8_t* out, size_t* used) {
  if (!backlog_.HasRoom(RECORD_MAX)) return false;
  __atomic_store_n(&state_->unread_since, now, __ATOMIC_RELAXED);
  uint64_t bounds[2], positions[2];
  for (int i = 0; i < 2; i++) bounds[i] = Scan(rings_[i], &entries_[i]);
  merged_.clear();
  for (int i = 0; i < 2; i++) {
    positions[i] = *rings_[i]->consumer_;
    const uint64_t limit = std::min(now, bounds[1 - i]);
    for (const Entry& entry : entries_[i]) {
      if (entry.ts > limit) break;
      merged_.push_back({entry, i});
      positions[i] = entry.end;
    }
  }
  std::stable_sort(merged_.begin(), merged_.end(), [](const auto& a, const auto& b) { return a.first.ts < b.first.ts; });
  for (const auto& [entry, ring] : merged_) {
    const uint64_t container = reinterpret_cast<const rec_header*>(entry.record)->cgroup;
    // A process comes from another cgroup, perhaps of the same container (Garden's good and bad): its earlier records
    // there come first.
    const bool moves = IsAttach(entry.record) && !backlog_.Empty();
    if (!moves && HasTurn(container, entry.bytes)) {
      memcpy(out + *used, entry.record, entry.bytes);
      *used += entry.bytes;
    } else {
      backlog_.Push(container, ring, entry.record, entry.bytes, moves);
    }
  }
  for (int i = 0; i < 2; i++) __atomic_store_n(rings_[i]->consumer_, positions[i], __ATOMIC_RELEASE);
  return !merged_.empty();
}

size_t Consumer::Drain(uint8_t* out, size_t capacity, bool backlog_alone) {
  RenewBudgets();
  backlog_.Retry();
  // Read before the producers' positions: what happened before a record of time <= now is in both snapshots.
  const uint64_t now = BootTimeNs();
  size_t used = 0;
  passed_.clear();
  // A piece takes at most RECORD_MAX bytes of each ring.
  if (!backlog_is_next_ && !backlog_alone)
    while (used + 2 * RECORD_MAX <= capacity && TakePiece(now, out, &used));
  // Records that did not wait are delivered in a batch of their own: their lines go out before the backlog's turn.
  backlog_is_next_ = used > 0 && !backlog_.Empty();
  return used > 0 ? used : backlog_.Take(out, kTurnBytes);
}

bool Consumer::HasRead(const uint64_t positions[2]) const {
  for (int i = 0; i < 2; i++) {
    if (*rings_[i]->consumer_ < positions[i]) return false;
  }
  return true;
}

Consumer::Mark Consumer::Produced() const {
  Mark mark{};
  for (int i = 0; i < 2; i++) mark.rings[i] = __atomic_load_n(rings_[i]->producer_, __ATOMIC_ACQUIRE);
  return mark;
}

bool Consumer::HasTaken(Mark* mark) const {
  if (!mark->was_read) {
    if (!HasRead(mark->rings)) return false;
    mark->was_read = true;
    mark->next = backlog_.Next();
  }
  return backlog_.Oldest() >= mark->next;
}

bool Consumer::Pending() const { return !backlog_.Empty() || !HasRead(Produced().rings); }
