import type { AppIdentity } from '../apps/identity.ts';
import { fitsAll } from '../rules/loader/selection.ts';
import type { RespondedRule } from './operator-responses.ts';

/** Limit on lifts at a time. */
export const LIFTS_MAX = 64;

/** What is lifted: the responses to rules with this name, in apps with this one; undefined: to all, in all. */
export interface Lifted {
  readonly app?: string | undefined;
  /** In it `*` and `?` are wildcards. */
  readonly rule?: string | undefined;
}

export interface Lift extends Lifted {
  /** By `varvel lift`, or by the file `lift` beside the configuration. */
  readonly by: 'command' | 'file';
  /** How long it goes on, in ms; undefined: until it is ended. */
  readonly leftMs?: number | undefined;
}

interface Entry extends Lifted {
  readonly untilMs: number;
  readonly fits: (rule: RespondedRule) => boolean;
}

/** The way back for operators: responses that are lifted are as in monitor mode, whatever the configuration and apps say. */
export class Lifts {
  readonly #nowMs: () => number;
  #entries: readonly Entry[] = [];
  /** The file lifts everything, as long as it is there. */
  #isFileThere = false;

  /** `nowMs`: monotonic. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Replaces a lift of the same. False if there are too many. */
  add({ app, rule }: Lifted, leftMs?: number): boolean {
    const others = this.#entries.filter((one) => !isSameLift(one, { app, rule }));
    if (others.length >= LIFTS_MAX) return false;
    const untilMs = leftMs === undefined ? Infinity : this.#nowMs() + leftMs;
    const fits = rule === undefined ? () => true : fitsAll({ rule });
    this.#entries = [...others, { app, rule, untilMs, fits }];
    return true;
  }

  /** Ends the lift of the same, or all if neither an app nor a rule is named; how many it was. That of the file goes on. */
  end(of: Lifted): number {
    const before = this.#entries.length;
    const isAll = of.app === undefined && of.rule === undefined;
    this.#entries = isAll ? [] : this.#entries.filter((one) => !isSameLift(one, of));
    return before - this.#entries.length;
  }

  /** Removes those whose time is over; whether there were any. */
  expire(): boolean {
    const nowMs = this.#nowMs();
    const left = this.#entries.filter(({ untilMs }) => untilMs > nowMs);
    const isChanged = left.length < this.#entries.length;
    if (isChanged) this.#entries = left;
    return isChanged;
  }

  /** Whether the file is there; whether that is a change. */
  setFile(isThere: boolean): boolean {
    const isChanged = isThere !== this.#isFileThere;
    this.#isFileThere = isThere;
    return isChanged;
  }

  /** Whether responses to the rule are lifted in the app; a rule that an app has added itself is undefined. */
  isLifted(rule: RespondedRule | undefined, app: AppIdentity | undefined): boolean {
    if (this.#isFileThere) return true;
    return this.#entries.some(
      (one) =>
        (one.app === undefined || one.app === app?.name) &&
        (one.rule === undefined || (rule !== undefined && one.fits(rule))),
    );
  }

  /** Whether responses to the rule are lifted in any app. */
  isLiftedSomewhere(rule: RespondedRule): boolean {
    return this.#isFileThere || this.#entries.some(({ fits }) => fits(rule));
  }

  status(): readonly Lift[] {
    const nowMs = this.#nowMs();
    const byCommand = this.#entries.map(({ app, rule, untilMs }): Lift => ({
      app,
      rule,
      by: 'command',
      leftMs: untilMs === Infinity ? undefined : Math.max(0, untilMs - nowMs),
    }));
    return this.#isFileThere ? [{ by: 'file' }, ...byCommand] : byCommand;
  }
}

export const isSameLift = (one: Lifted, other: Lifted): boolean =>
  one.app === other.app && one.rule === other.rule;
