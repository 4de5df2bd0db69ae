// What the agent gives memory back with needs the addon, though no probe.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { collectGarbage, giveMemoryBack } from '../../src/host/memory.ts';

const MIB = 1024 ** 2;
const residentMib = (): number => process.memoryUsage.rss() / MIB;
const held = (): number => process.memoryUsage().arrayBuffers / MIB;

test('free pages of the C library go back to the system', async () => {
  // Smaller than what malloc(3) maps by itself; the last one keeps the heap from ending before those that are freed.
  let blocks: Buffer[] | undefined = Array.from({ length: 1000 }, () => Buffer.alloc(100_000, 1));
  const last = blocks.at(-1)!;
  const used = residentMib();
  blocks = undefined;
  collectGarbage();
  // V8 frees them on another thread.
  for (const end = Date.now() + 30_000; held() > 10 && Date.now() < end;) await delay(10);
  assert.ok(held() <= 10, `${held().toFixed(0)} MiB are not freed`);
  giveMemoryBack();
  const left = residentMib();
  assert.ok(left < used - 70, `${used.toFixed(0)} MiB before, ${left.toFixed(0)} MiB after`);
  assert.equal(last[0], 1);
});
