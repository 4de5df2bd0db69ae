// Probe.load: the probe is loaded in a thread of its own.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Probe, type LoaderError, type ProbeOptions } from 'ebpf-loader-napi';
import { heldBpfIds, leftBpfIds, type BpfId } from '../support/kernel-bpf-ids.ts';
import { until } from '../support/until.ts';

const FACADE = createRequire(import.meta.url).resolve('ebpf-loader-napi');
const OPTIONS: ProbeOptions = { hierarchy: { kind: 'v2', id: 0 }, patterns: [] };

const descriptors = (): number => readdirSync('/proc/self/fd').length;

test('it loads while this thread goes on, and is a probe like any other', async () => {
  const before = heldBpfIds(process.pid);
  const loading = Probe.load(OPTIONS);
  let turns = 0;
  const going = setInterval(() => turns++, 1);
  const probe = await loading;
  clearInterval(going);
  try {
    // Loaded in this thread, it would have let no timer run before it was done.
    assert.ok(turns > 0, 'the loop of this thread did not turn');
    assert.ok(probe instanceof Probe);
    probe.attach('sched_exec');
    assert.deepEqual(probe.attached(), ['sched_exec']);
    probe.start(new ArrayBuffer(1 << 17), () => undefined);
  } finally {
    probe.close();
  }
  await delay(20);
  assert.deepEqual(heldBpfIds(process.pid), before);
});

test('several at once, and what fails among them, with its own reason', async () => {
  const before = heldBpfIds(process.pid);
  const open = descriptors();
  const results = await Promise.allSettled([
    Probe.load(OPTIONS),
    Probe.load({ ...OPTIONS, objectPath: '/no/such/object' }),
    Probe.load({ ...OPTIONS, objectPath: import.meta.filename }),
    Probe.load(OPTIONS),
  ]);
  const errors = results.map((result) =>
    result.status === 'fulfilled' ? undefined : (result.reason as LoaderError),
  );
  assert.deepEqual(
    errors.map((error) => error?.code),
    [undefined, 'ENOENT', 'ELIBBPF', undefined],
  );
  assert.equal(errors[1]?.operation, 'open the probe object /no/such/object');
  assert.match(errors[2]?.detail ?? '', /ELF/i);
  for (const result of results) if (result.status === 'fulfilled') result.value.close();
  await delay(20);
  assert.deepEqual(heldBpfIds(process.pid), before);
  assert.equal(descriptors(), open);
});

test('options of the wrong kind reject with TypeErrors', async () => {
  for (const options of [
    undefined,
    { ...OPTIONS, objectPath: 5 },
    { ...OPTIONS, execRingBytes: 4096 },
    { ...OPTIONS, patterns: 'none' },
  ]) {
    await assert.rejects(Probe.load(options as ProbeOptions), TypeError);
  }
});

test('a process that ends meanwhile ends in order; a worker leaves nothing in the kernel', async () => {
  const script = (then: string): string => `
    const { Probe } = require(${JSON.stringify(FACADE)});
    Probe.load(${JSON.stringify(OPTIONS)});
    ${then}`;
  for (const then of ['setTimeout(() => process.exit(3), 20);', '']) {
    const { status, stderr } = spawnSync(process.execPath, ['-e', script(then)], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.deepEqual([status, stderr], [then === '' ? 0 : 3, '']);
  }
  const before = heldBpfIds(process.pid);
  const isNew = ({ id, kind }: BpfId): boolean =>
    !before.some((one) => one.id === id && one.kind === kind);
  const worker = new Worker(script('setInterval(() => undefined, 1000);'), { eval: true });
  const during = await until('the worker holds something', () => {
    const held = heldBpfIds(process.pid).filter(isNew);
    return held.length > 0 && held;
  });
  await worker.terminate();
  assert.deepEqual(await leftBpfIds(during), []);
  assert.deepEqual(heldBpfIds(process.pid), before);
});
