import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, renameSync, statSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { Container } from '../../src/apps/identity.ts';
import { ContainerLogStream } from '../../src/streams/container/container-log-stream.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { containerOf, deliveryOf } from '../unit/streams/delivery-fixture.ts';

let engine: TestDockerd;
let image: string;
let lastSeq = 0;

before(async () => {
  engine = await startDockerd();
  image = await engine.importBusybox();
});

after(async () => {
  await engine[Symbol.asyncDispose]();
  const { execRoot, dataRoot } = engine;
  const mounts = readFileSync('/proc/mounts', 'utf8');
  assert.ok(!mounts.includes(execRoot) && !mounts.includes(dataRoot), 'nothing is left mounted');
});

interface Running {
  readonly docker: Docker.Container;
  /** As the apps stage describes it. */
  readonly container: Container;
}

interface RunOptions {
  readonly tty?: boolean;
  readonly driver?: 'json-file' | 'local';
}

async function run(
  script: string,
  { tty = false, driver = 'json-file' }: RunOptions = {},
): Promise<Running> {
  const docker = await engine.docker.createContainer({
    Image: image,
    Cmd: ['/bin/sh', '-c', script],
    Tty: tty,
    HostConfig: { NetworkMode: 'none', LogConfig: { Type: driver, Config: {} } },
  });
  await docker.start();
  return { docker, container: await describe(docker, tty) };
}

async function describe(docker: Docker.Container, tty = false): Promise<Container> {
  const { State } = await docker.inspect();
  return containerOf({ fullId: docker.id, tty, initPid: State.Pid });
}

/** Not with dockerode, which parses a log that happens to be JSON. */
async function readLog(id: string): Promise<Buffer> {
  const path = `/containers/${id}/logs?stdout=1&stderr=1`;
  const [response] = (await once(get({ socketPath: engine.socketPath, path }), 'response')) as [
    IncomingMessage,
  ];
  assert.equal(response.statusCode, 200);
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** Lines as `docker logs` prints them, stdout and stderr in the order in which the engine took them. */
async function logLines({ docker, container }: Running): Promise<string[]> {
  const raw = await readLog(docker.id);
  const parts: Buffer[] = [];
  if (container.tty === true) parts.push(raw);
  // Frames of the attach protocol: stream number, three zeros, length.
  for (let offset = 0; container.tty !== true && offset < raw.length;) {
    const length = raw.readUInt32BE(offset + 4);
    parts.push(raw.subarray(offset + 8, offset + 8 + length));
    offset += 8 + length;
  }
  return Buffer.concat(parts).toString('utf8').replaceAll('\r', '').split('\n');
}

async function until<Value>(
  what: string,
  probe: () => Promise<Value | undefined | false> | Value | undefined | false,
): Promise<Value> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    assert.ok(Date.now() < deadline, `${what}: not within 15 s`);
    await delay(5);
  }
}

const fifoOf = ({ docker }: Running, name = 'stdout'): string =>
  join(engine.execRoot, 'containerd', docker.id, `${docker.id}-${name}`);

/** The app has run `exec sleep`, so what the script did before is done, and the shim has passed it on. */
async function settled(app: Running): Promise<void> {
  await until('the script comes to its end', () =>
    readFileSync(`/proc/${app.container.initPid}/comm`, 'utf8').startsWith('sleep'),
  );
  await delay(100);
}

const newStream = (execRoots = [engine.execRoot]): ContainerLogStream =>
  new ContainerLogStream({ execRoots, format: 'json' });

const nextDelivery = (container: Container, output = 'found') =>
  deliveryOf({ container, output }, { seq: ++lastSeq });

/** The one line of the log that is the detection, parsed; fails when there is none or more than one. */
async function theLine(
  app: Running,
  seq: number,
): Promise<{ index: number; lines: string[]; line: { output: string } }> {
  const lines = await until('the line is in the log', async () => {
    const all = await logLines(app);
    return all.some((text) => text.includes(`"seq":${seq}`)) && all;
  });
  const indexes = lines.flatMap((text, index) => (text.includes(`"seq":${seq}`) ? [index] : []));
  assert.equal(indexes.length, 1, 'exactly once');
  const index = indexes[0]!;
  return { index, lines, line: JSON.parse(lines[index]!) as { output: string } };
}

for (const driver of ['json-file', 'local'] as const) {
  test(`${driver}: the line stands among the app's own, whole and alone`, async () => {
    const app = await run('echo before; sleep 1; echo after; exec sleep 600', { driver });
    await until('the app has written', async () => (await logLines(app)).includes('before'));
    const delivery = nextDelivery(app.container, 'a\nb\u001b[31m"');
    assert.equal(await newStream().deliver(delivery), true);
    await until('the app goes on', async () => (await logLines(app)).includes('after'));
    const { index, lines, line } = await theLine(app, delivery.seq);
    assert.ok(line.output.endsWith('a\nb\u001b[31m"'));
    assert.equal(lines.indexOf('before') < index && index < lines.indexOf('after'), true);
    assert.deepEqual(
      lines.filter((text) => text !== ''),
      ['before', lines[index], 'after'],
    );
  });

  test(`${driver}: output without a final newline does not glue to the line`, async () => {
    const app = await run('printf "unended> "; exec sleep 600', { driver });
    await settled(app);
    const first = nextDelivery(app.container);
    const second = nextDelivery(app.container);
    const stream = newStream();
    assert.equal(await stream.deliver(first), true);
    assert.equal(await stream.deliver(second), true);
    const { lines } = await theLine(app, second.seq);
    const full = lines.filter((text) => text !== '');
    assert.equal(full[0], 'unended> ');
    assert.deepEqual(
      full.slice(1).map((text) => (JSON.parse(text) as { seq: number }).seq),
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
  assert.match(sentences[0]!, /^The log of container .* was not found.*exec root/);
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

test('a pipe that nobody empties is given up after a bounded time, and counted', async () => {
  const app = await run('yes | head -c 20000000; exec sleep 600');
  const dockerd = Number(readFileSync(join(engine.execRoot, '..', 'docker.pid'), 'utf8'));
  process.kill(dockerd, 'SIGSTOP');
  try {
    await delay(300);
    const stream = newStream();
    const startedMs = performance.now();
    assert.equal(await stream.deliver(nextDelivery(app.container)), false);
    assert.ok(performance.now() - startedMs < 5000);
    assert.equal(stream.counters().pipeFull, 1);
  } finally {
    process.kill(dockerd, 'SIGCONT');
  }
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
    const app = await run('sleep 1; echo bye');
    const startedMs = performance.now();
    const state = { ended: false };
    const wait = app.docker.wait().then(() => (state.ended = true));
    const stream = newStream();
    while (!state.ended) {
      if (write) await stream.deliver(nextDelivery(app.container));
      await delay(2);
    }
    await wait;
    const tookMs = performance.now() - startedMs;
    if (write) assert.ok(stream.counters().delivered > 50);
    assert.ok((await logLines(app)).includes('bye'));
    return tookMs;
  };
  const without = await timeOfEnd(false);
  const withWrites = await timeOfEnd(true);
  assert.ok(withWrites < without + 2000, `${withWrites} ms with, ${without} ms without`);
});

test('a detection of the run before never cuts off the log of the next', async () => {
  const app = await run('echo started; exec sleep 600');
  await settled(app);
  const old = nextDelivery(app.container);
  const state = { restarting: true };
  const restart = app.docker.restart({ t: 0 }).finally(() => (state.restarting = false));
  const stream = newStream();
  let tries = 0;
  while (state.restarting) {
    await stream.deliver(old);
    tries++;
    await new Promise(setImmediate);
  }
  await restart;
  assert.ok(tries > 20);
  await until(
    'the second run has written',
    async () => (await logLines(app)).filter((text) => text === 'started').length === 2,
  );
  // The same, now that the shim writes: it is held back only as long as it must be.
  const again = { ...app, container: await describe(app.docker) };
  const late = deliveryOf(
    { container: again.container, timeNs: old.detection.timeNs },
    { seq: ++lastSeq },
  );
  assert.ok(statSync(join(fifoOf(again), '..'), { bigint: true }).mtimeNs > late.detection.timeNs);
  assert.equal(await newStream().deliver(late), true);
  await theLine(again, late.seq);
});

test('a detection during the start is held until the shim is ready, and does not spoil the start', async () => {
  for (let round = 0; round < 5; round++) {
    const docker = await engine.docker.createContainer({
      Image: image,
      Cmd: ['/bin/sh', '-c', 'echo started; exec sleep 600'],
      HostConfig: { NetworkMode: 'none' },
    });
    const container = containerOf({ fullId: docker.id });
    const start = docker.start();
    // From here on the runtime's own processes are in the container's cgroup, and events can name it; the
    // shim opens the FIFO only some milliseconds later.
    const deadline = Date.now() + 15_000;
    while (!isSetUp(docker.id)) {
      assert.ok(Date.now() < deadline);
      await new Promise(setImmediate);
    }
    const delivery = deliveryOf(
      { container, timeNs: BigInt(Date.now() + 1) * 1_000_000n },
      { seq: ++lastSeq },
    );
    const delivered = newStream().deliver(delivery);
    await start;
    assert.equal(await delivered, true);
    const app = { docker, container };
    await until('the app has written', async () => (await logLines(app)).includes('started'));
    await theLine(app, delivery.seq);
    await docker.remove({ force: true });
  }
});

function isSetUp(id: string): boolean {
  const runtime = join(engine.execRoot, 'runtime-runc');
  return (
    existsSync(runtime) &&
    readdirSync(runtime).some((namespace) => existsSync(join(runtime, namespace, id, 'exec.fifo')))
  );
}

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
