import { AnyTest } from '../rules/any-test.ts';
import type { Priority } from '../rules/detection.ts';
import { domainNamesIn } from '../rules/domain-names.ts';
import { RuleEngine } from '../rules/engine.ts';
import type { Match } from '../rules/engine.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import type { Subject } from '../rules/subject.ts';
import { kernelPlanFor } from '../plan/kernel-plan.ts';
import type { OwnRun } from './policy-in-force.ts';

const NONE: readonly Match[] = Object.freeze([]);

/**
 * Rules of the operator's that are another one for an app: by exceptions, which take matches away, or by lists. While
 * neither the operator's rule matches an event nor `trigger` holds, the app's does not match either: nothing is compiled and
 * kept for an app before that happens to a rule. Then it takes some milliseconds, once for rules that are met at about the
 * same time.
 */
export class ChangedRules {
  readonly #names: ReadonlySet<string>;
  readonly #growing: readonly string[];
  readonly #compile: () => readonly LoadedRule[];
  /** Has to hold where a changed rule matches and the operator's does not; undefined: none does. */
  readonly trigger: LoadedRule | undefined;
  readonly #anyOfTrigger: AnyTest | undefined;
  /** By a rule's name. */
  readonly #engines = new Map<string, RuleEngine>();
  /** All of them, for those that are met next: until the memory is wanted. */
  #compiled: WeakRef<readonly LoadedRule[]> | undefined;
  #shed: readonly Priority[] = [];

  /**
   * `compile` gives all of them, and others. Those of `growing` may meet more than the operator's where a comparison of
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

  /** Those of these priorities match nothing from now on, all others do. */
  shed(priorities: readonly Priority[]): void {
    this.#shed = priorities;
  }

  has(rule: string): boolean {
    return this.#names.has(rule);
  }

  get size(): number {
    return this.#names.size;
  }

  /** How many of the operator's they stand for. */
  count(rules: readonly LoadedRule[]): number {
    return rules.filter(({ enabled, name }) => enabled && this.#names.has(name)).length;
  }

  /** What they come to, where the operator's rules came to `matches`. */
  evaluate(matches: readonly Match[], subject: Subject, run: OwnRun | undefined): readonly Match[] {
    const grows = this.#anyOfTrigger?.holds(subject) === true;
    if (matches.length === 0 && !grows) return NONE;
    const asked = new Set(grows ? this.#growing : []);
    for (const { rule } of matches) if (this.#names.has(rule.name)) asked.add(rule.name);
    if (asked.size === 0) return NONE;
    const found = this.#enginesOf(asked, run).flatMap((engine) =>
      run === undefined ? engine.evaluate(subject) : engine.evaluateEach(subject, run),
    );
    return this.#shed.length === 0
      ? found
      : found.filter(({ rule }) => !this.#shed.includes(rule.priority));
  }

  #enginesOf(names: ReadonlySet<string>, run: OwnRun | undefined): RuleEngine[] {
    const missing = [...names].filter((name) => !this.#engines.has(name));
    if (missing.length > 0) this.#makeEngines(missing, run);
    return [...names].flatMap((name) => this.#engines.get(name) ?? []);
  }

  #makeEngines(names: readonly string[], run: OwnRun | undefined): void {
    try {
      run?.onCompiling();
      const compiled = this.#compiled?.deref() ?? this.#compile();
      this.#compiled = new WeakRef(compiled);
      for (const name of names) {
        const rules = compiled.filter((rule) => rule.name === name);
        this.#engines.set(name, new RuleEngine({ rules }));
      }
    } catch (error) {
      if (run === undefined) throw error;
      run.onCompileFailure(names, error);
    } finally {
      run?.onCompiled();
    }
  }
}

/** Whether nothing has to be asked of the kernel or of name servers for `changed` that is not asked for the operator's rule. */
export function asksNoMore(changed: LoadedRule, operators: LoadedRule): boolean {
  const plan = (rule: LoadedRule): string =>
    JSON.stringify([kernelPlanFor({ rules: [rule] }), [...rule.events].sort()]);
  const known = domainNamesIn({ rules: [operators] });
  return (
    plan(changed) === plan(operators) &&
    [...domainNamesIn({ rules: [changed] })].every((name) => known.has(name))
  );
}
