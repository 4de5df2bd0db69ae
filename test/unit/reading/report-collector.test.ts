import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { coverageGaps } from '../../../src/reading/report/coverage.ts';
import {
  MAX_APP_LINES,
  MAX_DETECTIONS,
  MAX_OF_A_RULE,
  MAX_UNKNOWN_RULES,
} from '../../../src/reading/report/incident.ts';
import type { Incident } from '../../../src/reading/report/incident.ts';
import { coverageNotice, unwatchedNotice } from '../../../src/streams/notices.ts';
import type { Coverage } from '../../../src/streams/notices.ts';
import { containerOf } from '../streams/delivery-fixture.ts';
import { cf, collect, container, incidentOf, line, START_MS } from './report-fixture.ts';

const rulesOf = ({ groups }: Incident): unknown[] =>
  groups.map(({ rule, priority, count }) => [rule, priority, count]);
const storyOf = ({ story }: Incident): unknown[] =>
  story.map((item) => {
    if (item.kind === 'skipped') return item.count;
    return item.kind === 'line' ? item.text : item.rule;
  });

describe('what a log is taken for', () => {
  test('rules by severity, with their first and last; the same id counts once', () => {
    const incident = incidentOf([
      line(1, 5, { rule: 'b' }),
      line(2, 1, { rule: 'a' }),
      line(3, 9, { rule: 'c', priority: 'Critical' }),
      line(4, 3, { rule: 'b' }),
      line(4, 3, { rule: 'b' }),
    ]);
    assert.deepEqual(rulesOf(incident), [
      ['c', 'Critical', 1],
      ['a', 'Warning', 1],
      ['b', 'Warning', 2],
    ]);
    const [, , b] = incident.groups;
    assert.deepEqual([b?.first.atMs, b?.last.atMs], [START_MS + 3000, START_MS + 5000]);
    assert.deepEqual(incident.span, { firstMs: START_MS + 1000, lastMs: START_MS + 9000 });
    assert.equal(incident.leftOut.again, 1);
  });

  test('whose a line is, is what the log system says', () => {
    const lines = [
      cf(line(1, 0)),
      cf(line(2, 0, { rule: 'forged' }), 'APP/PROC/WEB/0'),
      cf(line(2, 0, { rule: 'forged' }, 'text'), 'APP/PROC/WEB/0'),
      cf('{"cut":', 'VARVEL/0'),
    ];
    const incident = incidentOf(lines, { from: 'cf' });
    assert.deepEqual(incident.origins, { varvel: 1, unknown: 0, forged: 2, unreadable: 1 });
    assert.deepEqual(rulesOf(incident), [['Shell in an app container', 'Warning', 1]]);
    const unsaid = incidentOf(lines);
    assert.deepEqual(unsaid.origins, { varvel: 0, unknown: 1, forged: 2, unreadable: 0 });
    assert.equal(unsaid.looksLike, 'cf');
    assert.equal(incidentOf(lines, { from: 'docker' }).span, undefined, 'its lines are text there');
    assert.deepEqual(incidentOf([line(1, 0)], { from: 'cf' }).origins.forged, 1, 'it has no frame');
    assert.deepEqual(incidentOf([line(1, 0)]).origins.unknown, 1);
  });

  test('text lines and Falco’s JSON are detections too', () => {
    const falco = JSON.stringify({
      time: '2026-01-31T08:15:05.5Z',
      rule: 'F',
      priority: 'Error',
      source: 'syscall',
      output: '08:15:05.500000000: Error said',
      output_fields: { 'proc.name': 'x' },
    });
    const { groups } = incidentOf([line(1, 3, {}, 'text'), falco]);
    assert.deepEqual(
      groups.map(({ rule, first }) => [rule, first.form, first.output]),
      [
        ['F', 'falco', 'said'],
        ['Shell in an app container', 'text', 'A shell was started (command=sh)'],
      ],
    );
  });

  test('a text line has the date that is nearest: of the log system, or of the line before', () => {
    const times = (lines: readonly string[]): unknown[] => {
      const { groups, undated } = incidentOf(lines);
      return [...groups.flatMap(({ shown }) => shown.map(({ atMs }) => atMs - START_MS)), undated];
    };
    const text = line(1, 10, {}, 'text');
    assert.deepEqual(times([cf(text)]), [10_000, false]);
    assert.deepEqual(times([`2026-01-31T08:15:14.5Z ${text}`]), [10_000, false]);
    assert.deepEqual(times([line(7, 0), text]), [0, 10_000, false]);
    const midnight = START_MS - (START_MS % 86_400_000);
    const before = line(1, (midnight - START_MS) / 1000 - 1, {}, 'text');
    const after = line(2, (midnight - START_MS) / 1000 + 1, {}, 'text');
    const [first, second] = incidentOf([before, after]).groups.flatMap(({ shown }) => shown);
    assert.equal((second?.atMs ?? 0) - (first?.atMs ?? 0), 2000);
    assert.equal(incidentOf([before]).undated, true);
  });

  test('the app’s lines around a detection, in the log’s order; the others are counted', () => {
    const app = Array.from({ length: 9 }, (_, n) => cf(`GET ${n}`, 'APP/PROC/WEB/0'));
    const incident = incidentOf([...app.slice(0, 6), cf(line(1, 0, { rule: 'r' })), ...app]);
    assert.deepEqual(storyOf(incident), [
      2,
      'GET 2',
      'GET 3',
      'GET 4',
      'GET 5',
      'r',
      'GET 0',
      'GET 1',
      7,
    ]);
    assert.equal(incident.leftOut.appLines, 9);
  });

  test('other containers’ lines in the same log are not this one’s context', () => {
    const compose = (name: string, text: string): string => `${name}  | ${text}`;
    const incident = incidentOf([
      compose('db-1', 'vacuum'),
      compose('shop-1', 'GET /'),
      compose('shop-1', line(1, 0, { rule: 'r' })),
      compose('db-1', 'checkpoint'),
    ]);
    assert.deepEqual(storyOf(incident), [1, 'GET /', 'r', 1]);
  });
});

describe('what is asked for', () => {
  const lines = [
    cf(line(1, 0, { rule: 'early' }), undefined, '08:15:04.00'),
    cf('GET /', 'APP/PROC/WEB/0', '08:15:05.00'),
    cf(line(2, 60, { rule: 'middle' }), undefined, '08:16:04.00'),
    cf(line(3, 4000, { rule: 'late' }), undefined, '09:21:44.00'),
  ];
  const names = (incident: Incident): string[] => incident.groups.map(({ rule }) => rule);

  test('a time, both ends included', () => {
    const incident = incidentOf(lines, { sinceMs: START_MS + 60_000, untilMs: START_MS + 60_000 });
    assert.deepEqual(names(incident), ['middle']);
    assert.equal(incident.leftOut.outsideRange, 3);
  });

  test('a line without a date is in no range', () => {
    const incident = incidentOf([line(1, 0, {}, 'text')], { sinceMs: 0 });
    assert.deepEqual([incident.groups.length, incident.leftOut.undated], [0, 1]);
  });

  test('five minutes around a detection, also before it in the log', () => {
    assert.deepEqual(names(incidentOf(lines, { id: 'id-2-60' })), ['early', 'middle']);
    assert.deepEqual(names(incidentOf(lines, { id: 'id-3-4000' })), ['late']);
    assert.equal(collect(lines, { id: 'none' }), undefined);
  });

  test('an app, by its name or GUID', () => {
    const other = containerOf({}, { name: 'pay', guid: 'g-2' });
    const both = [line(1, 0), line(1, 1, { container: other, rule: 'pay' })];
    for (const app of ['pay', 'g-2']) {
      const incident = incidentOf(both, { app });
      assert.deepEqual(names(incident), ['pay']);
      assert.equal(incident.leftOut.otherApps, 1);
    }
  });
});

describe('bounds', () => {
  test('of a rule: the first ones are shown, all are counted', () => {
    const many = Array.from({ length: MAX_OF_A_RULE + 3 }, (_, n) => line(n + 1, n));
    const incident = incidentOf(many);
    const [group] = incident.groups;
    assert.deepEqual(
      [group?.count, group?.shown.length, group?.last.seq, incident.leftOut.ofARule],
      [MAX_OF_A_RULE + 3, MAX_OF_A_RULE, MAX_OF_A_RULE + 3, 3],
    );
  });

  test('rules that are made up leave the place to those that are known', () => {
    const made = Array.from({ length: MAX_UNKNOWN_RULES + 5 }, (_, n) =>
      line(n + 1, n, { rule: `made up ${n}` }),
    );
    const real = line(999, 999, { rule: 'real' });
    const incident = incidentOf([...made, real], { knownRules: new Set(['real']) });
    assert.equal(incident.groups.length, MAX_UNKNOWN_RULES + 1);
    assert.equal(incident.leftOut.unknownRules, 5);
    assert.ok(incident.groups.some(({ rule }) => rule === 'real'));
  });

  test('made-up rules leave the place to what the agent says of itself, too', () => {
    const made = Array.from({ length: MAX_UNKNOWN_RULES + 5 }, (_, n) =>
      line(n + 1, n, { rule: `Varvel: ${n}`, source: 'varvel' }),
    );
    const own = { rule: 'Varvel: lines lost', source: 'varvel' } as const;
    const { notices } = incidentOf([...made, line(0, 999, own)]);
    assert.equal(notices.length, MAX_UNKNOWN_RULES + 1);
    assert.ok(notices.some(({ rule }) => rule === 'Varvel: lines lost'));
  });

  test('of all detections, and of the app’s lines', () => {
    const lines = Array.from({ length: 11 * MAX_OF_A_RULE }, (_, n) => [
      'GET /',
      line(n + 1, n, { rule: `rule ${n % 11}` }),
    ]).flat();
    const incident = incidentOf(lines);
    const found = incident.story.filter(({ kind }) => kind === 'found').length;
    assert.deepEqual([found, incident.leftOut.detections], [MAX_DETECTIONS, MAX_OF_A_RULE]);
    assert.equal(incident.story.filter(({ kind }) => kind === 'line').length, MAX_APP_LINES);
    const appLines = MAX_APP_LINES + incident.leftOut.appLines;
    assert.equal(appLines, 11 * MAX_OF_A_RULE);
  });

  test('of a line: what is longer is cut, and counted', () => {
    assert.equal(incidentOf([line(1, 0)]).leftOut.cutLines, 0);
    const padded = JSON.stringify({
      ...(JSON.parse(line(1, 0)) as object),
      output_fields: { x: 'y'.repeat(20_000) },
    });
    const incident = incidentOf([padded]);
    assert.equal(incident.leftOut.cutLines, 1);
    assert.equal(incident.groups[0]?.shown[0]?.raw.length, 12_001);
  });
});

describe('numbers and coverage', () => {
  test('missing numbers, by app instance and host', () => {
    const other = containerOf({}, { instance: '1', guid: 'g-1' });
    const { instances } = incidentOf([
      line(3, 0),
      line(7, 1),
      line(4, 2),
      line(9, 3),
      line(1, 4, { container: other }),
    ]);
    assert.deepEqual(
      instances.map(({ numbers }) => numbers.missing()),
      [
        [
          { from: 5, to: 6 },
          { from: 8, to: 8 },
        ],
        [],
      ],
    );
  });

  const coverage = (
    seconds: number,
    when: Coverage['when'],
    format: 'json' | 'text' = 'json',
    lastLine?: number,
  ) =>
    cf(
      line(
        0,
        seconds,
        {
          ...coverageNotice(
            { when, version: '0.1.0', rules: 68, events: 1234, lost: 5, suppressed: 6, lastLine },
            container,
            0n,
          ),
          output: 'A sentence is for people.',
        },
        format,
      ),
      undefined,
      new Date(START_MS + seconds * 1000).toISOString().slice(11, 23),
    );

  test('every coverage line is read, in both forms', () => {
    const whens = ['start', 'running', 'replaced', 'agent stop', 'stop'] as const;
    for (const format of ['json', 'text'] as const) {
      const [instance] = incidentOf(whens.map((when, n) => coverage(n, when, format))).instances;
      assert.deepEqual(
        instance?.coverage.map(({ watched }) => watched),
        ['goes on', 'goes on', 'next agent', 'agent ended', 'container ended'],
      );
      const { version, rules, events, lost, suppressed } = instance.coverage[0] ?? {};
      assert.deepEqual([version, rules, events, lost, suppressed], ['0.1.0', 68, 1234, 5, 6]);
    }
  });

  test('lines behind the last one here are missing where a coverage line tells their number', () => {
    for (const format of ['json', 'text'] as const) {
      const first = cf(line(1, 1, {}, format), undefined, '08:15:05.000');
      const lines = [coverage(0, 'start', format, 0), first, coverage(2, 'stop', format, 4)];
      const [instance] = incidentOf(lines).instances;
      assert.deepEqual(instance?.numbers.missing(), [{ from: 2, to: 4 }], format);
      const none = incidentOf([coverage(0, 'start', format, 0), coverage(2, 'stop', format, 1)]);
      assert.deepEqual(none.instances[0]?.numbers.missing(), [{ from: 1, to: 1 }], format);
      const unsaid = incidentOf([first, coverage(2, 'stop', format)]);
      assert.deepEqual(unsaid.instances[0]?.numbers.missing(), [], format);
    }
  });

  test('gaps: silence of more than twice the time, and from an agent’s end to the next', () => {
    const gaps = (lines: readonly string[]): unknown[] =>
      incidentOf(lines).instances.flatMap((instance) =>
        coverageGaps(instance.coverage).map(({ fromMs, toMs, why }) => [
          (fromMs - START_MS) / 1000,
          (toMs - START_MS) / 1000,
          why,
        ]),
      );
    const [five, quarter] = [300, 900];
    assert.deepEqual(gaps([coverage(0, 'start'), coverage(five, 'running')]), []);
    assert.deepEqual(gaps([coverage(0, 'start'), coverage(quarter, 'running')]), [
      [0, quarter, 'silent'],
    ]);
    assert.deepEqual(gaps([coverage(0, 'agent stop'), coverage(30, 'start')]), [
      [0, 30, 'agent ended'],
    ]);
    assert.deepEqual(gaps([coverage(0, 'replaced'), coverage(30, 'start')]), []);
    assert.deepEqual(gaps([coverage(0, 'stop'), coverage(quarter, 'start')]), []);
  });

  test('a line that says when nobody watched is a gap, in both forms; a coarser one beside it is not told', () => {
    const unwatched = (from: number, to: number, stopped: boolean, format: 'json' | 'text') => {
      const ns = (seconds: number): bigint => BigInt(START_MS + seconds * 1000) * 1_000_000n;
      const told = { container, fromNs: ns(from), toNs: ns(to), stopped };
      const at = new Date(START_MS + to * 1000).toISOString().slice(11, 23);
      return cf(line(0, to, unwatchedNotice(told), format), undefined, at);
    };
    for (const format of ['json', 'text'] as const) {
      const { instances } = incidentOf([
        coverage(0, 'agent stop', format),
        unwatched(1, 20, true, format),
        coverage(30, 'start', format),
        unwatched(40, 50, false, format),
        coverage(60, 'start', format),
      ]);
      const gaps = instances.flatMap((one) => coverageGaps(one.coverage, one.unwatched));
      assert.deepEqual(
        gaps.map(({ fromMs, toMs, why }) => [
          (fromMs - START_MS) / 1000,
          (toMs - START_MS) / 1000,
          why,
        ]),
        [
          [1, 20, 'agent ended'],
          [40, 50, 'agent killed'],
        ],
      );
    }
  });
});
