// What `varvel doctor` says of denial: it tries it.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import { runProbeSelfTest } from '../../src/cli/doctor/self-test.ts';
import { WIRE_VERSION } from '../../src/events/table.gen.ts';
import { DenialTest } from '../../src/plan/denial-test.ts';
import { LiveProbe, loadProbe } from '../../src/probe/live.ts';
import { load } from '../unit/config/load-fixture.ts';

describe('denial is tried', () => {
  const { config } = load('');
  const hierarchy = detectHierarchy('auto');
  let probe: LiveProbe;
  before(async () => {
    const { kind, hierarchyId: id } = hierarchy;
    const rings = { execRingBytes: 65_536, bulkRingBytes: 65_536 };
    const { compatCalls } = config.probe;
    const loaded = await loadProbe(
      { hierarchy: { kind, id }, patterns: [], compatCalls, ...rings },
      WIRE_VERSION,
    );
    probe = new LiveProbe(loaded, config.probe);
    probe.start(() => undefined);
  });
  after(() => probe.close());

  test('as doctor does: a program, a connection, an open and other calls are denied, and their records say so', async () => {
    const { denial } = await runProbeSelfTest(config);
    const works = { status: 'fulfilled', value: 'denied' };
    const { program, connection, cgroup, unix, file, call, memory, namespace } = denial;
    assert.deepEqual([program, connection, cgroup], [works, works, works]);
    const why: unknown = file.status === 'rejected' ? file.reason : undefined;
    if (file.status === 'fulfilled') assert.deepEqual(file, works);
    else
      assert.match(
        String(why),
        /Cannot refuse to open or change files: EPERM\. This kernel lets no BPF program/,
      );
    // A kernel that refuses opens refuses these, too: 6.1 and newer.
    const others = [unix, call, memory, namespace];
    if (file.status === 'fulfilled') assert.deepEqual(others, Array(4).fill(works));
    else
      assert.deepEqual(
        others.map(({ status }) => status),
        Array(4).fill('rejected'),
      );
  });

  test('a kernel that does not deny it, or an agent that is not told of it, is reported', async () => {
    const deaf = new DenialTest(probe, hierarchy.mountPoint);
    assert.equal(await deaf.run('program'), 'untold');
    assert.equal(await deaf.run('connection'), 'not denied', 'nothing is loaded that refuses it');
    probe.denyConnects(detectHierarchy('v2').mountPoint);
    assert.equal(await deaf.run('connection'), 'untold');
    assert.equal(await deaf.run('file'), 'not denied', 'nothing is loaded that refuses it');
    assert.equal(await deaf.run('cgroup'), 'not denied', 'nothing is loaded that refuses it');
    assert.equal(await deaf.run('unix'), 'not denied', 'nothing is loaded that refuses it');
    assert.equal(await deaf.run('memory'), 'not denied', 'nothing is loaded that refuses it');
    assert.equal(await deaf.run('namespace'), 'not denied', 'nothing is loaded that refuses it');
    deaf.end();
    const idle = new Proxy(probe, {
      get: (target, key) => {
        if (key === 'setVerdicts') return () => undefined;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const test = new DenialTest(idle, hierarchy.mountPoint);
    assert.equal(await test.run('program'), 'not denied');
    assert.equal(await test.run('connection'), 'not denied');
    test.end();
    assert.ok(!existsSync(`${hierarchy.mountPoint}/varvel-denial-${process.pid}`));
  });
});
