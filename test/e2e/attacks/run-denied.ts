import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../../support/dockerd.ts';
import { E2eAgent, pooled, until, type DetectionLine } from '../../support/e2e-agent.ts';
import type { VerdictsStatus } from '../../../src/agent/verdict-group.ts';
import { DENIALS, type Denial, type DeniedRow, type DeniedRun } from './denied.ts';
import { importAttackImage } from './image.ts';
import { as, K8S_API, type AttackRow } from './row.ts';
import { appName } from './run-attacks.ts';

/** Most of them wait most of the time. */
const AT_A_TIME = 12;
/** A minute after its start an app is no start script any more, and ten seconds later the kernel counts on that. */
const OLD_MS = 75_000;
const LATE_S = '62';
/** An emulated machine takes its time to make the tables. */
const TABLES_MS = 900_000;
/** An attack that is denied may wait for what never comes. */
const ROW_TIMEOUT_MS = 90_000;
/** How the response deny says it. */
const ENDED_FIRST = 'program ended before its first instruction';
/** The first process waits for a signal; then it becomes the attack. Its words are in a file: a rule could match them before. */
const WAITING = 'trap "go=1" USR1; while [ -z "$go" ]; do sleep 1; done; . /action';

/** Does each attack in a container of its own, where all rules from this priority up are to deny. */
export async function runDenied(
  rows: readonly AttackRow[],
  kernel: string,
  priority: string,
): Promise<DeniedRun> {
  await using engine = await startDockerd();
  const image = await importAttackImage(engine);
  await using agent = await E2eAgent.start({
    dockerd: engine,
    hosts: [`${K8S_API} kubernetes.default.svc.cluster.local`],
    streams: ['container: {enabled: false}'],
    config: [
      'rule_matching: all',
      'hold_time: 60s',
      `responses: [{match: {priority: ${priority}}, do: deny, mode: enforce, fall_back: false}]`,
      'append_output: [{extra_fields: [container.full_id]}]',
    ],
  });
  const started = new Map<AttackRow, Docker.Container>();
  try {
    await pooled(
      rows,
      AT_A_TIME,
      async (row) => void started.set(row, await start(engine, image, agent.folder, row)),
    );
    await new Promise((resolve) => setTimeout(resolve, OLD_MS));
    let seen = '';
    await until(
      () => `${rows.length} are denied by their age: ${seen}; the agent has logged ${agent.log()}`,
      async () => {
        const { apps, kernel: now } = await agent.snapshot();
        seen = JSON.stringify({ verdicts: now.verdicts, apps });
        return areJudged(now.verdicts, rows.length);
      },
      TABLES_MS,
      1000,
    );
    const problems: string[] = [];
    await pooled(rows, AT_A_TIME, async (row) => {
      const problem = await attack(row, started.get(row)!);
      if (problem !== undefined) problems.push(problem);
    });
    await until('all is told', async () => {
      const { received, kernel: counts } = await agent.snapshot();
      return received === counts.emitted;
    });
    const { verdicts, deniedDropped } = (await agent.snapshot()).kernel;
    const { inVain } = verdicts.denying;
    if (inVain > 0) problems.push(`${inVain} times something was denied that no rule matches`);
    if (deniedDropped > 0) problems.push(`${deniedDropped} denials have no line`);
    const outcomes = rows.map((row) => outcome(row, started.get(row)!.id, agent.detections()));
    return { kernel, priority, rows: outcomes, problems };
  } finally {
    for (const container of started.values()) await container.remove({ force: true });
  }
}

/** Whether something is denied in so many, as in one that is old enough, and none waits for its table. */
const areJudged = ({ denying, waiting }: VerdictsStatus, containers: number): boolean =>
  denying.containers >= containers && denying.tooYoung === 0 && waiting === 0;

async function start(
  engine: TestDockerd,
  image: string,
  folder: string,
  row: AttackRow,
): Promise<Docker.Container> {
  const quoted = actionOf(row).map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  const file = join(folder, appName(row));
  writeFileSync(file, `exec ${quoted.join(' ')}\n`);
  const container = await engine.docker.createContainer({
    name: appName(row),
    Image: image,
    Cmd: row.inTerminal === true ? ['sleep', '600'] : ['sh', '-c', WAITING],
    Labels: { 'varvel.enable': 'true', 'varvel.app': appName(row) },
    ...(row.user === undefined ? {} : { User: row.user }),
    HostConfig: {
      NetworkMode: 'none',
      ...row.host,
      Binds: [...(row.host?.Binds ?? []), `${file}:/action:ro`],
    },
  });
  await container.start();
  return container;
}

function actionOf(row: AttackRow): readonly string[] {
  const action = typeof row.does === 'string' ? ['/bin/sh', '-c', row.does] : row.does;
  return [...(row.late === true ? [as('shop'), 'wait', LATE_S, 'spawn'] : []), ...action];
}

/** Lets it happen, and waits for its end. One that is denied may fail, or wait for what never comes. Returns what went wrong. */
async function attack(row: AttackRow, container: Docker.Container): Promise<string | undefined> {
  const timer = setTimeout(() => void container.kill().catch(() => undefined), ROW_TIMEOUT_MS);
  try {
    if (row.inTerminal !== true) {
      const { State: state } = await container.inspect();
      if (!state.Running)
        return `${row.action}: its container had ended before (${state.ExitCode})`;
      await container.kill({ signal: 'USR1' });
      await container.wait();
      return undefined;
    }
    const exec = await container.exec({ Cmd: [...actionOf(row)], AttachStdout: true, Tty: true });
    const stream = await exec.start({ Tty: true });
    stream.resume();
    await new Promise((resolve) => stream.once('close', resolve));
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

function outcome({ action }: AttackRow, id: string, lines: readonly DetectionLine[]): DeniedRow {
  const own = lines.filter(({ output_fields: it }) => it['container.full_id'] === id);
  const found = own.map((line) => ({ rule: line.rule, denial: denialOf(line) }));
  const denial = DENIALS.find((one) => found.some((it) => it.denial === one)) ?? 'silent';
  const rules = found.filter((it) => it.denial === denial).map(({ rule }) => rule);
  return { action, denial, rules: [...new Set(rules)] };
}

function denialOf({ output, output_fields: fields }: DetectionLine): Denial {
  const outcomes = String(fields['varvel.response.outcome'] ?? '').split(', ');
  if (outcomes.includes('prevented'))
    return output.includes(ENDED_FIRST) ? 'ended first' : 'refused';
  return outcomes.includes('done') || outcomes.includes('too late') ? 'killed after' : 'reported';
}

/** The table of a run, and the counts. */
export function formatDenied({ rows, problems }: DeniedRun): string {
  const width = Math.max(...rows.map(({ action }) => action.length));
  const counts = DENIALS.map(
    (denial) => `${rows.filter((one) => one.denial === denial).length} ${denial}`,
  );
  return [
    ...rows.map(
      ({ action, denial, rules }) =>
        `${action.padEnd(width)}  ${denial.padEnd(12)}  ${rules.join('; ')}`,
    ),
    '',
    ...problems.map((problem) => `! ${problem}`),
    `${rows.length} attacks: ${counts.join(', ')}`,
    '',
  ].join('\n');
}
