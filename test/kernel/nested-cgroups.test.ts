import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LIMITS } from '../../src/events/table.gen.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import type { Step } from '../support/kernel-process.ts';

/** More than the kernel's map of containers holds. */
const NESTED = LIMITS.SCOPE_MAX + 1000;
const OPEN: readonly Step[] = ['openat', -100, '/etc/hostname', 0, 0];

for (const kind of ['v2', 'v1-pids'] as const) {
  const skip = missingHierarchy(kind);
  test(
    `${kind}: ${NESTED} nested cgroups of a container need no room, and what runs in them is seen`,
    { skip },
    async () => {
      const probe = new KernelProbe({ hierarchy: kind });
      const made: string[] = [];
      try {
        const container = probe.mkdir('container');
        await probe.settle();
        const before = probe.probe.stats();
        for (let at = 0; at < NESTED; at++) {
          const dir = join(container.dir, `n${at}`);
          mkdirSync(dir);
          made.push(dir);
        }
        assert.equal(probe.probe.scopeEntries().length, 1, 'the container has the only entry');
        assert.equal(probe.probe.stats().emitted, before.emitted, 'nothing is reported of them');
        assert.equal(probe.probe.stats().scopeFull, 0);

        const last = probe.cgroupAt(made.at(-1)!);
        const running = await probe.run(last, OPEN);
        const opened = probe.openOf(running.pid, '/etc/hostname');
        assert.equal(opened.cgroupId, container.id, 'it is the container’s');

        const neighbour = probe.mkdir('neighbour');
        const other = await probe.run(neighbour, OPEN);
        assert.equal(probe.openOf(other.pid, '/etc/hostname').cgroupId, neighbour.id);
      } finally {
        for (const dir of made.reverse()) rmdirSync(dir);
        await probe.close();
      }
    },
  );

  test(`${kind}: a process deep below its container is seen`, { skip }, async () => {
    const probe = new KernelProbe({ hierarchy: kind });
    try {
      const container = probe.mkdir('container');
      const deep = probe.mkdir(`container/${Array.from({ length: 60 }, () => 'd').join('/')}`);
      const running = await probe.run(deep, OPEN);
      assert.equal(probe.openOf(running.pid, '/etc/hostname').cgroupId, container.id);
      assert.equal(probe.entry(container).emitted, probe.deliveredBy.get(container.id));
    } finally {
      await probe.close();
    }
  });
}
