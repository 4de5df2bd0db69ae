import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../../support/dockerd.ts';
import {
  E2eAgent,
  pooled,
  until,
  type Arrival,
  type DetectionLine,
} from '../../support/e2e-agent.ts';
import { explainAbsence } from './absent-fields.ts';
import { importAttackImage } from './image.ts';
import { runLastOne } from './last-one.ts';
import { lineLengths, type LineLengths } from './line-lengths.ts';
import { as, K8S_API, UPSTREAM_FILES, type AttackRow } from './row.ts';

const AT_A_TIME = 4;
/** Start scripts may run for a minute. */
const LATE_S = '62';
/** A container that ends on its own needs no longer; one that does not is a defect of its row. */
const ROW_TIMEOUT_MS = 120_000;
/** What the agent adds to every detection here: whose it is, and what tells which fields it can have. */
const ADDED = [
  'container.full_id',
  'container.id',
  'container.name',
  'app.name',
  'evt.type',
  'proc.pname',
];
/** Added too, and told where one of two rules about an action did not fire. They may have no value. */
const REASONS = [
  'proc.exepath',
  'proc.prev_exepath',
  'proc.is_from_outside',
  'proc.pexepath',
  'proc.vpid',
  'proc.duration',
];

/** How a rule did. */
export interface RuleOutcome {
  readonly rule: string;
  readonly fired: boolean;
  /** From the system call to the line at the end of the agent's stdout. */
  readonly latencyMs?: number;
}

export interface RowOutcome {
  readonly row: AttackRow;
  /** Without Falco's files, absent. */
  readonly upstream?: RuleOutcome;
  /** Absent where none of our rules is about it. */
  readonly ours?: RuleOutcome;
  /** What else is wrong: the action failed, a line is somebody else's, a field is absent. */
  readonly problems: readonly string[];
  /** Every rule that fired in its container. */
  readonly rules: readonly string[];
}

export interface AttackRun {
  readonly rows: readonly RowOutcome[];
  /** What is wrong with the run as a whole. */
  readonly problems: readonly string[];
  readonly lengths: LineLengths;
}

/**
 * Runs each row in a container of its own, watched by one agent with the default rules and, given their folder,
 * Falco's three files.
 */
export async function runAttacks(
  rows: readonly AttackRow[],
  upstreamFolder: string | undefined,
): Promise<AttackRun> {
  await using engine = await startDockerd();
  const image = await importAttackImage(engine);
  await using agent = await startAgent(engine, rows, upstreamFolder);
  await using plain = await startPlainAgent(engine);
  const done = new Map<AttackRow, { id: string; failure?: string }>();
  // Those that wait start first, all of them: the others run meanwhile.
  const late = rows.filter(waits).map(async (row) => {
    done.set(row, await runRow(engine, agent, image, row));
  });
  await pooled(
    rows.filter((row) => !waits(row)),
    AT_A_TIME,
    async (row) => {
      done.set(row, await runRow(engine, agent, image, row));
    },
  );
  await Promise.all(late);
  const ids = new Set([...done.values()].map(({ id }) => id));
  ids.add(await runLastOne(engine, image, [agent, plain], ids));
  const snapshot = await agent.snapshot();
  const problems = missingRules(rows);
  const { unconfirmed } = snapshot.kernel.verdicts.certain;
  if (unconfirmed > 0) problems.push(`the kernel was wrongly certain of ${unconfirmed} calls`);
  if (snapshot.kernel.dropped > 0) problems.push(`the kernel dropped ${snapshot.kernel.dropped}`);
  for (const { line } of agent.arrivals) {
    if (!ids.has(String(line.output_fields['container.full_id'])))
      problems.push(`"${line.rule}" of no container of ours: ${line.output}`);
  }
  const outcomes = rows.map((row) => outcome(row, done.get(row)!, agent, upstreamFolder));
  return { rows: outcomes, problems, lengths: lineLengths(plain) };
}

const DEFAULT_RULES = readFileSync('manifests/rules/varvel_rules.yaml', 'utf8');

const isDefaultRule = (rule: string): boolean => DEFAULT_RULES.includes(`\n- rule: ${rule}\n`);

/** Default rules that a row names and that are not there: renamed or removed. */
function missingRules(rows: readonly AttackRow[]): string[] {
  const ours = new Set(rows.map((row) => row.ours).filter((it) => typeof it === 'string'));
  return [...ours]
    .filter((rule) => !isDefaultRule(rule))
    .map((rule) => `there is no default rule "${rule}"`);
}

/** Falco's files in the order in which Falco is given them. */
export function upstreamRules(folder: string): Record<string, string> {
  return Object.fromEntries(
    Object.values(UPSTREAM_FILES).map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
  );
}

const FOR_ATTACKS = [
  'rule_matching: all',
  // The engine of a busy machine may take longer than 5 s to say that a container is privileged.
  'hold_time: 60s',
];

/** Its lines are those of an agent with its own settings. */
const startPlainAgent = (engine: TestDockerd): Promise<E2eAgent> =>
  E2eAgent.start({
    dockerd: engine,
    stdout: true,
    fileFormat: 'text',
    streams: ['container: {enabled: false}'],
    // Its length is not the machine's affair.
    config: [...FOR_ATTACKS, 'hostname: cell-1'],
  });

function startAgent(
  engine: TestDockerd,
  rows: readonly AttackRow[],
  upstreamFolder: string | undefined,
): Promise<E2eAgent> {
  const disabled = rows.filter((row) => row.disabledUpstream === true);
  const enabled =
    upstreamFolder === undefined
      ? []
      : disabled.map(({ upstream }) => `  - enable: {rule: ${JSON.stringify(upstream)}}`);
  return E2eAgent.start({
    dockerd: engine,
    stdout: true,
    ...(upstreamFolder === undefined ? {} : { rules: upstreamRules(upstreamFolder) }),
    // What only a cluster's name service answers.
    hosts: [`${K8S_API} kubernetes.default.svc.cluster.local`],
    streams: ['container: {enabled: false}'],
    config: [
      ...FOR_ATTACKS,
      // What has no value is null, and what is said twice is there.
      'output_style: falco',
      ...(enabled.length === 0 ? [] : ['rules:', ...enabled]),
      'append_output:',
      `  - extra_fields: [${[...ADDED, ...REASONS].join(', ')}]`,
    ],
  });
}

const waits = ({ does, late }: AttackRow): boolean => late === true || does.includes('wait');

export const appName = ({ action }: AttackRow): string =>
  action
    .replaceAll(/[^a-zA-Z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
    .toLowerCase();

async function runRow(
  engine: TestDockerd,
  agent: E2eAgent,
  image: string,
  row: AttackRow,
): Promise<{ id: string; failure?: string }> {
  const action = typeof row.does === 'string' ? ['/bin/sh', '-c', row.does] : row.does;
  const argv = [...(row.late === true ? [as('shop'), 'wait', LATE_S, 'spawn'] : []), ...action];
  const name = appName(row);
  const container = await engine.docker.createContainer({
    name,
    Image: image,
    Cmd: row.inTerminal === true ? ['sleep', '60'] : argv,
    Labels: { 'varvel.enable': 'true', 'varvel.app': name },
    ...(row.user === undefined ? {} : { User: row.user }),
    HostConfig: { NetworkMode: 'none', ...row.host },
  });
  try {
    await container.start();
    const code =
      row.inTerminal === true ? await inTerminal(agent, container, argv) : await ended(container);
    // The engine of a busy machine may be asked too late whether it is privileged: it forgets what is removed.
    if (row.host !== undefined) await isIncluded(agent, container.id);
    if (code === 0) return { id: container.id };
    const log = (await container.logs({ stdout: true, stderr: true })).toString('utf8');
    // Eight bytes of the log's framing before each piece.
    const said = log.replaceAll(/[^\x20-\x7e]+/g, ' ').trim();
    return { id: container.id, failure: `the action failed with ${code}: ${said}` };
  } finally {
    await container.remove({ force: true });
  }
}

/** Waits until the agent knows the container, also if it has ended. */
const isIncluded = (agent: E2eAgent, fullId: string): Promise<boolean> =>
  until('the container is known', async () => {
    return (await agent.containerStatus(fullId))?.state === 'included';
  });

async function ended(container: Docker.Container): Promise<number> {
  const timer = setTimeout(() => void container.kill().catch(() => undefined), ROW_TIMEOUT_MS);
  try {
    return ((await container.wait()) as { StatusCode: number }).StatusCode;
  } finally {
    clearTimeout(timer);
  }
}

async function inTerminal(
  agent: E2eAgent,
  container: Docker.Container,
  argv: readonly string[],
): Promise<number> {
  await isIncluded(agent, container.id);
  const exec = await container.exec({ Cmd: [...argv], AttachStdout: true, Tty: true });
  const stream = await exec.start({ Tty: true });
  stream.resume();
  await new Promise((resolve) => stream.once('close', resolve));
  return (await exec.inspect()).ExitCode ?? -1;
}

function outcome(
  row: AttackRow,
  { id, failure }: { id: string; failure?: string },
  agent: E2eAgent,
  upstreamFolder: string | undefined,
): RowOutcome {
  const own = agent.arrivals.filter(({ line }) => line.output_fields['container.full_id'] === id);
  const problems = failure === undefined ? [] : [failure];
  const expected: string[] = [];
  const asksUpstream = upstreamFolder !== undefined && row.upstreamMisses === undefined;
  if (asksUpstream) expected.push(row.upstream);
  else if (own.some(({ line }) => line.rule === row.upstream))
    problems.push(`"${row.upstream}" fires, though it is said not to see it`);
  if (typeof row.ours === 'string') expected.push(row.ours);
  for (const { line } of own) {
    const { app, output_fields: fields } = line;
    if (app?.['name'] !== appName(row) || fields['app.name'] !== appName(row))
      problems.push(`"${line.rule}" names the app ${app?.['name'] ?? 'of nobody'}`);
    if (fields['container.id'] !== id.slice(0, 12) || fields['container.name'] !== appName(row))
      problems.push(`"${line.rule}" names the container ${fields['container.name'] ?? ''}`);
  }
  for (const rule of expected) {
    const first = own.find(({ line }) => line.rule === rule);
    if (first !== undefined) problems.push(...absentFields(first.line));
    else
      problems.push(
        `"${rule}" did not fire`,
        ...own.map(({ line }) => `"${line.rule}" did: ${reasons(line)}`),
      );
  }
  return {
    row,
    ...(asksUpstream ? { upstream: ruleOutcome(row.upstream, own) } : {}),
    ...(typeof row.ours === 'string' ? { ours: ruleOutcome(row.ours, own) } : {}),
    problems: [...new Set(problems)],
    rules: [...new Set(own.map(({ line }) => line.rule))],
  };
}

function ruleOutcome(rule: string, own: readonly Arrival[]): RuleOutcome {
  const first = own.find(({ line }) => line.rule === rule);
  return first === undefined
    ? { rule, fired: false }
    : { rule, fired: true, latencyMs: first.latencyMs };
}

/** What its process was, and where it came from. */
const reasons = ({ output_fields: fields }: DetectionLine): string =>
  [...ADDED, ...REASONS].map((name) => `${name}=${String(fields[name])}`).join(' ');

/** Fields of the line that have no value though there is one. */
function absentFields(line: DetectionLine): string[] {
  return Object.entries(line.output_fields)
    .filter(([, value]) => value === null || value === '' || value === '<NA>')
    .filter(([field]) => !REASONS.includes(field) && explainAbsence(line, field) === undefined)
    .map(([field]) => `"${line.rule}" prints no ${field}`);
}
