// What the agent gives memory back with needs the addon, though no probe.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectGarbage, giveMemoryBack } from '../../src/host/memory.ts';
import { until } from '../support/e2e-agent.ts';

const MIB = 1024 ** 2;
const residentMib = (): number => process.memoryUsage.rss() / MIB;

test('free pages of the C library go back to the system', async () => {
  // Smaller than what malloc(3) maps by itself; the last one keeps the heap from ending before those that are freed.
  let blocks: Buffer[] | undefined = Array.from({ length: 1000 }, () => Buffer.alloc(100_000, 1));
  const last = blocks.at(-1)!;
  const used = residentMib();
  blocks = undefined;
  collectGarbage();
  // V8 frees them on another thread.
  await until('they are freed', () => process.memoryUsage().arrayBuffers < 10 * MIB);
  giveMemoryBack();
  const left = residentMib();
  assert.ok(left < used - 70, `${used.toFixed(0)} MiB before, ${left.toFixed(0)} MiB after`);
  assert.equal(last[0], 1);
});
