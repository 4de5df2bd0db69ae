import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newDrillAction } from '../../../src/cli/drill/action.ts';
import { LogReader } from '../../../src/cli/drill/log.ts';
import type { LogSystem } from '../../../src/reading/read-log-line.ts';
import type { LogFacts } from '../../../src/cli/drill/log.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { renderRfc5424 } from '../../../src/streams/syslog/rfc5424.ts';
import { coverageNotice, suppressedNotice } from '../../../src/streams/notices.ts';
import { containerOf, deliveryOf } from '../streams/delivery-fixture.ts';
import { lineOf } from '../streams/outgoing-line-fixture.ts';

const action = newDrillAction('Warning', '0123456789abcdef0123');
const TIME_MS = Date.UTC(2026, 0, 31, 8, 15, 4, 123);
const container = containerOf({}, { instance: '0' });

function drill(token = action.token, more: Partial<Detection> = {}): Partial<Detection> {
  const path = `/varvel-drill/${token}`;
  return {
    rule: 'Varvel drill',
    timeNs: BigInt(TIME_MS) * 1_000_000n,
    output: `Varvel drill: this is a drill | token=${token} file=${path}`,
    outputFields: { 'fd.filename': token, 'fd.name': path },
    container,
    ...more,
  };
}
const json = (detection: Partial<Detection>): string =>
  formatLine(deliveryOf(detection), { format: 'json' });
const text = (detection: Partial<Detection>): string =>
  formatLine(deliveryOf(detection), { format: 'text' });
const cf = (line: string, source = 'VARVEL/0'): string =>
  `   2026-01-31T08:15:04.12+0000 [${source}] ERR ${line}`;

const syslog = (line: string, sourceType = 'VARVEL'): string =>
  renderRfc5424(lineOf({ text: line }), { sourceType }).text;

function read(lines: readonly string[], app?: string, from?: LogSystem): LogFacts {
  const reader = new LogReader({ action, from, sourceType: 'VARVEL', app });
  for (const [at, line] of lines.entries()) reader.line(line, at);
  return reader.facts;
}

describe('the drill’s line', () => {
  test('is found in what each log prints, with who says that it is the agent’s', () => {
    for (const [line, origin, from] of [
      [cf(json(drill())), 'varvel', 'cf'],
      [syslog(json(drill())), 'varvel', 'syslog'],
      [cf(text(drill())), 'varvel', 'cf'],
      [cf(json(drill())), 'unknown', undefined],
      [syslog(json(drill())), 'unknown', undefined],
      [json(drill()), 'unknown', undefined],
      [`shop-1  | ${json(drill())}`, 'unknown', 'docker'],
      [`2026-01-31T08:15:04.12Z ${text(drill())}`, 'unknown', 'kubectl'],
    ] as const) {
      const { drill: found, agentLines, forged, strange } = read(['', line, line], undefined, from);
      assert.deepEqual([found?.atMs, found?.origin], [1, origin], line);
      assert.deepEqual([agentLines, forged, strange], [2, 0, 0]);
    }
    const { drill: found } = read([json(drill())]);
    assert.deepEqual([found?.eventMs, found?.hostname], [TIME_MS, 'cell-1']);
    assert.equal(read([text(drill())]).drill?.eventMs, undefined);
  });

  test('counts from the agent only, where the log names the source', () => {
    const facts = read([
      cf(json(drill()), 'APP/PROC/WEB/0'),
      syslog(json(drill()), 'APP'),
      cf(text(drill()), 'APP/TASK/x/0'),
    ]);
    assert.equal(facts.drill, undefined);
    assert.deepEqual([facts.forged, facts.agentLines, facts.lines], [3, 0, 3]);
  });

  test('is none of another drill’s, of another rule’s, or of a shell that names the path', () => {
    const facts = read([
      json(drill('f'.repeat(20))),
      json(drill(action.token, { rule: 'Sensitive file read' })),
      cf(`sh: can't open ${action.path}: no such file`, 'APP/PROC/WEB/SSH/0'),
      `sh: can't open ${action.path}: no such file`,
      `2026-01-31T08:15:04 cell varvel: ${json(drill())}`,
    ]);
    assert.equal(facts.drill, undefined);
    assert.equal(facts.strange, 1, 'the last: no source is known of it');
    assert.equal(facts.earlierMs, TIME_MS);
  });
});

describe('what else a log tells', () => {
  const coverage = (when: 'start' | 'running' | 'agent stop', atMs: number, of = container) => {
    const facts = { version: '1', rules: 70, events: 1, lost: 0, suppressed: 0 };
    return json(coverageNotice({ when, ...facts }, of, BigInt(atMs) * 1_000_000n));
  };

  test('the newest coverage line, also where lines came out of order', () => {
    const { coverage: last } = read([
      coverage('running', TIME_MS + 2000),
      coverage('start', TIME_MS),
    ]);
    assert.deepEqual(
      [last?.when, last?.timeMs, last?.hostname],
      ['running', TIME_MS + 2000, 'cell-1'],
    );
    assert.match(last?.text ?? '', /is watched by varvel 1 with 70 rules/);
  });

  test('the same of a line in text, and what is not watched for now', () => {
    const facts = { version: '1', rules: 70, events: 1, lost: 0, suppressed: 0 };
    const notWatchedFor = '2 rules of priority "Notice" and below';
    const notice = coverageNotice({ when: 'running', ...facts, notWatchedFor }, container, 1n);
    for (const line of [json(notice), text(notice)]) {
      const { coverage: last } = read([line]);
      assert.deepEqual([last?.when, last?.notWatched], ['running', notWatchedFor]);
    }
  });

  test('of the named app alone', () => {
    const blog = containerOf({}, { name: 'blog', guid: 'g-1' });
    const lines = [coverage('running', TIME_MS), coverage('agent stop', TIME_MS + 1, blog)];
    assert.equal(read(lines, 'shop').coverage?.when, 'running');
    assert.equal(read(lines, 'g-1').coverage?.when, 'agent stop');
    assert.equal(read(lines).coverage?.when, 'agent stop');
    assert.equal(read(lines, 'desk').agentLines, 2);
  });

  test('that drills were counted, not written', () => {
    const notice = suppressedNotice(
      {
        rule: 'Varvel drill',
        priority: 'Warning',
        count: 3,
        firstNs: 1n,
        lastNs: 2n,
        container,
      },
      { burst: 50, perMinute: 60, appBurst: 200, appPerMinute: 600, summaryMs: 60_000 },
    );
    assert.ok(read([json(notice)]).suppressed);
    assert.ok(!read([json(drill())]).suppressed);
  });

  test('what an app prints, of any shape, is none of it', () => {
    const { coverage: last, agentLines } = read([
      cf(coverage('agent stop', TIME_MS), 'APP/PROC/WEB/0'),
      '{"rule":"Varvel: coverage"}',
      '\x1b[2J',
      '',
    ]);
    assert.deepEqual([last, agentLines], [undefined, 0]);
  });

  test('a log that is read again and again is counted once', () => {
    const reader = new LogReader({ action, from: undefined, sourceType: 'VARVEL', app: undefined });
    for (let run = 0; run < 3; run++) {
      reader.restart();
      for (const line of [json(drill('0'.repeat(20))), 'x']) reader.line(line, run);
    }
    assert.deepEqual([reader.facts.lines, reader.facts.agentLines], [2, 1]);
  });
});
