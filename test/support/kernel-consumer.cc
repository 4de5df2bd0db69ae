// Runs the addon's Consumer (native/addon/ring.cc) against two rings of plain memory and producers of its own, which
// stop wherever the kernel's can: between reading the time and reserving, and between reserving and committing.
// Prints one line of JSON: what was delivered, and what was wrong with it. argv: seed, rounds.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

}  // namespace

int main(int argc, char** argv) {
  std::mt19937 random(static_cast<unsigned>(argc > 1 ? atoi(argv[1]) : 1));
  const int rounds = argc > 2 ? atoi(argv[2]) : 20;
  auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  static uint8_t out[kCapacity];
  uint64_t delivered = 0, drains = 0, empty = 0;
  for (int round = 0; round < rounds && failure.empty(); round++) {
    FakeRing rings[2];
    for (FakeRing& ring : rings) ring.Make();
    probe_state state{};
    Consumer consumer(&rings[0].ring, &rings[1].ring, &state);
    Process processes[kProcesses];
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
        FakeRing& ring = rings[p.ring];
        p.length = (static_cast<uint32_t>(sizeof(rec_header)) + below(largest) + 7) & ~7u;
        p.slot = ring.data() + ring.position;
        uint32_t word = p.length | BPF_RINGBUF_BUSY_BIT;
        memcpy(p.slot, &word, sizeof(word));
        ring.position += 8 + p.length;
        __atomic_store_n(ring.producer(), ring.position, __ATOMIC_RELEASE);
        p.step = Step::kReserved;
        if (below(60) == 0) p.sleeps = static_cast<int>(below(100));
      } else {
        rec_header* h = reinterpret_cast<rec_header*>(p.slot + 8);
        const bool discards = below(50) == 0;
        if (!discards) {
          h->len = p.length;
          h->ts = p.ts;
          h->pid = static_cast<uint32_t>(&p - processes);
          h->tid = ++p.sent;
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
