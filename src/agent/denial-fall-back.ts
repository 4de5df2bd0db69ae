import type { Container } from '../apps/identity.ts';
import type { RegistryEntry } from '../apps/resolution.ts';
import { appOf } from '../responses/limits.ts';
import type { Process } from '../context/process.ts';
import type { DoneResponse, Respondable } from '../responses/responder.ts';
import type { OperatorResponses } from '../responses/operator-responses.ts';
import type { Logger } from '../shared/logger.ts';
import { RecentMap } from '../shared/recent-map.ts';
import type { Detection } from '../rules/detection.ts';
import { denialNotice } from '../streams/notices.ts';

/** An app may have as many denials in a minute. */
export const DENIALS_A_MINUTE = 60;
/** A container that ends so soon after its first denial has ended for it. */
export const FIRST_DENIAL_MS = 30_000;
const MINUTE_MS = 60_000;
/** Limit on apps, containers and processes with denials that are remembered; the oldest start again from zero. */
const COUNTED_MAX = 10_000;

export interface DenialFallBackOptions {
  readonly logger: Logger;
  /** The registry's clock, monotonic ms. */
  readonly nowMs: () => number;
  readonly operators: () => OperatorResponses;
  /** Whether a response of the agent ends the container with this cgroup. */
  readonly isEnding: (cgroupId: number) => boolean;
  /** What is denied has changed. */
  readonly onChanged: () => void;
  readonly say: (line: Detection) => void;
}

/**
 * Ends denial for an app that it seems to harm, until rules are loaded again: one with many denials, or whose container ends soon after
 * its first. Its programs run then, and each is reported.
 */
export class DenialFallBack {
  readonly #options: DenialFallBackOptions;
  /** By app: when its latest programs were denied. */
  readonly #times = new RecentMap<string, readonly number[]>(COUNTED_MAX);
  /** By container: when its first was. */
  readonly #firstMs = new RecentMap<string, number>(COUNTED_MAX);
  /** Containers whose app has asked for it itself, by their ids. */
  readonly #asked = new RecentMap<string, true>(COUNTED_MAX);
  /** By cgroup, as each run of a container has its own: for which entries it was told. */
  readonly #told = new RecentMap<number, OperatorResponses>(COUNTED_MAX);
  /** Processes that something was denied to, by pid and start: one that tries again and again counts once. */
  readonly #processes = new RecentMap<string, true>(COUNTED_MAX);
  #count = 0;

  constructor(options: DenialFallBackOptions) {
    this.#options = options;
  }

  /** Returns the responses to a detection, after it has noted a denial. What `deny` kills after the effect counts as one too. */
  noted(
    { container, process, asked }: Pick<Respondable, 'container' | 'process' | 'asked'>,
    done: readonly DoneResponse[],
  ): readonly DoneResponse[] {
    const isDenied = done.some(
      ({ name, outcome }) => name === 'deny' && (outcome === 'prevented' || outcome === 'done'),
    );
    // Also if another rule's detection of the same program came first.
    if (isDenied && asked === 'deny') this.#asked.set(container.fullId, true);
    // Several rules may match the same program.
    if (isDenied && this.#isNew(process)) this.#onDenied(container);
    return done;
  }

  #isNew({ pid, startBootNs }: Pick<Process, 'pid' | 'startBootNs'>): boolean {
    const key = `${pid} ${startBootNs}`;
    const isNew = !this.#processes.has(key);
    this.#processes.set(key, true);
    return isNew;
  }

  #onDenied(container: Container): void {
    const nowMs = this.#options.nowMs();
    const app = appOf(container);
    const times = [...(this.#times.get(app) ?? []), nowMs].slice(-DENIALS_A_MINUTE - 1);
    this.#times.set(app, times);
    if (this.#firstMs.get(container.fullId) === undefined)
      this.#firstMs.set(container.fullId, nowMs);
    if (times.length > DENIALS_A_MINUTE && nowMs - (times[0] ?? 0) < MINUTE_MS)
      this.#fallBack(
        container,
        `more than ${DENIALS_A_MINUTE} processes were denied within a minute`,
      );
  }

  /** Call every second, with the cgroups of all containers. */
  onTick(entries: readonly RegistryEntry[]): void {
    if (this.#firstMs.size > 0) this.#lookForEnds(entries);
    const operators = this.#options.operators();
    if (operators.ended().length > 0) this.#tell(entries, operators);
  }

  #lookForEnds(entries: readonly RegistryEntry[]): void {
    for (const { resolution, goneAtMs, cgroupId } of entries) {
      if (resolution.state !== 'included' || goneAtMs === undefined) continue;
      const { container } = resolution;
      const firstMs = this.#firstMs.get(container.fullId);
      if (firstMs === undefined || firstMs > goneAtMs) continue;
      this.#firstMs.delete(container.fullId);
      if (goneAtMs - firstMs <= FIRST_DENIAL_MS && !this.#options.isEnding(cgroupId))
        this.#fallBack(
          container,
          `the container ${container.id} ended within ${FIRST_DENIAL_MS / 1000} s of its first denial`,
        );
    }
  }

  /** Tells each run of a container of such an app, also those that begin later: the log of one that ends may not take the line. */
  #tell(entries: readonly RegistryEntry[], operators: OperatorResponses): void {
    for (const { resolution, goneAtMs, cgroupId } of entries) {
      if (resolution.state !== 'included' || goneAtMs !== undefined) continue;
      const { container } = resolution;
      const why = operators.endedIn(container.app);
      if (why === undefined || this.#told.get(cgroupId) === operators) continue;
      this.#told.set(cgroupId, operators);
      const nowNs = BigInt(Date.now()) * 1_000_000n;
      this.#options.say(denialNotice(why, container, nowNs));
    }
  }

  /** How often it did so; monotonic. */
  get count(): number {
    return this.#count;
  }

  #fallBack(container: Container, why: string): void {
    const { logger, operators, onChanged } = this.#options;
    // Whoever lifts responses may have ended the container.
    if (operators().isLifted(undefined, container.app)) return;
    const isAsked = this.#asked.has(container.fullId);
    if (!operators().endDenying(container.app, why, isAsked)) return;
    this.#count++;
    logger.warn(
      { app: container.app?.name, container: container.id, why },
      'denial is off for this app, and what rules match is only reported: reload the rules (SIGHUP) to turn it on again',
    );
    onChanged();
  }
}
