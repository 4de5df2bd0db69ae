import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstProcess } from '../../../src/context/first-process.ts';
import type { ProcStat } from '../../../src/context/proc-reader.ts';
import { OperatorResponses } from '../../../src/responses/operator-responses.ts';
import { Responder, type DoneResponse } from '../../../src/responses/responder.ts';
import { DelayedEnds, END_DELAY_MS } from '../../../src/responses/delayed-ends.ts';
import type { AppliedOutcome, ProcessId, ResponseHost } from '../../../src/responses/response.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { load } from '../config/load-fixture.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const RULE = {
  name: 'Reverse shell',
  tags: ['network'],
  priority: 'Critical',
  enabled: true,
} as const;

function world(mode = ', mode: enforce', host: Partial<ResponseHost> = {}) {
  const killed: number[] = [];
  const later: ProcessId[] = [];
  const time = { ms: 1_000_000 };
  const yaml = `responses: [{match: {rule: Reverse*}, do: restart${mode}}]\n`;
  const responder = new Responder({
    host: {
      killProcess: (pid) => void killed.push(pid),
      firstProcessOf: () => ({ pid: 100, startTicks: 5 }),
      endLater: (process) => void later.push(process),
      ...host,
    },
    operators: new OperatorResponses(load(yaml).config.responses),
    nowMs: () => time.ms,
    bootNs: () => BigInt(time.ms) * 1_000_000n,
  });
  /** A detection in this instance of the app, of a process with this start (ms since boot). */
  const respond = (fullId: string, app = 'shop', startMs = 1000): DoneResponse | undefined =>
    responder.respond({
      rule: RULE,
      container: containerOf({ fullId }, { name: app, guid: `${app}-guid` }),
      process: makeProcess({ pid: 7, startBootNs: BigInt(startMs) * 1_000_000n }),
      asked: undefined,
      isAnswered: () => true,
    });
  return { killed, later, respond, time };
}

test('the process is killed and its container’s first process is to end, once for all that happens until then', () => {
  const { killed, later, respond, time } = world();
  assert.deepEqual(respond('a'), {
    name: 'restart',
    outcome: 'done',
    guarantee: 'after the effect',
  });
  for (let n = 0; n < 50; n++) assert.equal(respond('a')?.outcome, 'done');
  // Programs that start before the container has ended.
  assert.equal(respond('a', 'shop', time.ms + 900)?.outcome, 'done');
  assert.deepEqual(killed, [7]);
  assert.deepEqual(later, [{ pid: 100, startTicks: 5 }]);
  // Docker runs a container again with the same id: what happens in it then is another matter.
  time.ms += 5000;
  assert.equal(respond('a', 'shop', time.ms)?.outcome, 'done');
  assert.equal(later.length, 2);
});

test('two instances of an app in ten minutes, and ten of a host; then nothing is ended', () => {
  const { later, respond, time } = world();
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => respond(id)?.outcome),
    ['done', 'done', 'limited'],
  );
  for (let n = 0; n < 10; n++) respond(`other-${n}`, `app-${n}`);
  assert.equal(later.length, 10);
  assert.equal(respond('last', 'another')?.outcome, 'limited');
  // What was ended stays ended, whatever the limits are.
  assert.equal(respond('a')?.outcome, 'done');
  time.ms += 600_000;
  assert.equal(respond('c')?.outcome, 'done');
  assert.equal(later.length, 11);
});

test('monitored: nothing is ended, and no limit used up', () => {
  const { killed, later, respond } = world('');
  for (let n = 0; n < 20; n++) assert.equal(respond(`c${n}`)?.outcome, 'monitored');
  assert.deepEqual([killed, later], [[], []]);
});

test('a container that is gone, that shares a pid namespace, or that the host protects', () => {
  const outcome = (host: Partial<ResponseHost>): [string | undefined, number] => {
    const { later, respond } = world(undefined, host);
    return [respond('a')?.outcome, later.length];
  };
  assert.deepEqual(outcome({ firstProcessOf: () => 'gone' }), ['too late', 0]);
  assert.deepEqual(outcome({ firstProcessOf: () => 'shared' }), ['refused', 0]);
  const failing = (code: string): Partial<ResponseHost> => ({
    killProcess: () => {
      throw Object.assign(new Error(code), { code });
    },
  });
  // The process has ended by itself; what it left in the container has not.
  assert.deepEqual(outcome(failing('ESRCH')), ['done', 1]);
  assert.deepEqual(outcome(failing('EPERM')), ['refused', 0]);
});

test('the first process is the one that is 1 in the container’s namespace, and in none below', () => {
  const status = new Map([
    [40, 'Name:\tx\\nNSpid:\t1\t1\nNSpid:\t40\t9\n'],
    [41, 'Name:\tnested\nNSpid:\t41\t10\t1\n'],
    [42, 'Name:\tinit\nNSpid:\t42\t1\nNSpgid:\t42\t1\n'],
  ]);
  const stats = new Map([
    [40, 4],
    [41, 5],
    [42, 6],
  ]);
  const reader = {
    stat: (pid: number) =>
      stats.has(pid) ? ({ pid, startTicks: stats.get(pid) } as ProcStat) : undefined,
  };
  const find = (pids: readonly number[]): ReturnType<typeof firstProcess> =>
    firstProcess(pids, reader, (pid) => status.get(pid) ?? '');
  assert.deepEqual(find([40, 41, 42]), { pid: 42, startTicks: 6 });
  assert.equal(find([40, 41]), 'shared');
  assert.equal(find([39]), 'gone');
  assert.equal(find([]), 'gone');
  // Another process has the pid by the time that its status is read.
  let reads = 0;
  const reused = { stat: (pid: number) => ({ pid, startTicks: reads++ }) as ProcStat };
  assert.equal(
    firstProcess([42], reused, (pid) => status.get(pid) ?? ''),
    'gone',
  );
});

test('containers end a second later, or at once when the agent does; what the host refuses is logged', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const ended: number[] = [];
  const said: string[] = [];
  const logger = { ...SILENT_LOGGER, error: (_: object, text: string) => void said.push(text) };
  const ends = new DelayedEnds(({ pid }): AppliedOutcome => {
    ended.push(pid);
    return pid === 3 ? 'refused' : pid === 2 ? 'too late' : 'done';
  }, logger);
  ends.add({ pid: 1, startTicks: 1 });
  t.mock.timers.tick(END_DELAY_MS - 1);
  ends.add({ pid: 2, startTicks: 1 });
  assert.deepEqual(ended, []);
  t.mock.timers.tick(1);
  assert.deepEqual(ended, [1]);
  ends.add({ pid: 3, startTicks: 1 });
  ends.stop();
  assert.deepEqual(ended, [1, 2, 3]);
  assert.equal(said.length, 1);
  assert.match(said[0]!, /did not let the agent/);
  t.mock.timers.tick(10 * END_DELAY_MS);
  assert.deepEqual(ended, [1, 2, 3], 'once each');
});
