// File calls that no rule can match end in the kernel: for apps with the operator's rules alone, and for those with rules of their own.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { agentLines, execInContainer, runContainer } from '../support/e2e-docker.ts';

const OPERATORS = `
- rule: First read
  desc: A test's own.
  condition: evt.type in (open, openat) and evt.is_open_read = true and fd.name = /srv/first
  output: first
  priority: WARNING
- rule: Second read
  desc: A test's own.
  condition: evt.type in (open, openat) and evt.is_open_read = true and fd.name = /srv/second
  output: second
  priority: WARNING
- rule: Secret moved
  desc: A test's own.
  condition: evt.type in (rename, renameat2) and evt.rawres = 0 and evt.arg.newpath = /srv/moved
  output: moved
  priority: WARNING
- rule: Removed by another program
  desc: A test's own.
  condition: evt.type in (unlink, unlinkat) and not proc.exepath = /bin/busybox
  output: removed
  priority: WARNING
`;
const POLICY = `
rules:
  - disable: {rule: First read}
custom_rules:
  - rule: Ledger read
    desc: A test's own.
    condition: evt.type in (open, openat) and evt.is_open_read = true and fd.name = /srv/ledger
    output: ledger
    priority: WARNING
`;
const OPENS = 200;
const MOVES = 20;
/** Opens, renames and removals that no rule is about. */
const WORK = `mkdir -p /srv; for file in first second ledger; do : > /srv/$file; done; i=0; while [ $i -lt ${OPENS} ]; do : < /etc/hostname; i=$((i+1)); done; i=0; while [ $i -lt ${MOVES} ]; do : > /srv/a; mv /srv/a /srv/b; rm /srv/b; i=$((i+1)); done`;

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
});
after(() => engine[Symbol.asyncDispose]());

const runApp = (labels: Readonly<Record<string, string>>): Promise<Docker.Container> =>
  runContainer(engine, 'exec sleep 600', { labels: { 'varvel.enable': 'true', ...labels } });

const verdictsOf = async (agent: E2eAgent): Promise<{ containers: number; tables: number }> =>
  (await agent.snapshot()).kernel.verdicts;

/** Does ordinary work, then opens what rules are about; the rules that its log says of that, and how many opens were kept back. */
async function work(agent: E2eAgent, app: Docker.Container) {
  const rules = async (): Promise<string[]> =>
    (await agentLines(engine, app))
      .map(({ rule }) => rule)
      .filter((rule) => !rule.startsWith('Varvel:'));
  const told = (await rules()).length;
  const before = (await agent.containerStatus(app.id))?.prefiltered ?? 0;
  await execInContainer(app, WORK);
  const reads = ': < /srv/first; : < /srv/ledger; : < /srv/second';
  await execInContainer(app, `: > /srv/x; mv /srv/x /srv/moved; rm /srv/moved; ${reads}`);
  await until('the last is told', async () => (await rules()).slice(told).includes('Second read'));
  const { prefiltered = 0 } = (await agent.containerStatus(app.id)) ?? {};
  return { rules: (await rules()).slice(told), kept: prefiltered - before };
}

test('each app is judged by the rules that hold for it, also after a reload', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    rules: { 'own.yaml': OPERATORS },
    streams: ['container: {enabled: true}'],
  });
  const plain = await runApp({});
  const own = await runApp({ 'varvel.policy': POLICY });
  try {
    const judged = async (): Promise<boolean> => {
      const { containers, tables } = await verdictsOf(agent);
      return containers === 2 && tables === 2;
    };
    for (const round of [1, 2]) {
      await until(`both are judged, each by its own rules (${round})`, judged);
      const ofPlain = await work(agent, plain);
      const ofOwn = await work(agent, own);
      assert.deepEqual(ofPlain.rules, ['Secret moved', 'First read', 'Second read']);
      assert.deepEqual(ofOwn.rules, ['Secret moved', 'Ledger read', 'Second read']);
      assert.ok(ofPlain.kept >= OPENS, `${ofPlain.kept} kept back`);
      assert.ok(ofOwn.kept >= OPENS, `${ofOwn.kept} kept back`);
      if (round === 2) continue;
      agent.kill('SIGHUP');
      await until('the rules are loaded again', async () => {
        const { rules } = await agent.snapshot();
        return rules.reloads.ok === 1;
      });
    }
    const { kernel } = await agent.snapshot();
    const opens = (kernel.filtered['open'] ?? 0) + (kernel.filtered['openat'] ?? 0);
    assert.ok(opens >= 4 * OPENS, `${opens} opens kept back`);
    const of = (...events: readonly string[]): number =>
      events.reduce((sum, event) => sum + (kernel.filtered[event] ?? 0), 0);
    const [moves, removals] = [of('rename', 'renameat2'), of('unlink', 'unlinkat')];
    assert.ok(moves >= 4 * MOVES, `${moves} renames kept back`);
    assert.ok(removals >= 4 * MOVES, `${removals} removals kept back`);
    // Of the app without a policy, in both rounds: all comparisons of these rules are decided.
    const { confirmed, unconfirmed } = kernel.verdicts.certain;
    assert.deepEqual([confirmed >= 6, unconfirmed], [true, 0], `${confirmed} confirmed`);
    assert.match(
      agent.varvel('status').stdout,
      /^records: .* \d{3,} filtered in the kernel \(.*\bopen(at)? \d{3,}/m,
    );
    const [, counted = ''] =
      /^varvel_events_filtered_total\{type="open(?:at)?"\} ([1-9]\d+)$/m.exec(
        await agent.metrics(),
      ) ?? [];
    assert.ok(Number(counted) >= OPENS, counted);
  } finally {
    await plain.remove({ force: true });
    await own.remove({ force: true });
  }
});
