// What the agent measures rules by needs the addon, though no probe.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { CpuClock } from '../../src/evaluation/cpu-clock.ts';
import { THREAD_CLOCKS } from '../../src/host/cpu-time.ts';

test('a span is not charged with what other threads of the agent do meanwhile', async () => {
  const worker = new Worker(
    "require('node:worker_threads').parentPort.postMessage('runs'); for (;;);",
    { eval: true },
  );
  try {
    await once(worker, 'message');
    const clock = new CpuClock(THREAD_CLOCKS);
    const before = process.cpuUsage();
    clock.start();
    // Waits until the worker has had much of the CPU, however busy the machine is.
    const cell = new Int32Array(new SharedArrayBuffer(4));
    const othersMs = (): number => process.cpuUsage(before).user / 1000;
    while (othersMs() < 200) Atomics.wait(cell, 0, 0, 20);
    const charged = clock.lap();
    assert.ok(charged < 100, `${charged} ms`);
  } finally {
    await worker.terminate();
  }
});

test('a span is charged with what its own thread does', () => {
  const clock = new CpuClock(THREAD_CLOCKS);
  clock.start();
  const before = THREAD_CLOCKS.cpuMs();
  while (THREAD_CLOCKS.cpuMs() - before < 50);
  const charged = clock.lap();
  assert.ok(charged >= 45, `${charged} ms`);
});
