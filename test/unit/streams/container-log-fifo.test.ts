// How the container stream remembers the FIFO of a container's log. With a real engine: test/integration/engine/streams-container*.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ContainerLogStream } from '../../../src/streams/container/container-log-stream.ts';
import { containerOf, deliveryOf } from './delivery-fixture.ts';
import { lacks } from '../../support/needs.ts';

let execRoot: string;
before(() => {
  execRoot = mkdtempSync(join(tmpdir(), 'varvel-fifo-'));
});
after(() => rmSync(execRoot, { recursive: true, force: true }));

const nowNs = (): bigint =>
  BigInt(Math.round(performance.timeOrigin + performance.now())) * 1_000_000n;

/** The engine's end of a FIFO at the path, which is made anew. */
class LogReader {
  readonly #fd: number;

  constructor(path: string) {
    rmSync(path, { force: true });
    execFileSync('mkfifo', [path]);
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  }

  read(): string {
    const buffer = Buffer.alloc(65_536);
    try {
      return buffer.toString('utf8', 0, readSync(this.#fd, buffer));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
      return '';
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

test('the FIFO that took a line takes the next without another look; one that is made in its place is looked at', async (t) => {
  if (lacks(t, 'root')) return;
  if (statSync(execRoot, { bigint: true }).birthtimeNs === 0n) {
    t.skip('the file system has no birth times, so nothing is remembered');
    return;
  }
  const fullId = '12'.repeat(32);
  const folder = join(execRoot, 'containerd', fullId);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${fullId}-stdout`);
  const container = containerOf({ fullId });
  const stream = new ContainerLogStream({ execRoots: [execRoot], format: 'json' });
  const deliver = (rule: string, timeNs: bigint): Promise<boolean> =>
    stream.deliver(deliveryOf({ container, rule, timeNs }));

  let before: bigint;
  {
    using reader = new LogReader(path);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await deliver('First', nowNs()), true);
    assert.match(reader.read(), /First/);
    // Whoever looks sees a container that has not begun.
    const state = join(execRoot, 'runtime-runc', 'moby', fullId);
    mkdirSync(state, { recursive: true });
    writeFileSync(join(state, 'exec.fifo'), '');
    before = nowNs();
    assert.equal(await deliver('Second', before), true);
    assert.match(reader.read(), /Second/);
    rmSync(state, { recursive: true });
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  using next = new LogReader(path);
  assert.equal(await deliver('Late', before), false, 'of the run before');
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await deliver('Third', nowNs()), true);
  assert.match(next.read(), /^\n\{[^\n]*Third[^\n]*\n$/, 'and nothing of the run before');
});
