import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  cgroupId,
  engine,
  image,
  included,
  run,
  seen,
  startApps,
  statusOf,
  until,
} from '../../support/docker-apps.ts';
import { removeCgroup } from '../../support/cgroup-trees.ts';

describe('apps with a real Docker engine', { concurrency: false }, () => {
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
});
