import { fill, table } from './markdown.ts';

interface Spread {
  readonly median: number;
}

const CALLS = {
  getppid: 'getppid',
  read: 'read of a byte',
  openClose: 'open and close',
  rename: 'rename',
  forkExec: 'fork, exec and wait',
} as const;
type Call = keyof typeof CALLS;

interface Opens {
  readonly offeredPerSecond: number;
  readonly agentCpuMsPerSecond: number;
}

/** What the page reads of test/bench/results/baseline.json. */
export interface BaselineResults {
  readonly date: string;
  readonly machine: Readonly<Record<'cpu' | 'kernel' | 'node', string>> & {
    readonly cores: number;
  };
  readonly noise: Readonly<Record<Call, Spread>>;
  readonly addedNs: Readonly<
    Record<'outOfScope' | 'inScope' | 'filtered', Readonly<Record<Call, Spread>>>
  >;
  readonly opens: { readonly sent: readonly Opens[]; readonly filtered: readonly Opens[] };
  readonly latency: readonly {
    readonly perSecond: number;
    readonly p50ms: number;
    readonly p99ms: number;
  }[];
  readonly idleCpuPercent: number;
  readonly startMs: Spread;
  readonly memoryMb: { readonly rss: number };
}

/** What the page reads of test/bench/results/verdicts.json: by rules, then by work. */
export interface VerdictsResults {
  readonly results: Readonly<
    Record<string, Readonly<Record<string, { readonly keptPercentOfOthers: number }>>>
  >;
}

/** What the page reads of test/bench/results/enforce.json. ns. */
export interface EnforceResults {
  readonly date: string;
  readonly rulesThatDeny: readonly string[];
  /** Why this kernel refuses no opens; absent if it does. */
  readonly opensAreNotRefused?: string;
  readonly rows: readonly {
    readonly call: keyof typeof DENIABLE;
    readonly bareNs: number;
    readonly noiseNs: number;
    readonly watchedAddedNs: number;
    readonly denyingAddedNs: number;
    readonly outsideAddedNs: number;
    readonly outsideDenyingAddedNs: number;
  }[];
}

const DENIABLE = {
  openClose: 'open and close',
  sendto: 'UDP message to an address',
  connect: 'connect (UDP)',
  forkExec: 'fork, exec and wait',
} as const;

/** Generates manifests/COSTS.md from the page's text and the results of benches. */
export function costsPage(
  page: string,
  baseline: BaselineResults,
  verdicts: VerdictsResults,
  enforce: EnforceResults,
): string {
  return fill(page, {
    machine: machine(baseline),
    calls: calls(baseline),
    agent: agent(baseline),
    opens: opens(baseline),
    work: work(verdicts),
    enforce: denial(enforce),
    enforced: enforced(enforce),
  });
}

const machine = ({ date, machine: { cpu, cores, kernel, node } }: BaselineResults): string =>
  `Measured on ${date}: ${cpu}, ${cores} cores, Linux ${kernel.replace(/-.*$/, '')}, Node ${node.replace(/^v/, '')}, a virtual machine.`;

function calls({ noise, addedNs }: BaselineResults): string {
  const added = (where: keyof typeof addedNs, call: Call): string => {
    const ns = addedNs[where][call].median;
    return `+${time(ns)} (${Math.round((100 * ns) / noise[call].median)} %)`;
  };
  return table([
    ['call', 'without', 'not watched', 'filtered', 'reported'],
    ...(Object.keys(CALLS) as Call[]).map((call) => [
      CALLS[call],
      time(noise[call].median),
      added('outOfScope', call),
      // An exec is always reported. Its cost counts from when the agent has started up.
      call === 'forkExec' ? '' : added('filtered', call),
      added(call === 'forkExec' ? 'filtered' : 'inScope', call),
    ]),
  ]);
}

const time = (ns: number): string =>
  ns >= 10_000 ? `${Math.round(ns / 1000)} µs` : `${Math.round(ns).toLocaleString('en')} ns`;

function agent({ latency, idleCpuPercent, startMs, memoryMb }: BaselineResults): string {
  const [slow] = latency;
  return [
    `- It watches ${Math.round(startMs.median)} ms after it was started.`,
    `- At rest it takes ${idleCpuPercent} % of a core.`,
    `- After this work it has ${Math.round(memoryMb.rss)} MB of memory (RSS).`,
    ...(slow === undefined
      ? []
      : [
          `- From a call to its line, at ${slow.perSecond} a second: ${slow.p50ms} ms (p50), ${slow.p99ms} ms (p99).`,
        ]),
  ].join('\n');
}

function opens({ opens: { sent, filtered } }: BaselineResults): string {
  const share = (ms: number | undefined): string =>
    ms === undefined ? '' : `${(ms / 10).toFixed(1)} % of a core`;
  return table([
    ['opens a second', 'filtered', 'all reported'],
    ...sent.map(({ offeredPerSecond, agentCpuMsPerSecond }, row) => [
      offeredPerSecond.toLocaleString('en'),
      share(filtered[row]?.agentCpuMsPerSecond),
      share(agentCpuMsPerSecond),
    ]),
  ]);
}

function work({ results }: VerdictsResults): string {
  const sets = Object.keys(results);
  const [first = {}] = Object.values(results);
  return table([
    ['work', ...sets],
    ...Object.keys(first).map((name) => [
      name,
      ...sets.map((set) => {
        const percent = results[set]?.[name]?.keptPercentOfOthers;
        return percent === undefined ? '' : `${percent} %`;
      }),
    ]),
  ]);
}

function enforced({ date, rulesThatDeny, opensAreNotRefused }: EnforceResults): string {
  const noOpens =
    opensAreNotRefused === undefined
      ? ''
      : ` This kernel refuses no opens (${opensAreNotRefused}): what denial adds to one was not measured.`;
  return `By \`npm run bench enforce\` on ${date}; ${rulesThatDeny.length} rules deny.${noOpens}`;
}

function denial({ rows, opensAreNotRefused }: EnforceResults): string {
  return table([
    [
      'call',
      'without',
      'differs by',
      'watched',
      'and rules deny',
      'not watched',
      'and rules deny elsewhere',
    ],
    ...rows.map((row) => {
      // What denial adds to an open is the hook that refuses some.
      const isKnown = row.call !== 'openClose' || opensAreNotRefused === undefined;
      return [
        DENIABLE[row.call],
        time(row.bareNs),
        time(row.noiseNs),
        signed(row.watchedAddedNs),
        isKnown ? signed(row.denyingAddedNs) : '',
        signed(row.outsideAddedNs),
        isKnown ? signed(row.outsideDenyingAddedNs) : '',
      ];
    }),
  ]);
}

const signed = (ns: number): string => (ns < 0 ? `−${time(-ns)}` : `+${time(ns)}`);
