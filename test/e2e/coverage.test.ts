import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import { logLines, runContainer } from '../support/e2e-docker.ts';

const RULE = 'Varvel: coverage';

let engine: TestDockerd;

before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

const kinds = (lines: readonly DetectionLine[]): unknown[] =>
  lines.map(({ output_fields: fields }) => fields['coverage.when']);

test('an app’s own log says from when on, with what and until when it was watched', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    config: ['coverage: {interval: 5s}'],
  });
  const run = (app: string) =>
    runContainer(engine, 'while :; do cat /etc/hostname >/dev/null; sleep 1; done', {
      labels: { 'varvel.enable': 'true', 'varvel.app': app },
    });
  const [stays, ends] = [await run('stays'), await run('ends')];
  const excluded = await runContainer(engine, 'exec sleep 600', {});
  try {
    const own = async (): Promise<DetectionLine[]> =>
      (await logLines(engine, stays)).map((line) => JSON.parse(line) as DetectionLine);
    const of = (app: string): DetectionLine[] =>
      agent.detections(RULE).filter(({ app: one }) => one?.['name'] === app);
    await until('it runs for a while', async () => kinds(await own()).includes('running'), 30_000);
    const [first, second] = await own();
    assert.equal(first?.priority, 'Informational');
    assert.equal(first.seq, 0);
    assert.match(
      first.output,
      /This container is watched by varvel \d+\.\d+\.\d+ with \d+ rules: \d+ events seen, 0 lost, 0 /,
    );
    const seen = (line: DetectionLine | undefined): number =>
      Number(line?.output_fields['coverage.events']);
    assert.ok(seen(first) > 0 && seen(second) > seen(first), 'events are counted');
    const { rules } = await agent.snapshot();
    assert.equal(first.output_fields['coverage.rules'], rules.enabled);
    await ends.kill();
    await until('the operator reads of the other’s end', () => kinds(of('ends')).includes('stop'));
    assert.deepEqual(kinds(of('ends')).slice(0, 1), ['start']);
    await agent.end();
    // The engine takes what the agent wrote a moment later.
    await until('its own log says that nobody watches any more', async () => {
      return kinds(await own()).at(-1) === 'agent stop';
    });
    assert.deepEqual(
      [...new Set(agent.detections(RULE).map(({ app }) => app?.['name']))].sort(),
      ['ends', 'stays'],
      'nothing of what is not watched',
    );
  } finally {
    for (const container of [stays, ends, excluded]) await container.remove({ force: true });
  }
});
