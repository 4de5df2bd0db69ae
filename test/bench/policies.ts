// npm run bench policies: what apps' own policies cost an agent, without a kernel: 1,000 containers with 1,000 different ones.
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { WireEvent } from '../../src/events/wire-event.ts';
import { kernelPlanFor } from '../../src/plan/kernel-plan.ts';
import { operatorRulesOf } from '../../src/policy/check-policy.ts';
import { Policies } from '../../src/policy/policies.ts';
import type { Container } from '../../src/apps/identity.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { readRuleFile } from '../../src/rules/loader/load.ts';
import type { Subject } from '../../src/rules/subject.ts';
import { recordBytes } from '../unit/events/record-builder.ts';
import { CONTAINER, makeEvent, makeSubject, openForRead } from '../support/rules-subject.ts';
import { EVENTS, HOT, median, PROCESSES, records } from './event-records.ts';
import { machine } from './machine.ts';

const CONTAINERS = 1000;
const ROUNDS = 15;
const WARM_UP = 3;
/** Policies that are compiled before times count. */
const COLD = 50;

const { gc } = globalThis;
if (gc === undefined) throw new Error('node needs --expose-gc');
const operator = operatorRulesOf([readRuleFile('manifests/rules/varvel_rules.yaml')]);

/** What policies do: each line is one measured kind. */
const KINDS: Readonly<Record<string, (n: number) => string>> = {
  'a priority and a switch': (n) =>
    `# app ${n}\nminimum_priority: informational\nrules: [{disable: {rule: Compiler run in an app container}}]\n`,
  'a rule of its own': (n) => `custom_rules:
  - rule: Converter of app ${n}
    desc: d
    condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.name = convert${n}
    output: Converter started | command=%proc.cmdline
    priority: WARNING
`,
  'secret paths': (n) => `variables: {secret_paths: [/app/${n}/tls.key]}\n`,
  'all of it': (n) => `minimum_priority: informational
rules: [{disable: {rule: Compiler run in an app container}}]
variables:
  expected_executables: [/app/bin/tool${n}, /usr/bin/curl]
  secret_paths: [/app/${n}/tls.key]
  outbound_hosts: [10.0.0.0/8, 93.184.0.0/16, 192.0.2.${n % 256}]
custom_rules:
  - rule: Converter of app ${n}
    desc: d
    condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.name = convert${n}
    output: Converter started | command=%proc.cmdline
    priority: WARNING
  - rule: Sensitive file read
    exceptions: [{name: programs, values: [[app-${n}, /usr/bin/tool]]}]
    override: {exceptions: append}
`,
};

const containers: readonly Container[] = Array.from({ length: CONTAINERS }, (_, n) => ({
  ...CONTAINER,
  fullId: n.toString(16).padStart(64, '0'),
  id: n.toString(16).padStart(12, '0'),
}));
const index = new Map(containers.map((container, n) => [container.fullId, n]));

/** Policies of all containers; without `textOf`, of none. */
function policiesWith(textOf: ((n: number) => string) | undefined): Policies {
  return new Policies({
    operator,
    textOf: ({ fullId }) =>
      textOf === undefined
        ? undefined
        : { name: 'varvel.policy', text: textOf(index.get(fullId) ?? 0), trust: 'verified' },
    tell: () => undefined,
    onChanged: () => undefined,
  });
}

/** Bytes that are in use when all that can be collected was. */
function heap(): number {
  for (let round = 0; round < 3; round++) gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

interface Built {
  readonly policies: Policies;
  readonly kibEach: number;
  readonly compileMs: number;
  /** When its app has met what a changed rule is about: the same, and how long that first event took. */
  readonly kibEachWhenMet: number;
  readonly firstMetMs: number;
  /** Of what the kernel is asked for. */
  readonly planMs: number;
}

function build(textOf: (n: number) => string): Built {
  const policies = policiesWith(textOf);
  const before = heap();
  const times: number[] = [];
  for (const container of containers) {
    const startedMs = performance.now();
    policies.finish(container);
    times.push(performance.now() - startedMs);
  }
  const [first] = containers;
  const policy = first === undefined ? undefined : policies.of(first);
  if (policies.counts().different !== CONTAINERS || policy === undefined)
    throw new Error('no policies');
  const plans: number[] = [];
  for (let round = 0; round < 100; round++) {
    const startedMs = performance.now();
    kernelPlanFor({ ...policy.ruleSet });
    plans.push(performance.now() - startedMs);
  }
  const kib = (bytes: number): number => Math.round((bytes / CONTAINERS / 1024) * 10) / 10;
  const idle = heap() - before;
  const firsts = containers.map((container, n) => {
    const startedMs = performance.now();
    for (const path of ['/etc/shadow', `/app/${n}/tls.key`]) {
      const subject = makeSubject(openForRead(path), { process: PROCESSES[7]!, container });
      policies.of(container)?.refine(engine.evaluate(subject, 'all'), subject);
    }
    return performance.now() - startedMs;
  });
  return {
    policies,
    kibEach: kib(idle),
    compileMs: Math.round(median(times.slice(COLD)) * 100) / 100,
    kibEachWhenMet: kib(heap() - before),
    firstMetMs: Math.round(median(firsts.slice(COLD)) * 100) / 100,
    planMs: Math.round(median(plans) * 1000) / 1000,
  };
}

const bytes = records((at) => HOT[(at * 7919) % HOT.length]!);
const batch = recordBytes(...bytes);
const offsets = bytes.map(
  (
    (at) => (record: Buffer) =>
      (at += record.length) - record.length
  )(0),
);
const engine = new RuleEngine(operator.ruleSet, { matching: 'first' });

/** Every event as the agent evaluates it (Evaluation), each in the next of these containers. */
function evaluateAll(policies: Policies, apps: readonly Container[]): () => number {
  const event = new WireEvent(batch, { unixMinusBootNs: 0n });
  const base = makeSubject(makeEvent('openat'), { process: PROCESSES[0]!, container: CONTAINER });
  const subjects = PROCESSES.map((process): Subject => ({ ...base, event, process }));
  return () => {
    let found = 0;
    for (let at = 0; at < offsets.length; at++) {
      event.moveTo(offsets[at]!, at + 1);
      const container = apps[at % apps.length]!;
      const subject = { ...subjects[at & 7]!, container };
      const policy = policies.of(container);
      const matches =
        policy === undefined
          ? engine.evaluate(subject)
          : policy.refine(engine.evaluate(subject, 'all'), subject);
      found += matches.length;
    }
    return found;
  };
}

function nsOf(run: () => number): number {
  const started = process.hrtime.bigint();
  const found = run();
  if (found < 0) throw new Error('never');
  return Number(process.hrtime.bigint() - started) / EVENTS;
}

const spread = (values: readonly number[]): string => {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? 0;
  return `${at(0.25).toFixed(2)} to ${at(0.75).toFixed(2)}`;
};

const results: Record<string, unknown> = {};
const none = evaluateAll(policiesWith(undefined), containers);
const quietness = loadavg();
for (const [kind, textOf] of Object.entries(KINDS)) {
  const { policies, ...built } = build(textOf);
  const [first] = containers;
  const variants = {
    one: evaluateAll(policies, first === undefined ? [] : [first]),
    thousand: evaluateAll(policies, containers),
  };
  const ns: Record<'none' | keyof typeof variants, number[]> = { none: [], one: [], thousand: [] };
  const ratios: Record<keyof typeof variants, number[]> = { one: [], thousand: [] };
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    const without = nsOf(none);
    const times = { one: nsOf(variants.one), thousand: nsOf(variants.thousand) };
    // What else the machine did between the two is in both.
    const again = nsOf(none);
    if (round < WARM_UP) continue;
    const base = (without + again) / 2;
    ns.none.push(base);
    for (const key of ['one', 'thousand'] as const) {
      ns[key].push(times[key]);
      ratios[key].push(times[key] / base);
    }
  }
  const rounded = (values: number[]): number => Math.round(median([...values]));
  const found = {
    ...built,
    nsPerEvent: { none: rounded(ns.none), one: rounded(ns.one), thousand: rounded(ns.thousand) },
    ratio: {
      one: Number(median([...ratios.one]).toFixed(2)),
      thousand: Number(median([...ratios.thousand]).toFixed(2)),
    },
    ratioQuartiles: { one: spread(ratios.one), thousand: spread(ratios.thousand) },
  };
  results[kind] = found;
  console.log(
    `${kind}: ${found.kibEach} KiB and ${found.compileMs} ms each (${found.kibEachWhenMet} KiB when met, which took ${found.firstMetMs} ms once; plan ${found.planMs} ms); an event: ${found.nsPerEvent.none} ns without, × ${found.ratio.one} with one (${found.ratioQuartiles.one}), × ${found.ratio.thousand} with ${CONTAINERS} (${found.ratioQuartiles.thousand})`,
  );
}

mkdirSync('test/bench/results', { recursive: true });
writeFileSync(
  'test/bench/results/policies.json',
  `${JSON.stringify(
    {
      date: new Date().toISOString().slice(0, 10),
      machine: { ...machine(), loadAverage: quietness.map((load) => load.toFixed(1)).join(' ') },
      what: `${CONTAINERS} containers with as many different policies on ${operator.ruleSet.rules.length} default rules; medians; ratios against events without a policy in the same round, with quartiles as the noise`,
      events: EVENTS,
      rounds: ROUNDS,
      results,
    },
    null,
    2,
  )}\n`,
);
