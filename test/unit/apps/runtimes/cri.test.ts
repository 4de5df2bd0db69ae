import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CriRuntime, type CriOptions } from '../../../../src/apps/runtimes/cri.ts';
import type { Container } from '../../../../src/apps/identity.ts';
import { SILENT_LOGGER } from '../../../../src/shared/logger.ts';
import { CriServer, type FakeContainer } from '../../../support/cri-server.ts';

const idOf = (digit: string): string => digit.repeat(64);
const SANDBOX = idOf('f');
const POD = { id: SANDBOX, name: 'shop-0', namespace: 'shops', uid: 'u-1' };

interface Stage {
  readonly server: CriServer;
  readonly runtime: CriRuntime;
  readonly socketPath: string;
  readonly described: Map<string, Container>;
  readonly refused: Map<string, string>;
  readonly notFound: string[];
  readonly destroyed: string[];
  readonly running: Map<string, number>;
  readonly warnings: string[];
  readonly cgroups: Set<string>;
  readonly lookup: (id: string) => void;
  readonly until: (what: string, probe: () => boolean) => Promise<void>;
}

async function stage(
  t: TestContext,
  options: Partial<CriOptions> = {},
  prepare: (server: CriServer) => Promise<void> = (server) => server.start(),
): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-cri-'));
  const socketPath = join(folder, 'cri.sock');
  const server = new CriServer(socketPath);
  server.pods.set(SANDBOX, POD);
  await prepare(server);
  const warnings: string[] = [];
  const logger = { ...SILENT_LOGGER, warn: (_: object, message: string) => warnings.push(message) };
  const runtime = new CriRuntime({ socketPath, ...options }, logger);
  const described = new Map<string, Container>();
  const refused = new Map<string, string>();
  const running = new Map<string, number>();
  const [notFound, destroyed]: [string[], string[]] = [[], []];
  const cgroups = new Set<string>();
  t.after(async () => {
    await runtime.stop();
    server.stop();
    rmSync(folder, { recursive: true });
  });
  await runtime.start({
    described: (_, key, container) => void described.set(key, container),
    notFound: (_, key) => void notFound.push(key),
    refused: (_, key, reason) => void refused.set(key, reason),
    destroyed: (_, key) => void destroyed.push(key),
    running: (_, key, pid) => void running.set(key, pid),
    hasCgroup: (_, key) => cgroups.has(key),
  });
  return {
    server,
    runtime,
    socketPath,
    described,
    refused,
    notFound,
    destroyed,
    running,
    warnings,
    cgroups,
    lookup: (id) => {
      cgroups.add(id);
      runtime.lookup({ cgroupId: 1, path: `/kubepods/pod1/${id}`, handle: id });
    },
    until: async (what, probe) => {
      const deadline = Date.now() + 60_000;
      while (!probe()) {
        assert.ok(Date.now() < deadline, `not within 60 s: ${what}`);
        await delay(5);
      }
    },
  };
}

const container = (id: string, more: Partial<FakeContainer> = {}): FakeContainer => ({
  id,
  sandboxId: SANDBOX,
  ...more,
});

test('what is there is told at the start, a sandbox as none; what is no more, later', async (t) => {
  const { server, runtime, described, refused, destroyed, running, until } = await stage(
    t,
    {},
    (it) => {
      it.containers.set(idOf('a'), container(idOf('a')));
      return it.start();
    },
  );
  assert.equal(described.get(idOf('a'))?.app?.name, 'shop-0');
  assert.match(refused.get(SANDBOX) ?? '', /the sandbox of a pod/);
  await until('its first process', () => running.get(idOf('a')) === 4711);
  const { startedAtMs, details, privileged } = described.get(idOf('a'))!;
  assert.deepEqual([startedAtMs, details?.ip, privileged], [1_700_000_000_000, '10.0.0.7', false]);
  const asked = server.questions.length;
  await runtime.reconcile();
  assert.equal(server.questions.length, asked + 2, 'nothing more is asked of one that is complete');
  server.containers.clear();
  await runtime.reconcile();
  assert.deepEqual(destroyed, [idOf('a')]);
  assert.match(runtime.status().message, /^Connected to .*cri\.sock\. It is fake 1\.2\.3\.$/);
});

test('one that is new is told before it starts, and again with its first process', async (t) => {
  const { server, described, running, lookup, until } = await stage(t);
  const id = idOf('b');
  lookup(id);
  await until('asked', () => server.questions.length > 4);
  assert.equal(described.size, 0);
  server.containers.set(id, container(id, { state: 0 }));
  await until('told', () => described.has(id));
  assert.deepEqual([described.get(id)?.initPid, running.size], [0, 0]);
  server.containers.set(id, container(id, { pid: 99 }));
  await until('running', () => running.get(id) === 99);
  assert.equal(described.get(id)?.initPid, 99);
});

test('a burst of containers shares its questions for lists', async (t) => {
  const { server, described, lookup, until } = await stage(t);
  const ids = Array.from({ length: 60 }, (_, at) => at.toString(16).padStart(64, '0'));
  for (const id of ids) server.containers.set(id, container(id));
  const before = server.questions.length;
  for (const id of ids) lookup(id);
  await until('all are complete', () => ids.every((id) => described.get(id)?.initPid === 4711));
  const lists = server.questions.slice(before).filter((name) => name.startsWith('List'));
  assert.equal(lists.length, 2);
});

test('where rules look at mounts and privileges, nothing is told without them', async (t) => {
  const { server, runtime, described, lookup, until } = await stage(t);
  runtime.waitForDetails(true);
  const id = idOf('c');
  server.containers.set(id, container(id, { privileged: true }));
  lookup(id);
  await until('told', () => described.has(id));
  assert.equal(described.get(id)?.privileged, true);
});

test('a runtime that fails, hangs or has other ids is asked again, and the names come when it answers', async (t) => {
  for (const misbehaviour of ['fails', 'hangs', 'wrong ids'] as const) {
    const it = await stage(t, { requestTimeoutMs: 200 });
    const { server, runtime, described, refused, lookup, until } = it;
    // Its first answer may have come after the 0.2 s that it has here.
    await until('it is connected', () => runtime.status().connected && refused.has(SANDBOX));
    const id = idOf('d');
    server.containers.set(id, container(id));
    server.misbehaviour = misbehaviour;
    const asked = server.questions.length;
    lookup(id);
    await until(`asked again (${misbehaviour})`, () => server.questions.length > asked + 3);
    assert.equal(described.size, 0, misbehaviour);
    assert.deepEqual([...refused.keys()], [SANDBOX]);
    server.misbehaviour = undefined;
    await until('told', () => described.has(id));
    if (misbehaviour !== 'wrong ids') {
      assert.match(runtime.status().message, /questions had no usable answer/);
      assert.match(it.warnings.join(), /gave no usable answer/);
    }
  }
});

test('without an answer to the closer look the names are told all the same', async (t) => {
  const { server, runtime, described, lookup, until } = await stage(t, { requestTimeoutMs: 300 });
  runtime.waitForDetails(true);
  server.misbehaviour = 'hangs';
  server.only = 'ContainerStatus';
  const id = idOf('e');
  server.containers.set(id, container(id));
  lookup(id);
  await until('told', () => described.has(id));
  assert.equal(described.get(id)?.details, undefined);
});

test('one that nobody knows is not found after a while; one without its pod is nobody’s', async (t) => {
  const { server, described, notFound, warnings, lookup, until } = await stage(t, {
    patienceMs: 200,
  });
  const [unknown, orphan] = [idOf('1'), idOf('2')];
  server.containers.set(orphan, container(orphan, { sandboxId: idOf('3') }));
  lookup(unknown);
  lookup(orphan);
  await until('not found', () => notFound.includes(unknown));
  await until('told', () => described.has(orphan));
  assert.equal(described.get(orphan)?.app, undefined);
  assert.match(described.get(orphan)?.doubt ?? '', /does not know its pod/);
  assert.equal(warnings.filter((text) => /not certain/.test(text)).length, 1);
});

test('a runtime that is not there, not listening, something else, or no CRI is named, and found when it comes', async (t) => {
  const it = await stage(t, { requestTimeoutMs: 300 }, () => Promise.resolve());
  const { server, runtime, socketPath, until, warnings, described } = it;
  const says = (pattern: RegExp) =>
    until(String(pattern), () => pattern.test(runtime.status().message));
  assert.equal(runtime.status().connected, false);
  await says(
    /There is no CRI socket at .*: start containerd or CRI-O, or set runtimes\.cri\.socket/,
  );
  writeFileSync(socketPath, '');
  await says(/Nothing listens on the CRI socket/);
  rmSync(socketPath);
  const sockets: Socket[] = [];
  const silent = createServer((socket) => {
    socket.on('error', () => undefined);
    sockets.push(socket);
  }).listen(socketPath);
  await says(/does not answer \(no answer within 0\.3 s\)/);
  const closed = new Promise((resolve) => silent.close(resolve));
  for (const socket of sockets) socket.destroy();
  await closed;
  server.misbehaviour = 'no such service';
  await server.start();
  await says(/does not speak CRI v1: use containerd 1\.6 or .*disabled_plugins/);
  server.misbehaviour = undefined;
  server.containers.set(idOf('a'), container(idOf('a')));
  await says(/^Connected/);
  assert.ok(described.has(idOf('a')));
  assert.equal(warnings.filter((text) => /There is no CRI socket/.test(text)).length, 1);
  server.stop();
  await runtime.reconcile();
  await until('it is noticed', () => !runtime.status().connected);
  await server.start();
  await says(/^Connected/);
  assert.equal(runtime.counters().connects, 2);
});

test('it ends at once, whatever is under way', async (t) => {
  const { server, runtime, lookup, until } = await stage(t);
  server.misbehaviour = 'hangs';
  const asked = server.questions.length;
  lookup(idOf('a'));
  await until('asked', () => server.questions.length > asked);
  const started = performance.now();
  await runtime.stop();
  assert.ok(performance.now() - started < 5_000, 'before the question’s own time was over');
});
