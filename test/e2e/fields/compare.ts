import { appendFileSync, linkSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { findField } from '../../../src/rules/fields/registry.ts';
import { writeBusyboxTree } from '../../support/busybox-tree.ts';
import { startDockerd, type TestDockerd } from '../../support/dockerd.ts';
import { E2eAgent, pooled, until } from '../../support/e2e-agent.ts';
import type { CallResult } from '../../support/kernel-calls.ts';
import { stepsProgram } from '../../support/kernel-process.ts';
import { copyFileSync } from 'node:fs';
import { importTree } from '../attacks/image.ts';
import { CALL_SCENARIOS } from './call-scenarios.ts';
import { CONTAINER_SCENARIOS } from './container-scenarios.ts';
import { FILE_SCENARIOS } from './file-scenarios.ts';
import { HOSTS, NETWORK_SCENARIOS } from './network-scenarios.ts';
import { PROCESS_SCENARIOS } from './process-scenarios.ts';
import { World, type Comparison, type Line, type Scenario, type Truth } from './scenario.ts';

const SCENARIOS: readonly Scenario[] = [
  ...PROCESS_SCENARIOS,
  ...FILE_SCENARIOS,
  ...NETWORK_SCENARIOS,
  ...CONTAINER_SCENARIOS,
  ...CALL_SCENARIOS,
];
const AT_A_TIME = 3;
const IMAGE = 'varvel-test/fields';

/** A field of one event beside what another source says of it. */
export interface Compared {
  /** Without what stands in its brackets; evt.arg with the param's name. */
  readonly field: string;
  readonly source: string;
  /** What is wrong; undefined where both agree. */
  readonly problem?: string;
}

/** Runs each scenario in a container, watched by one agent, and compares every field that it names. */
export async function compareFields(): Promise<readonly Compared[]> {
  await using engine = await startDockerd();
  await importFieldsImage(engine);
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'fields.yaml': SCENARIOS.flatMap(rulesOf).join('\n') },
    hosts: HOSTS,
    // The container's own log has the program's report.
    streams: ['container: {enabled: false}'],
    config: ['rule_matching: all'],
  });
  const compared: Compared[] = [];
  await pooled(SCENARIOS, AT_A_TIME, async (scenario) => {
    compared.push(...(await runScenario(engine, agent, scenario)));
  });
  return compared;
}

const ruleName = (scenario: Scenario, nth: number, more = ''): string =>
  `${scenario.name} ${nth}${more}`;

function rulesOf(scenario: Scenario): string[] {
  return scenario.comparisons.flatMap((comparison, nth) => {
    const { event, when, fields, conditions = [] } = comparison;
    const condition = `evt.type = ${event} and container.name = ${scenario.name} and (${when})`;
    const keys = [...new Set([...Object.keys(fields), 'evt.rawtime'])];
    const output = keys.map((key) => `%${key}`).join(' ');
    return [
      ruleText(ruleName(scenario, nth), condition, output),
      ...conditions.flatMap(({ holds, fails }, at) => [
        ruleText(ruleName(scenario, nth, ` holds ${at}`), `${condition} and ${holds}`, 'holds'),
        ruleText(ruleName(scenario, nth, ` fails ${at}`), `${condition} and ${fails}`, 'fails'),
      ]),
    ];
  });
}

const ruleText = (name: string, condition: string, output: string): string =>
  [
    `- rule: ${name}`,
    `  desc: compared with another source`,
    `  condition: ${JSON.stringify(condition)}`,
    `  output: ${JSON.stringify(output)}`,
    `  priority: ERROR`,
    '',
  ].join('\n');

async function runScenario(
  engine: TestDockerd,
  agent: E2eAgent,
  scenario: Scenario,
): Promise<Compared[]> {
  const container = await engine.docker.createContainer(options(scenario));
  try {
    await container.start();
    const results = await until(`${scenario.name} stands still`, async () => {
      const found = await reports(container, scenario);
      return found.some(({ step }) => step === 'pause') ? found : undefined;
    });
    const names = scenario.comparisons.map((_, nth) => ruleName(scenario, nth));
    const lines = await until(`${scenario.name}: its detections`, () => {
      const found = names.map((name) => linesOf(agent, name));
      return found.every((some) => some.length > 0) ? found : undefined;
    });
    // Lines of the same event that are written behind its first one. Which of them are missing is told below.
    const conditional = scenario.comparisons.flatMap(({ conditions = [] }, nth) =>
      conditions.map((_, at) => ruleName(scenario, nth, ` holds ${at}`)),
    );
    await until('what holds', () =>
      conditional.every((name) => linesOf(agent, name).length > 0),
    ).catch(() => undefined);
    const world = new World(
      await container.inspect(),
      results,
      lines.map((some) => some[0]!),
    );
    return scenario.comparisons.flatMap((comparison, nth) => [
      ...compareOne(scenario, comparison, world, lines[nth]!),
      ...compareConditions(agent, scenario, nth, world),
    ]);
  } finally {
    await container.remove({ force: true });
  }
}

function options(scenario: Scenario): Docker.ContainerCreateOptions {
  const { name, steps, container = {} } = scenario;
  return {
    name,
    Image: `${IMAGE}:latest`,
    Cmd: 'command' in steps ? [...steps.command] : ['/bin/a0', ...steps.map(String)],
    // The program stands still until somebody writes to it.
    OpenStdin: true,
    ...container,
    Labels: { 'varvel.enable': 'true', 'varvel.app': `app of ${name}`, ...container.Labels },
    HostConfig: { NetworkMode: 'none', ...container.HostConfig },
  };
}

/** What the program printed: lines of JSON, each in a frame of the engine's unless there is a terminal. */
async function reports(container: Docker.Container, scenario: Scenario): Promise<CallResult[]> {
  const log = await container.logs({ stdout: true, stderr: true });
  const texts: string[] = [];
  if (scenario.container?.Tty === true) texts.push(log.toString());
  else {
    for (let at = 0; at + 8 <= log.length;) {
      const end = at + 8 + log.readUInt32BE(at + 4);
      texts.push(log.subarray(at + 8, end).toString());
      at = end;
    }
  }
  // What comes after the last newline is not whole yet.
  const whole = texts.join('').split(/\r?\n/).slice(0, -1);
  return whole.map((text) => JSON.parse(text) as CallResult);
}

/** The detections of a rule; whole numbers that a double cannot hold as bigint. */
function linesOf(agent: E2eAgent, rule: string): Line[] {
  return agent
    .operatorLines()
    .filter((text) => text.includes(`"rule":${JSON.stringify(rule)},`))
    .map((text) => text.replaceAll(/("[\w.[\]/*]+":)(-?\d{16,})(?=[,}])/g, '$1"$2n"'))
    .map((text) => {
      const { truncated, output_fields: fields } = JSON.parse(text) as {
        truncated?: boolean;
        output_fields: Record<string, string | number | boolean | null>;
      };
      if (truncated === true) throw new Error(`the line of ${rule} was cut: ask for fewer fields`);
      return Object.fromEntries(
        Object.entries(fields).map(([key, value]) => [
          key,
          typeof value === 'string' && /^-?\d{16,}n$/.test(value)
            ? BigInt(value.slice(0, -1))
            : value,
        ]),
      );
    });
}

function compareOne(
  scenario: Scenario,
  { event, fields }: Comparison,
  world: World,
  lines: readonly Line[],
): Compared[] {
  const line = lines[0]!;
  const where = `${scenario.name}, ${event}`;
  const many =
    lines.length === 1
      ? []
      : [{ field: '', source: '', problem: `${where}: ${lines.length} lines` }];
  const compared = Object.entries(fields).map(([key, truth]) => {
    const said = truth(world, line);
    const actual = line[key] ?? null;
    const problem = agrees(actual, said)
      ? {}
      : {
          problem: `${where}: ${key} is ${show(actual)}, by ${said.source} it is ${show(said.value)}`,
        };
    return { field: baseName(key), source: said.source, ...problem };
  });
  return [...many, ...compared];
}

function compareConditions(
  agent: E2eAgent,
  scenario: Scenario,
  nth: number,
  world: World,
): Compared[] {
  const { event, conditions = [] } = scenario.comparisons[nth]!;
  return conditions.map(({ field, source, holds, fails, isTrue }, at) => {
    const fired = (kind: string): boolean =>
      linesOf(agent, ruleName(scenario, nth, ` ${kind} ${at}`)).length > 0;
    const where = `${scenario.name}, ${event}`;
    if (!isTrue(world)) return { field, source, problem: `${where}: by ${source} not ${holds}` };
    if (!fired('holds')) return { field, source, problem: `${where}: not ${holds}` };
    if (fired('fails')) return { field, source, problem: `${where}: ${fails}` };
    return { field, source };
  });
}

function agrees(actual: Line[string], { value, within = 0n }: Truth): boolean {
  const [one, other] = [whole(actual), whole(value)];
  if (one === undefined || other === undefined) return actual === value;
  const apart = one > other ? one - other : other - one;
  return apart <= within;
}

const whole = (value: Line[string]): bigint | undefined =>
  typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value))
    ? BigInt(value)
    : undefined;

const show = (value: Line[string]): string =>
  typeof value === 'bigint' ? `${value}n` : JSON.stringify(value);

/** `proc.aname` of `proc.aname[2]`; params of events keep their names. */
function baseName(key: string): string {
  const name = key.replace(/\[.*$/, '');
  return name.startsWith('evt.arg.') ? name : (findField(name)?.field.name ?? name);
}

/** Busybox, and the test program under the names of the chain's processes. */
function importFieldsImage(engine: TestDockerd): Promise<string> {
  return importTree(engine, IMAGE, (tree) => {
    writeBusyboxTree(tree);
    appendFileSync(join(tree, 'etc/passwd'), 'audited:x:1001:1001::/home/audited:/bin/false\n');
    mkdirSync(join(tree, 'home/app'), { recursive: true });
    copyFileSync(stepsProgram(), join(tree, 'bin/a0'));
    for (let level = 1; level <= 8; level++) {
      linkSync(join(tree, 'bin/a0'), join(tree, `bin/a${level}`));
    }
  });
}
