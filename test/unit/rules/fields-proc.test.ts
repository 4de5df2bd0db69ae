import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findField } from '../../../src/rules/fields/registry.ts';
import { ProcUsage } from '../../../src/context/process-usage.ts';
import type { Process } from '../../../src/context/process.ts';
import type { Container } from '../../../src/apps/identity.ts';
import { all, EXEC, OPEN, operand, read } from '../../support/rules-field-reads.ts';
import {
  CONTAINER,
  makeEvent,
  makeProcess,
  makeSubject,
  RUNTIME,
} from '../../support/rules-subject.ts';

describe('proc', () => {
  test('S1: a missing word is empty; an environment that is not known is absent', () => {
    all(EXEC, {
      'proc.args[0]': 'server.js',
      'proc.args[99]': '',
      'proc.env': undefined,
      'proc.env[PATH]': undefined,
      'proc.aenv[2]': undefined,
    });
  });

  test('E6: ancestors', () => {
    const shell = makeProcess({ pid: 50, parent: RUNTIME, image: { name: 'bash', args: ['-l'] } });
    const inner = makeProcess({ pid: 60, parent: shell, image: { name: 'zsh', args: ['x', 'y'] } });
    const subject = makeSubject(makeEvent('execve'), {
      process: makeProcess({ parent: inner }),
    });
    all(subject, {
      // One text, not one for each: Falco compares it so.
      'proc.aargs': 'x y -l ',
      'proc.aargs[0]': 'server.js',
      'proc.aargs[2]': '-l',
      'proc.aargs[9]': undefined,
      'proc.loginshellid': 50,
      'proc.aname[2147483647]': undefined,
      'proc.exeline': '/usr/local/bin/node server.js',
    });
    assert.equal(read('proc.loginshellid', EXEC), undefined);
    // The runtime above them is none of the container's own.
    all(subject, {
      'proc.aname': ['zsh', 'bash', 'containerd-shim'],
      'proc.container_aname': ['zsh', 'bash'],
      'proc.container_aname[0]': 'node',
      'proc.container_aname[2]': 'bash',
      'proc.container_aname[3]': undefined,
      'proc.aexepath[3]': '/usr/bin/containerd-shim',
      'proc.container_aexepath[3]': undefined,
      'proc.container_aargs[1]': 'x y',
      'proc.container_aargs[3]': undefined,
    });
    const entrant = makeSubject(makeEvent('execve'), { process: makeProcess({ parent: RUNTIME }) });
    all(entrant, { 'proc.container_aexepath': [], 'proc.container_aexepath[1]': undefined });
    for (const name of ['aname', 'aexe', 'aexepath', 'acmdline', 'apid', 'aenv', 'aargs']) {
      const field = findField(`proc.${name}`)?.field;
      const limited = name !== 'aargs';
      assert.deepEqual(
        [name, field?.noVal, field?.noTransformer, field?.argument],
        [name, limited, limited, 'optional'],
      );
    }
  });

  test('arguments that have to be numbers', () => {
    for (const name of ['proc.aname', 'proc.args', 'proc.aargs', 'proc.apid', 'fd.types']) {
      assert.throws(() => operand(`${name}[x]`), /takes an index/, name);
      assert.throws(() => operand(`${name}[2147483648]`), /takes an index/, name);
    }
    assert.throws(() => operand('evt.around[x]'), /takes a time/);
    assert.throws(() => operand('evt.around'), /needs an argument/);
    assert.throws(() => operand('proc.name[1]'), /takes no argument/);
    assert.throws(() => operand('thread.cgroup[c1]'), /takes a controller/);
    assert.throws(() => operand('container.mount'), /needs an argument/);
    assert.throws(() => operand('container.label'), /needs an argument/);
    assert.equal(read('fd.types[0]', EXEC), undefined);
    assert.equal(operand('fd.types').reader.shape, 'list');
  });
});

test('what a process has in use', () => {
  all(EXEC, {
    'proc.nthreads': 4,
    'proc.nchilds': 3,
    'proc.vmsize': 9000,
    'proc.vmrss': 3000,
    'proc.vmswap': 12,
    'proc.fdopencount': 21,
    'proc.fdlimit': 84,
    'proc.fdusage': 25,
    'thread.pfminor': 70,
    'thread.pfmajor': 7,
    'thread.cgroup.cpuacct': '/a/b',
    'thread.cgroup.memory': '/c',
    'thread.cgroups': 'cpuacct=/a/b unified=/c',
  });
  // Of a thread that is not the first.
  all(OPEN, { 'thread.vmsize': 0, 'thread.vmrss.b': 0 });
  const first = makeSubject(makeEvent('execve', { tid: 4242, pid: 4242 }));
  all(first, {
    'thread.vmrss': 3000,
    'thread.vmrss.b': 3000 * 1024,
    'thread.vmsize.b': 9000 * 1024,
  });
  const gone = makeSubject(makeEvent('execve'), { usage: new ProcUsage('/nowhere') });
  for (const name of [
    'proc.nthreads',
    'proc.fdusage',
    'proc.fdlimit',
    'thread.cgroups',
    'thread.pfmajor',
  ])
    all(gone, { [name]: undefined });
});

test('health checks: of Docker by their command, of Diego by their cgroup', () => {
  const words = ['/bin/sh', '-c', 'curl localhost'];
  const details = { ...CONTAINER.details!, healthcheck: words };
  const container = { ...CONTAINER, details };
  const check = (parent: Process, exe: string, args: string[]): Process =>
    makeProcess({ parent, image: { exe, args } });
  const seen = (process: Process, overrides: Partial<Container> = {}) => {
    const subject = makeSubject(makeEvent('execve'), {
      process,
      container: { ...container, ...overrides },
    });
    return ['healthcheck', 'liveness_probe', 'readiness_probe'].map((name) =>
      read(`proc.is_container_${name}`, subject),
    );
  };
  const [first, ...rest] = words as [string, ...string[]];
  const run = check(RUNTIME, first, rest);
  assert.deepEqual(seen(run), [true, false, false]);
  assert.deepEqual(seen(check(run, 'curl', ['localhost'])), [true, false, false], 'what it starts');
  // The shell became the program.
  const became = makeProcess({
    parent: RUNTIME,
    image: { exe: 'curl', args: ['localhost'] },
    previousImage: run.image,
  });
  assert.deepEqual(seen(became), [true, false, false]);
  assert.deepEqual(
    seen(check(RUNTIME, first, ['-c', 'id'])),
    [false, false, false],
    'another command',
  );
  const inside = makeProcess({ parent: RUNTIME });
  assert.deepEqual(
    seen(check(inside, first, rest)),
    [false, false, false],
    'the app runs the same',
  );
  assert.deepEqual(seen(run, { details: undefined }), [undefined, undefined, undefined]);
  const garden = { runtime: 'garden', details: undefined } as const;
  assert.deepEqual(seen(run, garden), [false, false, false]);
  for (const [sidecar, expected] of [
    ['startup-healthcheck-0', [true, false, false]],
    ['envoy-startup-healthcheck-1', [true, false, false]],
    ['liveness-healthcheck-12', [false, true, false]],
    ['readiness-healthcheck-0', [false, false, true]],
    ['envoy', [false, false, false]],
  ] as const)
    assert.deepEqual(seen(run, { ...garden, sidecar }), expected, sidecar);
  all(makeSubject(makeEvent('execve'), { container }), {
    'container.healthcheck': '/bin/sh -c curl localhost',
  });
  all(EXEC, { 'container.healthcheck': undefined, 'proc.is_container_healthcheck': false });
});
