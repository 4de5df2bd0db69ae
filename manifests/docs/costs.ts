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
    /** Hooks for connects at another cgroup alone. */
    readonly hookedAddedNs: number;
    readonly watchedAddedNs: number;
    readonly denyingAddedNs: number;
    readonly outsideAddedNs: number;
    readonly outsideDenyingAddedNs: number;
  }[];
}

/** What the page reads of test/bench/results/enforce-guest.json. Instructions. */
export interface EnforceGuestResults {
  readonly date: string;
  readonly kernels: readonly {
    readonly kernel: string;
    readonly rulesThatDeny: readonly string[];
    readonly rows: readonly (Readonly<
      Record<
        'bare' | 'watchedAdded' | 'denyingAdded' | 'outsideAdded' | 'outsideDenyingAdded',
        number
      >
    > & { readonly call: keyof typeof DENIABLE })[];
  }[];
}

/** What a call costs more, in ns, and how the requests a second of nginx change. */
type Added = Readonly<
  Record<'getppidAddedNs' | 'openCloseAddedNs' | 'renameAddedNs' | 'forkExecAddedNs', number>
> & { readonly nginxChangePercent: number };

/** An engine in test/bench/results/peer.json. */
interface EngineResults {
  /** In a container that varvel watches, and in one beside it. */
  readonly watched: Added;
  readonly beside: Added;
  readonly firstLineMs: number;
  readonly startCpuMs: number;
  readonly rssMb: number;
  readonly pssMb: number;
  readonly idleCpuMsPerSecond: number;
  readonly opensCpuMsPerSecond: Readonly<Record<string, number>>;
  readonly latencyMs: { readonly p50: number; readonly p99: number };
}

/** What the page reads of test/bench/results/peer.json. `bare`: ns, and requests a second. */
export interface PeerResults {
  readonly date: string;
  readonly rounds: number;
  readonly bare: Readonly<Record<Call | 'nginx', Spread & Record<'min' | 'max', number>>>;
  readonly engines: Readonly<Record<string, EngineResults>>;
}

const DENIABLE = {
  openClose: 'open and close',
  sendto: 'UDP message to an address',
  connect: 'connect (UDP)',
  forkExec: 'fork, exec and wait',
  connectUnix: 'connect (unix) of a new socket',
  bind: 'bind of a new socket',
  device: 'open and close of a device',
  map: 'mmap and munmap',
} as const;
/** What denial adds to these is the hook that refuses some, on kernels that let programs change what their functions return. */
const BY_TRAMPOLINES: readonly (keyof typeof DENIABLE)[] = ['openClose', 'connectUnix', 'map'];

/** Generates manifests/COSTS.md from the page's text and the results of benches. */
export function costsPage(
  page: string,
  baseline: BaselineResults,
  verdicts: VerdictsResults,
  enforce: EnforceResults,
  guest: EnforceGuestResults,
  peer: PeerResults,
): string {
  return fill(page, {
    machine: machine(baseline),
    calls: calls(baseline),
    agent: agent(baseline),
    opens: opens(baseline),
    work: work(verdicts),
    enforce: denial(enforce),
    enforced: enforced(enforce),
    'enforce guest': denialInGuest(guest),
    peer: beside(peer),
    peered: `By \`npm run bench peer\` on ${peer.date}: medians of ${peer.rounds} rounds, in which the engines took turns.`,
  });
}

const machine = ({ date, machine: { cpu, cores, kernel, node } }: BaselineResults): string =>
  `Measured on ${date}: ${cpu}, ${cores} cores, Linux ${kernel.replace(/-.*$/, '')}, Node ${node.replace(/^v/, '')}, a virtual machine.`;

function calls({ noise, addedNs }: BaselineResults): string {
  const added = (where: keyof typeof addedNs, call: Call): string => {
    const ns = addedNs[where][call].median;
    const { median } = noise[call];
    return `${signed(ns)} (${ns < 0 ? '−' : ''}${Math.round((100 * Math.abs(ns)) / median)} %)`;
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
  return table([
    ['opens a second', 'filtered', 'all reported'],
    ...sent.map(({ offeredPerSecond, agentCpuMsPerSecond }, row) => [
      // One that was late by a call is none less.
      Number(offeredPerSecond.toPrecision(3)).toLocaleString('en'),
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
      : ` This kernel refuses no opens, unix sockets and memory (${opensAreNotRefused}): what denial adds to those was not measured.`;
  return `By \`npm run bench enforce\` on ${date}; ${rulesThatDeny.length} rules deny.${noOpens}`;
}

function denial({ rows, opensAreNotRefused }: EnforceResults): string {
  return table([
    [
      'call',
      'without',
      'differs by',
      'hooks elsewhere alone',
      'watched',
      'and rules deny',
      'not watched',
      'and rules deny elsewhere',
    ],
    ...rows.map((row) => {
      const isKnown = !BY_TRAMPOLINES.includes(row.call) || opensAreNotRefused === undefined;
      return [
        DENIABLE[row.call],
        time(row.bareNs),
        time(row.noiseNs),
        signed(row.hookedAddedNs),
        signed(row.watchedAddedNs),
        isKnown ? signed(row.denyingAddedNs) : '',
        signed(row.outsideAddedNs),
        isKnown ? signed(row.outsideDenyingAddedNs) : '',
      ];
    }),
  ]);
}

function denialInGuest({ date, kernels }: EnforceGuestResults): string {
  const signedCount = (count: number): string =>
    `${count < 0 ? '−' : '+'}${Math.abs(count).toLocaleString('en')}`;
  const said = kernels.map(({ kernel, rulesThatDeny, rows }) =>
    [
      `Linux ${kernel.replace(/[-+].*$/, '')}; ${rulesThatDeny.length} rules deny:`,
      '',
      table([
        ['call', 'without', 'watched', 'and rules deny', 'not watched', 'and rules deny elsewhere'],
        ...rows.map((row) => [
          DENIABLE[row.call],
          row.bare.toLocaleString('en'),
          signedCount(row.watchedAdded),
          signedCount(row.denyingAdded),
          signedCount(row.outsideAdded),
          signedCount(row.outsideDenyingAdded),
        ]),
      ]),
    ].join('\n'),
  );
  return [`By \`npm run bench enforce guest\` on ${date}.`, ...said].join('\n\n');
}

const signed = (ns: number): string => (ns < 0 ? `−${time(-ns)}` : `+${time(ns)}`);

function beside({ bare, engines }: PeerResults): string {
  const row = (what: string, of: (it: EngineResults) => string): readonly string[] => [
    what,
    ...Object.values(engines).map(of),
  ];
  const percent = (value: number): string =>
    `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(1)} %`;
  const rates = Object.keys(Object.values(engines)[0]?.opensCpuMsPerSecond ?? {});
  const { openClose, nginx } = bare;
  const spread = 50 * ((nginx.max - nginx.min) / nginx.median);
  return table([
    ['added, or spent', ...Object.keys(engines).map((name) => name.replace('peer', 'Falco'))],
    row('getppid', (it) => signed(it.watched.getppidAddedNs)),
    row(`open and close (${time(openClose.median)})`, (it) => signed(it.watched.openCloseAddedNs)),
    row('the same in a container that varvel does not watch', (it) =>
      signed(it.beside.openCloseAddedNs),
    ),
    row('rename', (it) => signed(it.watched.renameAddedNs)),
    row('fork, exec and wait', (it) => signed(it.watched.forkExecAddedNs)),
    row(`requests a second of nginx (differ by ${spread.toFixed(1)} % without)`, (it) =>
      percent(it.watched.nginxChangePercent),
    ),
    row('the same where varvel does not watch', (it) => percent(it.beside.nginxChangePercent)),
    ...rates.map((rate) =>
      row(
        `CPU of the agent at ${Number(rate).toLocaleString('en')} opens a second that no rule is about`,
        (it) => share(it.opensCpuMsPerSecond[rate]),
      ),
    ),
    row('the same at rest', (it) => share(it.idleCpuMsPerSecond)),
    row('from its start to its first line', (it) => `${it.firstLineMs.toLocaleString('en')} ms`),
    row('CPU until then', (it) => `${it.startCpuMs.toLocaleString('en')} ms`),
    row(
      'from call to line at ten a second, p50 and p99',
      (it) => `${it.latencyMs.p50.toFixed(1)} and ${it.latencyMs.p99.toFixed(1)} ms`,
    ),
    row('memory, RSS and PSS', (it) => `${it.rssMb} and ${it.pssMb} MB`),
  ]);
}

const share = (ms: number | undefined): string =>
  ms === undefined ? '' : `${(ms / 10).toFixed(1)} % of a core`;
