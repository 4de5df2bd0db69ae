import { setTimeout } from 'node:timers/promises';
import type { Container } from '../apps/identity.ts';
import type { RegistryEntry } from '../apps/resolution.ts';
import { verdictTableOf } from '../plan/verdicts/table.ts';
import type { LiveProbe } from '../probe/live.ts';
import { levelOf } from '../probe/scope.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import type { Logger } from '../shared/logger.ts';

/** The number of the table that the operator's rules have. */
const OPERATORS = 1;
const NONE = 0;
/** Rules settle first: an agent that has just started has more urgent things to do. */
const WAIT_MS = 1000;
/** Names in one line of the log. */
const SAID_MAX = 10;

export interface KernelVerdictsOptions {
  readonly probe: Pick<LiveProbe, 'setVerdicts' | 'scope'>;
  readonly logger: Logger;
  /** Whether the container's app has no rules of its own, and no others than the operator's hold for it. */
  readonly hasOperatorsOnly: (container: Container) => boolean;
  /** `probe.kernel_verdicts`. */
  readonly enabled: boolean;
}

/**
 * Tells the kernel what the operator's rules say of opens, so that those that no rule can match end there. A container is judged
 * while no other rules hold for it. While rules change nobody is: all opens are reported then.
 */
export class KernelVerdicts {
  readonly #options: KernelVerdictsOptions;
  readonly #judged = new Set<number>();
  #isInForce = false;
  /** Counts changes of the rules: what was begun before the latest is given up. */
  #turn = 0;
  #stopped = false;

  constructor(options: KernelVerdictsOptions) {
    this.#options = options;
  }

  /** Other rules are about to be in force: until there is a table for them, all opens are reported. */
  leave(): void {
    this.#turn++;
    if (!this.#isInForce) return;
    this.#options.probe.setVerdicts(OPERATORS, undefined);
    this.#isInForce = false;
  }

  /** These rules are in force. Makes their table a while later, and resolves when it holds, or when there is none. */
  async enter(ruleSet: RuleSet): Promise<void> {
    const turn = ++this.#turn;
    if (!this.#options.enabled) return;
    await setTimeout(WAIT_MS, undefined, { ref: false });
    if (this.#stopped || turn !== this.#turn) return;
    const { logger, probe } = this.#options;
    try {
      const { bytes, clauses, states, transitions, widened, leftOut } = verdictTableOf([ruleSet]);
      const about = {
        clauses: clauses.length,
        states,
        transitions,
        widened: widened.length,
        widenedRules: widened.slice(0, SAID_MAX),
        leftOut: leftOut.slice(0, SAID_MAX),
      };
      if (bytes === undefined) {
        this.leave();
        logger.warn(
          about,
          'the rules are too many to filter opens in the kernel: all are reported',
        );
        return;
      }
      probe.setVerdicts(OPERATORS, bytes);
      this.#isInForce = true;
      logger.info(about, 'opens that no rule can match end in the kernel');
    } catch (error) {
      // What is not filtered costs time; an agent that ends costs more.
      logger.error(
        { error },
        'opens are not filtered by these rules: their table could not be made',
      );
    }
  }

  /** The containers' cgroups, all of them: each second, and when rules that apps have of their own have changed. */
  follow(entries: readonly RegistryEntry[]): void {
    if (!this.#options.enabled) return;
    const here = new Set<number>();
    for (const entry of entries) {
      if (entry.goneAtMs !== undefined || entry.unwatched) continue;
      here.add(entry.cgroupId);
      try {
        this.#judge(entry);
      } catch (error) {
        // It may be judged by rules that are not all of its own.
        this.leave();
        this.#options.logger.error({ error }, 'opens are not filtered: a container cannot be told');
      }
    }
    for (const cgroupId of this.#judged) if (!here.has(cgroupId)) this.#judged.delete(cgroupId);
  }

  #judge({ cgroupId, path, resolution }: RegistryEntry): void {
    const isJudged =
      resolution.state === 'included' && this.#options.hasOperatorsOnly(resolution.container);
    if (isJudged === this.#judged.has(cgroupId)) return;
    const { state } = resolution;
    const table = isJudged ? OPERATORS : NONE;
    if (state !== 'unknown') this.#options.probe.scope.set(cgroupId, state, levelOf(path), table);
    if (isJudged) this.#judged.add(cgroupId);
    else this.#judged.delete(cgroupId);
  }

  stop(): void {
    this.#stopped = true;
    this.leave();
  }
}
