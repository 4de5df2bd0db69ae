import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container } from '../../../src/apps/identity.ts';
import type { Process } from '../../../src/context/process.ts';
import { lineageOf, MAX_LINEAGE_ANCESTORS, type Origin } from '../../../src/rules/lineage.ts';
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
const originOf = (process: Process, container?: Container): Origin | undefined =>
  lineageOf(process, container).origin;

test('a process of the app, and one that the runtime put in later', () => {
  assert.equal(originOf(first, CONTAINER), 'start');
  assert.equal(originOf(below(first), CONTAINER), 'start');
  assert.equal(originOf(later, CONTAINER), 'exec');
  assert.equal(originOf(below(later), CONTAINER), 'exec');
  const pod = { ...CONTAINER, runtime: 'cri', initPid: 5000 } as const;
  assert.equal(originOf(later, pod), 'start', 'in a pod of one pid namespace');
});

test('how a process came in is not guessed', () => {
  assert.equal(originOf(later, { ...CONTAINER, initPid: 0 }), undefined);
  assert.equal(originOf(later, { ...CONTAINER, runtime: 'cgroup' }), undefined);
  assert.equal(originOf(later), undefined);
  const orphan = makeProcess({ vpid: 40, parent: undefined });
  for (const runtime of ['docker', 'cri', 'garden'] as const)
    assert.equal(originOf(orphan, { ...CONTAINER, runtime }), undefined, runtime);
  const details = { ...CONTAINER.details!, hostPid: true };
  assert.equal(originOf(later, { ...CONTAINER, details }), undefined, 'any process may adopt it');
});

test('a parent of which /proc told may have adopted the process', () => {
  const adopted = makeProcess({ vpid: 41, pid: 5002, parent: first, origin: 'proc' });
  assert.equal(originOf(adopted, CONTAINER), undefined);
  assert.equal(originOf(below(adopted), CONTAINER), undefined);
  const worker = makeProcess({ vpid: 30, pid: 5003, parent: RUNTIME, origin: 'proc' });
  assert.equal(originOf(worker, { ...CONTAINER, runtime: 'cri' }), undefined, 'the pod’s pause');
});

test('a health check of Docker is no exec by a person', () => {
  const details = { ...CONTAINER.details!, healthcheck: ['/bin/check', '-q'] };
  const image = { exe: '/bin/check', args: ['-q'] };
  const check = makeProcess({ vpid: 40, pid: 5000, parent: RUNTIME, image });
  assert.equal(originOf(below(check), { ...CONTAINER, details }), 'probe');
  assert.equal(originOf(below(later), { ...CONTAINER, details }), 'exec');
});

test('Garden: what Diego runs, logins by cf ssh, and health checks in a cgroup of their own', () => {
  const garden = { ...CONTAINER, runtime: 'garden', initPid: 0 } as const;
  const exePath = '/tmp/lifecycle/diego-sshd';
  const soon = { pidNamespaceStartBootNs: first.startBootNs - 1_000_000_000n };
  const app = makeProcess({ ...soon, vpid: 7, pid: 5004, parent: RUNTIME });
  assert.equal(originOf(below(app), garden), 'start');
  const sshd = makeProcess({ ...soon, vpid: 40, parent: RUNTIME, image: { exePath } });
  assert.equal(originOf(sshd, garden), 'start');
  assert.equal(originOf(below(below(sshd)), garden), 'ssh');
  assert.equal(originOf(below(sshd), CONTAINER), 'exec', 'elsewhere the path is anybody’s');
  const own = makeProcess({ vpid: 41, parent: app, image: { exePath } });
  assert.equal(originOf(below(own), garden), 'start', 'the app has run it itself');
  const days = { pidNamespaceStartBootNs: 1n };
  const put = makeProcess({ ...days, vpid: 90, parent: RUNTIME });
  assert.equal(originOf(below(put), garden), undefined, 'runc exec by somebody on the cell');
  const sidecar = 'liveness-healthcheck-0';
  assert.equal(originOf(below(later), { ...garden, sidecar }), 'probe');
});

test('names of ancestors do not need a read of /proc to find an origin', () => {
  const silent = new Proxy(makeProcess().image, {
    get: (image, key) => {
      assert.equal(key, 'name');
      return image.name;
    },
  });
  const told = { ...makeProcess({ vpid: 9, parent: RUNTIME, origin: 'ancestor' }), image: silent };
  const garden = { ...CONTAINER, runtime: 'garden', initPid: 0 } as const;
  assert.equal(originOf(below(told), garden), undefined);
});
