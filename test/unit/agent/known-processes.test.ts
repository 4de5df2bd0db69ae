import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellKnownProcesses } from '../../../src/agent/known-processes.ts';
import type { Logger } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { makeProcess, RUNTIME } from '../../support/rules-subject.ts';

type Told = Parameters<Parameters<typeof tellKnownProcesses>[0]['adoptProcess']>[0];

test('the probe is told of processes in scope that only /proc has told of', () => {
  const init = makeProcess({
    pid: 50,
    origin: 'proc',
    startBootNs: 7n,
    parent: RUNTIME,
    image: { name: 'sh', exePath: '/bin/sh' },
  });
  const image = { name: 'node', exePath: '/usr/bin/node' };
  const app = makeProcess({ pid: 60, origin: 'proc', startBootNs: 9n, parent: init, image });
  const told: Told[] = [];
  const processes = [
    init,
    app,
    makeProcess({ pid: 61, origin: 'proc', image }),
    makeProcess({ pid: 70, origin: 'probe', parent: init, image }),
    makeProcess({ pid: 71, origin: 'proc', parent: init, image: { exePath: '' } }),
    RUNTIME,
  ];
  const silent = { warn: () => assert.fail('nothing was refused') } as unknown as Logger;
  tellKnownProcesses({ adoptProcess: (known) => void told.push(known) }, processes, silent);
  assert.deepEqual(
    told.map(({ pid, startNs, parent }) => [pid, startNs, parent]),
    [
      [50, 7n, 'out of scope'],
      [60, 9n, { pid: 50, startNs: 7n }],
      [61, makeProcess().startBootNs, undefined],
    ],
  );
  assert.deepEqual(
    told.slice(0, 2).map(({ name, path }) => [String(name), String(path)]),
    [
      ['sh', '/bin/sh'],
      ['node', '/usr/bin/node'],
    ],
  );
});

test('an agent that the kernel refuses this starts all the same, and says what is missing', () => {
  const process = makeProcess({ pid: 61, origin: 'proc', image: { exePath: '/bin/sh' } });
  const warned: string[] = [];
  const logger = { warn: (_: object, text: string) => warned.push(text) } as unknown as Logger;
  const refuse = (error: Error) => ({
    adoptProcess: (): void => {
      throw error;
    },
  });
  tellKnownProcesses(refuse(new UserError('Cannot do that: EPERM.')), [process], logger);
  assert.match(
    warned.join(),
    /rules that ask for ancestors deny nothing in containers that are older/,
  );
  assert.throws(
    () => tellKnownProcesses(refuse(new Error('a defect')), [process], logger),
    /defect/,
  );
});
