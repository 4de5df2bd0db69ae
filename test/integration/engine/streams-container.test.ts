import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ContainerLogStream } from '../../../src/streams/container/container-log-stream.ts';
import {
  engine,
  run,
  logLines,
  fifoOf,
  settled,
  newStream,
  nextDelivery,
  theLine,
  dockerdPid,
  isClosed,
  release,
  UNTIL_RELEASED,
  type Running,
} from '../../support/container-log.ts';
import { until } from '../../support/until.ts';
import { containerOf, deliveryOf } from '../../unit/streams/delivery-fixture.ts';

for (const driver of ['json-file', 'local'] as const) {
  test(`${driver}: the line stands among the app's own, whole and alone`, async () => {
    const script = `echo before; ${UNTIL_RELEASED}; echo after; exec sleep 600`;
    const app = await run(script, { driver });
    await until('the app has written', async () => (await logLines(app)).includes('before'));
    const delivery = nextDelivery(app.container, 'a\nb\u001b[31m"');
    assert.equal(await newStream().deliver(delivery), true);
    release(app);
    await until('the app goes on', async () => (await logLines(app)).includes('after'));
    const { index, lines, line } = await theLine(app, delivery.seq);
    assert.ok(line.output.endsWith('a\\nb\\x1b[31m"'), line.output);
    assert.equal(lines.indexOf('before') < index && index < lines.indexOf('after'), true);
    assert.deepEqual(
      lines.filter((text) => text !== ''),
      ['before', lines[index], 'after'],
    );
  });

  test(`${driver}: output without a final newline does not glue to the line`, async () => {
    // One write: when its first line has come through, its end has too.
    const app = await run('printf "whole\\nunended> "; exec sleep 600', { driver });
    await until('the app has written', async () => (await logLines(app)).includes('whole'));
    const first = nextDelivery(app.container);
    const second = nextDelivery(app.container);
    const stream = newStream();
    assert.equal(await stream.deliver(first), true);
    assert.equal(await stream.deliver(second), true);
    const { lines } = await theLine(app, second.seq);
    const full = lines.filter((text) => text !== '');
    assert.deepEqual(full.slice(0, 2), ['whole', 'unended> ']);
    assert.deepEqual(
      full.slice(2).map((text) => (JSON.parse(text) as { seq: number }).seq),
      [first.seq, second.seq],
    );
  });
}

test('with a terminal (-t) the line arrives all the same', async () => {
  const app = await run('echo before; printf "$ "; exec sleep 600', { tty: true });
  await settled(app);
  const delivery = nextDelivery(app.container);
  assert.equal(await newStream().deliver(delivery), true);
  const { lines, index } = await theLine(app, delivery.seq);
  assert.deepEqual(
    lines.slice(0, index).filter((text) => text !== ''),
    ['before', '$ '],
  );
});

test('an app that closes its stdout, or puts a file in its place, gets the line through stderr’s pipe', async () => {
  for (const swap of ['>&-', '>/dev/null', '>/tmp/captured', '>/proc/self/mem']) {
    const app = await run(`echo before; exec ${swap}; exec sleep 600`);
    await settled(app);
    await isClosed(app, 'stdout');
    const stream = newStream();
    const delivery = nextDelivery(app.container);
    assert.equal(await stream.deliver(delivery), true, swap);
    await theLine(app, delivery.seq);
    if (swap === '>/tmp/captured') {
      assert.equal(readFileSync(`/proc/${app.container.initPid}/root/tmp/captured`, 'utf8'), '');
    }
    await app.docker.remove({ force: true });
  }
});

test('an app that has swapped only its first process’s stdout keeps its log', async () => {
  const app = await run('(sleep 600) & exec >/dev/null 2>&1; exec sleep 600');
  await settled(app);
  const delivery = nextDelivery(app.container);
  assert.equal(await newStream().deliver(delivery), true);
  await theLine(app, delivery.seq);
});

test('an app that closes both outputs closes its log for good: counted, not delivered', async () => {
  const app = await run('echo before; exec >/dev/null 2>&1; exec sleep 600');
  await settled(app);
  await isClosed(app, 'stdout');
  await isClosed(app, 'stderr');
  const stream = newStream();
  assert.equal(await stream.deliver(nextDelivery(app.container)), false);
  assert.deepEqual(stream.counters(), {
    delivered: 0,
    failed: 1,
    dropped: 0,
    endedFirst: 0,
    closedByApp: 1,
    pipeFull: 0,
  });
});

test('a terminal whose app closed all descriptors still takes the line', async () => {
  const app = await run('exec >/dev/null 2>&1 </dev/null; exec sleep 600', { tty: true });
  await settled(app);
  const delivery = nextDelivery(app.container);
  assert.equal(await newStream().deliver(delivery), true);
  await theLine(app, delivery.seq);
});

test('a container that ended first is counted', async () => {
  const app = await run('exit 0');
  await app.docker.wait();
  await until('the engine has cleaned up', () => !existsSync(fifoOf(app)));
  const stream = newStream();
  assert.equal(await stream.deliver(nextDelivery(app.container)), false);
  assert.equal(await stream.deliver(nextDelivery({ ...app.container, initPid: 0 })), false);
  assert.equal(stream.counters().endedFirst, 2);
  await app.docker.remove();
  assert.equal(await stream.deliver(nextDelivery(app.container)), false);
  assert.equal(stream.counters().endedFirst, 3);
});

test('an unknown exec root: through the shim’s own descriptor; and where that is not possible, a sentence', async () => {
  const app = await run('exec sleep 600');
  await settled(app);
  const delivery = nextDelivery(app.container);
  assert.equal(await newStream(['/nonexistent']).deliver(delivery), true);
  await theLine(app, delivery.seq);
  const sentences: string[] = [];
  const ignore = (): void => undefined;
  const logger = {
    debug: ignore,
    info: ignore,
    error: ignore,
    warn: (_: object, message: string) => sentences.push(message),
  };
  const lost = new ContainerLogStream({ execRoots: ['/nonexistent'], format: 'json', logger });
  assert.equal(await lost.deliver(nextDelivery({ ...app.container, initPid: 0 })), false);
  assert.equal(await lost.deliver(nextDelivery({ ...app.container, initPid: process.pid })), false);
  assert.equal(sentences.length, 1);
  assert.match(sentences[0]!, /^The log of container .* was not found.*exec_root/);
});

test('no FIFO by name: the pipe that the shim reads and the app can write to', async () => {
  const app = await run('exec sleep 600');
  await settled(app);
  const names = ['stdout', 'stderr'];
  for (const name of names) renameSync(fifoOf(app, name), `${fifoOf(app, name)}.hidden`);
  try {
    const delivery = nextDelivery(app.container);
    assert.equal(await newStream().deliver(delivery), true);
    await theLine(app, delivery.seq);
  } finally {
    for (const name of names) renameSync(`${fifoOf(app, name)}.hidden`, fifoOf(app, name));
  }
  const closed = await run('exec >/dev/null 2>&1; exec sleep 600');
  await settled(closed);
  for (const name of names) renameSync(fifoOf(closed, name), `${fifoOf(closed, name)}.hidden`);
  assert.equal(
    await newStream().deliver(nextDelivery(closed.container)),
    false,
    'the shim reads it no more',
  );
  for (const name of names) renameSync(`${fifoOf(closed, name)}.hidden`, fifoOf(closed, name));
});

test('another container’s process number is no way into its log', async () => {
  const victim = await run('exec sleep 600');
  const ended = await run('exit 0');
  await ended.docker.wait();
  const stream = newStream(['/nonexistent']);
  const confused = { ...ended.container, initPid: victim.container.initPid };
  assert.equal(await stream.deliver(nextDelivery(confused, 'stray')), false);
  await delay(200);
  assert.ok(!(await logLines(victim)).some((text) => text.includes('stray')));
});

test('an app that floods its log still gets whole lines', async () => {
  const flood = 'f'.repeat(1000);
  const app = await run(`yes ${flood} | head -c 40000000; exec sleep 600`);
  const stream = newStream();
  const seqs: number[] = [];
  for (let count = 0; count < 40; count++) {
    const delivery = nextDelivery(app.container, 'x'.repeat(count * 100));
    if (await stream.deliver(delivery)) seqs.push(delivery.seq);
    await delay(5);
  }
  await settled(app);
  const ended = nextDelivery(app.container);
  assert.equal(await stream.deliver(ended), true);
  const { lines } = await theLine(app, ended.seq);
  const ours = lines.filter((text) => text.startsWith('{'));
  assert.deepEqual(
    ours.map((text) => (JSON.parse(text) as { seq: number }).seq),
    [...seqs, ended.seq],
  );
  const { delivered, failed, pipeFull } = stream.counters();
  assert.equal(delivered + failed, 41);
  assert.equal(failed, pipeFull);
  assert.ok(seqs.length >= 20, `${seqs.length} of 40 came through the flood`);
  // All else is the app's: its bytes are all there, torn at most where a line of ours was put in.
  const appBytes = lines
    .filter((text) => !text.startsWith('{'))
    .join('')
    .replaceAll('f', '');
  assert.equal(appBytes, '');
});

/** Bytes that the processes which its script waits for have written; 0 before it has made them. */
function writtenBy({ container: { initPid } }: Running): number {
  const children = readFileSync(`/proc/${initPid}/task/${initPid}/children`, 'utf8');
  return (children.match(/\d+/g) ?? []).reduce((sum, pid) => {
    const said = readFileSync(`/proc/${pid}/io`, 'utf8');
    return sum + Number(/^wchar: (\d+)$/m.exec(said)?.[1]);
  }, 0);
}

test('a pipe that nobody empties is given up after a bounded time, and counted', async () => {
  const app = await run('yes | head -c 20000000; exec sleep 600');
  const dockerd = dockerdPid();
  await until('the app writes', () => writtenBy(app) > 0);
  process.kill(dockerd, 'SIGSTOP');
  try {
    await until('its pipe is full', async () => {
      const before = writtenBy(app);
      await delay(150);
      return writtenBy(app) === before;
    });
    const stream = newStream();
    const delivered = stream.deliver(nextDelivery(app.container));
    assert.equal(await Promise.race([delivered, delay(30_000, 'never')]), false);
    assert.equal(stream.counters().pipeFull, 1);
  } finally {
    process.kill(dockerd, 'SIGCONT');
  }
});

test('an engine that stands still for longer than its pipe lasts loses no line', async () => {
  const app = await run('exec sleep 600');
  const dockerd = dockerdPid();
  const stream = newStream();
  const deliveries = Array.from({ length: 60 }, () =>
    nextDelivery(app.container, 'x'.repeat(2000)),
  );
  process.kill(dockerd, 'SIGSTOP');
  const goOn = delay(1500).then(() => process.kill(dockerd, 'SIGCONT'));
  try {
    for (const delivery of deliveries) assert.equal(await stream.deliver(delivery), true);
  } finally {
    await goOn;
  }
  await theLine(app, deliveries.at(-1)?.seq ?? 0);
  const ours = (await logLines(app)).filter((text) => text.startsWith('{'));
  assert.deepEqual(
    ours.map((text) => (JSON.parse(text) as { seq: number }).seq),
    deliveries.map(({ seq }) => seq),
  );
});

test('two agents and the app at the same time: no line is torn', async () => {
  const app = await run('while :; do echo "app says hello"; done | head -c 300000; exec sleep 600');
  const script = `
    import { ContainerLogStream } from ${JSON.stringify(resolve('src/streams/container/container-log-stream.ts'))};
    import { deliveryOf } from ${JSON.stringify(resolve('test/unit/streams/delivery-fixture.ts'))};
    const [execRoot, container] = JSON.parse(process.env.WRITER);
    const stream = new ContainerLogStream({ execRoots: [execRoot], format: 'json' });
    for (let seq = 1; seq <= 150; seq++) {
      const delivery = deliveryOf({ container, output: 'o'.repeat(seq * 30) }, { seq, hostname: String(process.pid) });
      while (!(await stream.deliver(delivery)));
    }`;
  const writers = [1, 2].map(() =>
    spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, WRITER: JSON.stringify([engine.execRoot, app.container]) },
    }),
  );
  const exits = await Promise.all(writers.map((writer) => once(writer, 'exit')));
  for (const exit of exits) assert.deepEqual(exit, [0, null]);
  await settled(app);
  await until(
    'all is in the log',
    async () => (await logLines(app)).filter((text) => text.includes('"seq":150')).length === 2,
  );
  const ours = (await logLines(app)).filter((text) => text.includes('"seq"'));
  const parsed = ours.map((text) => JSON.parse(text) as { seq: number; hostname: string });
  for (const { pid } of writers) {
    const seqs = parsed.filter(({ hostname }) => hostname === String(pid)).map(({ seq }) => seq);
    assert.deepEqual(
      seqs,
      Array.from({ length: 150 }, (_, index) => index + 1),
    );
  }
});

test('the container’s end is not delayed by writes up to its last moment', async () => {
  const timeOfEnd = async (write: boolean): Promise<number> => {
    const app = await run(`${UNTIL_RELEASED}; echo bye`);
    const state = { ended: false };
    const wait = app.docker.wait().then(() => (state.ended = true));
    const stream = newStream();
    let startedMs: number | undefined;
    while (!state.ended) {
      if (write) await stream.deliver(nextDelivery(app.container));
      if (startedMs === undefined && (!write || stream.counters().delivered > 50)) {
        startedMs = performance.now();
        release(app);
      }
      await delay(2);
    }
    await wait;
    assert.ok(startedMs !== undefined, 'it ended by itself');
    const tookMs = performance.now() - startedMs;
    assert.ok((await logLines(app)).includes('bye'));
    return tookMs;
  };
  const without = await timeOfEnd(false);
  const withWrites = await timeOfEnd(true);
  assert.ok(withWrites < without + 2000, `${withWrites} ms with, ${without} ms without`);
});

test('containers of other runtimes are not its business', () => {
  assert.equal(
    newStream().accepts(deliveryOf({ container: containerOf({ runtime: 'cgroup' }) })),
    false,
  );
  assert.equal(newStream().accepts(deliveryOf()), true);
  assert.equal(newStream().accepts(deliveryOf({ container: undefined })), false);
});

test('an id that is no id never becomes a path', async () => {
  const stream = newStream();
  assert.equal(await stream.deliver(nextDelivery(containerOf({ fullId: '../../etc' }))), false);
  assert.equal(stream.counters().failed, 1);
});
