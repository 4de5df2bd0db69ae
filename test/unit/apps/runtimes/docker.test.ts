// An engine that says too much: the runtime beside a server of the engine's API that answers what a test tells it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Container } from '../../../../src/apps/identity.ts';
import { DockerRuntime } from '../../../../src/apps/runtimes/docker.ts';
import type { DockerOptions } from '../../../../src/apps/runtimes/docker-options.ts';
import type { RuntimeSink } from '../../../../src/apps/runtimes/runtime.ts';
import { SILENT_LOGGER } from '../../../../src/shared/logger.ts';

const MIB = 1024 * 1024;
const idOf = (digit: string): string => digit.repeat(64);

/** What `docker inspect` says of a running container, as far as it is read. */
function inspected(id: string, name: string, labels: Record<string, string>): object {
  return {
    Id: id,
    Name: `/${name}`,
    Image: 'sha256:1',
    Mounts: [],
    NetworkSettings: { Networks: {} },
    State: { Running: true, Pid: 4711, StartedAt: '2026-01-31T08:15:04Z', FinishedAt: '' },
    HostConfig: { Privileged: false },
    Config: { Image: 'shop:1', Tty: false, Labels: labels },
  };
}

class Engine {
  readonly socketPath: string;
  readonly asked: string[] = [];
  readonly answers = new Map<string, string>([['/containers/json?all=true', '[]\n']]);
  readonly streams: ServerResponse[] = [];
  /** Until it answers an inspect. */
  inspectMs = 0;
  readonly #folder = mkdtempSync(join(tmpdir(), 'varvel-engine-'));
  readonly #server: Server;

  constructor() {
    this.socketPath = join(this.#folder, 'docker.sock');
    this.#server = createServer((request, response) => {
      const path = request.url ?? '';
      this.asked.push(path);
      if (path.startsWith('/events')) {
        this.streams.push(response);
        response.writeHead(200).flushHeaders();
        return;
      }
      const answer = this.answers.get(path);
      const reply = (): void =>
        void response
          .writeHead(answer === undefined ? 404 : 200)
          .end(answer ?? '{"message":"none"}');
      if (this.inspectMs > 0 && path.endsWith('/json')) setTimeout(reply, this.inspectMs).unref();
      else reply();
    });
  }

  async start(): Promise<void> {
    this.#server.listen(this.socketPath);
    await once(this.#server, 'listening');
  }

  describe(id: string, name: string, labels: Record<string, string>): void {
    this.answers.set(`/containers/${id}/json`, JSON.stringify(inspected(id, name, labels)));
  }

  /** An event as the engine writes it. */
  event(action: string, id: string, attributes: Record<string, string>): void {
    const actor = { ID: id, Attributes: attributes };
    const event = { status: action, id, Type: 'container', Action: action, Actor: actor };
    this.streams
      .at(-1)
      ?.write(`${JSON.stringify({ ...event, time: 1, timeNano: 1_000_000_001 })}\n`);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
    rmSync(this.#folder, { recursive: true });
  }
}

interface Told {
  readonly engine: Engine;
  readonly runtime: DockerRuntime;
  readonly containers: Map<string, Container>;
  readonly ended: string[];
  readonly warnings: { readonly facts: Record<string, unknown>; readonly sentence: string }[];
}

async function started(
  t: TestContext,
  prepare: (engine: Engine) => void = () => undefined,
  options: DockerOptions = {},
): Promise<Told> {
  const engine = new Engine();
  prepare(engine);
  await engine.start();
  const told = { containers: new Map<string, Container>(), ended: [], warnings: [] } as Omit<
    Told,
    'engine' | 'runtime'
  >;
  const sink: RuntimeSink = {
    described: (_, id, container) => void told.containers.set(id, container),
    destroyed: (_, id) => void told.ended.push(id),
    notFound: () => undefined,
    refused: () => undefined,
    running: () => undefined,
    hasCgroup: () => true,
  };
  const warn = (facts: object, sentence: string): void =>
    void told.warnings.push({ facts: facts as Record<string, unknown>, sentence });
  const { socketPath } = engine;
  const runtime = new DockerRuntime({ ...options, socketPath }, { ...SILENT_LOGGER, warn });
  t.after(async () => {
    await runtime.stop();
    engine.stop();
  });
  await runtime.start(sink);
  return { engine, runtime, ...told };
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; !isSo();) {
    assert.ok(Date.now() < end, what);
    await delay(5);
  }
}

test('an event over 1 MiB is skipped, its container asked for by its id, and the connection goes on', async (t) => {
  const { engine, runtime, containers, ended, warnings } = await started(t);
  const [large, small] = [idOf('a'), idOf('b')];
  const labels = { 'varvel.app': 'shop', x: 'x'.repeat(1.2 * MIB) };
  engine.describe(large, 'large', labels);
  engine.event('create', large, { name: 'large', image: 'shop:1', ...labels });
  engine.event('create', small, { name: 'small', image: 'shop:1' });
  await until('both are known', () => containers.size === 2);
  assert.deepEqual(
    [containers.get(large)?.app?.name, containers.get(large)?.initPid],
    ['shop', 4711],
  );
  assert.equal(containers.get(small)?.name, 'small');
  engine.event('die', large, labels);
  await until('its end is known', () => containers.get(large)?.initPid === 0);
  engine.event('destroy', large, labels);
  await until('its removal is known', () => ended.includes(large));
  assert.deepEqual([runtime.counters().connects, runtime.counters().oversized], [1, 3]);
  assert.equal(runtime.status().counters?.oversized, 3);
  assert.equal(warnings.length, 1, 'said once a minute');
  assert.match(warnings[0]!.sentence, /^What Docker says of a container is longer than the limit/);
  assert.deepEqual([warnings[0]!.facts['container'], warnings[0]!.facts['maxBytes']], [large, MIB]);
});

test('a container whose entry in the list is over 1 MiB is asked for by its id; the others are listed', async (t) => {
  const [large, small] = [idOf('c'), idOf('d')];
  const { containers, runtime } = await started(t, (engine) => {
    const labels = { x: 'x'.repeat(2 * MIB) };
    const entry = (Id: string, name: string, Labels: object): object => ({
      Id,
      Names: [`/${name}`],
      Image: 'shop:1',
      ImageID: 'sha256:1',
      Labels,
      State: 'running',
    });
    const list = [entry(large, 'large', labels), entry(small, 'small', {})];
    engine.answers.set('/containers/json?all=true', `${JSON.stringify(list)}\n`);
    engine.describe(large, 'large', labels);
    engine.describe(small, 'small', {});
  });
  await until('both are known', () => containers.size === 2);
  assert.deepEqual(
    [large, small].map((id) => containers.get(id)?.name),
    ['large', 'small'],
  );
  assert.equal(runtime.status().connected, true);
});

test('an answer over 8 MiB is not read to its end: the container has its id alone, and the operator is told', async (t) => {
  const { engine, containers, runtime, warnings } = await started(t);
  const id = idOf('e');
  const labels = { 'varvel.app': 'shop', x: 'x'.repeat(9 * MIB) };
  engine.describe(id, 'endless', labels);
  runtime.lookup({ cgroupId: 1, path: `/docker/${id}`, handle: id });
  await until('it is told', () => containers.has(id));
  const { name, app } = containers.get(id)!;
  assert.deepEqual(
    [name, app?.name, runtime.counters().inspects],
    [id.slice(0, 12), id.slice(0, 12), 1],
  );
  assert.match(warnings[0]?.sentence ?? '', /its name and labels stay unknown/);
});

test('a container that is too long to describe in events, list and answer alike: it ends at once when it is told to', async (t) => {
  const id = idOf('f');
  const labels = { x: 'x'.repeat(9 * MIB) };
  const { engine, runtime, containers } = await started(t, (one) => {
    const entry = {
      Id: id,
      Names: ['/endless'],
      Image: 'shop:1',
      Labels: labels,
      State: 'running',
    };
    one.answers.set('/containers/json?all=true', `${JSON.stringify([entry])}\n`);
    one.describe(id, 'endless', labels);
  });
  engine.event('create', id, labels);
  engine.event('start', id, labels);
  await until('it is told', () => containers.has(id));
  await until('both events were seen', () => runtime.counters().events === 2);
  await runtime.reconcile();
  await runtime.stop();
  assert.equal(runtime.counters().connects, 1);
});

test('where rules look at privileges, a container is told with them, however long the engine takes within the wait', async (t) => {
  const options = { requestTimeoutMs: 100, detailsWaitMs: 20_000 };
  const { engine, containers, runtime } = await started(t, () => undefined, options);
  runtime.waitForDetails(true);
  engine.inspectMs = 400;
  const id = idOf('a');
  engine.describe(id, 'slow', {});
  engine.event('create', id, { name: 'slow', image: 'shop:1' });
  await until('it is told', () => containers.has(id));
  assert.equal(containers.get(id)?.privileged, false);
  assert.equal(runtime.counters().inspectFailures, 0);
});

test('an engine that never answers an inspect: the container is told without its privileges when the wait is over', async (t) => {
  const { engine, containers, runtime } = await started(t, () => undefined, { detailsWaitMs: 300 });
  runtime.waitForDetails(true);
  engine.inspectMs = 60_000;
  const id = idOf('b');
  engine.event('create', id, { name: 'mute', image: 'shop:1' });
  await until('it is told', () => containers.has(id));
  assert.deepEqual([containers.get(id)?.name, containers.get(id)?.privileged], ['mute', undefined]);
});

test('where rules look at privileges, neither an end, a new name nor a list tells a container without them', async (t) => {
  const options = { requestTimeoutMs: 5000, detailsWaitMs: 20_000 };
  const { engine, containers, runtime } = await started(t, () => undefined, options);
  runtime.waitForDetails(true);
  const ids = ['a', 'b', 'c'].map(idOf);
  const [ended, renamed, listed] = ids as [string, string, string];
  engine.inspectMs = 500;
  for (const id of ids) {
    engine.describe(id, 'slow', {});
    engine.event('create', id, { name: 'slow', image: 'shop:1' });
  }
  engine.event('start', ended, { name: 'slow', image: 'shop:1' });
  engine.event('die', ended, { name: 'slow', image: 'shop:1' });
  engine.event('rename', renamed, { name: 'new', oldName: '/slow' });
  await until('they are asked for', () =>
    ids.every((id) => engine.asked.includes(`/containers/${id}/json`)),
  );
  const one = { Id: listed, Names: ['/slow'], Image: 'shop:1', ImageID: 'sha256:1', Labels: {} };
  engine.answers.set(
    '/containers/json?all=true',
    `${JSON.stringify([{ ...one, State: 'running' }])}\n`,
  );
  const told: unknown[] = [];
  const set = containers.set.bind(containers);
  containers.set = (id, container) => {
    told.push([id, container.privileged]);
    return set(id, container);
  };
  engine.inspectMs = 0;
  await runtime.reconcile();
  await until('they are told', () => ids.every((id) => containers.has(id)));
  assert.deepEqual([...new Set(told.map(String))].sort(), ids.map((id) => `${id},false`).sort());
});
