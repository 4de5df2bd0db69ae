// A responder on a host that does what it is told, and a detection for it.
import assert from 'node:assert/strict';
import type { ResponseSetting } from '../../../src/config/response-config.ts';
import { OperatorResponses } from '../../../src/responses/operator-responses.ts';
import { Responder, type Respondable } from '../../../src/responses/responder.ts';
import { load } from '../config/load-fixture.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

/** `responses:` as the configuration has it. */
export const settings = (yaml: string): readonly ResponseSetting[] =>
  load(`responses: ${yaml}\n`).config.responses;

/** With these settings, and what was done to processes and containers. */
export function world(yaml: string) {
  const killed: number[] = [];
  const isolated: number[] = [];
  const paused: number[] = [];
  const ending: number[] = [];
  const problems: { end?: string; isLast?: boolean } = {};
  const time = { ms: 0 };
  const responder = new Responder({
    host: {
      killProcess: (pid) => void killed.push(pid),
      isIsolated: ({ cgroupId }) => isolated.includes(cgroupId),
      isolate: ({ cgroupId }) => void isolated.push(cgroupId),
      isPaused: ({ cgroupId }) => paused.includes(cgroupId),
      pause: ({ cgroupId }) => void paused.push(cgroupId),
      isLast: () => problems.isLast === true,
      isEnding: ({ cgroupId }) => ending.includes(cgroupId),
      endContainer: ({ cgroupId }) => {
        if (problems.end !== undefined) throw Object.assign(new Error(), { code: problems.end });
        ending.push(cgroupId);
      },
    },
    operators: new OperatorResponses(settings(yaml)),
    nowMs: () => time.ms,
  });
  return { killed, isolated, paused, ending, problems, responder, time };
}

export const REVERSE = {
  name: 'Reverse shell',
  tags: ['network'],
  ...({ priority: 'Critical', enabled: true } as const),
};

export const detection = (changes: Partial<Respondable> = {}): Respondable => ({
  rule: REVERSE,
  matched: REVERSE,
  container: containerOf({}, { name: 'shop', space: 'production', org: 'acme' }),
  process: makeProcess({ pid: 7 }),
  cgroupId: 70,
  eventNum: 1,
  timeNs: 1n,
  file: undefined,
  denied: undefined,
  asked: undefined,
  isAnswered: () => true,
  ...changes,
});

/** The outcome of the only response; undefined without one. */
export function outcomeOf(responder: Responder, of: Respondable): string | undefined {
  const [first, ...others] = responder.respond(of);
  assert.deepEqual(others, []);
  return first?.outcome;
}

/** Settings by which it is answered. */
export const ENFORCED = '[{match: {rule: Reverse*}, do: kill, mode: enforce}]';
