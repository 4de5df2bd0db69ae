import type { AgentSnapshot } from '../../agent/snapshot.ts';
import type { ContainerStatus } from '../../apps/status.ts';
import type { ListenAddress } from '../../config/listen-address.ts';
import { loadConfig } from '../../config/load.ts';
import type { ConfigSources } from '../../config/load.ts';
import { askAgent } from '../../metrics/endpoint-client.ts';
import type { Priority } from '../../rules/detection.ts';
import type { SpooledCounters } from '../../streams/spool/spooled-stream.ts';
import { missingOf, type StreamCounters } from '../../streams/stream.ts';
import { UserError } from '../../shared/user-error.ts';

const ASK_MS = 3000;

/** What an agent says of itself, as far as a drill asks. */
export interface AgentLook {
  readonly hostname: string;
  readonly startedAtMs: number;
  /** Whether the drill's rule runs. */
  readonly ruleOn: boolean;
  /** Priorities that are off since the agent is over a ceiling. */
  readonly shed: readonly Priority[];
  /** How often the rule was met. */
  readonly drills: number;
  /** The one that a word of the command means; undefined when none does. */
  readonly container: Pick<ContainerStatus, 'id' | 'name' | 'app' | 'state' | 'reason'> | undefined;
  readonly streams: readonly StreamLook[];
}

/** A log stream of the agent's. */
export interface StreamLook {
  readonly name: string;
  /** Lines that wait for the receiver, and when the oldest of them happened, unix ms. */
  readonly waiting: number;
  readonly oldestMs: number | undefined;
  /** Lines that it could not take. */
  readonly missed: number;
}

/** What is known of the agent on this host. */
export type HostFacts =
  | { readonly state: 'not asked'; readonly why: string }
  | { readonly state: 'dead'; readonly why: string }
  | {
      readonly state: 'answers';
      readonly before: AgentLook;
      /** The last look; that of before the drill until there is another. */
      readonly last: AgentLook;
      /** When the count of drills was first seen to be higher, of `performance.now()`. */
      readonly roseAtMs: number | undefined;
      /** It answered before the drill and does not any more. */
      readonly lost: string | undefined;
    };

/** Where the agent of this host answers. */
export interface DrillHost {
  readonly listen: ListenAddress;
  /** The user named its configuration, so there is one. */
  readonly expected: boolean;
  /** Why it is not known where it answers. */
  readonly unknown?: string;
}

/**
 * Where the configuration says the agent answers. A drill does not need one, and the agent's may be readable by root only.
 * Throws UserError for a named configuration that is wrong.
 */
export function drillHost(sources: ConfigSources): DrillHost {
  const expected = sources.file !== undefined || (sources.settings ?? []).length > 0;
  try {
    return { listen: loadConfig(sources).config.metrics.listen, expected };
  } catch (error) {
    if (expected || !(error instanceof UserError)) throw error;
    const unknown = 'the agent’s configuration cannot be read';
    return { listen: { kind: 'off' }, expected, unknown };
  }
}

/** Whom a `HostWatch` asks, and for what. */
export interface HostWatchOptions extends DrillHost {
  /** The drill's. */
  readonly rule: string;
  /** Names by which the command may mean a container or an app. */
  readonly words: readonly string[];
}

/** Queries the agent on this host, if there is one, before and during a drill. Never throws for its answers. */
export class HostWatch {
  readonly #listen: ListenAddress;
  readonly #expected: boolean;
  readonly #off: string;
  readonly #rule: string;
  readonly #words: ReadonlySet<string>;
  #facts: HostFacts = { state: 'not asked', why: 'it was not asked yet' };

  constructor({ listen, expected, unknown, rule, words }: HostWatchOptions) {
    this.#listen = listen;
    this.#off = unknown ?? 'its endpoint is off (metrics.listen)';
    this.#expected = expected;
    this.#rule = rule;
    this.#words = new Set(words);
  }

  get facts(): HostFacts {
    return this.#facts;
  }

  /** Before the drill. */
  async begin(): Promise<void> {
    if (this.#listen.kind === 'off') {
      this.#facts = { state: 'not asked', why: this.#off };
      return;
    }
    try {
      const before = await this.#look();
      this.#facts = {
        state: 'answers',
        before,
        last: before,
        roseAtMs: undefined,
        lost: undefined,
      };
    } catch (error) {
      this.#facts = whyNot(error, this.#expected);
    }
  }

  /** While it is under way. */
  async look(): Promise<void> {
    if (this.#facts.state !== 'answers') return;
    const { before, roseAtMs } = this.#facts;
    try {
      const last = await this.#look();
      // One that was started anew counts from zero.
      const from = last.startedAtMs === before.startedAtMs ? before.drills : 0;
      const rose = roseAtMs ?? (last.drills > from ? performance.now() : undefined);
      this.#facts = { ...this.#facts, last, roseAtMs: rose, lost: undefined };
    } catch (error) {
      this.#facts = { ...this.#facts, lost: reasonOf(error) };
    }
  }

  async #look(): Promise<AgentLook> {
    const snapshot = JSON.parse(await askAgent(this.#listen, '/status', ASK_MS)) as AgentSnapshot;
    return lookOf(snapshot, this.#rule, this.#words);
  }
}

/** The parts of an agent's answer that a drill looks at. */
interface Asked {
  readonly hostname: string;
  readonly startedAtMs: number;
  readonly engine: Pick<AgentSnapshot['engine'], 'detections'>;
  readonly ceilings: Pick<AgentSnapshot['ceilings'], 'shed'>;
  readonly apps: Pick<AgentSnapshot['apps'], 'containers'>;
  readonly delivery: Pick<AgentSnapshot['delivery'], 'streams'>;
  readonly streams: Readonly<
    Record<
      string,
      StreamCounters | { readonly spool: Pick<SpooledCounters['spool'], 'waiting' | 'oldestMs'> }
    >
  >;
}

/** What a drill needs of an agent's answer. */
export function lookOf(
  { hostname, startedAtMs, engine, ceilings, apps, delivery, streams }: Asked,
  rule: string,
  words: ReadonlySet<string>,
): AgentLook {
  const here = apps.containers.filter(({ gone }) => !gone);
  const isMeant = (...names: (string | undefined)[]): boolean =>
    names.some((name) => name !== undefined && words.has(name));
  const container =
    here.find(({ id, fullId, name }) => isMeant(id, fullId, name)) ??
    here.find(({ app, state }) => state === 'included' && isMeant(app)) ??
    here.find(({ app }) => isMeant(app));
  return {
    hostname,
    startedAtMs,
    shed: ceilings.shed,
    ruleOn: Object.hasOwn(engine.detections, rule),
    drills: engine.detections[rule] ?? 0,
    container,
    streams: Object.entries(delivery.streams).map(([name, results]) => {
      const counters = streams[name];
      const spool = counters !== undefined && 'spool' in counters ? counters.spool : undefined;
      const { waiting = 0, oldestMs } = spool ?? {};
      return { name, waiting, oldestMs, missed: missingOf(results) };
    }),
  };
}

/** `expected`: the user says that there is one. */
function whyNot(error: unknown, expected: boolean): HostFacts {
  const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
  if (code === 'ENOENT' && !expected) return { state: 'not asked', why: 'no agent on this host' };
  if (code === 'EACCES' || code === 'EPERM')
    return { state: 'not asked', why: 'only root may ask the agent on this host' };
  const why =
    code === 'ECONNREFUSED'
      ? 'An agent was on this host and has ended unexpectedly: only its socket is left.'
      : reasonOf(error);
  return { state: 'dead', why };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
