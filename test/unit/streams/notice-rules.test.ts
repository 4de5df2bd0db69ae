import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import {
  leftOutRules,
  LOSS_PRIORITIES,
  LOSS_RULES,
  prioritiesOf,
} from '../../../src/alerts/alert-request.ts';
import { PRIORITIES, type Detection } from '../../../src/rules/detection.ts';
import { NOTICE_PREFIX, NOTICE_RULES } from '../../../src/streams/notice-rules.ts';
import { evidenceNotice } from '../../../src/streams/evidence-notice.ts';
import * as notices from '../../../src/streams/notices.ts';
import { detectionSchema } from '../../../src/streams/detection-schema.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { withResponses } from '../../../src/evaluation/with-response.ts';
import { containerOf, deliveryOf } from './delivery-fixture.ts';

const container = containerOf();
const timeNs = 1n;
const facts = { version: '1', rules: 1, events: 1, lost: 0, suppressed: 0 };
const policy = { container, text: 't', digest: undefined };
const own = { container, rule: 'r', text: 't' };
const limits = { burst: 5, perMinute: 6, appBurst: 7, appPerMinute: 8, summaryMs: 60_000 };
const reasons = { ownShare: 1, agentLate: 0, noRoom: 0, starting: 0, unknown: 0 };
const times = { firstNs: 1n, lastNs: 1n, container };
const counted = { rule: 'r', priority: 'Warning', count: 1, ...times } as const;
const found = {
  container,
  rule: 'r',
  timeNs,
  line: undefined,
  responses: 'kill done',
  missing: [],
  processes: [],
  files: [],
  sockets: [],
};
const process = { pid: 1, name: 'n' };
const program = { path: '/p', digest: undefined };
const unwatched = { container, fromNs: 1n, toNs: 2n };

/** Each line that the agent writes of itself, in each of its states. */
const SAID: Readonly<Record<string, Detection>> = {
  suppressed: notices.suppressedNotice(counted, limits),
  lost: notices.lostNotice('file', { count: 1, ...times, numbers: [{ from: 1, to: 1 }] }),
  unseen: notices.unseenNotice({ count: 1, ...times, reasons, lateNs: 0 }),
  gap: notices.gapNotice({ from: 1, to: 2, why: 'ended' }, container, timeNs),
  'no room': notices.noRoomNotice(true, container, timeNs),
  'room again': notices.noRoomNotice(false, container, timeNs),
  'agent killed': notices.unwatchedNotice({ ...unwatched, stopped: false }),
  'agent stopped': notices.unwatchedNotice({ ...unwatched, stopped: true }),
  'state not kept': notices.stateNotice('numbers', { why: 'w', means: 'm' }, timeNs),
  'state kept': notices.stateNotice('numbers', undefined, timeNs),
  'denial ended': notices.denialNotice('w', container, timeNs),
  'denied unseen': notices.unseenDenialsNotice(2, container, timeNs),
  evidence: evidenceNotice({ ...found, process, program, file: undefined, open: 1 }),
  'rules off': notices.shedNotice('2 rules', 2, container, timeNs),
  'rules on': notices.shedNotice(undefined, 0, container, timeNs),
  coverage: notices.coverageNotice({ ...facts, when: 'running' }, container, timeNs),
  'policy refused': notices.policyNotice({ ...policy, state: 'refused' }, timeNs),
  'policy in force': notices.policyNotice({ ...policy, state: 'in force' }, timeNs),
  'own rules paused': notices.ownRulesNotice({ ...own, state: 'paused' }, timeNs),
  'own rules failed': notices.ownRulesNotice({ ...own, state: 'rule failed' }, timeNs),
  'own rules resumed': notices.ownRulesNotice({ ...own, state: 'resumed' }, timeNs),
};

test('the list of the agent’s own rules is whole, and no line is more severe than it says', () => {
  const made = Object.values(SAID);
  assert.equal(Object.keys(notices).filter((name) => name.endsWith('Notice')).length, 13);
  assert.deepEqual(
    [...new Set(made.map(({ rule }) => rule))].sort(),
    NOTICE_RULES.map(({ name }) => name).sort(),
  );
  for (const { name, worst } of NOTICE_RULES) {
    const severities = made
      .filter(({ rule }) => rule === name)
      .map(({ priority }) => PRIORITIES.indexOf(priority));
    assert.equal(PRIORITIES[Math.min(...severities)], worst, name);
    assert.ok(name.startsWith(NOTICE_PREFIX), name);
  }
});

test('nothing that the agent says of itself pages as an intrusion, whatever the least priority', () => {
  for (const minimum of PRIORITIES) {
    const request = { minimum, rules: [] };
    const leftOut = leftOutRules(request);
    for (const { rule, priority } of Object.values(SAID))
      assert.ok(!prioritiesOf(request).includes(priority) || leftOut.includes(rule), rule);
  }
  assert.deepEqual(leftOutRules({ minimum: 'Debug', rules: ['Varvel: policy'] }), []);
});

test('what may hide a detection pages as a loss; what says that all is well does not', () => {
  const pages = Object.entries(SAID)
    .filter(
      ([, { rule, priority }]) => LOSS_RULES.includes(rule) && LOSS_PRIORITIES.includes(priority),
    )
    .map(([what]) => what);
  assert.deepEqual(pages, [
    'lost',
    'unseen',
    'no room',
    'agent killed',
    'agent stopped',
    'denied unseen',
    'rules off',
    'policy refused',
    'own rules paused',
    'own rules failed',
  ]);
});

test('each rule of the agent that a page or a dashboard names is in the list', () => {
  const pages = ['README.md', 'manifests', 'buildpack'].flatMap((path) =>
    path.endsWith('.md')
      ? [path]
      : readdirSync(path, { recursive: true, encoding: 'utf8' })
          .filter((name) => /\.(?:md|json|ya?ml)$/.test(name) && !name.includes('node_modules'))
          .map((name) => `${path}/${name}`),
  );
  const names = pages.flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/["`|]Varvel: ([a-z ]+)(?=["`|])/g)].map(
      ([, name]) => `${NOTICE_PREFIX}${name}`,
    ),
  );
  assert.ok(names.length > 10, String(names.length));
  const known = NOTICE_RULES.map(({ name }) => name);
  assert.deepEqual(
    names.filter((name) => !known.includes(name)),
    [],
  );
});

test('the schema of lines tells each field that the agent itself writes, and its type', () => {
  const schema = detectionSchema() as {
    properties: { output_fields: { properties: Record<string, unknown> } };
  };
  const { output_fields: fields, ...others } = schema.properties;
  const validate = new Ajv2020({ allowUnionTypes: true }).compile({
    ...schema,
    properties: { ...others, output_fields: { ...fields, additionalProperties: false } },
    additionalProperties: false,
  });
  const file = { path: '/f', digest: { sha256: 'ab', bytes: 1 } };
  const lists = { missing: ['a'], processes: ['b'], files: ['c'], sockets: ['d'] };
  const line = { seq: 1, id: 'i' };
  const { detection } = deliveryOf({ outputFields: {}, incident: 'k3x9abcd' });
  const said = {
    ...SAID,
    'evidence of a file': evidenceNotice({
      ...found,
      ...lists,
      line,
      process,
      program: file,
      file,
      open: undefined,
    }),
    'numbers not known': notices.lostNotice('file', { count: 1, ...times, numbers: undefined }),
    'at most so many': notices.lostNotice('otlp', {
      count: 1,
      ...times,
      numbers: undefined,
      atMost: true,
    }),
    'all of coverage': notices.coverageNotice(
      { ...facts, when: 'stop', policy: 'in force', notWatchedFor: 'x', lastLine: 3 },
      container,
      timeNs,
    ),
    'rule paused': notices.ownRulesNotice({ ...own, state: 'paused', spentMs: 1.25 }, timeNs),
    'policy with a digest': notices.policyNotice(
      { ...policy, digest: 'ab', state: 'in force' },
      timeNs,
    ),
    response: withResponses(detection, [
      { name: 'kill', outcome: 'done', guarantee: 'after the effect' },
      { name: 'pause', outcome: 'refused', guarantee: 'after the effect' },
    ]),
  };
  const seen = new Set<string>();
  for (const [what, one] of Object.entries(said)) {
    for (const name of Object.keys(one.outputFields)) seen.add(name);
    const text = formatLine(deliveryOf(one), { format: 'json' });
    assert.ok(validate(JSON.parse(text)), `${what}: ${JSON.stringify(validate.errors)}`);
  }
  assert.deepEqual(Object.keys(fields.properties).sort(), [...seen].sort());
});
