// An engine that is away, or says more of a container than is read.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Apps } from '../../../src/apps/apps.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { engine, run, seen, startApps, statusOf, until } from '../../support/docker-apps.ts';
import { MemoryScopeMap } from '../../support/memory-scope-map.ts';

describe('trouble with a real Docker engine', { concurrency: false }, () => {
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
