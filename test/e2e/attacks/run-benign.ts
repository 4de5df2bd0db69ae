import { setTimeout as delay } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../../support/dockerd.ts';
import { E2eAgent, pooled, until, type DetectionLine } from '../../support/e2e-agent.ts';
import { importDebianImage } from './debian-image.ts';
import { runLastOne } from './last-one.ts';
import { UPSTREAM_FILES } from './row.ts';
import { CLOUD_FOUNDRY, type Visit, type Workload } from './workloads.ts';

/** All of them: most of the time they wait. */
const AT_A_TIME = 16;
/** Cron wakes once a minute. */
const WORKLOAD_TIMEOUT_MS = 180_000;
/** Many start at the same time. */
const WATCHED_TIMEOUT_MS = 60_000;
/** Of lower priority than these is what nobody is woken for. */
const LOUD = new Set(['Emergency', 'Alert', 'Critical', 'Error', 'Warning', 'Notice']);

export interface Tripped {
  readonly rule: string;
  readonly priority: string;
  readonly times: number;
  /** The output of the first time. */
  readonly first: string;
}

export interface WorkloadOutcome {
  readonly workload: Workload;
  /** Default rules at NOTICE or above. */
  readonly ours: readonly Tripped[];
  /** Rules of Falco's stable file; absent without it. */
  readonly upstream?: readonly Tripped[];
  /** It did not do what it does. */
  readonly failure?: string;
}

/**
 * Runs the workloads, watched by an agent with the default rules, of which those at ERROR and above deny, and by another with
 * Falco's stable ones. What they do later is done after `laterSeconds` of waiting.
 */
export async function runBenign(
  workloads: readonly Workload[],
  upstreamFolder: string | undefined,
  laterSeconds: number,
): Promise<readonly WorkloadOutcome[]> {
  await using engine = await startDockerd();
  const needs = (image: Workload['image']): boolean => workloads.some((it) => it.image === image);
  const images = {
    busybox: await engine.importBusybox(),
    debian: needs('debian') ? await importDebianImage(engine, 'debian') : '',
    jvm: needs('jvm') ? await importDebianImage(engine, 'jvm') : '',
    rpm: needs('rpm') ? await importDebianImage(engine, 'rpm') : '',
  };
  await using ours = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'varvel_rules.yaml': rulesAsOnGarden() },
    config: [...CONFIG, DENIES],
    streams: QUIET,
  });
  await using upstream = await startUpstream(engine, upstreamFolder);
  const agents = upstream === undefined ? [ours] : [ours, upstream];
  const done = new Map<Workload, { id: string; failure?: string }>();
  const denies = until(
    'the rules deny',
    async () => (await ours.snapshot()).kernel.verdicts.denying.rules.length > 0,
    WORKLOAD_TIMEOUT_MS,
  );
  const running = pooled(workloads, AT_A_TIME, async (workload) => {
    done.set(workload, await run(engine, agents, images[workload.image], workload, laterSeconds));
  });
  await Promise.all([running, denies]);
  const ids = new Set([...done.values()].map(({ id }) => id));
  await runLastOne(engine, images.busybox, agents, ids);
  await assertNothingDenied(ours);
  return workloads.map((workload) => {
    const { id, failure } = done.get(workload)!;
    return {
      workload,
      ours: tripped(ours, id).filter(({ priority }) => LOUD.has(priority)),
      ...(upstream === undefined ? {} : { upstream: tripped(upstream, id) }),
      ...(failure === undefined ? {} : { failure }),
    };
  });
}

const CONFIG = ['rule_matching: all', 'append_output:', '  - extra_fields: [container.full_id]'];
/** Whatever these rules matched would be denied, or its process killed: an app that notices fails. */
const DENIES = 'responses: [{match: {priority: error}, do: deny, mode: enforce, fall_back: false}]';

/** What the kernel denies without a rule that matches has no line. */
async function assertNothingDenied(agent: E2eAgent): Promise<void> {
  const { verdicts, deniedDropped } = (await agent.snapshot()).kernel;
  const { inVain } = verdicts.denying;
  if (inVain + deniedDropped > 0)
    throw new Error(`${inVain} denials match no rule, and ${deniedDropped} have no line`);
}

const QUIET = ['container: {enabled: false}'];

/**
 * The default rules, for which the containers of the Cloud Foundry workloads are Garden's: there the platform mounts
 * its programs read-only, so that the rules may trust their paths.
 */
function rulesAsOnGarden(): string {
  const text = readFileSync('manifests/rules/varvel_rules.yaml', 'utf8');
  const asGarden = `(container.type = garden or app.name startswith "${CLOUD_FOUNDRY}")`;
  const changed = text.replaceAll('container.type = garden', asGarden);
  if (changed === text) throw new Error('no default rule asks for container.type = garden');
  return changed;
}

async function startUpstream(
  engine: TestDockerd,
  folder: string | undefined,
): Promise<E2eAgent | undefined> {
  if (folder === undefined) return undefined;
  const name = UPSTREAM_FILES.stable;
  return await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { [name]: readFileSync(join(folder, name), 'utf8') },
    config: CONFIG,
    streams: QUIET,
  });
}

async function run(
  engine: TestDockerd,
  agents: readonly E2eAgent[],
  image: string,
  workload: Workload,
  laterSeconds: number,
): Promise<{ id: string; failure?: string }> {
  const container = await engine.docker.createContainer({
    Image: image,
    Cmd: [...workload.runs],
    Env: [`LATER=${laterSeconds}`],
    Labels: { 'varvel.enable': 'true', 'varvel.app': workload.name },
    ...(workload.user === undefined ? {} : { User: workload.user }),
    ...(workload.healthcheck === undefined
      ? {}
      : { Healthcheck: { Test: [...workload.healthcheck], Interval: 1_000_000_000 } }),
    HostConfig: { NetworkMode: 'none', ...workload.host },
  });
  const { id } = container;
  const timer = setTimeout(() => void container.kill().catch(() => undefined), WORKLOAD_TIMEOUT_MS);
  try {
    await container.start();
    for (const agent of agents) {
      await until(
        'the container is watched',
        async () => (await agent.containerStatus(id))?.state === 'included',
        WATCHED_TIMEOUT_MS,
      );
    }
    for (const visit of workload.visits ?? []) await pay(container, visit, laterSeconds);
    if (workload.ends !== true) {
      const { State } = await container.inspect();
      if (!State.Running) throw new Error(`it ended with ${State.ExitCode}`);
      if (workload.healthcheck !== undefined && State.Health?.Status !== 'healthy')
        throw new Error(`its health is "${State.Health?.Status ?? 'not known'}"`);
      await container.stop({ t: 5 });
      return { id };
    }
    const { StatusCode } = (await container.wait()) as { StatusCode: number };
    if (StatusCode !== 0) throw new Error(`it ended with ${StatusCode}`);
    return { id };
  } catch (error) {
    const said = (await container.logs({ stdout: true, stderr: true })).toString('utf8');
    return {
      id,
      failure: `${String(error)}: ${said.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(-300)}`,
    };
  } finally {
    clearTimeout(timer);
    await container.remove({ force: true });
  }
}

async function pay(container: Docker.Container, visit: Visit, laterSeconds: number): Promise<void> {
  if (visit.later === true) await delay(laterSeconds * 1000);
  const exec = await container.exec({
    Cmd: [...visit.runs],
    AttachStdout: true,
    AttachStderr: true,
    ...(visit.user === undefined ? {} : { User: visit.user }),
  });
  const stream = await exec.start({});
  let said = '';
  stream.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  if (visit.stays === true) return;
  await new Promise((resolve) => stream.once('close', resolve));
  const { ExitCode } = await exec.inspect();
  if (ExitCode !== 0)
    throw new Error(`${visit.runs.join(' ')} ended with ${String(ExitCode)}: ${said}`);
}

function tripped(agent: E2eAgent, id: string): Tripped[] {
  const byRule = new Map<string, DetectionLine[]>();
  for (const line of agent.detections()) {
    if (line.output_fields['container.full_id'] !== id) continue;
    byRule.set(line.rule, [...(byRule.get(line.rule) ?? []), line]);
  }
  return [...byRule].map(([rule, lines]) => ({
    rule,
    priority: lines[0]!.priority,
    times: lines.length,
    first: lines[0]!.output,
  }));
}
