import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Apps } from '../../src/apps/apps.ts';
import type { AppsConfig } from '../../src/apps/configured-runtimes.ts';
import type { Resolution } from '../../src/apps/resolution.ts';
import { SILENT_LOGGER, type Logger } from '../../src/shared/logger.ts';
import { removeCgroup, startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { MemoryScopeMap, watchCgroups, type CgroupWatch } from '../support/memory-scope-map.ts';

interface Host {
  readonly apps: Apps;
  readonly map: MemoryScopeMap;
  readonly watch: CgroupWatch | undefined;
  stop(): Promise<void>;
}

let engine: TestDockerd;
let image: string;

async function startApps(
  config: Partial<AppsConfig> = {},
  watched = true,
  logger: Logger = SILENT_LOGGER,
): Promise<Host> {
  const map = new MemoryScopeMap();
  const apps = new Apps(
    { docker: { socketPath: engine.socketPath }, rescanMs: 0, ...config },
    { scopeMap: map, logger },
  );
  const watch = watched
    ? watchCgroups(apps.hierarchy, apps.patterns, map, '/docker', (change) =>
        apps.onCgroupChange(change),
      )
    : undefined;
  await apps.start();
  return {
    apps,
    map,
    watch,
    async stop() {
      watch?.close();
      await apps.stop();
    },
  };
}

async function until<T>(what: string, probe: () => T | undefined | false): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const value = probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) assert.fail(`not within 10 s: ${what}`);
    await delay(10);
  }
}

function statusOf(apps: Apps, id: string) {
  return apps.snapshot().containers.find((container) => container.fullId === id);
}

function cgroupId(apps: Apps, path: string): number {
  return statSync(join(apps.hierarchy.mountPoint, path)).ino;
}

function included(resolution: Resolution) {
  assert.equal(resolution.state, 'included');
  return resolution.container;
}

/**
 * Waits until its cgroup has been seen. The probe sees each; what stands in for it here is blind to one that is gone before this
 * process runs again.
 */
const seen = (host: Host, { id }: { readonly id: string }): Promise<boolean> =>
  until(`the cgroup of ${id} is seen`, () =>
    host.watch?.changes.some(({ path }) => path.endsWith(`/${id}`)),
  );

async function run(name: string, command: string[], labels: Record<string, string> = {}) {
  // The body apart: otherwise the package puts the labels into the address as well.
  const options = {
    _query: { name },
    _body: {
      Image: image,
      Cmd: command,
      Labels: labels,
      HostConfig: { NetworkMode: 'none' },
    },
  };
  const container = await engine.docker.createContainer(
    options as Parameters<typeof engine.docker.createContainer>[0],
  );
  await container.start();
  return container;
}

describe('apps with a real Docker engine', { concurrency: false }, () => {
  before(async () => {
    engine = await startDockerd();
    image = await engine.importBusybox();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  test('containers that ran before the start and those that come later, with and without the label', async () => {
    const early = await run('early', ['sleep', '60'], {
      'varvel.enable': 'true',
      'varvel.app': 'shop',
      'varvel.space': 'prod',
      'varvel.org': 'acme',
      'varvel.process-type': 'web',
      'varvel.instance': '3',
      name: 'forged',
      image: 'forged',
    });
    const host = await startApps();
    try {
      const id = cgroupId(host.apps, `/docker/${early.id}`);
      const container = included(host.apps.resolve(id));
      assert.equal(container.fullId, early.id);
      assert.equal(container.name, 'early');
      assert.equal(container.image, image);
      assert.equal(container.imageRepository, image);
      assert.deepEqual(container.app, {
        name: 'shop',
        guid: undefined,
        space: 'prod',
        org: 'acme',
        processType: 'web',
        instance: '3',
      });
      assert.equal(host.map.get(id)?.state, 'included');
      const inspected = await until('inspect completes it', () => {
        const now = included(host.apps.resolve(id));
        return now.initPid > 0 && now;
      });
      assert.equal(inspected.initPid, (await early.inspect()).State.Pid);
      assert.equal(inspected.privileged, false);
      assert.equal(inspected.tty, false);
      assert.equal(inspected.labels['name'], 'forged', 'the label is kept, as a label');

      const late = await run('late', ['sleep', '60'], { 'varvel.enable': 'true' });
      const seen = await until('late is included', () => {
        const status = statusOf(host.apps, late.id);
        return status?.state === 'included' && status;
      });
      assert.equal(seen.app, 'late', 'the container’s name when no label names the app');
      const plain = await run('plain', ['sleep', '60']);
      const other = await until('plain is excluded', () => {
        const status = statusOf(host.apps, plain.id);
        return status?.state === 'excluded' && status;
      });
      assert.match(other.reason, /no label varvel\.enable=true/);
      assert.equal(host.map.get(other.cgroupId)?.state, 'excluded');
      await Promise.all([early, late, plain].map((each) => each.remove({ force: true })));
      await until('all are gone', () =>
        [early, late, plain].every(({ id: each }) => statusOf(host.apps, each)?.gone === true),
      );
      assert.equal(host.apps.resolve(seen.cgroupId).state, 'included', 'identity is remembered');
      assert.equal(host.map.get(seen.cgroupId), undefined);
    } finally {
      await host.stop();
    }
  });

  test('a container that lives milliseconds is named by its create event, before it has a process', async () => {
    const host = await startApps();
    const resolvedAt: string[] = [];
    let inspectedFirst = 0;
    host.apps.listen({
      onResolved: (root) => {
        const resolution = host.apps.resolve(root);
        if (resolution.state !== 'included') return;
        resolvedAt.push(resolution.container.name);
        if (resolution.container.initPid !== 0) inspectedFirst++;
      },
    });
    try {
      const names = Array.from({ length: 12 }, (_, index) => `short-${index}`);
      const ids: string[] = [];
      for (let at = 0; at < names.length; at += 4) {
        const batch = await Promise.all(
          names.slice(at, at + 4).map(async (name) => {
            const container = await engine.docker.createContainer({
              name,
              Image: image,
              Cmd: ['sleep', '60'],
              Labels: { 'varvel.enable': 'true', 'varvel.app': `app-of-${name}`, name: 'forged' },
              HostConfig: { AutoRemove: true, NetworkMode: 'none' },
            });
            await container.start();
            await seen(host, container);
            await container.kill();
            return container.id;
          }),
        );
        ids.push(...batch);
      }
      for (const [index, id] of ids.entries()) {
        const status = await until(`short-${index} is named`, () => {
          const now = statusOf(host.apps, id);
          return now?.gone === true && now;
        });
        assert.equal(status.state, 'included');
        assert.equal(status.name, `short-${index}`);
        assert.equal(status.app, `app-of-short-${index}`);
        assert.equal(included(host.apps.resolve(status.cgroupId)).fullId, id);
      }
      assert.deepEqual(resolvedAt.sort(), [...names].sort());
      assert.equal(inspectedFirst, 0, 'named without inspect');
    } finally {
      await host.stop();
    }
  });

  test('where rules look at privileges and mounts, a container is told with them, and not before', async () => {
    const host = await startApps();
    host.apps.waitForDetails(true);
    const told: unknown[] = [];
    host.apps.listen({
      onResolved: (root) => {
        const resolution = host.apps.resolve(root);
        if (resolution.state !== 'included') return;
        const { privileged, details } = resolution.container;
        told.push([privileged, details?.mounts.map(({ destination }) => destination)]);
        told.push([details?.hostPid, details?.hostNetwork, details?.hostIpc, details?.ip]);
      },
    });
    const container = await engine.docker.createContainer({
      Image: image,
      Cmd: ['sleep', '60'],
      Labels: { 'varvel.enable': 'true' },
      HostConfig: {
        Privileged: true,
        PidMode: 'host',
        NetworkMode: 'none',
        Binds: ['/etc/hostname:/given:ro'],
      },
    });
    try {
      await container.start();
      await until('it is told', () => told.length > 0);
      assert.deepEqual(told.slice(0, 2), [
        [true, ['/given']],
        [true, false, false, undefined],
      ]);
    } finally {
      await container.remove({ force: true });
      await host.stop();
    }
  });

  test('a rename is followed; a stopped container keeps its identity for its next start', async () => {
    const host = await startApps();
    const container = await run('first', ['sleep', '60'], { 'varvel.enable': 'true' });
    try {
      await until('included', () => statusOf(host.apps, container.id)?.state === 'included');
      await container.rename({ name: 'second' });
      await until('renamed', () => statusOf(host.apps, container.id)?.app === 'second');
      await container.kill();
      await until('gone', () => statusOf(host.apps, container.id)?.gone === true);
      await container.start();
      const again = await until('started again', () =>
        host.apps
          .snapshot()
          .containers.find(
            (each) => each.fullId === container.id && !each.gone && each.state === 'included',
          ),
      );
      assert.equal(again.app, 'second');
    } finally {
      await container.remove({ force: true });
      await host.stop();
    }
  });

  test('a cgroup nested in a container belongs to it, whatever its name', async () => {
    const host = await startApps();
    const victim = await run('victim', ['sleep', '60']);
    const attacker = await run('attacker', ['sleep', '60'], { 'varvel.enable': 'true' });
    const nested = [`/docker/${attacker.id}/docker`, `/docker/${attacker.id}/docker/${victim.id}`];
    const onDisk = nested.map((path) => join(host.apps.hierarchy.mountPoint, path));
    try {
      await until('both are known', () =>
        [victim, attacker].every(({ id }) => {
          const state = statusOf(host.apps, id)?.state;
          return state !== undefined && state !== 'pending';
        }),
      );
      for (const path of onDisk) mkdirSync(path);
      const root = cgroupId(host.apps, `/docker/${attacker.id}`);
      const ids = nested.map((path) => cgroupId(host.apps, path));
      await host.apps.rescan();
      for (const id of ids) assert.equal(host.map.get(id), undefined);
      assert.equal(included(host.apps.resolve(root)).fullId, attacker.id);
      assert.equal(statusOf(host.apps, victim.id)?.state, 'excluded');

      // The same from the walk alone, without any report.
      const fresh = await startApps({}, false);
      try {
        assert.equal(included(fresh.apps.resolve(root)).fullId, attacker.id);
        const mine = fresh.apps
          .snapshot()
          .containers.filter(({ cgroupPath }) =>
            nested.some((path) => path.startsWith(cgroupPath)),
          );
        assert.deepEqual(
          mine.map(({ fullId }) => fullId),
          [attacker.id],
        );
      } finally {
        await fresh.stop();
      }
    } finally {
      for (const path of onDisk.reverse()) rmdirSync(path);
      await Promise.all([victim, attacker].map((each) => each.remove({ force: true })));
      await host.stop();
    }
  });

  test('dockerd stopped and started: the agent goes on and finds new containers', async () => {
    const host = await startApps();
    try {
      await engine.stopDaemon();
      await until('the loss is noticed', () => !host.apps.snapshot().runtimes[0]!.connected);
      assert.match(host.apps.snapshot().runtimes[0]!.message, /trying again/);
      await engine.startDaemon();
      // Before the agent is back: only the events since, and the list, can tell it.
      const container = await run('after-restart', ['sleep', '60'], { 'varvel.enable': 'true' });
      const short = await run('short-after-restart', ['sleep', '60'], { 'varvel.enable': 'true' });
      await seen(host, short);
      await short.kill();
      await until('connected again', () => host.apps.snapshot().runtimes[0]!.connected);
      for (const { id } of [container, short]) {
        await until('included', () => statusOf(host.apps, id)?.state === 'included');
      }
      const next = await run('next', ['sleep', '60'], { 'varvel.enable': 'true' });
      await until('events continue', () => statusOf(host.apps, next.id)?.state === 'included');
      await Promise.all([container, short, next].map((each) => each.remove({ force: true })));
    } finally {
      await host.stop();
    }
  });

  /** Labels of so many MiB. */
  const manyLabels = (mib: number): Record<string, string> =>
    Object.fromEntries(
      Array.from({ length: mib * 16 }, (_, nth) => [`a${nth}`, 'x'.repeat(64 * 1024)]),
    );

  test('labels over 1 MiB: the container is watched, and the connection to the engine stays', async () => {
    const warnings: object[] = [];
    const logger = { ...SILENT_LOGGER, warn: (facts: object) => void warnings.push(facts) };
    const host = await startApps({}, true, logger);
    const labels = { ...manyLabels(2), 'varvel.enable': 'true', 'varvel.app': 'shop' };
    try {
      const large = await run('large', ['sleep', '60'], labels);
      const status = await until('the large one is included', () => {
        const found = statusOf(host.apps, large.id);
        return found?.state === 'included' && found;
      });
      assert.deepEqual([status.name, status.app], ['large', 'shop']);
      const small = await run('small', ['sleep', '60'], { 'varvel.enable': 'true' });
      await until('events go on', () => statusOf(host.apps, small.id)?.state === 'included');
      await large.rename({ name: 'renamed' });
      await until('a rename too', () => statusOf(host.apps, large.id)?.name === 'renamed');
      const { connected, counters } = host.apps.snapshot().runtimes[0]!;
      assert.deepEqual([connected, counters?.connects], [true, 1]);
      // Two events, or three where the agent was slow: create, start, rename.
      assert.ok((counters?.oversized ?? 0) >= 2);
      assert.deepEqual(
        warnings.map((facts) => [(facts as { container?: string }).container]),
        [[large.id]],
        'said once a minute',
      );
      // An agent that starts later has the list only, which is as long.
      const next = await startApps();
      try {
        assert.equal(next.apps.snapshot().runtimes[0]!.connected, true);
        await until('listed', () => statusOf(next.apps, large.id)?.state === 'included');
      } finally {
        await next.stop();
      }
      await large.kill();
      await large.remove({ force: true });
      await small.remove({ force: true });
    } finally {
      await host.stop();
    }
  });

  test('labels that are too long to read: the operator is told, and the mode decides', async () => {
    const said: string[] = [];
    const logger = {
      ...SILENT_LOGGER,
      warn: (_: object, sentence: string) => void said.push(sentence),
    };
    const labels = { ...manyLabels(9), 'varvel.enable': 'true' };
    const large = await run('endless', ['sleep', '60'], labels);
    try {
      for (const [mode, state] of [
        ['opt-in', 'excluded'],
        ['opt-out', 'included'],
      ] as const) {
        const host = await startApps({ mode }, true, logger);
        try {
          const status = await until(`decided in mode ${mode}`, () => {
            const found = statusOf(host.apps, large.id);
            return found !== undefined && found.state !== 'pending' && found;
          });
          assert.equal(status.state, state);
        } finally {
          await host.stop();
        }
      }
      // Which container is named depends on what of the last ten seconds is told first: one line a minute.
      assert.equal(said.length, 2, 'once by each agent');
      for (const sentence of said)
        assert.match(sentence, /^What Docker says of a container is longer than the limit/);
    } finally {
      await large.remove({ force: true });
    }
  });

  test('a container below another cgroup parent is found by its process, or from birth when it is configured', async () => {
    const container = await engine.docker.createContainer({
      name: 'elsewhere',
      Image: image,
      Cmd: ['sleep', '60'],
      Labels: { 'varvel.enable': 'true' },
      HostConfig: { CgroupParent: '/varvel-test-parent' },
    });
    await container.start();
    const host = await startApps();
    const configured = await startApps(
      { docker: { socketPath: engine.socketPath, cgroupParents: ['varvel-test-parent'] } },
      false,
    );
    try {
      const path = `/varvel-test-parent/${container.id}`;
      const status = await until('found', () => statusOf(host.apps, container.id));
      assert.equal(status.cgroupPath, path);
      assert.equal(included(host.apps.resolve(cgroupId(host.apps, path))).name, 'elsewhere');
      assert.equal(host.map.get(status.cgroupId)?.state, 'included');
      assert.equal(included(configured.apps.resolve(cgroupId(host.apps, path))).name, 'elsewhere');
      await container.remove({ force: true });
      await host.apps.rescan();
      assert.equal(statusOf(host.apps, container.id)?.gone, true);
    } finally {
      await container.remove({ force: true }).catch(() => undefined);
      await host.stop();
      await configured.stop();
      removeCgroup('/varvel-test-parent');
    }
  });

  test('a cgroup that only looks like a container is nobody’s', async () => {
    const host = await startApps();
    const path = `/docker/${'0123456789abcdef'.repeat(4)}`;
    const directory = join(host.apps.hierarchy.mountPoint, path);
    mkdirSync(directory);
    try {
      const status = await until('excluded', () => {
        const now = host.apps.snapshot().containers.find((each) => each.cgroupPath === path);
        return now?.state === 'excluded' && now;
      });
      assert.equal(status.reason, 'Its runtime (docker) knows no such container.');
      assert.equal(host.map.get(status.cgroupId)?.state, 'excluded');
    } finally {
      rmdirSync(directory);
      await host.stop();
    }
  });

  test('no socket: a sentence, and the agent goes on until there is one', async () => {
    const warnings: string[] = [];
    const apps = new Apps(
      { docker: { socketPath: '/nonexistent/docker.sock' }, rescanMs: 0 },
      {
        scopeMap: new MemoryScopeMap(),
        logger: { ...SILENT_LOGGER, warn: (_, message) => warnings.push(message) },
      },
    );
    const began = Date.now();
    await apps.start();
    assert.ok(Date.now() - began < 2000, 'a missing engine does not delay the start');
    await delay(900);
    assert.equal(warnings.length, 1, 'said once, not at each attempt');
    assert.match(
      warnings[0]!,
      /^There is no Docker socket at \/nonexistent\/docker\.sock: start Docker/,
    );
    assert.equal(apps.snapshot().runtimes[0]!.connected, false);
    await apps.stop();
  });
});
