import type { Container } from '../apps/identity.ts';
import {
  ageTestsOf,
  containerTestsOf,
  factsOf,
  factsOfType,
  type ContainerFacts,
} from '../plan/verdicts/container-tests.ts';
import { isAgeOfProcesses } from '../plan/verdicts/number-tests.ts';
import type { Checked, Test } from '../rules/compile/checked.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import type { Group } from './verdict-group.ts';

/** Limit on different facts of containers at a time, each of which takes a table: of other containers only the type counts. */
export const FACTS_MAX = 8;

type Rules = readonly LoadedRule[];
const NO_TESTS: readonly Test[] = [];

/** The rules that ask what is known of a container. */
export interface AskingRules {
  /** The operator's; undefined: there are none yet. */
  readonly operators: Rules | undefined;
  /** Its app's own. */
  readonly own: Rules;
  /** Those of both that deny there: only these ask for its age, as more would be known of each container when it is older. */
  readonly denying: Rules;
}

/** What is known of containers in so far as rules ask for it. Bounded, as rules can tell each container from all others. */
export class KnownFacts {
  /** By the rules that ask. */
  readonly #tests = new WeakMap<Rules, readonly Test[]>();
  readonly #ageTests = new WeakMap<Checked, readonly Test[]>();
  /** Of a container, by the rules for which it was last asked; not with its age. */
  readonly #known = new WeakMap<
    Container,
    { readonly facts: ContainerFacts; readonly by: AskingRules }
  >();
  #inUse = new Set<string>();

  /** Call before containers are grouped anew, with the facts of those groups that still have containers. */
  keep(facts: readonly ContainerFacts[]): void {
    this.#inUse = new Set(facts.filter(hasResults).map(({ key }) => key));
  }

  /** `nowMs`: Unix time. */
  of(container: Container, asking: AskingRules, nowMs: number): ContainerFacts {
    const facts = this.#factsOf(container, asking, nowMs);
    if (!hasResults(facts) || this.#inUse.has(facts.key)) return facts;
    if (this.#inUse.size >= FACTS_MAX) return factsOfType(container.runtime);
    this.#inUse.add(facts.key);
    return facts;
  }

  #factsOf(container: Container, by: AskingRules, nowMs: number): ContainerFacts {
    const { operators, own, denying } = by;
    const ageTests = denying.flatMap(({ condition }) => this.#ageTestsOf(condition));
    const known = this.#known.get(container);
    if (ageTests.length === 0 && known?.by.operators === operators && known?.by.own === own)
      return known.facts;
    const tests = [...this.#testsOf(operators), ...this.#testsOf(own)];
    const { startedAtMs } = container;
    const ageNs =
      startedAtMs === undefined ? 0n : BigInt(Math.round(nowMs - startedAtMs)) * 1_000_000n;
    const facts = factsOf(container, tests, ageTests, ageNs);
    if (ageTests.length === 0) this.#known.set(container, { facts, by });
    return facts;
  }

  /**
   * Number of containers of these in which a rule that denies asks for an age that is not reached yet, or not known. Not of those
   * whose age is that of their processes, which the kernel knows at each call.
   */
  tooYoung(groups: Iterable<Pick<Group, 'facts' | 'denied' | 'entries'>>): number {
    let containers = 0;
    for (const { facts, denied, entries } of groups)
      if (
        !isAgeOfProcesses(facts.type) &&
        denied.some(({ condition }) =>
          this.#ageTestsOf(condition).some(({ key }) => !facts.results.has(key)),
        )
      )
        containers += entries.length;
    return containers;
  }

  #ageTestsOf(condition: Checked): readonly Test[] {
    const known = this.#ageTests.get(condition) ?? ageTestsOf([condition]);
    this.#ageTests.set(condition, known);
    return known;
  }

  #testsOf(rules: Rules | undefined): readonly Test[] {
    if (rules === undefined || rules.length === 0) return NO_TESTS;
    const known = this.#tests.get(rules);
    if (known !== undefined) return known;
    const tests = containerTestsOf(
      rules.filter(({ enabled }) => enabled).map(({ condition }) => condition),
    );
    this.#tests.set(rules, tests);
    return tests;
  }
}

const hasResults = ({ results }: ContainerFacts): boolean => results.size > 0;
