// Numbers of lines (seq) through real ends of the agent: none comes twice, and none is missing in silence.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MAX_LOST_RANGES } from '../../src/streams/notices.ts';
import { parseRanges } from '../../src/streams/number-range.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, settled, until, type DetectionLine } from '../support/e2e-agent.ts';
import { logLines, runContainer } from '../support/e2e-docker.ts';
import { HttpService } from '../support/http-receiver.ts';

const RULES = `
- rule: Numbered file
  desc: A test's own.
  condition: evt.type in (open, openat, openat2, creat) and fd.name startswith /tmp/n-
  output: made %fd.name
  priority: NOTICE
`;
/** Some 1,000 a second: more than is written between two looks at the ring, less than a ring holds. */
const FLOOD =
  'i=0; while :; do i=$((i+1)); : > /tmp/n-$((i%50)); [ $((i%20)) -eq 0 ] && usleep 10000; done';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

interface Summary {
  readonly lines: number;
  readonly highest: number;
  readonly told: number;
  readonly lost: number;
  readonly missing: number;
  /** Missing, and no line says so. */
  readonly silent: readonly number[];
}

/**
 * Of the lines of one log, which is one container's: each number up to `highest` (default: of the last line here) is there once,
 * or a line says that it is missing, or may be.
 */
function summaryOf(lines: readonly DetectionLine[], highest?: number): Summary {
  const ids = new Map<number, string>();
  for (const { seq, id } of lines.filter((line) => line.seq > 0)) {
    assert.equal(ids.get(seq) ?? id, id, `number ${seq} is of two lines`);
    ids.set(seq, id);
  }
  const gaps = lines
    .filter(({ rule }) => rule === 'Varvel: numbers uncertain')
    .map(({ output_fields: fields }) => [Number(fields['gap.from']), Number(fields['gap.to'])]);
  const notices = lines.filter(({ rule }) => rule === 'Varvel: lines lost');
  const lost = notices.map(({ output_fields: fields }) => {
    const ranges = parseRanges(fields['lost.numbers'], MAX_LOST_RANGES);
    assert.ok(ranges !== undefined, `lines lost, and not which: ${JSON.stringify(fields)}`);
    return { count: Number(fields['lost.count']), ranges, missing: 0 };
  });
  const upTo = highest ?? Math.max(0, ...ids.keys());
  let missing = 0;
  const silent: number[] = [];
  for (let seq = 1; seq <= upTo; seq++) {
    if (ids.has(seq)) continue;
    missing++;
    if (gaps.some(([from, to]) => from! <= seq && seq <= to!)) continue;
    const notice = lost.find(({ ranges }) =>
      ranges.some(({ from, to }) => from <= seq && seq <= to),
    );
    if (notice === undefined) silent.push(seq);
    else notice.missing++;
  }
  // What a notice says is lost stands for no more lines than it counts.
  const sum = (of: 'count' | 'missing'): number => lost.reduce((all, one) => all + one[of], 0);
  assert.ok(sum('missing') <= sum('count'), JSON.stringify(lost));
  return { lines: ids.size, highest: upTo, told: gaps.length, lost: sum('count'), missing, silent };
}

test('kill -9 in mid-flood, again and again, and ends in order', async (t) => {
  const http = await HttpService.start();
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['limits: {enabled: false}'],
    streams: [`http: {url: "http://127.0.0.1:${http.port}/", batch: true}`],
  });
  const labels = { 'varvel.enable': 'true' };
  const apps = await Promise.all(
    ['one', 'two'].map((app) =>
      runContainer(engine, FLOOD, { labels: { ...labels, 'varvel.app': app } }),
    ),
  );
  try {
    // Of this run of the agent. On a busy machine its start alone may take half a minute.
    const flooded = (): Promise<unknown> =>
      until(
        'lines come',
        async () => ((await agent.snapshot()).delivery.streams['file']?.delivered ?? 0) > 2000,
        180_000,
      );
    for (const signal of ['SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
      await flooded();
      await agent.end(signal);
      await agent.run();
    }
    await flooded();
    for (const app of apps) await app.pause();
    await agent.logged(/which numbers \(seq\) may be missing/);
    for (const app of apps) {
      const { app: name } = (await agent.containerStatus(app.id))!;
      const ofApp = (lines: readonly DetectionLine[]): DetectionLine[] =>
        lines.filter((line) => line.app?.['name'] === name);
      const look = async (): Promise<Record<'operator' | 'received' | 'own', Summary>> => {
        const operator = summaryOf(ofApp(agent.detections()));
        // What each of the others did not get at its end has to be told there, too.
        const { highest } = operator;
        const sent = http.requests.flatMap(({ body }) => JSON.parse(body) as DetectionLine[]);
        const own = (await logLines(engine, app)).flatMap(
          (line) => JSON.parse(line) as DetectionLine,
        );
        return {
          operator,
          received: summaryOf(ofApp(sent), highest),
          own: summaryOf(own, highest),
        };
      };
      // Gaps are told with the next look at what is there, losses every ten seconds.
      let seen = await look();
      const isSilent = (): boolean => Object.values(seen).some(({ silent }) => silent.length > 0);
      for (const end = Date.now() + 120_000; isSilent() && Date.now() < end;) {
        await delay(1000);
        await settled(agent, 60_000);
        seen = await look();
      }
      for (const [where, { silent, ...told }] of Object.entries(seen)) {
        t.diagnostic(`${name}: ${where}: ${JSON.stringify(told)}`);
        assert.equal(
          silent.length,
          0,
          `${where}: missing in silence: ${silent.slice(0, 50).join()}`,
        );
      }
      const { operator } = seen;
      assert.ok(operator.told >= 1 && operator.lines > 2000, JSON.stringify(operator));
    }
  } finally {
    for (const app of apps) await app.remove({ force: true });
    await http.stop();
  }
});
