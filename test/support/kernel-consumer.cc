// Runs the addon's Consumer (native/addon/ring.cc) and its backlog against two rings of plain memory and producers of its own, which
// stop wherever the kernel's can: between reading the time and reserving, and between reserving and committing.
// Prints one line of JSON: what was delivered, and what was wrong with it. argv: seed, rounds.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/bpf.h>
#include "ring.h"

namespace {

const size_t kRingBytes = 64 << 20; // never wraps: the kernel maps the data twice for that, a file cannot
const size_t kCapacity = 4 * RECORD_MAX;
const int kProcesses = 12;

struct FakeRing {
  Ring ring;
  int fd = -1;
  uint8_t* memory = nullptr;
  uint64_t position = 0;
  uint64_t* producer() { return reinterpret_cast<uint64_t*>(memory + 4096); }
  uint8_t* data() { return memory + 8192; }
  void Make() {
    fd = memfd_create("ring", MFD_CLOEXEC);
    const size_t size = 8192 + 2 * kRingBytes;
    if (fd < 0 || ftruncate(fd, static_cast<off_t>(size)) != 0) abort();
    memory = static_cast<uint8_t*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    if (memory == MAP_FAILED || !ring.Map(fd, kRingBytes).ok()) abort();
  }
  void Free() {
    munmap(memory, 8192 + 2 * kRingBytes);
    close(fd);
  }
};

enum class Step { kIdle, kTimed, kReserved };

struct Process {
  Step step = Step::kIdle;
  int ring = 0;
  uint64_t ts = 0;
  uint8_t* slot = nullptr;
  uint32_t length = 0;
  uint32_t sent = 0, received = 0;
  int sleeps = 0;
  uint64_t container = 0;
  bool moves = false;      // with this record, to that container
  int parent = -1;         // it can run when its parent's record `after` is committed
  uint32_t after = 0;
};

std::string failure;

void Check(Process* processes, const uint8_t* out, size_t bytes, uint64_t* delivered) {
  for (size_t at = 0; at < bytes;) {
    const rec_header* h = reinterpret_cast<const rec_header*>(out + at);
    Process& p = processes[h->pid];
    if (h->tid != p.received + 1) failure = "process " + std::to_string(h->pid) + ": record " + std::to_string(h->tid) + " after " + std::to_string(p.received);
    if (p.parent >= 0 && processes[p.parent].received < p.after) failure = "a child before its fork";
    p.received = h->tid;
    (*delivered)++;
    at += h->len;
  }
}

// A container has filled half of the ring before another one writes a little: that comes with the next drain, or after one turn
// of the first, whose records stay in order. It is held back while too much of it waits. DrainNow's mark is for all.
void CheckTurns() {
  FakeRing rings[2];
  for (FakeRing& ring : rings) ring.Make();
  probe_state state{};
  static uint8_t out[kCapacity];
  std::vector<uint32_t> held;
  Consumer consumer(&rings[0].ring, &rings[1].ring, &state, [&](uint64_t container, uint32_t now) {
    if (container != 1) failure = "the quiet one is held back";
    held.push_back(now);
    return true;
  });
  uint32_t sent = 0, received = 0, quiet = 0;
  auto send = [&](uint64_t container, uint32_t number) {
    FakeRing& ring = rings[1];
    const uint32_t length = sizeof(rec_header) + 40;
    rec_header* h = reinterpret_cast<rec_header*>(ring.data() + ring.position + 8);
    h->len = length;
    h->ts = BootTimeNs();
    h->cgroup = container;
    h->tid = number;
    memcpy(ring.data() + ring.position, &length, sizeof(length));
    ring.position += 8 + length;
    __atomic_store_n(ring.producer(), ring.position, __ATOMIC_RELEASE);
  };
  auto take = [&] {
    const size_t bytes = consumer.Drain(out, kCapacity);
    size_t loud = 0;
    for (size_t at = 0; at < bytes;) {
      const rec_header* h = reinterpret_cast<const rec_header*>(out + at);
      if (h->cgroup == 2) quiet++;
      else if (h->tid != ++received) failure = "the loud one's are out of order";
      else loud += h->len;
      at += h->len;
    }
    if (loud > 8 << 10) failure = "the loud one had more than a turn";
    return bytes;
  };
  while (rings[1].position < kRingBytes / 2 + kRingBytes / 8) send(1, ++sent);
  for (uint32_t i = 0; i < 30; i++) send(2, i);
  Consumer::Mark mark = consumer.Produced();
  take();
  if (quiet != 30) failure = "the quiet one waits";
  if (held != std::vector<uint32_t>{HELD_BULK}) failure = "the loud one is not held back";
  while (failure.empty() && !consumer.HasTaken(&mark)) {
    if (received == sent) failure = "all is taken, but not for the mark";
    send(2, 0);
    quiet = 0;
    if (take() > 0 && quiet == 0) take();
    if (quiet != 1) failure = "the quiet one waits later";
  }
  if (received != sent) failure = "the mark is passed before all is taken";
  if (held != std::vector<uint32_t>{HELD_BULK, 0}) failure = "the loud one stays held back";
  if (take() != 0 || consumer.Pending()) failure = "something is left";
  for (FakeRing& ring : rings) {
    ring.ring.Unmap();
    ring.Free();
  }
}

// Containers come and go, with any sizes: order, the bound on what waits, and that whoever has too much is held back.
void CheckBacklog(std::mt19937* random) {
  auto below = [&](unsigned n) { return static_cast<unsigned>((*random)() % n); };
  const size_t kLimit = 256 << 10;
  std::map<uint64_t, uint32_t> held;
  // Now and then the kernel refuses; it is asked again.
  Backlog backlog({kLimit, kLimit}, [&](uint64_t container, uint32_t now) {
    if (below(4) == 0) return false;
    held[container] = now;
    return true;
  });
  struct Waiting {
    std::deque<uint32_t> numbers;
    size_t bytes[2] = {0, 0};
  };
  std::map<uint64_t, Waiting> waiting;
  static uint8_t record[RECORD_MAX], out[RECORD_MAX];
  uint32_t number = 0;
  size_t all[2] = {0, 0}, refused = 0;
  for (int n = 0; n < 20000 && failure.empty(); n++) {
    const bool fills = n % 4000 < 2500;
    if (below(20) < (fills ? 19u : 2u)) {
      const uint64_t container = below(5);
      const int ring = static_cast<int>(below(2));
      rec_header* h = reinterpret_cast<rec_header*>(record);
      h->len = (static_cast<uint32_t>(sizeof(rec_header)) + below(below(4) ? 400 : 16000) + 7) & ~7u;
      h->tid = ++number;
      h->pid = static_cast<uint32_t>(ring);
      h->cgroup = container;
      const bool has_room = std::max(all[0], all[1]) + h->len <= 2 * kLimit;
      if (backlog.HasRoom(h->len) != has_room) failure = "there is another bound";
      if (!has_room) {
        refused++;
        continue;
      }
      const bool is_last = below(20) == 0;
      h->vpid = is_last;
      backlog.Push(container, ring, record, h->len, is_last);
      all[ring] += h->len;
      waiting[container].numbers.push_back(h->tid);
      waiting[container].bytes[ring] += h->len;
      for (int tries = 0; tries < 50; tries++) backlog.Retry();
      const size_t share = std::max(kLimit / (waiting.size() + 1), kLimit / 8);
      if (waiting[container].bytes[ring] > share && !(held[container] & (1u << ring))) failure = "not held back";
    } else {
      const size_t bytes = backlog.Take(out, 16 << 10);
      if ((bytes == 0) != waiting.empty()) failure = "nothing, or something, is taken";
      uint64_t container = 0;
      for (size_t at = 0; at < bytes;) {
        const rec_header* h = reinterpret_cast<const rec_header*>(out + at);
        container = h->cgroup;
        Waiting& queue = waiting[container];
        if (queue.numbers.empty() || queue.numbers.front() != h->tid) failure = "out of order";
        else queue.numbers.pop_front();
        for (const auto& other : waiting)
          if (h->vpid && !other.second.numbers.empty() && other.second.numbers.front() < h->tid) failure = "the last is not last";
        queue.bytes[h->pid] -= h->len;
        all[h->pid] -= h->len;
        at += h->len;
      }
      if (bytes == 0) continue;
      for (int tries = 0; tries < 50; tries++) backlog.Retry();
      const Waiting& queue = waiting[container];
      const size_t share = std::max(kLimit / (waiting.size() + 1), kLimit / 8);
      for (uint32_t ring = 0; ring < 2; ring++)
        if (queue.bytes[ring] <= share - share / 8 && (held[container] & (1u << ring))) failure = "held back for nothing";
      if (queue.numbers.empty()) waiting.erase(container);
    }
    if (waiting.empty() != (backlog.Oldest() == backlog.Next()) || waiting.empty() != backlog.Empty()) failure = "the oldest is another";
  }
  if (refused == 0 && failure.empty()) failure = "the bound was never met";
}

}  // namespace

int main(int argc, char** argv) {
  std::mt19937 random(static_cast<unsigned>(argc > 1 ? atoi(argv[1]) : 1));
  const int rounds = argc > 2 ? atoi(argv[2]) : 20;
  auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  static uint8_t out[kCapacity];
  uint64_t delivered = 0, drains = 0, empty = 0;
  CheckTurns();
  CheckBacklog(&random);
  for (int round = 0; round < rounds && failure.empty(); round++) {
    FakeRing rings[2];
    for (FakeRing& ring : rings) ring.Make();
    probe_state state{};
    Consumer consumer(&rings[0].ring, &rings[1].ring, &state, [](uint64_t, uint32_t) { return true; });
    Process processes[kProcesses];
    for (int i = 0; i < kProcesses; i++) processes[i].container = i % 3;
    for (int i = kProcesses / 2; i < kProcesses; i++) {
      processes[i].parent = static_cast<int>(below(kProcesses / 2));
      processes[i].after = 1 + below(40);
    }
    auto drain = [&] {
      size_t bytes = consumer.Drain(out, kCapacity);
      drains++;
      if (bytes == 0) empty++;
      Check(processes, out, bytes, &delivered);
      return bytes;
    };
    const unsigned pressure = 1 + below(400); // steps between two drains
    const unsigned largest = below(3) == 0 ? 16000 : 400;
    for (int n = 0; n < 6000 && failure.empty(); n++) {
      Process& p = processes[below(kProcesses)];
      if (p.sleeps > 0) {
        p.sleeps--;
      } else if (p.step == Step::kIdle) {
        if (p.parent >= 0 && processes[p.parent].sent < p.after) continue;
        p.ts = BootTimeNs();
        p.step = Step::kTimed;
        if (below(40) == 0) p.sleeps = static_cast<int>(below(300));
      } else if (p.step == Step::kTimed) {
        p.ring = static_cast<int>(below(2));
        p.moves = below(30) == 0;
        if (p.moves) p.container = below(3);
        FakeRing& ring = rings[p.ring];
        p.length = (static_cast<uint32_t>(sizeof(rec_header) + sizeof(rec_cgroup)) + below(largest) + 7) & ~7u;
        p.slot = ring.data() + ring.position;
        uint32_t word = p.length | BPF_RINGBUF_BUSY_BIT;
        memcpy(p.slot, &word, sizeof(word));
        ring.position += 8 + p.length;
        __atomic_store_n(ring.producer(), ring.position, __ATOMIC_RELEASE);
        p.step = Step::kReserved;
        if (below(60) == 0) p.sleeps = static_cast<int>(below(100));
      } else {
        rec_header* h = reinterpret_cast<rec_header*>(p.slot + 8);
        const bool discards = !p.moves && below(50) == 0;
        if (!discards) {
          h->len = p.length;
          h->ts = p.ts;
          h->cgroup = p.container;
          h->kind = p.moves ? KIND_CGROUP : KIND_OPEN;
          if (p.moves) reinterpret_cast<rec_cgroup*>(h + 1)->op = CGROUP_ATTACH;
          h->pid = static_cast<uint32_t>(&p - processes);
          h->tid = ++p.sent;
          // Born where its parent is.
          for (Process& child : processes)
            if (child.parent == &p - processes && child.after == p.sent) child.container = p.container;
        }
        uint32_t word = p.length | (discards ? uint32_t{BPF_RINGBUF_DISCARD_BIT} : 0u);
        __atomic_store_n(reinterpret_cast<uint32_t*>(p.slot), word, __ATOMIC_RELEASE);
        p.step = Step::kIdle;
      }
      if (below(pressure) == 0) drain();
    }
    // What never commits is discarded; then everything must come out.
    for (Process& p : processes) {
      if (p.step != Step::kReserved) continue;
      uint32_t word = p.length | BPF_RINGBUF_DISCARD_BIT;
      __atomic_store_n(reinterpret_cast<uint32_t*>(p.slot), word, __ATOMIC_RELEASE);
    }
    for (int idle = 0; failure.empty();) {
      idle = drain() == 0 ? idle + 1 : 0;
      bool all = true;
      for (Process& p : processes) all = all && p.received == p.sent;
      if (all) break;
      if (idle > 100) failure = "stuck: committed records that no drain takes";
    }
    for (FakeRing& ring : rings) {
      ring.ring.Unmap();
      ring.Free();
    }
  }
  printf("{\"delivered\":%lu,\"drains\":%lu,\"empty\":%lu,\"failure\":\"%s\"}\n", delivered, drains, empty, failure.c_str());
  return failure.empty() ? 0 : 1;
}
