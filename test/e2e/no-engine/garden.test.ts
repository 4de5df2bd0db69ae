import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { buildApp, pooled, settled, until } from '../../support/e2e-agent.ts';
import type { CellProcess, GardenCell } from '../../support/garden-cell.ts';
import { fileOf, OPENS, properties, stage } from '../../support/garden-marks.ts';
import { propertiesOf } from '../../support/garden-server.ts';

/** Apps that ask to be watched while they run. */
const LIVE_APPS = 20;

/** All shapes that cells have, for a handle: where it is, where its processes go. */
const SHAPES: readonly ((handle: string) => {
  readonly cgroup: string;
  readonly inside: string;
})[] = [
  (handle) => ({ cgroup: `/${handle}`, inside: `/${handle}` }),
  (handle) => ({ cgroup: `/${handle}`, inside: `/${handle}/init` }),
  (handle) => ({ cgroup: `/good/${handle}`, inside: `/good/${handle}/init` }),
  (handle) => ({ cgroup: `/good/${handle}`, inside: `/good/${handle}` }),
];
const shapeOf = (index: number) => SHAPES[index % SHAPES.length]!;

for (const hierarchy of ['v1', 'v2'] as const) {
  describe(`a cell with cgroup ${hierarchy}`, () => {
    test('200 containers come and go, some by handles that come again, and each detection is its own app’s', async (t) => {
      const it = await stage(t, hierarchy);
      const { cell, agent } = it;
      const { server } = cell;
      const all: { name: string; guid: string | undefined; handle: string }[] = [];
      const live = async (handle: string, guid: string, index: number, asks = true) => {
        const { cgroup, inside } = shapeOf(index)(handle);
        server.begin(handle);
        cell.mkdir(inside);
        // What is made step by step may be asked for in between.
        const made = asks ? properties({ guid, index }) : propertiesOf({ guid, index });
        for (const [name, value] of Object.entries(made)) server.set(handle, name, value);
        server.set(handle, 'garden.state', 'created');
        await it.mark(inside, guid);
        all.push({ name: guid, guid: asks ? guid : undefined, handle });
        if (asks) {
          await until(`the marks of ${guid}`, () => it.lines(guid).length >= OPENS, 60_000);
        } else {
          await until(`${handle} is told`, () => server.told.has(handle), 60_000);
        }
        await cell.rmdir(cgroup);
        server.destroy(handle);
      };
      // 140 that are never seen again, 20 that did not ask, and 8 handles that five apps have one after the other.
      const jobs = [
        ...Array.from({ length: 8 }, (_, lane) => async () => {
          for (let turn = 0; turn < 5; turn++) {
            await live(`again-${lane}`, `again-${lane}-by-${turn}`, lane);
          }
        }),
        ...Array.from(
          { length: 160 },
          (_, index) => () => live(`once-${index}`, `app-${index}`, index, index % 8 !== 0),
        ),
      ];
      await pooled(jobs, 24, (job) => job());
      const snapshot = await settled(agent);
      assert.equal(all.length, 200);
      for (const { name, guid, handle } of all) {
        if (guid === undefined) assert.deepEqual(it.lines(name), [], name);
        else it.assertMarked(name, guid, handle);
      }
      assert.equal(agent.detections().length, 180 * OPENS);
      for (const [guid, instance, file] of await it.tenantLines(180 * OPENS)) {
        assert.ok(file.startsWith(`${guid}.`), `${file} in the log of ${guid}`);
        assert.equal(instance, (/^again-(\d+)-by/.exec(guid) ?? /-(\d+)$/.exec(guid))?.[1]);
      }
      assert.equal(snapshot.kernel.dropped, 0);
      let pending: readonly string[] = [];
      await until(
        () => `nothing is pending, but ${pending.slice(0, 5).join(', ')}`,
        async () => {
          const { apps, waiting } = await agent.snapshot();
          const found = apps.containers.filter(({ state }) => state === 'pending');
          pending = found.map(({ cgroupPath, gone }) => `${cgroupPath}${gone ? ' (gone)' : ''}`);
          return apps.counters.pending === 0 && waiting.detections.held === 0;
        },
      );
      const bulk = server.questions.filter((question) => question !== '/containers');
      t.diagnostic(`${bulk.length} questions for 200 containers`);
    });

    for (const first of ['the agent', 'the app'] as const) {
      test(`a container that is moved between good and bad while it attacks stays the same app’s, without a gap (${first} was first)`, async (t) => {
        let steps: CellProcess | undefined;
        const begin = (cell: GardenCell): void => {
          buildApp(cell.folder);
          cell.server.create('h', properties({ guid: 'app-1', index: 2 }));
          cell.mkdir('/good/h/init');
          const marks = join(cell.folder, 'marks');
          steps = cell.run('/good/h/init', [join(cell.folder, 'app'), 'steps', '150', marks]);
        };
        const it = await stage(t, hierarchy, [], async (cell) => {
          await cell.server.start();
          if (first === 'the app') begin(cell);
        });
        const { cell, agent } = it;
        if (steps === undefined) begin(cell);
        assert.ok(steps !== undefined);
        cell.mkdir('/bad/h');
        for (let move = 0; move < 12; move++) {
          cell.move(steps.pid, move % 2 === 0 ? '/bad/h' : '/good/h/init');
          const before = it.lines('r').length;
          await until('it goes on', () => it.lines('r').length > before + 10);
        }
        writeFileSync(join(cell.folder, 'marks', 'stop'), '');
        const count = Number(await steps.ended);
        const snapshot = await settled(agent);
        const lines = it.lines('r');
        assert.deepEqual(
          lines.map(fileOf),
          Array.from({ length: lines.length }, (_, at) => `r.${count - lines.length + at + 1}`),
        );
        assert.deepEqual(
          lines.map(({ seq }) => seq),
          Array.from({ length: lines.length }, (_, at) => at + 1),
          'one log, without a gap',
        );
        if (first === 'the agent') assert.equal(lines.length, count);
        for (const line of lines) {
          assert.equal(line.app?.['guid'], 'app-1');
          assert.equal(line.app['instance'], '2');
        }
        const roots = snapshot.apps.containers.filter(({ fullId }) => fullId === 'h');
        assert.deepEqual(roots.map(({ cgroupPath }) => cgroupPath.replace(cell.root, '')).sort(), [
          '/bad/h',
          '/good/h',
        ]);
        for (const { emitted } of roots) assert.ok(emitted > 0, 'both cgroups had events');
        const tenantLines = await it.tenantLines(lines.length);
        assert.deepEqual(
          tenantLines.map(([guid, instance]) => `${guid} ${instance}`),
          tenantLines.map(() => 'app-1 2'),
        );
        t.diagnostic(`${lines.length} of ${count} steps, 12 moves`);
      });
    }

    test('Garden is down when the agent starts: what is detected waits, and comes to the right app', async (t) => {
      const it = await stage(t, hierarchy, ['hold_time: 500ms'], (cell) => {
        cell.mkdir('/good/early/init');
        cell.server.create('early', properties({ guid: 'app-early' }));
        cell.server.create('late', properties({ guid: 'app-late', workload: 'task' }));
        return Promise.resolve();
      });
      const { cell, agent } = it;
      cell.mkdir('/late');
      await it.mark('/good/early/init', 'early');
      await it.mark('/late', 'late');
      await until('all is evaluated and waits', async () => {
        return (await agent.snapshot()).waiting.detections.held === 2 * OPENS;
      });
      assert.deepEqual(agent.detections(), [], 'nothing leaves without its app');
      const status = agent.varvel('status').stdout;
      assert.match(
        status,
        /runtime garden: NOT CONNECTED\. There is no Garden socket at .*: start/,
      );
      assert.match(status, /Its runtime \(garden\) has not identified it for \d+ s/);
      await cell.server.start();
      await until('they come', () => agent.detections().length >= 2 * OPENS);
      await settled(agent);
      it.assertMarked('early', 'app-early', 'early');
      it.assertMarked('late', 'app-late', 'late');
      assert.equal(it.lines('late')[0]?.app?.['process_type'], 'task');
      assert.equal(agent.detections().length, 2 * OPENS);
      for (const [guid, , file] of await it.tenantLines(2 * OPENS))
        assert.equal(guid, `app-${file.replace(/\.\d$/, '')}`);
      const connected = /runtime garden: connected\. Connected to Garden/;
      await until('it says so', () => connected.test(agent.varvel('status').stdout));
      await agent.logged(/There is no Garden socket/);
      assert.equal(agent.log().match(/There is no Garden socket/g)?.length, 1, 'warned once');
      const metrics = await agent.metrics();
      assert.match(metrics, /^varvel_runtime_connected\{runtime="garden"\} 1$/m);
      assert.match(metrics, /^varvel_runtime_connects_total\{runtime="garden"\} 1$/m);
      assert.match(metrics, /^varvel_runtime_questions_total\{runtime="garden"\} [1-9]/m);
      assert.match(metrics, /^varvel_runtime_failures_total\{runtime="garden"\} \d/m);
      assert.match(metrics, /^varvel_runtime_refused_total\{runtime="garden"\} 0$/m);
    });

    test('Garden answers after 4 s: within the hold time and beyond it, each detection is its own app’s', async (t) => {
      for (const holdTime of ['5s', '1s']) {
        const it = await stage(t, hierarchy, [`hold_time: ${holdTime}`, 'rescan_interval: 1s']);
        const { cell, agent } = it;
        cell.server.delayMs = 4000;
        for (const handle of ['a', 'b']) {
          cell.server.create(handle, properties({ guid: `app-${handle}` }));
          cell.mkdir(`/${handle}`);
          await it.mark(`/${handle}`, handle);
        }
        // Each question takes 4 s, and one may have to be asked again.
        await until('they come', () => agent.detections().length >= 2 * OPENS, 60_000);
        await settled(agent);
        for (const handle of ['a', 'b']) it.assertMarked(handle, `app-${handle}`, handle);
        assert.equal(agent.detections().length, 2 * OPENS);
        for (const [guid, , file] of await it.tenantLines(2 * OPENS))
          assert.equal(guid, `app-${file.charAt(0)}`);
        await agent[Symbol.asyncDispose]();
        await cell[Symbol.asyncDispose]();
      }
    });

    test('apps that ask while they run, and an agent that is held up: from the moment that it says so, nothing is missing', async (t) => {
      const it = await stage(t, hierarchy, ['rescan_interval: 1s']);
      const { cell, agent } = it;
      const marks = join(cell.folder, 'marks');
      const handles = Array.from({ length: LIVE_APPS }, (_, at) => `app-${at}`);
      const stateOf = async (handle: string): Promise<string | undefined> =>
        // It does not answer while it is held up.
        (await agent.containerStatus(handle).catch(() => undefined))?.state;
      // Each step is a process of its own: nothing of it was known before.
      const script = `i=0; while [ ! -e ${marks}/stop ]; do i=$((i+1)); : > $0.$i; echo $i > $0; cat $0.$i > /dev/null; sleep 0.05; done; echo $i`;
      const apps = handles.map((handle) => {
        cell.mkdir(`/${handle}`);
        cell.server.create(handle, propertiesOf({ guid: handle }));
        return cell.run(`/${handle}`, ['sh', '-c', script, join(marks, handle)]);
      });
      // The file is empty for a moment at each step.
      const stepNow = (handle: string): Promise<number> =>
        until(
          'it says its step',
          () => Number(readFileSync(join(marks, handle), 'utf8')) || undefined,
        );
      for (const handle of handles)
        await until('it is known, and out', async () => (await stateOf(handle)) === 'excluded');
      // For moments, of any length and at any time.
      const free = new AbortController();
      const holdUp = (async () => {
        while (!free.signal.aborted) {
          agent.kill('SIGSTOP');
          await delay(Math.random() * 120);
          agent.kill('SIGCONT');
          await delay(20 + Math.random() * 100);
        }
      })();
      const watchedAt = new Map<string, number>();
      try {
        for (const handle of handles) {
          cell.server.set(handle, 'log_config', properties({ guid: handle })['log_config']!);
          await until('it is watched', async () => (await stateOf(handle)) === 'included', 120_000);
          // The one that runs now was begun before.
          watchedAt.set(handle, (await stepNow(handle)) + 1);
        }
        await delay(500);
        writeFileSync(join(marks, 'stop'), '');
        await Promise.all(apps.map(({ ended }) => ended));
      } finally {
        free.abort();
        await holdUp;
      }
      await settled(agent, 60_000);
      for (const [at, handle] of handles.entries()) {
        const steps = Number(await apps[at]!.ended);
        const seen = it.lines(handle).map((line) => Number(fileOf(line).split('.')[1]));
        const first = Math.min(...seen);
        assert.deepEqual(
          seen,
          Array.from({ length: steps - first + 1 }, (_, step) => first + step),
          `${handle}: from its first line on, each step once`,
        );
        const since = watchedAt.get(handle)!;
        assert.ok(first <= since, `${handle}: watched from step ${since}, the first is ${first}`);
      }
    });

    test('two apps are named: the operator alone is told, until the platform names one', async (t) => {
      const it = await stage(t, hierarchy, ['rescan_interval: 1s']);
      const { cell, agent } = it;
      const { server } = cell;
      server.create('h', { ...properties({ guid: 'app-1' }), 'network.app_id': 'app-2' });
      cell.mkdir('/h');
      await it.mark('/h', 'doubtful');
      await until('it is told', () => it.lines('doubtful').length >= OPENS);
      const reason = /log_config says that it is the app app-1, its network\.app_id says app-2\./;
      assert.match((await agent.containerStatus('h'))?.reason ?? '', reason);
      assert.match(agent.varvel('status').stdout, reason);
      await agent.logged(/A container’s app is not certain: .* the operator only/);

      server.set('h', 'log_config', properties({ guid: 'app-2' })['log_config']!);
      await until('the change is noticed', async () => {
        return (await agent.containerStatus('h'))?.app === 'name-of-app-2';
      });
      await it.mark('/h', 'certain');
      await until('it is told', () => it.lines('certain').length >= OPENS);

      server.set('h', 'log_config', '{"guid": "app-3"}');
      await until('the change is noticed', async () => {
        return (await agent.containerStatus('h'))?.app === undefined;
      });
      // Without a tag that asks it is out, whoever it is.
      assert.equal((await agent.containerStatus('h'))?.state, 'excluded');
      await it.mark('/h', 'out');
      await settled(agent);
      it.assertMarked('doubtful', undefined, 'h');
      it.assertMarked('certain', 'app-2', 'h');
      assert.deepEqual(it.lines('out'), []);
      assert.equal(agent.detections().length, 2 * OPENS);
      for (const [guid, , file] of await it.tenantLines(OPENS)) {
        assert.equal(guid, 'app-2');
        assert.match(file, /^certain\./, 'no tenant has a line of what was in doubt');
      }
    });
  });
}
