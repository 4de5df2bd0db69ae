import type { Container } from '../apps/identity.ts';
import type { KernelEvent } from '../events/event.ts';
import { asksForAncestors } from '../plan/verdicts/ancestor-tests.ts';
import { isDeniable, isFileCall } from '../plan/verdicts/call-kinds.ts';
import type { Checked } from '../rules/compile/checked.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import type { Logger } from '../shared/logger.ts';
import { RecentMap } from '../shared/recent-map.ts';
import { appOf } from '../responses/limits.ts';
import type { RefusedCall } from '../responses/response.ts';
import type { OwnRulesAsked } from '../evaluation/app-rules.ts';
import { knownDeniedKindsOf, refusingOf, waysToRefuse } from './refused-kinds.ts';
import type { Member } from './verdict-group.ts';
import { NONE } from './verdict-numbers.ts';

const NOBODY: ReadonlySet<string> = new Set();
/** Limit on apps whose own rules are remembered as given up. */
const APPS_MAX = 1000;
/** Limit on rule names in one log line. */
const NAMES_MAX = 10;

/** Those of the operator's rules, and of the app's `own`, that are to deny in the container. */
export type DeniedAmong = (
  rules: readonly LoadedRule[],
  container: Container,
  own: readonly LoadedRule[],
) => readonly LoadedRule[];

/** Whether such calls can be refused on this host. */
export type CanRefuse = (call: RefusedCall) => boolean;

/** See JudgedApp in verdicts.ts. */
interface App {
  unchangedAmong(rules: readonly LoadedRule[]): readonly LoadedRule[];
  readonly ruleSet: RuleSet;
}

/** Containers in which the same is to be denied. */
export interface DeniedGroup {
  /** By these rules; in the kernel by those of them that it can be certain of, whose names are `denies`. */
  readonly denied: readonly LoadedRule[];
  readonly denies: readonly string[];
  /** Of its table; NONE if it has none. */
  readonly number: number;
  /** Negative before it is known whether its table can be made. */
  readonly turn: number;
  readonly entries: readonly Member[];
}

/** What is denied, by the names of rules. */
export interface DenyingStatus {
  /** In how many containers something is denied, and by which rules in any of them. */
  readonly containers: number;
  readonly rules: readonly string[];
  /** Rules that should deny, but in some container can only kill after the effect. */
  readonly afterEffect: readonly string[];
  /** What was denied although no rule matches it: no line tells of it. Monotonic. */
  readonly inVain: number;
  /** Rules that deny nothing until rules are loaded again, since something was denied that no rule matches. */
  readonly givenUp: readonly string[];
}

export interface DenialsOptions {
  readonly deniedAmong?: DeniedAmong;
  readonly deniedBeforeIdentity?: (rules: readonly LoadedRule[]) => readonly LoadedRule[];
  readonly canRefuse?: CanRefuse;
  readonly logger: Logger;
}

/** Decides by which rules the kernel denies programs, connections and calls on files. Whatever it is not certain of is left to the response after the effect. */
export class Denials {
  readonly #among: DeniedAmong;
  readonly #amongBefore: (rules: readonly LoadedRule[]) => readonly LoadedRule[];
  readonly #canRefuse: CanRefuse;
  readonly #logger: Logger;
  /** Conditions of the operator's rules that have denied wrongly: other rules have other ones, also those of the same file read again. */
  readonly #givenUp = new WeakSet<Checked>();
  /** By app, those given up for it alone: apps with the same policy share rules, and none may end what is denied to another. */
  #givenUpByApp = new RecentMap<string, ReadonlyMap<Checked, string>>(APPS_MAX);
  /** Those that deny no more where it is not known yet whose the container is. */
  readonly #givenUpBefore = new WeakSet<Checked>();
  readonly #warned = new WeakSet<Checked>();
  #rules: readonly LoadedRule[] = [];
  #inVain = 0;

  constructor({ deniedAmong, deniedBeforeIdentity, canRefuse, logger }: DenialsOptions) {
    this.#among = deniedAmong ?? (() => []);
    this.#amongBefore = deniedBeforeIdentity ?? (() => []);
    this.#canRefuse = canRefuse ?? (() => false);
    this.#logger = logger;
  }

  /** Of the operator's rules in force and the app's own, those that are to deny in the container. */
  among(
    rules: readonly LoadedRule[] | undefined,
    container: Container,
    app: App | 'none',
  ): readonly LoadedRule[] {
    if (rules === undefined) return [];
    this.#rules = rules;
    // What an app changes of a rule is not in the kernel's verdicts.
    const [operators, own] =
      app === 'none' ? [rules, []] : [app.unchangedAmong(rules), app.ruleSet.rules];
    const ofApp = this.#givenUpByApp.get(appOf(container));
    return this.#among(operators, container, own).filter(
      (rule) =>
        rule.enabled &&
        !this.#givenUp.has(rule.condition) &&
        ofApp?.has(rule.condition) !== true &&
        this.#canDeny(rule),
    );
  }

  /** Of the operator's rules in force, those that are to deny where it is not known yet whose the container is. */
  beforeIdentity(rules: readonly LoadedRule[] | undefined): readonly LoadedRule[] {
    if (rules === undefined) return [];
    // It may be of an app for which one was given up.
    const ofApps = [...this.#givenUpByApp.entries()].map(([, conditions]) => conditions);
    return this.#amongBefore(rules).filter(
      (rule) =>
        rule.enabled &&
        !this.#givenUp.has(rule.condition) &&
        !this.#givenUpBefore.has(rule.condition) &&
        !ofApps.some((conditions) => conditions.has(rule.condition)) &&
        this.#canDeny(rule),
    );
  }

  /**
   * Whether this host can deny some call for the rule. Of each sort of calls that the kernel can be certain of it is asked whether they can
   * be refused: what does so is loaded then. A rule of which it can never be certain is denied late, which is said.
   */
  #canDeny(rule: LoadedRule): boolean {
    const kinds = knownDeniedKindsOf(rule);
    const by = new Set(refusingOf(kinds));
    // Of two paths the kernel may be certain by either, which these kinds do not tell.
    if ([...rule.events].some(isFileCall)) by.add('file');
    if (by.size === 0) return [...rule.events].some(isDeniable);
    // All are asked.
    const can = [...by].map((sort) => {
      if (sort === 'program') return true;
      const { all, some } = waysToRefuse(sort, kinds);
      return [...all, ...some].some(this.#canRefuse);
    });
    return can.includes(true);
  }

  /** Rules are loaded again: apps' own rules are others. */
  onLoaded(): void {
    this.#givenUpByApp = new RecentMap(APPS_MAX);
  }

  /**
   * Something was denied that no rule matches. Gives up the rules that may have denied it, and returns their names; none if they were
   * before. Of an app with rules of its own that deny there, it gives up these for this app alone; none if some were not asked. What
   * may have refused a call is given up for its app alone, and only if the agent knows the process as the kernel does.
   * So are rules about programs for their app alone, if one of them asks for ancestors. What was denied before it was known whose the
   * container is (`before`) is given up for such containers alone; an app's own rules may then have let it pass.
   */
  giveUp(
    event: KernelEvent,
    groups: { readonly all: Iterable<DeniedGroup>; readonly before: Iterable<DeniedGroup> },
    asked: OwnRulesAsked,
    isComparable = true,
  ): ReadonlySet<string> {
    // The app was told that its rules are paused, or that one failed.
    if (asked === 'skipped') return NOBODY;
    const isHere = ({ entries }: DeniedGroup): boolean =>
      entries.some(({ cgroupId }) => cgroupId === event.cgroupId);
    const before = [...groups.before].find(isHere);
    if (before !== undefined && asked !== 'none') return NOBODY;
    this.#inVain++;
    const all = [...groups.all];
    const here = all.filter(isHere);
    // Its cgroup may be inside that of the container. It may be gone, too: then nobody knows whose rules it was.
    const possible = here.length > 0 || asked !== 'none' ? here : all;
    const denying = possible.flatMap(({ denied, denies }) =>
      denied.filter(({ name }) => denies.includes(name)),
    );
    const operators = new Set(this.#rules.map(({ condition }) => condition));
    const own = denying.filter(({ condition }) => !operators.has(condition));
    let rules: readonly LoadedRule[] = [];
    if (before !== undefined) {
      rules = denying;
      for (const { condition } of denying) this.#givenUpBefore.add(condition);
    } else if (event.exec === undefined) {
      // Of a call the agent judges by what it knows of the process. An app can see to it that that is not enough: this must not end
      // what is denied to others.
      if (isComparable) rules = this.#giveUpIn(denying, here, event.cgroupId);
    } else if (own.length > 0) rules = this.#giveUpIn(own, here, event.cgroupId);
    // The same is true of ancestors: an app can have more of them than the agent keeps.
    else if (denying.some(({ condition }) => asksForAncestors(condition)))
      rules = this.#giveUpIn(denying, here, event.cgroupId);
    else rules = this.#giveUpOperators(denying);
    // Without rules they were given up before, or others are in force by now.
    this.#logger.error(
      { rules: namesOf(rules), pid: event.pid, cgroupId: event.cgroupId },
      'denied wrongly: no rule matches this program or call. The rules named here, if any, deny nothing until rules are loaded again (SIGHUP). Please report this',
    );
    return new Set(rules.map(({ name }) => name));
  }

  #giveUpOperators(denying: readonly LoadedRule[]): readonly LoadedRule[] {
    // Groups share them.
    const rules = [...new Set(denying)].filter(({ condition }) => !this.#givenUp.has(condition));
    for (const { condition } of rules) this.#givenUp.add(condition);
    return rules;
  }

  /** For this app alone. */
  #giveUpIn(
    rules: readonly LoadedRule[],
    groups: readonly DeniedGroup[],
    cgroupId: number,
  ): readonly LoadedRule[] {
    const entry = groups.flatMap(({ entries }) => entries).find((one) => one.cgroupId === cgroupId);
    if (entry?.resolution.state !== 'included') return [];
    const app = appOf(entry.resolution.container);
    const before = this.#givenUpByApp.get(app) ?? new Map<Checked, string>();
    const added = rules.filter(({ condition }) => !before.has(condition));
    const more = added.map(({ condition, name }) => [condition, name] as const);
    this.#givenUpByApp.set(app, new Map([...before, ...more]));
    return added;
  }

  /** Says which rules should deny, but do not: once for each rule. */
  warn({ denied, denies }: DeniedGroup): void {
    const rules = denied.filter(
      ({ name, condition }) => !denies.includes(name) && !this.#warned.has(condition),
    );
    if (rules.length === 0) return;
    for (const { condition } of rules) this.#warned.add(condition);
    this.#logger.warn(
      { rules: namesOf(rules) },
      'These rules cannot deny: a process that matches is killed after the event. Reason: `varvel explain RULE`, or no room in the kernel table.',
    );
  }

  status(groups: Iterable<DeniedGroup>): DenyingStatus {
    const all = [...groups].filter(({ entries }) => entries.length > 0);
    const denying = all.filter(({ number, denies }) => number !== NONE && denies.length > 0);
    const late = all
      .filter(({ turn }) => turn >= 0)
      .flatMap(({ denied, denies }) =>
        denied.map(({ name }) => name).filter((name) => !denies.includes(name)),
      );
    return {
      containers: denying.reduce((sum, { entries }) => sum + entries.length, 0),
      rules: sorted(denying.flatMap(({ denies }) => denies)),
      afterEffect: sorted(late),
      inVain: this.#inVain,
      givenUp: sorted([
        ...this.#rules
          .filter(({ condition }) => this.#givenUp.has(condition))
          .map(({ name }) => name),
        ...[...this.#givenUpByApp.entries()].flatMap(([, names]) => [...names.values()]),
      ]),
    };
  }
}

const sorted = (names: readonly string[]): readonly string[] => [...new Set(names)].sort();

function namesOf(rules: readonly LoadedRule[]): readonly string[] {
  const names = rules.slice(0, NAMES_MAX).map(({ name }) => name);
  return rules.length > NAMES_MAX ? [...names, `${rules.length - NAMES_MAX} more`] : names;
}
