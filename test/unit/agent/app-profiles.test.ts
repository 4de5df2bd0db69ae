import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  APPS_MAX,
  AppProfiles,
  PORTS_MAX,
  VALUES_MAX,
  type ProfileReport,
} from '../../../src/agent/app-profiles.ts';
import { SEEN_MAX, SeenValues } from '../../../src/agent/seen-values.ts';
import type { AppIdentity, Container } from '../../../src/apps/identity.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import {
  CONTAINER,
  makeConnect,
  makeEvent,
  makeExec,
  makeFile,
  makeProcess,
  makeRefused,
  makeSubject,
} from '../../support/rules-subject.ts';
import { evaluationWorld, webContainer } from '../evaluation/evaluation-fixture.ts';

const SHOP = CONTAINER.app!;
const containerOf = (app: Partial<AppIdentity>, fullId = 'c1'): Container => ({
  ...CONTAINER,
  fullId,
  app: { ...SHOP, ...app },
});

const programs = ({ programs: { values } }: ProfileReport): (readonly unknown[])[] =>
  values.map(({ value, count, rule }) =>
    rule === undefined ? [value, count] : [value, count, rule],
  );

class World {
  nowMs = 1000;
  readonly profiles = new AppProfiles({ nowMs: () => this.nowMs });

  run(exePath: string, container = CONTAINER, exec = makeExec({ file: makeFile(exePath) })): void {
    const process = makeProcess({ image: { exePath } });
    this.profiles.evaluated(makeEvent('execve', { exec }), process, container);
  }

  connect(remoteIp: string, remotePort = 443, more: Parameters<typeof makeConnect>[0] = {}): void {
    const call = makeConnect({ remoteIp, remotePort, ...more });
    this.profiles.evaluated(makeEvent('connect', { call }), makeProcess(), CONTAINER);
  }

  the(name = 'shop'): ProfileReport {
    const [profile, ...others] = this.profiles.named(name);
    assert.ok(profile !== undefined && others.length === 0);
    return profile;
  }
}

describe('AppProfiles', () => {
  test('programs that ran, with how often, since the first; in how many containers', () => {
    const world = new World();
    world.run('/usr/bin/node');
    world.nowMs = 2000;
    world.run('/usr/bin/git', { ...CONTAINER, fullId: 'other' });
    world.run('/usr/bin/git', { ...CONTAINER, labels: {} });
    world.run('/usr/bin/node');
    world.run('/usr/bin/node');
    const report = world.the();
    assert.deepEqual(programs(report), [
      ['/usr/bin/node', 3],
      ['/usr/bin/git', 2],
    ]);
    assert.deepEqual(
      [report.sinceMs, report.containers, report.name, report.space, report.org, report.kind],
      [1000, 2, 'shop', 'prod', 'acme', 'app'],
    );
  });

  test('not the runtime’s set-up, nor what failed, was denied, or is run at staging', () => {
    const { profiles } = new World();
    const ran = (result: number, setup: boolean, denied: boolean, container = CONTAINER): void => {
      const event = makeEvent('execve', { exec: makeExec(), result, denied });
      profiles.evaluated(event, makeProcess({ setup }), container);
    };
    ran(-2, false, false);
    ran(0, true, false);
    ran(0, false, false, containerOf({ workload: 'staging' }));
    assert.deepEqual(profiles.names(), []);
    ran(0, false, true);
    assert.deepEqual(profiles.named('shop'), [], 'nothing of it is an app’s doing');
    ran(0, false, false, containerOf({ workload: 'task' }));
    assert.deepEqual(profiles.names(), ['shop']);
  });

  test('addresses elsewhere, with their ports; mapped ones as IPv4', () => {
    const world = new World();
    const v6 = { family: 10 };
    for (const [ip, port] of [
      ['10.0.0.7', 5432],
      ['10.0.0.7', 5432],
      ['10.0.0.7', 6379],
      ['127.0.0.1', 80],
      ['0.0.0.0', 80],
      ['', 0],
    ] as const)
      world.connect(ip, port);
    for (const ip of ['::1', '::', '::ffff:127.0.0.1', '::ffff:10.0.0.7', '2001:db8::7'])
      world.connect(ip, 443, v6);
    world.connect('10.0.0.2', 53, { protocol: 17, socketType: 2 });
    world.connect('10.0.0.2', 53, { family: 1 });
    const seen = world
      .the()
      .addresses.values.map(({ value, count, ports }) => [value, count, ports]);
    assert.deepEqual(seen, [
      ['10.0.0.7', 4, [5432, 6379, 443]],
      ['2001:db8::7', 1, [443]],
    ]);
    for (let port = 1; port <= PORTS_MAX; port++) world.connect('192.0.2.1', port);
    assert.equal(world.the().addresses.values[0]?.hasMorePorts, false);
    world.connect('192.0.2.1', 9999);
    assert.equal(world.the().addresses.values[0]?.hasMorePorts, true);
    assert.equal(world.the().addresses.values[0]?.ports.length, PORTS_MAX);
  });

  test('connections that the kernel has counted: the first, and one each time that their number has doubled', () => {
    const { profiles } = new World();
    const counts: (number | undefined)[] = [];
    for (const size of [1, 2, 4, 8, 0]) {
      const call = { ...makeConnect({ remoteIp: '10.0.0.7' }), size };
      profiles.evaluated(makeEvent('connect', { call }), makeProcess(), CONTAINER);
      counts.push(profiles.named('shop')[0]?.addresses.values[0]?.count);
    }
    // One that a rule is about counts by itself.
    assert.deepEqual(counts, [1, 2, 4, 8, 9]);
  });

  test('datagrams to a new peer are connections too; what is refused and what goes on are not', () => {
    const { profiles } = new World();
    const process = makeProcess();
    const send = (peerChanged: boolean, remoteIp: string): void => {
      const call = makeConnect({ protocol: 17, socketType: 2, remoteIp }, { peerChanged });
      profiles.evaluated(makeEvent('sendto', { call }), process, CONTAINER);
    };
    profiles.evaluated(
      makeEvent('connect', { call: makeRefused(3), result: -111 }),
      process,
      CONTAINER,
    );
    assert.deepEqual(profiles.names(), []);
    send(false, '192.0.2.1');
    send(true, '192.0.2.2');
    const values = profiles.named('shop')[0]?.addresses.values;
    assert.deepEqual(
      values?.map(({ value }) => value),
      ['192.0.2.2'],
    );
  });

  test('what a detection was about has the first rule’s name: the program, and the address', () => {
    const world = new World();
    const { profiles } = world;
    world.run('/bin/sh');
    world.connect('192.0.2.1');
    world.connect('192.0.2.2');
    const process = makeProcess({ image: { exePath: '/bin/sh' } });
    const matched = (rule: string, event = makeEvent('openat')): void =>
      profiles.matched(rule, makeSubject(event, { process }));
    matched('First');
    matched('Second');
    const call = makeConnect({ remoteIp: '192.0.2.1' });
    matched('Third', makeEvent('connect', { call }));
    const tuple = makeConnect({ remoteIp: '192.0.2.2' }).socket?.tuple;
    const standard = [{ type: 'ipv4', tuple, connected: true }];
    matched('Shell on a connection', makeEvent('execve', { exec: makeExec({ standard }) }));
    assert.deepEqual(programs(world.the()), [['/bin/sh', 1, 'First']]);
    assert.deepEqual(
      world.the().addresses.values.map(({ value, rule }) => [value, rule]),
      [
        ['192.0.2.1', 'Third'],
        ['192.0.2.2', 'Shell on a connection'],
      ],
    );
    profiles.matched('r', makeSubject(makeEvent('openat'), { container: undefined }));
    assert.deepEqual(profiles.names(), ['shop'], 'nobody’s is nobody’s');
  });

  test('a detection before the program is seen to run marks it all the same', () => {
    const world = new World();
    const process = makeProcess({ image: { exePath: '/app/late' } });
    world.profiles.matched('R', makeSubject(makeEvent('openat'), { process }));
    world.run('/app/late');
    assert.deepEqual(programs(world.the()), [['/app/late', 1, 'R']]);
  });

  test('clients of the app, which a detection shows, are none of the hosts that it connects to', () => {
    const world = new World();
    const call = makeConnect({ remoteIp: '192.0.2.9' });
    world.profiles.matched('R', makeSubject(makeEvent('accept', { call })));
    assert.deepEqual(world.the().addresses.values, []);
  });

  test('what no policy can have is counted: long and unusual paths, and files without one', () => {
    const world = new World();
    const unfit = [
      `/${'x'.repeat(255)}`,
      `/${'é'.repeat(130)}`,
      '/a\nb',
      '/a\u001b[2J',
      '/a\u009b2J',
      '/\u202egpj',
      '/a\u2028b',
      '/\udcff',
      '/a"b',
      '/a\\b',
      '/a*',
      'relative',
      '/a/../b',
      '/a//b',
      '',
    ];
    for (const path of [...unfit, ...unfit]) world.run(path);
    world.run('/memfd:x', CONTAINER, makeExec({ file: makeFile('/memfd:x', { detached: true }) }));
    world.run('/deep', CONTAINER, makeExec({ file: makeFile('/deep', { pathTruncated: true }) }));
    for (const path of ['/a b', "/it's", '/ä #x', `/${'x'.repeat(254)}`]) world.run(path);
    const { values, unfit: count } = world.the().programs;
    assert.equal(count, unfit.length + 2);
    assert.equal(values.length, 4);
  });

  test('the same name in two spaces is two apps; a container of no app goes by its own name', () => {
    const { profiles, run } = worldOf();
    run('/a', containerOf({ space: 'prod' }));
    run('/b', containerOf({ space: 'dev' }));
    run('/c', { ...CONTAINER, name: 'shop', app: undefined });
    run('/d', { ...CONTAINER, name: 'lone', app: undefined });
    assert.deepEqual(
      profiles.named('shop').map(({ space }) => space),
      ['prod', 'dev'],
    );
    assert.deepEqual(
      profiles.named('lone').map(({ kind }) => kind),
      ['container'],
    );
    assert.deepEqual(profiles.names(), ['shop', 'lone']);
  });

  test('an app that is renamed is another one from then on', () => {
    const { profiles, run } = worldOf();
    run('/a', containerOf({ name: 'old' }));
    run('/b', containerOf({ name: 'new' }));
    assert.deepEqual(profiles.names(), ['new', 'old']);
  });

  test('beyond its bounds, values of an app are counted, and the first ones stay', () => {
    const world = new World();
    for (let n = 0; n < SEEN_MAX + 3; n++) world.run(`/bin/p${n}`);
    world.run('/bin/p0');
    world.run(`/bin/p${SEEN_MAX}`);
    const { values, notRemembered } = world.the().programs;
    assert.deepEqual([values.length, notRemembered, values[0]?.count], [SEEN_MAX, 3, 2]);
    for (let n = 0; n < 3 * SEEN_MAX; n++) world.run(`/bin/q${n}`);
    assert.equal(world.the().programs.notRemembered, SEEN_MAX, 'so many or more');
  });

  test('of too many apps the one that did nothing for longest is forgotten, and counted', () => {
    const { profiles, run } = worldOf();
    const containers = Array.from({ length: APPS_MAX }, (_, n) =>
      containerOf({ name: `app-${n}` }, `id-${n}`),
    );
    for (const container of containers) run('/a', container);
    run('/a', containers[0]);
    run('/a', containerOf({ name: 'one more' }));
    assert.equal(profiles.forgotten, 1);
    assert.deepEqual([profiles.named('app-0').length, profiles.named('app-1').length], [1, 0]);
    run('/b', containers[1]);
    assert.deepEqual(programs(profiles.named('app-1')[0]!), [['/b', 1]], 'it begins anew');
    assert.equal(profiles.forgotten, 2);
  });

  test('all values together are bounded, too', () => {
    const { profiles, run } = worldOf();
    const apps = VALUES_MAX / SEEN_MAX + 10;
    for (let app = 0; app < apps; app++) {
      const container = containerOf({ name: `app-${app}` }, `id-${app}`);
      for (let n = 0; n < SEEN_MAX; n++) run(`/bin/p${n}`, container);
    }
    assert.equal(profiles.forgotten, 10);
    assert.equal(profiles.names().length, VALUES_MAX / SEEN_MAX);
  });

  test('values are sorted by use, then by themselves', () => {
    const seen = new SeenValues(
      () => true,
      (value) => ({ value, count: 1, rule: undefined }),
    );
    for (const value of ['/c', '/a', '/b']) seen.take(value);
    seen.take('/b')!.count++;
    assert.deepEqual(
      seen.report().values.map(({ value }) => value),
      ['/b', '/a', '/c'],
    );
  });
});

/** The same without `this`. */
function worldOf() {
  const world = new World();
  return { profiles: world.profiles, run: world.run.bind(world) };
}

describe('beside an evaluation', () => {
  const CGROUP = 12_345;
  const ID = 'b'.repeat(64);
  const rules = ruleFile('evt.type in (execve, connect) and proc.exepath = /tmp/x', 'x');

  function observed() {
    const profiles = new AppProfiles();
    const world = evaluationWorld(new RuleEngine(ruleSetOf(rules)), { observer: profiles });
    profiles.follow(world.registry);
    const include = (): void =>
      world.registry.decide('docker', ID, {
        state: 'included',
        container: webContainer(ID),
        reason: '',
      });
    const run = (exePath: string): void => {
      const exec = makeExec({ file: makeFile(exePath) });
      const event = makeEvent('execve', { cgroupId: CGROUP, exec });
      world.evaluation.onEvent(event, makeProcess({ image: { exePath } }));
    };
    world.registry.found(CGROUP, `/docker/${ID}`);
    return { ...world, profiles, include, run };
  }

  test('events that were held count once the container is known; it is known without any', () => {
    const { profiles, include, run, evaluation, delivered } = observed();
    run('/usr/bin/node');
    run('/tmp/x');
    assert.deepEqual(profiles.names(), []);
    include();
    assert.deepEqual(profiles.names(), ['web']);
    assert.deepEqual(programs(profiles.named('web')[0]!), [
      ['/tmp/x', 1, 'r'],
      ['/usr/bin/node', 1],
    ]);
    run('/usr/bin/node');
    assert.equal(programs(profiles.named('web')[0]!)[0]?.[1], 2);
    assert.equal(delivered.length, 1);
    assert.deepEqual([...evaluation.needs].sort(), ['connect', 'execve']);
  });

  test('a detection that waited longer than its event could marks its program', () => {
    const { profiles, include, run, time } = observed();
    run('/tmp/x');
    run('/usr/bin/node');
    time.nowMs = 6000;
    run('/usr/bin/node');
    assert.deepEqual(profiles.names(), []);
    include();
    assert.deepEqual(programs(profiles.named('web')[0]!), [['/tmp/x', 0, 'r']]);
  });

  test('a container that is not watched has no profile', () => {
    const { profiles, registry, run } = observed();
    run('/usr/bin/node');
    registry.decide('docker', ID, { state: 'excluded', container: webContainer(ID), reason: '' });
    run('/usr/bin/node');
    assert.deepEqual(profiles.names(), []);
  });
});
