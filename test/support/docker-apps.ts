// A real Docker engine, and what the apps stage knows of its containers. Importing it starts the engine.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Apps } from '../../src/apps/apps.ts';
import type { AppsConfig } from '../../src/apps/configured-runtimes.ts';
import type { Resolution } from '../../src/apps/resolution.ts';
import { SILENT_LOGGER, type Logger } from '../../src/shared/logger.ts';
import { startDockerd, type TestDockerd } from './dockerd.ts';
import { MemoryScopeMap, watchCgroups, type CgroupWatch } from './memory-scope-map.ts';

export interface Host {
  readonly apps: Apps;
  readonly map: MemoryScopeMap;
  readonly watch: CgroupWatch | undefined;
  stop(): Promise<void>;
}

/** Of this process's tests; the image is busybox. */
export let engine: TestDockerd;
export let image: string;

before(async () => {
  engine = await startDockerd({ own: true });
  image = await engine.importBusybox();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** The apps stage over that engine. Where it is `watched`, it is told of cgroups as the probe would tell it. */
export async function startApps(
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

/** Polls for at most 10 s. */
export async function until<T>(what: string, probe: () => T | undefined | false): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const value = probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) assert.fail(`not within 10 s: ${what}`);
    await delay(10);
  }
}

/** What the stage says of the container, if anything. */
export function statusOf(apps: Apps, id: string) {
  return apps.snapshot().containers.find((container) => container.fullId === id);
}

/** By its path in the hierarchy. */
export function cgroupId(apps: Apps, path: string): number {
  return statSync(join(apps.hierarchy.mountPoint, path)).ino;
}

export function included(resolution: Resolution) {
  assert.equal(resolution.state, 'included');
  return resolution.container;
}

/**
 * Waits until its cgroup has been seen. The probe sees each; what stands in for it here is blind to one that is gone before this
 * process runs again.
 */
export const seen = (host: Host, { id }: { readonly id: string }): Promise<boolean> =>
  until(`the cgroup of ${id} is seen`, () =>
    host.watch?.changes.some(({ path }) => path.endsWith(`/${id}`)),
  );

/** Starts a container without a network. */
export async function run(name: string, command: string[], labels: Record<string, string> = {}) {
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
