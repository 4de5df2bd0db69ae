import type { LiveProbe } from '../probe/live.ts';
import { v2OfHost } from '../responses/container-cgroups.ts';
import { REFUSED_CALLS, type RefusedCall } from '../responses/response.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';

/** What could not be loaded is tried again after this time. */
const RETRY_MS = 60_000;

export interface RefusalOptions {
  /** Loads what refuses the calls, and attaches it; does nothing if it is. Throws UserError. */
  readonly start: () => void;
  readonly stop: () => void;
  /** What is done instead, and what it is not about: for the log. */
  readonly otherwise: string;
  readonly logger: Logger;
  /** Monotonic ms; default: the process's. */
  readonly nowMs?: () => number;
}

/** Calls of one sort that are refused for rules that deny them. What does so is loaded when that is first asked for, and stays. */
export class Refusal {
  readonly #options: RefusalOptions;
  /** When it may be loaded: never again if that is Infinity. */
  #nextMs = -Infinity;
  #loaded = false;
  #wanted = false;
  #unavailable: string | undefined;

  constructor(options: RefusalOptions) {
    this.#options = options;
  }

  /**
   * Whether such calls can be refused here: asked for a rule that denies some. The first call loads what does so, in some 0.1 s, and
   * logs if it cannot; another one a minute later tries again.
   */
  readonly isAvailable = (): boolean => {
    this.#wanted = true;
    return this.tryLoad();
  };

  /** The same for a trial, after which `endTrial` is called. */
  tryLoad(): boolean {
    if (!this.#loaded && this.#nowMs() >= this.#nextMs) this.#load();
    return this.#loaded;
  }

  /** Unloads it again, unless a rule asks for it: each such call of the host passes it. */
  endTrial(): void {
    if (this.#wanted || !this.#loaded) return;
    this.#loaded = false;
    this.#options.stop();
  }

  /** Why they cannot be, if a rule asks for it; undefined: they can, or none does. */
  get unavailable(): string | undefined {
    return this.#wanted ? this.#unavailable : undefined;
  }

  /** Why they could not be when that was last tried; undefined: they could, or it was not. */
  get failure(): string | undefined {
    return this.#unavailable;
  }

  /** They have proven not to be refused: nothing counts on it any more. */
  giveUp(why: string): void {
    this.#nextMs = Infinity;
    this.#refuseNone(why);
  }

  #nowMs(): number {
    return this.#options.nowMs?.() ?? performance.now();
  }

  #refuseNone(why: string): void {
    const isNews = this.#unavailable !== why;
    this.#unavailable = why;
    this.#loaded = false;
    this.#options.stop();
    if (isNews) this.#options.logger.warn({ why }, this.#options.otherwise);
  }

  #load(): void {
    try {
      this.#options.start();
      this.#loaded = true;
      this.#unavailable = undefined;
    } catch (error) {
      this.#nextMs = this.#nowMs() + RETRY_MS;
      this.#refuseNone(error instanceof UserError ? error.message : String(error));
    }
  }
}

export type Refusals = Readonly<Record<RefusedCall, Refusal>>;

/** Those of this host. */
export const makeRefusals = (
  probe: Pick<
    LiveProbe,
    'denyConnects' | 'allowConnects' | 'denyFiles' | 'allowFiles' | 'denyCalls' | 'allowCalls'
  >,
  logger: Logger,
): Refusals => {
  const refusalOf = (
    group: Parameters<LiveProbe['denyCalls']>[0],
    what: string,
    directory?: () => string,
  ): Refusal =>
    new Refusal({
      start: () => probe.denyCalls(group, directory?.()),
      stop: () => probe.allowCalls(group),
      otherwise: `this kernel cannot refuse ${what}. Programs and connections can still be denied before the effect`,
      logger,
    });
  return {
    connection: new Refusal({
      start: () => probe.denyConnects(v2OfHost().mountPoint),
      stop: () => probe.allowConnects(),
      otherwise:
        'connections cannot be refused on this host: a process that makes a denied one is killed afterwards. Programs can still be denied before the effect',
      logger,
    }),
    unix: refusalOf(
      'unix',
      'connections to unix sockets: a process that makes one against a rule is killed afterwards',
    ),
    file: new Refusal({
      start: () => probe.denyFiles(),
      stop: () => probe.allowFiles(),
      otherwise:
        'this kernel cannot refuse to open or change files: a process that does so against a rule is killed afterwards. Programs and connections can still be denied before the effect',
      logger,
    }),
    call: refusalOf(
      'calls',
      'mounts, modules and other calls by who makes them: a process that makes one against a rule is killed afterwards',
    ),
    memory: refusalOf(
      'memory',
      'to make memory executable: a process that does so against a rule is killed afterwards',
    ),
    namespace: refusalOf(
      'namespaces',
      'user namespaces (Linux 6.1 is the first that can): a process that makes one against a rule is killed afterwards',
    ),
    cgroup: refusalOf(
      'cgroup',
      'binds and device nodes, by cgroup v2 either: a process that makes one against a rule is killed afterwards',
      () => v2OfHost().mountPoint,
    ),
  };
};

/** By call, why it cannot be refused although a rule denies some. Of two ways to refuse one, both must fail. */
export const unavailableOf = (
  refusals: Readonly<Record<RefusedCall, Pick<Refusal, 'unavailable'>>>,
): Partial<Record<RefusedCall, string>> =>
  Object.fromEntries(
    REFUSED_CALLS.flatMap((call) => {
      if (call === 'cgroup' && refusals.call.unavailable === undefined) return [];
      const why = refusals[call].unavailable;
      return why === undefined ? [] : [[call, why]];
    }),
  );
