import type { Container } from '../../apps/identity.ts';
import { someTest, type Checked, type Test } from '../../rules/compile/checked.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';
import type { Value, View } from '../../rules/fields/field.ts';

/** It is known from the start. */
const TYPE = 'container.type';
/** Fields that never change while a container runs. Not its name and its image: it can be renamed, and a tag can move. */
const FIXED: readonly string[] = [
  'container.id',
  'container.full_id',
  'container.label',
  'app.name',
  'app.guid',
  'app.space',
  'app.org',
  'app.process_type',
  'app.workload',
  'app.instance',
  'app.runtime',
  'k8s.ns.name',
  'k8s.pod.name',
  'k8s.pod.uid',
];

/** What is known of all containers that share a table. */
export interface ContainerFacts {
  /** Equal where the same is known. */
  readonly key: string;
  /** `container.type`; undefined: not known. */
  readonly type: string | undefined;
  /** By key of a test: its result. Others are not known. */
  readonly results: ReadonlyMap<string, boolean>;
}

const NO_RESULTS: ReadonlyMap<string, boolean> = new Map();

/** Only the type is known. */
export const factsOfType = (type: string | undefined): ContainerFacts =>
  factsWith(type, NO_RESULTS);

const factsWith = (
  type: string | undefined,
  results: ReadonlyMap<string, boolean>,
): ContainerFacts => ({ key: JSON.stringify([type ?? null, ...results]), type, results });

/** Whether all that `less` knows is known, and the same. */
export const knowsAtLeast = (facts: ContainerFacts, less: ContainerFacts): boolean =>
  facts.type === less.type &&
  [...less.results].every(([key, result]) => facts.results.get(key) === result);

const isOfWorkload = ({ left, right }: Test): boolean =>
  left.key === 'app.workload' && right === undefined;
/** `app.workload` of an app's instance. Elsewhere than on Garden nothing else is told, and of containers without an app nothing. */
const RUNNING_APP = 'app';

const isOfType = ({ left, right }: Test): boolean => left.key === TYPE && right === undefined;

const isFixed = ({ left, right }: Test): boolean =>
  right === undefined &&
  left.fields.length > 0 &&
  left.fields.every((name) => FIXED.includes(name));

/** A comparison of the container's age: once it is older than that, the result stays. */
interface AgeTest {
  readonly olderThanNs: bigint;
  readonly result: boolean;
}

function ageTestOf({ left, modifier, operator, right, values }: Test): AgeTest | undefined {
  const [value] = values;
  if (left.field !== 'container.duration' || right !== undefined || modifier !== undefined)
    return undefined;
  if (typeof value !== 'bigint' || values.length !== 1) return undefined;
  if (operator === '<' || operator === '<=') return { olderThanNs: value, result: false };
  if (operator === '>' || operator === '>=') return { olderThanNs: value, result: true };
  return undefined;
}

/** Whether it is fixed from an age of the container on. */
export const isAgeTest = (test: Test): boolean => ageTestOf(test) !== undefined;

/** Whether it is about nothing but what is fixed of a container. */
export const isContainerTest = (test: Test): boolean => isOfType(test) || isFixed(test);

/** What of it a condition asks for: it is the same for all containers for which the condition means the same. */
export function factsFor(condition: Checked, facts: ContainerFacts): ContainerFacts {
  if (facts.results.size === 0) return facts;
  const results = new Map<string, boolean>();
  for (const { key } of distinct([condition], (test) => isFixed(test) || isAgeTest(test))) {
    const result = facts.results.get(key);
    if (result !== undefined) results.set(key, result);
  }
  return factsWith(facts.type, results);
}

/** Those comparisons of the conditions that are fixed for a container, but for its type: each once. */
export const containerTestsOf = (conditions: Iterable<Checked>): readonly Test[] =>
  distinct(conditions, isFixed);

/** The same of those that are fixed from an age of the container on. */
export const ageTestsOf = (conditions: Iterable<Checked>): readonly Test[] =>
  distinct(conditions, isAgeTest);

function distinct(conditions: Iterable<Checked>, isMeant: (test: Test) => boolean): Test[] {
  const found = new Map<string, Test>();
  for (const condition of conditions)
    someTest(condition, (test) => {
      if (isMeant(test)) found.set(test.key, test);
      return false;
    });
  return [...found.values()];
}

/** The host's clock may be set back by so much. */
const SLACK_NS = 10_000_000_000n;

/** What the comparisons of its age come to by now, as far as that stays so. */
export function* resultsAt(ageNs: bigint, tests: readonly Test[]): Generator<[string, boolean]> {
  for (const test of tests) {
    const age = ageTestOf(test);
    if (age !== undefined && ageNs > age.olderThanNs + SLACK_NS) yield [test.key, age.result];
  }
}

/** What is known of a container of a running app that is older than any age that the condition asks for. */
export function factsOfOld(condition: Checked): ContainerFacts {
  const results = new Map(resultsAt(2n ** 63n, ageTestsOf([condition])));
  for (const test of distinct([condition], isOfWorkload))
    results.set(test.key, predicateOf(test)(RUNNING_APP));
  return factsWith(undefined, results);
}

/** What these comparisons come to in a container, and those of its age in one that is so old. */
export function factsOf(
  container: Container,
  tests: readonly Test[],
  ageTests: readonly Test[] = [],
  ageNs = 0n,
): ContainerFacts {
  const results = new Map(resultsAt(ageNs, ageTests));
  for (const test of tests) {
    const result = resultIn(container, test);
    if (result !== undefined) results.set(test.key, result);
  }
  return factsWith(container.runtime, results);
}

/** Undefined without a value: it may become known. */
function resultIn(container: Container, test: Test): boolean | undefined {
  const { reader } = test.left;
  if (reader.shape !== 'single') return undefined;
  // These fields read nothing else.
  const value: Value | undefined = reader.read({ container } as View);
  return value === undefined ? undefined : predicateOf(test)(value);
}

/** The result of a comparison of what is fixed of a container. Undefined for anything else. */
export function containerTestOf(
  test: Test,
  facts: ContainerFacts | undefined,
): boolean | undefined {
  if (facts === undefined) return undefined;
  if (!isOfType(test)) return facts.results.get(test.key) ?? workloadTestOf(test, facts);
  return facts.type === undefined ? undefined : predicateOf(test)(facts.type);
}

/** Outside of Garden a comparison that fails for an app fails for every container: no comparison of an absent field holds. */
function workloadTestOf(test: Test, { type }: ContainerFacts): false | undefined {
  if (type === undefined || type === 'garden' || !isOfWorkload(test)) return undefined;
  return predicateOf(test)(RUNNING_APP) ? undefined : false;
}
