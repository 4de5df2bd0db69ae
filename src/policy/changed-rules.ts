import { AnyTest } from '../rules/any-test.ts';
import type { Priority } from '../rules/detection.ts';
import { domainNamesIn } from '../rules/domain-names.ts';
import { RuleEngine } from '../rules/engine.ts';
import { APP_ENGINE } from './app-engine.ts';
import type { Match } from '../rules/engine.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import type { Subject } from '../rules/subject.ts';
import { kernelPlanFor } from '../plan/kernel-plan.ts';
import type { OwnRun } from './policy-in-force.ts';

const NONE: readonly Match[] = Object.freeze([]);
const NO_NAMES: readonly string[] = Object.freeze([]);

/**
 * Operator rules that differ for an app: by exceptions, which take matches away, or by lists. The app's rule cannot match
 * unless the operator's rule matches or `trigger` holds. So nothing is compiled or kept before that happens. Compiling then
 * takes some milliseconds, once for rules that are needed at about the same time.
 */
export class ChangedRules {
  readonly #names: ReadonlySet<string>;
  readonly #growing: readonly string[];
  readonly #compile: () => readonly LoadedRule[];
  /** Must hold where a changed rule matches and the operator's does not; undefined: that never happens. */
  readonly trigger: LoadedRule | undefined;
  readonly #anyOfTrigger: AnyTest | undefined;
  /** By a rule's name. */
  readonly #engines = new Map<string, RuleEngine>();
  /** All compiled rules, for the next ones needed; the garbage collector may free them. */
  #compiled: WeakRef<readonly LoadedRule[]> | undefined;
  #shed: readonly Priority[] = [];

  /**
   * `compile` returns all of them, and others. Rules in `growing` may match more than the operator's where a comparison of
   * `trigger` holds.
   */
  constructor(
    names: ReadonlySet<string>,
    compile: () => readonly LoadedRule[],
    growing: readonly string[],
    trigger: LoadedRule | undefined,
  ) {
    this.#names = names;
    this.#compile = compile;
    this.#growing = growing;
    this.trigger = growing.length === 0 ? undefined : trigger;
    this.#anyOfTrigger = this.trigger && new AnyTest(this.trigger);
  }

  /** Rules of these priorities match nothing from now on; all others do. */
  shed(priorities: readonly Priority[]): void {
    this.#shed = priorities;
  }

  has(rule: string): boolean {
    return this.#names.has(rule);
  }

  get size(): number {
    return this.#names.size;
  }

  /** Number of the operator's enabled rules that they replace. */
  count(rules: readonly LoadedRule[]): number {
    return rules.filter(({ enabled, name }) => enabled && this.#names.has(name)).length;
  }

  /** The matches of changed rules, given the `matches` of the operator's. */
  evaluate(matches: readonly Match[], subject: Subject, run: OwnRun | undefined): readonly Match[] {
    const grows = this.#anyOfTrigger?.holds(subject) === true;
    if (matches.length === 0 && !grows) return NONE;
    let asked = grows ? this.#growing : NO_NAMES;
    for (const { rule } of matches)
      if (this.#names.has(rule.name) && !asked.includes(rule.name)) asked = [...asked, rule.name];
    if (!asked.every((name) => this.#engines.has(name)))
      this.#makeEngines(
        asked.filter((name) => !this.#engines.has(name)),
        run,
      );
    let found = NONE;
    for (const name of asked) {
      const engine = this.#engines.get(name);
      if (engine === undefined) continue;
      const met = run === undefined ? engine.evaluate(subject) : engine.evaluateEach(subject, run);
      if (met.length > 0) found = [...found, ...met];
    }
    return this.#shed.length === 0
      ? found
      : found.filter(({ rule }) => !this.#shed.includes(rule.priority));
  }

  #makeEngines(names: readonly string[], run: OwnRun | undefined): void {
    try {
      run?.onCompiling();
      const compiled = this.#compiled?.deref() ?? this.#compile();
      this.#compiled = new WeakRef(compiled);
      for (const name of names) {
        const rules = compiled.filter((rule) => rule.name === name);
        this.#engines.set(name, new RuleEngine({ rules }, APP_ENGINE));
      }
    } catch (error) {
      if (run === undefined) throw error;
      run.onCompileFailure(names, error);
    } finally {
      run?.onCompiled();
    }
  }
}

/** Whether `changed` needs nothing from the kernel or from name servers that the operator's rule does not need. */
export function asksNoMore(changed: LoadedRule, operators: LoadedRule): boolean {
  const plan = (rule: LoadedRule): string =>
    JSON.stringify([kernelPlanFor({ rules: [rule] }), [...rule.events].sort()]);
  const known = domainNamesIn({ rules: [operators] });
  return (
    plan(changed) === plan(operators) &&
    [...domainNamesIn({ rules: [changed] })].every((name) => known.has(name))
  );
}
