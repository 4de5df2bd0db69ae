import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDrillRule } from '../../../src/shared/drill.ts';
import type { Process } from '../../../src/context/process.ts';
import { loadRules, readRuleFile } from '../../../src/rules/loader/load.ts';
import {
  engine,
  result,
  SECOND,
  APP,
  GARDEN,
  names,
  exec,
  started,
} from '../../support/default-rules.ts';
import { FALCO_RULE_COUNT, falcoRuleSources } from '../../support/falco.ts';
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

describe('the default rules', () => {
  test('load without a word', () => {
    assert.deepEqual(result.warnings, []);
    assert.ok(result.loadedRules >= 71);
  });

  test('each says what it is, how it is to be taken, and who did what where', () => {
    for (const rule of result.ruleSet?.rules ?? []) {
      assert.ok(rule.description.length > 120, rule.name);
      // A drill is no technique of anybody's.
      const isTechnique = !isDrillRule(rule.name);
      for (const kind of [/^T\d{4}(\.\d{3})?$/, /^mitre_/])
        assert.equal(
          rule.tags.some((tag) => kind.test(tag)),
          isTechnique,
          rule.name,
        );
      const keys = rule.output.fields.flatMap(({ plain }) => plain.map(({ key }) => key));
      // Every line names the app by itself.
      assert.ok(!keys.includes('app.name'), rule.name);
      assert.ok(rule.description.includes('What to do: '), rule.name);
      for (const key of [
        'container.name',
        'container.id',
        'proc.cmdline',
        'proc.pname',
        'user.name',
      ]) {
        assert.ok(keys.includes(key), `${rule.name}: ${key}`);
      }
      assert.ok(rule.events.size < 12, rule.name);
    }
  });

  test('Sensitive file read', () => {
    const rule = 'Sensitive file read';
    for (const path of [
      '/etc/shadow',
      '/etc/gshadow',
      '/etc/sudoers',
      '/etc/sudoers.d/x',
      '/root/.ssh/id_rsa',
      '/home/v/.ssh/id_ed25519',
      '/etc/ssh/ssh_host_rsa_key',
    ]) {
      assert.deepEqual(names(openForRead(path)), [rule], path);
    }
    for (const path of [
      '/etc/passwd',
      '/app/id_rsa',
      '/root/.ssh/id_rsa.pub',
      '/etc/ssh/ssh_host_rsa_key.pub',
    ]) {
      assert.deepEqual(names(openForRead(path)), [], path);
    }
    const failed = makeEvent('openat', {
      result: -13,
      open: makeOpen('/etc/shadow', { file: undefined }),
    });
    assert.deepEqual(names(failed), []);
    assert.deepEqual(names(openForRead('/etc/shadow'), started('/usr/bin/su')), []);
    const ownSu = started('/usr/bin/su', [], { image: { exeUpperLayer: true } });
    assert.deepEqual(names(openForRead('/etc/shadow'), ownSu), [rule]);
    // Through a link, and with the descriptor replaced in between.
    assert.deepEqual(names(openForRead('/etc/shadow', { rawPath: '/tmp/innocent' })), [rule]);
    assert.deepEqual(
      names(
        openForRead('/memfd:x', {
          rawPath: '/etc/shadow',
          file: makeFile('/memfd:x', { detached: true }),
        }),
      ),
      [rule],
    );
    // Before the identity is known.
    assert.deepEqual(
      engine.evaluate(makeSubject(openForRead('/etc/shadow'), { container: undefined })).length,
      1,
    );
  });

  test('Secret read long after start', () => {
    const rule = 'Secret read long after start';
    const old = makeProcess({ parent: RUNTIME });
    const young = makeProcess({ parent: RUNTIME, startBootNs: BOOT_NS - 5n * SECOND });
    for (const path of [
      '/etc/cf-instance-credentials/instance.key',
      '/etc/cf-service-bindings/db/password',
      '/bindings/db/password',
      '/run/secrets/token',
    ]) {
      assert.deepEqual(names(openForRead(path), old), [rule], path);
      assert.deepEqual(names(openForRead(path), young), [], path);
    }
    assert.deepEqual(
      names(openForRead('/run/secrets/kubernetes.io/serviceaccount/token'), old),
      [],
    );
  });

  test('Environment of another process read', () => {
    const rule = 'Environment of another process read';
    assert.deepEqual(names(openForRead('/proc/1/environ')), [rule]);
    assert.deepEqual(names(openForRead('/proc/1/task/1/environ')), [rule]);
    // Its own, which another rule is for.
    const own = ['App made to read its own secrets'];
    assert.deepEqual(names(openForRead('/proc/17/environ')), own);
    assert.deepEqual(
      names(openForRead('/proc/17/environ', { rawPath: '/proc/self/environ' })),
      own,
    );
    // Whatever the caller says it passed.
    assert.deepEqual(names(openForRead('/proc/1/environ', { rawPath: '/proc/self/environ' })), [
      rule,
    ]);
  });

  test('Cloud metadata service contacted', () => {
    const rule = 'Cloud metadata service contacted';
    const connect = (remoteIp: string, family: number, remotePort = 80) =>
      names(
        makeEvent('connect', {
          result: -115,
          call: makeConnect({ remoteIp, family, remotePort, localIp: '' }),
        }),
      );
    assert.deepEqual(connect('169.254.169.254', 2), [rule]);
    assert.deepEqual(connect('::ffff:169.254.169.254', 10), [rule]);
    assert.deepEqual(connect('fd00:ec2::254', 10), [rule]);
    assert.deepEqual(connect('169.254.169.254', 2, 53), []);
    assert.deepEqual(connect('169.254.169.253', 2), []);
  });

  test('New program dropped and run', () => {
    const rule = 'New program dropped and run';
    const upper = { image: { exeUpperLayer: true, exeLowerLayer: false } };
    assert.deepEqual(names(exec(), started('/app/x', [], upper)), [rule]);
    assert.deepEqual(names(exec(), started('/tmp/x')), [rule]);
    assert.deepEqual(names(exec(), started('/usr/local/bin/tool')), []);
    // A script: the file that runs is its interpreter.
    assert.deepEqual(names(exec('/dev/shm/x.py'), started('/usr/bin/python3')), [rule]);
    // A droplet on Garden, and its neighbours.
    assert.deepEqual(names(exec(), started('/home/vcap/deps/0/node', [], upper), GARDEN), []);
    assert.deepEqual(names(exec(), started('/tmp/lifecycle/launcher'), GARDEN), []);
    assert.deepEqual(names(exec(), started('/home/vcap/tmp/x', [], upper), GARDEN), [rule]);
    assert.deepEqual(names(exec(), started('/home/vcap/app/x', [], upper)), [rule]);
  });

  test('New program dropped and run: into a droplet', () => {
    const rule = 'New program dropped and run';
    const boot = TIME_NS - BOOT_NS;
    /** A program of the droplet, changed so long after the container's first process began; negative for before. */
    const changedAfter = (seconds: bigint, path = '/home/vcap/app/x', name = path) => {
      const pidNamespaceStartBootNs = BOOT_NS - 400n * SECOND;
      const exeCtimeNs = boot + pidNamespaceStartBootNs + seconds * SECOND;
      const image = { exeUpperLayer: true, exeLowerLayer: false, exeCtimeNs };
      return names(exec(name), started(path, [], { image, pidNamespaceStartBootNs }), GARDEN);
    };
    // With the image of the platform, or unpacked into the container.
    assert.deepEqual(changedAfter(-3600n), []);
    assert.deepEqual(changedAfter(20n), []);
    assert.deepEqual(changedAfter(299n), []);
    // While the app runs.
    assert.deepEqual(changedAfter(301n), [rule]);
    assert.deepEqual(changedAfter(301n, '/home/vcap/deps/0/node/bin/node', 'node'), [rule]);
    assert.deepEqual(changedAfter(301n, '/tmp/lifecycle/launcher'), []);
  });

  test('Dropped library put into a program', () => {
    const rule = 'Dropped library put into a program';
    const withEnv = (env: readonly string[], parent: Process = APP) =>
      started('/usr/bin/ls', [], { parent, image: { env } });
    const ran = (...env: string[]) => names(exec(), withEnv(env));
    assert.deepEqual(ran('PATH=/bin', 'LD_PRELOAD=/tmp/x.so'), [rule]);
    assert.deepEqual(ran('LD_PRELOAD=libc.so.6:/dev/shm/x.so'), [rule]);
    assert.deepEqual(ran('LD_AUDIT=/app/x.so'), [rule]);
    assert.deepEqual(ran('LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2'), []);
    assert.deepEqual(ran('LD_PRELOAD=/opt/datadog-packages/inject/launcher.so'), []);
    assert.deepEqual(ran('PATH=/tmp/x.so'), []);
    assert.deepEqual(names(exec(), started('/usr/bin/ls')), []);
    // Said of the first one that has it, not of what that starts.
    const above = withEnv(['LD_PRELOAD=/tmp/x.so']);
    assert.deepEqual(names(exec(), withEnv(['LD_PRELOAD=/tmp/x.so'], above)), []);
    const allocator = withEnv(['LD_PRELOAD=libjemalloc.so.2']);
    assert.deepEqual(names(exec(), withEnv(['LD_PRELOAD=/tmp/x.so'], allocator)), [rule]);
    // The library itself, which only the open shows to be new.
    const reads = (path: string, upperLayer: boolean, env: string, container = CONTAINER) =>
      names(
        openForRead(path, { file: makeFile(path, { upperLayer, lowerLayer: !upperLayer }) }),
        withEnv([env]),
        container,
      );
    assert.deepEqual(reads('/app/x.so', true, 'LD_PRELOAD=/app/x.so'), [rule]);
    assert.deepEqual(reads('/app/x.so', false, 'LD_PRELOAD=/app/x.so'), []);
    assert.deepEqual(reads('/app/y.so', true, 'LD_PRELOAD=/app/x.so'), []);
    const droplet = '/home/vcap/deps/0/lib/libjemalloc.so.2';
    assert.deepEqual(reads(droplet, true, `LD_PRELOAD=${droplet}`, GARDEN), []);
  });

  test('Tunables of the C library misused', () => {
    const ran = (...env: string[]) => names(exec(), started('/usr/bin/ls', [], { image: { env } }));
    const tried = 'GLIBC_TUNABLES=glibc.malloc.mxfast=glibc.malloc.mxfast=A';
    assert.deepEqual(ran(tried), ['Tunables of the C library misused']);
    // Behind an innocent one, which is the one that a look-up by name finds.
    assert.deepEqual(ran('GLIBC_TUNABLES=glibc.malloc.check=1', 'X=\n', tried), [
      'Tunables of the C library misused',
    ]);
    assert.deepEqual(ran('GLIBC_TUNABLES=glibc.malloc.check=1:glibc.malloc.arena_max=2'), []);
    assert.deepEqual(ran('PATH=/bin'), []);
  });

  test('tools under another name', () => {
    const renamed = (exePath: string, exe: string, args: string[]) =>
      names(exec(exe), started(exePath, args, { image: { name: 'x', exe } }));
    const reverse = ['192.0.2.7', '443', '-e', '/bin/sh'];
    const given = ['Network tool gives away a shell'];
    assert.deepEqual(renamed('/usr/bin/ncat', './x', reverse), given);
    assert.deepEqual(renamed('/bin/busybox', 'nc', reverse), given);
    assert.deepEqual(renamed('/bin/busybox', 'busybox', ['nc', ...reverse]), given);
    assert.deepEqual(renamed('/bin/busybox', 'busybox', ['sh', '-c', 'id']), [
      'Shell started by an app',
    ]);
    assert.deepEqual(renamed('/bin/busybox', 'sh', ['-c', 'id']), ['Shell started by an app']);
    assert.deepEqual(renamed('/bin/busybox', 'busybox', ['ls', 'sh']), []);
    for (const [exe, ...args] of [
      ['busybox', '/bin/sh', '-c', 'id\nid'],
      ['busybox', 'busybox', 'sh'],
      ['/bin/busybox', '/bin/busybox', 'busybox', '/bin/ash', '-i'],
      ['-sh'],
    ] as const)
      assert.deepEqual(renamed('/bin/busybox', exe, args), ['Shell started by an app'], exe);
    const loader = '/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2';
    assert.deepEqual(renamed(loader, loader, ['/usr/bin/ncat', ...reverse]), [
      'Program run by the loader',
    ]);
  });

  test('Program run from memory', () => {
    const memory = started('/memfd:x', [], { image: { exeMemfd: true } });
    assert.deepEqual(names(exec('/proc/self/fd/5'), memory), ['Program run from memory']);
    // The runtime's own (runc runs itself from memory) is set-up.
    assert.deepEqual(names(exec(), { ...memory, setup: true }), []);
  });

  test('Package manager run in an app container', () => {
    const rule = 'Package manager run in an app container';
    assert.deepEqual(names(exec(), started('/usr/bin/apt-get', ['install', 'nmap'])), [rule]);
    assert.deepEqual(
      names(exec(), started('/usr/bin/python3.12', ['/usr/bin/dnf'], { image: { name: 'dnf' } })),
      [rule],
    );
    assert.deepEqual(
      names(exec(), started('/usr/bin/dpkg', [], { parent: started('/usr/bin/apt-get') })),
      [],
    );
  });

  test('Package manager run in an app container: a step of a build', () => {
    const rule = 'Package manager run in an app container';
    const shim = makeProcess({
      parent: undefined,
      inScope: false,
      image: { name: 'containerd-shim', exePath: '/usr/bin/containerd-shim-runc-v2' },
    });
    const step = (exePath: string, parent = shim) =>
      started(exePath, ['-c', 'apt-get update && apt-get -y install curl'], {
        parent,
        vpid: 1,
        startBootNs: BOOT_NS - 300n * SECOND,
      });
    const install = (parent: Process) =>
      names(exec(), started('/usr/bin/apt-get', ['-y', 'install', 'curl'], { parent }));
    assert.deepEqual(install(step('/bin/sh')), []);
    // By the command line alone it would be one.
    assert.deepEqual(install(step('/app/sh')), [rule]);
    assert.deepEqual(install(step('/bin/sh', APP)), [rule]);
    assert.deepEqual(install(step('/usr/bin/python3')), [rule]);
  });

  test("go together with Falco's own rule files, in either order", () => {
    const upstream = falcoRuleSources();
    const own = readRuleFile('manifests/rules/varvel_rules.yaml');
    for (const files of [
      [...upstream, own],
      [own, ...upstream],
    ]) {
      const together = loadRules(files);
      assert.deepEqual(together.errors, []);
      assert.equal(
        together.ruleSet?.rules.length,
        FALCO_RULE_COUNT + (result.ruleSet?.rules.length ?? 0),
      );
    }
  });
});
