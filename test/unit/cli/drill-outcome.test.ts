import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newDrillAction } from '../../../src/cli/drill/action.ts';
import { outcomeOf } from '../../../src/cli/drill/hops.ts';
import type { DrillOutcome } from '../../../src/cli/drill/hops.ts';
import type { AgentLook, HostFacts } from '../../../src/cli/drill/host.ts';
import type { LogFacts } from '../../../src/cli/drill/log.ts';
import { report, reportJson } from '../../../src/cli/drill/report.ts';
import type { DrillFacts } from '../../../src/cli/drill/verdict.ts';

const action = newDrillAction('Warning', '0123456789abcdef0123');
/** Unix ms of performance.now() = 0. */
const ZERO = Date.UTC(2026, 0, 31, 8, 15, 0);

const LOOK: AgentLook = {
  hostname: 'cell-1',
  startedAtMs: 1,
  ruleOn: true,
  shed: [],
  drills: 0,
  container: { id: 'abababababab', name: 'shop', app: 'shop', state: 'included', reason: '' },
  streams: [
    { name: 'container', waiting: 0, oldestMs: undefined, missed: 2 },
    { name: 'syslog', waiting: 0, oldestMs: undefined, missed: 0 },
  ],
};
const LOG: LogFacts = {
  drill: undefined,
  coverage: undefined,
  agentLines: 0,
  lines: 9,
  forged: 0,
  strange: 0,
  earlierMs: undefined,
  suppressed: false,
  lastEnd: { code: 0, said: '' },
};
const PAGE: NonNullable<DrillFacts['page']> = {
  seenAtMs: undefined,
  others: 0,
  failure: undefined,
  kind: 'listen',
  where: 'http://127.0.0.1:9099/',
  text: action.token,
};
const NO_AGENT: HostFacts = { state: 'not asked', why: 'no agent on this host' };

const line = (atMs: number, eventMs: number, hostname = 'cell-1') => ({
  ...({ atMs, origin: 'varvel', eventMs: ZERO + eventMs, hostname } as const),
});
const host = (last: Partial<AgentLook> = {}, roseAtMs?: number): HostFacts => ({
  state: 'answers',
  before: LOOK,
  last: { ...LOOK, ...last },
  roseAtMs,
  lost: undefined,
});
const coverage = (agoMs: number, when = 'running', text = 'This container is watched') => ({
  timeMs: ZERO + 60_000 - agoMs,
  hostname: 'cell-1',
  when,
  text,
  notWatched: undefined,
});

function outcome(facts: Partial<DrillFacts>): DrillOutcome {
  return outcomeOf({
    action,
    run: { beganMs: 1000, endedMs: 1100, end: { code: 0, said: '' } },
    host: NO_AGENT,
    log: undefined,
    page: undefined,
    waitedMs: 60_000,
    interrupted: false,
    nowUnixMs: ZERO + 60_000,
    unixOffsetMs: ZERO,
    ...facts,
  });
}
const states = ({ hops }: DrillOutcome): string[] =>
  hops.filter(({ state }) => state !== 'not asked').map(({ hop, state }) => `${hop} ${state}`);

/** The hop that is named, and all that is said of it. */
function broken(facts: Partial<DrillFacts>): [hop: string | undefined, advice: string] {
  const { broken: it } = outcome(facts);
  return [it?.hop, it?.advice.join('\n') ?? ''];
}

describe('a path that is whole', () => {
  test('times of one clock: from the action to the event, the line and the alert', () => {
    const {
      hops,
      notes,
      broken: none,
    } = outcome({
      host: host({ drills: 1 }, 1500),
      log: { ...LOG, drill: line(1800, 1050), lastEnd: undefined },
      page: { ...PAGE, seenAtMs: 2300 },
    });
    assert.equal(none, undefined);
    assert.deepEqual(
      hops.map(({ hop, state, atMs, afterMs, tookMs }) => [hop, state, atMs, afterMs, tookMs]),
      [
        ['action', 'ok', ZERO + 1100, 100, 100],
        ['agent', 'ok', ZERO + 1050, 50, 50],
        ['streams', 'ok', undefined, undefined, undefined],
        ['log', 'ok', ZERO + 1800, 800, 750],
        ['alert', 'ok', ZERO + 2300, 1300, 500],
      ],
    );
    assert.deepEqual(notes, []);
  });

  test('another host’s clock is not mixed with this one’s; what it must differ by is said', () => {
    const of = (eventMs: number) =>
      outcome({ log: { ...LOG, drill: line(1800, eventMs), lastEnd: undefined } });
    const { hops, notes } = of(1500);
    const agent = hops.find(({ hop }) => hop === 'agent');
    assert.deepEqual([agent?.state, agent?.atMs, agent?.tookMs], ['ok', undefined, undefined]);
    assert.match(agent?.said ?? '', /at 08:15:01\.500, by the clock of cell-1/);
    assert.equal(hops.find(({ hop }) => hop === 'log')?.tookMs, 800);
    assert.match(notes.join(), /the two do not contradict each other/);
    assert.match(of(9800).notes.join(), /ahead of this one, by at least 8\.0 s/);
    assert.match(of(-4000).notes.join(), /behind this one, by at least 5\.0 s/);
  });

  test('also when another host’s agent wrote the line, though one here counted a drill', () => {
    const { hops } = outcome({
      host: host({ drills: 1 }, 1500),
      log: { ...LOG, drill: line(1800, 1050, 'cell-2') },
    });
    assert.equal(hops.find(({ hop }) => hop === 'agent')?.atMs, undefined);
  });

  test('a log that does not say who wrote a line, a forged line, a command that failed all the same', () => {
    const drill = { ...line(1800, 1500), origin: 'unknown' } as const;
    const { notes, broken: none } = outcome({
      run: { beganMs: 1000, endedMs: 1100, end: { code: 1, said: '' } },
      log: { ...LOG, drill, forged: 1 },
    });
    assert.equal(none, undefined);
    assert.match(notes.join('\n'), /does not say who wrote a line: an app that watches/);
    assert.match(
      notes.join('\n'),
      /1 line in this log looked like the drill’s, and came from elsewhere/,
    );
    assert.match(notes.join('\n'), /The command of --run failed, but/);
    assert.match(
      outcome({ host: host({}, 1500), log: { ...LOG, drill } }).notes.join('\n'),
      /but the agent counted a drill as well/,
    );
  });
});

test('an alert that came before the log was looked at counts from the hop before; who ends it is told', () => {
  const { hops, notes } = outcome({
    host: host({ drills: 1 }, 1500),
    log: { ...LOG, drill: line(1800, 1050) },
    page: { ...PAGE, seenAtMs: 1070 },
    interrupted: true,
  });
  assert.deepEqual(
    hops.map(({ tookMs }) => tookMs),
    [100, 50, undefined, 750, 20],
  );
  assert.match(notes.join(), /You ended it after 60 s: more may have come later/);
});

describe('the first hop that is broken', () => {
  test('the action', () => {
    const failed = { code: 1, said: 'Error response from daemon: No such container: shop' };
    const facts = { run: { beganMs: 1000, endedMs: 1100, end: failed }, log: LOG };
    assert.deepEqual(states(outcome(facts)), [
      'action broken',
      'agent not reached',
      'log not reached',
    ]);
    assert.match(
      broken(facts)[1],
      /ended with 1, saying "Error response from daemon: No such container/,
    );
  });

  test('the agent, which has ended, or stopped to answer', () => {
    const [hop, said] = broken({ host: { state: 'dead', why: 'It is gone.' }, log: LOG });
    assert.deepEqual([hop, /It is gone\. Start the agent/.test(said)], ['agent', true]);
    const lost = { ...host(), lost: 'No agent answers' } as HostFacts;
    assert.match(
      broken({ host: lost, log: LOG })[1],
      /answered before the drill, and now: No agent/,
    );
  });

  test('the agent, which does not watch the container; its reason is quoted, whatever is in it', () => {
    const container = {
      ...LOOK.container,
      state: 'excluded',
      reason: 'No label\u001b[2J\u202e.',
    } as const;
    const [hop, said] = broken({
      host: host({ container: { ...LOOK.container!, ...container } }),
      log: LOG,
    });
    assert.equal(hop, 'agent');
    assert.match(said, /does not watch the container shop: No label\\x1b\[2J\\u202e\./);
  });

  test('the agent, whose rule is off, or shed', () => {
    assert.match(
      broken({ host: host({ ruleOn: false }), log: LOG })[1],
      /does not run on this host/,
    );
    assert.match(
      broken({ host: host({ ruleOn: false, shed: ['Debug', 'Warning'] }), log: LOG })[1],
      /over a ceiling of its own.*--priority critical/,
    );
  });

  test('the agent, which sees no such container, or nothing in it', () => {
    assert.match(
      broken({ host: host() })[1],
      /It watches the container shop\. Was the action done/,
    );
    assert.match(
      broken({ host: host({ container: undefined }), log: LOG })[1],
      /sees no container that the command of --run names/,
    );
  });

  test('the agent, as its coverage lines tell', () => {
    const of = (log: Partial<LogFacts>) => broken({ log: { ...LOG, agentLines: 1, ...log } });
    for (const [log, says] of [
      [{ agentLines: 0 }, /This log has no line of the agent, not even a coverage line/],
      [{ coverage: coverage(20 * 60_000) }, /No coverage line since 20 minutes/],
      [{ coverage: coverage(1000, 'agent stop') }, /The agent was stopped/],
      [{ coverage: coverage(1000, 'stop') }, /a container that is gone\?/],
      [
        { coverage: { ...coverage(1000), notWatched: '12 rules (Warning)' } },
        /not watched for: 12 rules \(Warning\)/,
      ],
    ] as const) {
      const [hop, said] = of(log);
      assert.equal(hop, 'agent');
      assert.match(said, says);
    }
  });

  test('the log, which cannot be read, has it in another form, or has everything but this', () => {
    const of = (log: Partial<LogFacts>) =>
      broken({ log: { ...LOG, agentLines: 3, coverage: coverage(1000), ...log } });
    for (const [log, says] of [
      [
        { agentLines: 0, lastEnd: { code: 1, said: 'Not logged in.' } },
        /--logs ended with 1, saying "Not logged in/,
      ],
      [{ strange: 1 }, /1 line has the drill’s token, but in a form that does not tell who wrote/],
      [{ suppressed: true }, /counted drills instead of writing them/],
      [{}, /Other lines of the agent come \(3 here\), but not this one/],
    ] as const) {
      const [hop, said] = of(log);
      assert.equal(hop, 'log', said);
      assert.match(said, says);
    }
  });

  test('the log, though the agent reported it and the alert came', () => {
    const [hop, said] = broken({
      host: host({ drills: 1 }, 1500),
      log: LOG,
      page: { ...PAGE, seenAtMs: 2000 },
    });
    assert.equal(hop, 'log');
    assert.match(said, /its streams \(container, syslog\) have nothing that waits/);
    assert.deepEqual(states(outcome({ log: LOG, page: { ...PAGE, seenAtMs: 2000 } })), [
      'action ok',
      'agent ok',
      'log broken',
      'alert ok',
    ]);
  });

  test('a stream, whose lines wait since the drill or longer, or got lost since', () => {
    const streams = (waiting: Partial<AgentLook['streams'][0]>) => [
      LOOK.streams[0]!,
      { ...LOOK.streams[1]!, ...waiting },
    ];
    const of = (waiting: Partial<AgentLook['streams'][0]>) =>
      broken({
        host: host({ drills: 1, streams: streams(waiting) }, 1500),
        log: { ...LOG, drill: line(1800, 1050) },
        page: PAGE,
      });
    const [hop, said] = of({ waiting: 2, oldestMs: ZERO + 1050 });
    assert.equal(hop, 'streams');
    assert.match(
      said,
      /stream "syslog" has 2 lines that the receiver did not take, the oldest of 2026-01-31 08:15:01 UTC/,
    );
    assert.match(of({ missed: 1 })[1], /stream "syslog" could not take 1 line since/);
    assert.equal(
      of({ waiting: 1, oldestMs: ZERO + 30_000 })[0],
      'alert',
      'what came long after it waits',
    );
    assert.equal(of({})[0], 'alert');
  });

  test('the alert', () => {
    const log = { ...LOG, drill: line(1800, 1050) };
    for (const [facts, says] of [
      [{ page: PAGE }, /No request came to http:\/\/127\.0\.0\.1:9099\/ in 60 s/],
      [{ page: { ...PAGE, others: 2 } }, /2 requests came to .*, none with "0123456789abcdef0123"/],
      [
        { page: { ...PAGE, kind: 'expect', others: 50 } },
        /did not have "0123456789abcdef0123" in 60 s/,
      ],
      [{ page: { ...PAGE, failure: 'it answers 503' } }, /cannot be looked at: it answers 503/],
      [
        { log: { ...log, earlierMs: ZERO + 1050 - 14 * 60_000 }, page: PAGE },
        /A drill at 2026-01-31 08:01:01 UTC is the same incident.*--priority critical/,
      ],
    ] as const) {
      const [hop, said] = broken({ log, ...facts });
      assert.equal(hop, 'alert');
      assert.match(said, says);
      assert.match(said, /Paste what "varvel alerts PLATFORM" .* with --priority warning/);
    }
    const told = (more: object): string => broken({ log: { ...log, ...more }, page: PAGE })[1];
    assert.doesNotMatch(told({ earlierMs: ZERO + 1050 - 16 * 60_000 }), /same incident/);
    assert.doesNotMatch(told({ earlierMs: ZERO, earlierIncident: 'k3x9abcd' }), /same incident/);
  });

  test('which one cannot be told where only the alert is asked', () => {
    const [hop, said] = broken({ page: PAGE });
    assert.equal(hop, 'alert');
    assert.match(said, /Which hop it is cannot be told from here/);
  });

  test('what the agent here says is not about an app of another host', () => {
    const elsewhere = { ...coverage(1000), hostname: 'cell-2' };
    const log = { ...LOG, agentLines: 1, coverage: elsewhere };
    assert.equal(broken({ host: host({ container: undefined }), log })[0], 'log');
    assert.equal(broken({ host: host(), log })[0], 'agent', 'but for a container that it has');
  });
});

describe('the report', () => {
  const facts = {
    host: host({ drills: 1 }, 1500),
    log: { ...LOG, drill: line(1800, 1050), lastEnd: undefined },
    page: PAGE,
  };

  test('a table of hops, then what is broken and what to do', () => {
    const io = { stdout: () => undefined, stderr: () => undefined, isTty: false, columns: 80 };
    const text = report(action, outcome(facts), io);
    assert.ok(
      text.startsWith(`Drill 0123456789abcdef0123: "Varvel drill", Warning; times in UTC

  hop      at               after      took
✓ action   08:15:01.100   +100 ms    100 ms  tried to open /varvel-drill/0123456789abcdef0123
✓ agent    08:15:01.050    +50 ms     50 ms  the event, by the same clock
✓ streams                                    nothing waits (container, syslog)
✓ log      08:15:01.800   +800 ms    750 ms  the line, from the agent as the log says
✗ alert                                      not within 60 s

Broken: alert.
- No request came to http://127.0.0.1:9099/ in 60 s: is that the address in the
`),
      text,
    );
    const coloured = report(action, outcome(facts), { ...io, isTty: true });
    assert.match(coloured, /\x1b\[32m✓\x1b\[0m action/);
  });

  test('for machines', () => {
    const document = JSON.parse(reportJson(action, outcome(facts))) as Record<string, unknown>;
    const { hops, advice, ...rest } = document;
    assert.deepEqual(rest, {
      token: action.token,
      rule: 'Varvel drill',
      priority: 'Warning',
      path: action.path,
      ok: false,
      broken: 'alert',
      notes: [],
    });
    assert.deepEqual((hops as unknown[])[3], {
      hop: 'log',
      state: 'ok',
      at: '2026-01-31T08:15:01.800Z',
      after_ms: 800,
      took_ms: 750,
      said: 'the line, from the agent as the log says',
    });
    assert.equal((advice as string[]).length, 2);
  });
});
