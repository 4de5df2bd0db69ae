import type { Container } from '../apps/identity.ts';
import {
  containerTestsOf,
  factsOf,
  factsOfType,
  type ContainerFacts,
} from '../plan/verdicts/container-tests.ts';
import type { Test } from '../rules/compile/checked.ts';
import type { LoadedRule } from '../rules/rule-set.ts';

/** Limit on different facts of containers at a time, each of which takes a table: of other containers only the type counts. */
export const FACTS_MAX = 8;

type Rules = readonly LoadedRule[];
const NO_TESTS: readonly Test[] = [];

/** What is known of containers in so far as rules ask for it. Bounded, as rules can tell each container from all others. */
export class KnownFacts {
  /** By the rules that ask. */
  readonly #tests = new WeakMap<Rules, readonly Test[]>();
  /** Of a container, by the tests that it was last asked for. */
  readonly #known = new WeakMap<
    Container,
    { readonly facts: ContainerFacts; readonly by: readonly unknown[] }
  >();
  #inUse = new Set<string>();

  /** Call before containers are grouped anew, with the facts of those groups that still have containers. */
  keep(facts: readonly ContainerFacts[]): void {
    this.#inUse = new Set(facts.filter(hasResults).map(({ key }) => key));
  }

  /** What is known of the container that rules of the operator's, undefined if there are none yet, and of its app's own ask for. */
  of(container: Container, operators: Rules | undefined, own: Rules): ContainerFacts {
    const facts = this.#factsOf(container, operators, own);
    if (!hasResults(facts) || this.#inUse.has(facts.key)) return facts;
    if (this.#inUse.size >= FACTS_MAX) return factsOfType(container.runtime);
    this.#inUse.add(facts.key);
    return facts;
  }

  #factsOf(container: Container, operators: Rules | undefined, own: Rules): ContainerFacts {
    const by = [operators, own];
    const known = this.#known.get(container);
    if (known?.by[0] === operators && known?.by[1] === own) return known.facts;
    const tests = [...this.#testsOf(operators), ...this.#testsOf(own)];
    const facts = factsOf(container, tests);
    this.#known.set(container, { facts, by });
    return facts;
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
