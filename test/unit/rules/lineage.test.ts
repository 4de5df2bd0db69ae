import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Process } from '../../../src/context/process.ts';
import { lineageOf, MAX_LINEAGE_ANCESTORS } from '../../../src/rules/lineage.ts';
import { CONTAINER, makeProcess, RUNTIME } from '../../support/rules-subject.ts';

test('the process, then its ancestors in the container, by number and start', () => {
  const node = makeProcess({ vpid: 1, parent: RUNTIME, startBootNs: 900_000_000_000n });
  const sh = makeProcess({
    vpid: 30,
    parent: node,
    startBootNs: 923_009_999_999n,
    image: { name: 'sh' },
  });
  assert.deepEqual(lineageOf(sh), {
    processes: [
      { pid: 30, start: 92_300, name: 'sh' },
      { pid: 1, start: 90_000, name: 'node' },
    ],
    above: 'outside',
  });
});

test('what is above is not guessed: an unknown parent, and more ancestors than are told', () => {
  const lone = makeProcess({ parent: undefined });
  assert.equal(lineageOf(lone).above, 'unknown');

  const chain = (ancestors: number): Process => {
    let process = makeProcess({ vpid: 1, parent: RUNTIME });
    for (let vpid = 2; vpid <= ancestors + 1; vpid++)
      process = makeProcess({ vpid, parent: process });
    return process;
  };
  const full = lineageOf(chain(MAX_LINEAGE_ANCESTORS));
  assert.equal(full.processes.length, MAX_LINEAGE_ANCESTORS + 1);
  assert.equal(full.above, 'outside');
  const deep = lineageOf(chain(MAX_LINEAGE_ANCESTORS + 1));
  assert.equal(deep.processes.length, MAX_LINEAGE_ANCESTORS + 1);
  assert.equal(deep.above, 'more');
});

test('what the rest of an ancestor is, is not looked up: names alone need no read of /proc', () => {
  const silent = new Proxy(makeProcess().image, {
    get: (image, key) => {
      assert.equal(key, 'name');
      return image.name;
    },
  });
  const parent = { ...makeProcess({ vpid: 1, parent: RUNTIME }), image: silent };
  assert.equal(lineageOf(makeProcess({ parent })).processes.length, 2);
});

const first = makeProcess({ vpid: 1, pid: 4200, parent: RUNTIME });
const later = makeProcess({ vpid: 40, pid: 5000, parent: RUNTIME });
const below = (parent: Process): Process => makeProcess({ vpid: 50, pid: 5001, parent });

test('a process of the app, and one that the runtime put in later', () => {
  assert.equal(lineageOf(first, CONTAINER).origin, 'start');
  assert.equal(lineageOf(below(first), CONTAINER).origin, 'start');
  assert.equal(lineageOf(later, CONTAINER).origin, 'exec');
  assert.equal(lineageOf(below(later), CONTAINER).origin, 'exec');
  const pod = { ...CONTAINER, runtime: 'cri', initPid: 5000 } as const;
  assert.equal(lineageOf(later, pod).origin, 'start', 'in a pod of one pid namespace');
});

test('how a process came in is not guessed', () => {
  assert.equal(lineageOf(later, { ...CONTAINER, initPid: 0 }).origin, undefined);
  assert.equal(lineageOf(later, { ...CONTAINER, runtime: 'cgroup' }).origin, undefined);
  assert.equal(lineageOf(later).origin, undefined);
  const orphan = makeProcess({ vpid: 40, parent: undefined });
  for (const runtime of ['docker', 'cri', 'garden'] as const)
    assert.equal(lineageOf(orphan, { ...CONTAINER, runtime }).origin, undefined, runtime);
});

test('a health check of Docker is no exec by a person', () => {
  const details = { ...CONTAINER.details!, healthcheck: ['/bin/check', '-q'] };
  const image = { exe: '/bin/check', args: ['-q'] };
  const check = makeProcess({ vpid: 40, pid: 5000, parent: RUNTIME, image });
  assert.equal(lineageOf(below(check), { ...CONTAINER, details }).origin, 'probe');
  assert.equal(lineageOf(below(later), { ...CONTAINER, details }).origin, 'exec');
});

test('Garden: what Diego runs, logins by cf ssh, and health checks in a cgroup of their own', () => {
  const garden = { ...CONTAINER, runtime: 'garden', initPid: 0 } as const;
  assert.equal(lineageOf(below(later), garden).origin, 'start');
  const exePath = '/tmp/lifecycle/diego-sshd';
  const sshd = makeProcess({ vpid: 40, parent: RUNTIME, image: { exePath } });
  assert.equal(lineageOf(sshd, garden).origin, 'start');
  assert.equal(lineageOf(below(below(sshd)), garden).origin, 'ssh');
  assert.equal(lineageOf(below(sshd), CONTAINER).origin, 'exec', 'elsewhere the path is anybody’s');
  const sidecar = 'liveness-healthcheck-0';
  assert.equal(lineageOf(below(later), { ...garden, sidecar }).origin, 'probe');
});
