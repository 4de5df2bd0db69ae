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
  /** `container.type`. */
  readonly type: string;
  /** By key of a test: its result. Others are not known. */
  readonly results: ReadonlyMap<string, boolean>;
}

const NO_RESULTS: ReadonlyMap<string, boolean> = new Map();

/** Only the type is known. */
export const factsOfType = (type: string): ContainerFacts => ({
  key: type,
  type,
  results: NO_RESULTS,
});

const isOfType = ({ left, right }: Test): boolean => left.key === TYPE && right === undefined;

const isFixed = ({ left, right }: Test): boolean =>
  right === undefined &&
  left.fields.length > 0 &&
  left.fields.every((name) => FIXED.includes(name));

/** Whether it is about nothing but what is fixed of a container. */
export const isContainerTest = (test: Test): boolean => isOfType(test) || isFixed(test);

/** What of it a condition asks for: it is the same for all containers for which the condition means the same. */
export function factsFor(condition: Checked, facts: ContainerFacts): ContainerFacts {
  if (facts.results.size === 0) return facts;
  const results = new Map<string, boolean>();
  for (const { key } of containerTestsOf([condition])) {
    const result = facts.results.get(key);
    if (result !== undefined) results.set(key, result);
  }
  if (results.size === 0) return factsOfType(facts.type);
  return { key: JSON.stringify([facts.type, ...results]), type: facts.type, results };
}

/** Those comparisons of the conditions that are fixed for a container, but for its type: each once. */
export function containerTestsOf(conditions: Iterable<Checked>): readonly Test[] {
  const found = new Map<string, Test>();
  for (const condition of conditions)
    someTest(condition, (test) => {
      if (isFixed(test)) found.set(test.key, test);
      return false;
    });
  return [...found.values()];
}

/** What these comparisons come to in a container. */
export function factsOf(container: Container, tests: readonly Test[]): ContainerFacts {
  if (tests.length === 0) return factsOfType(container.runtime);
  const results = new Map<string, boolean>();
  for (const test of tests) {
    const result = resultIn(container, test);
    if (result !== undefined) results.set(test.key, result);
  }
  const key = JSON.stringify([container.runtime, ...results]);
  return { key, type: container.runtime, results };
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
  if (facts === undefined || !isContainerTest(test)) return undefined;
  return isOfType(test) ? predicateOf(test)(facts.type) : facts.results.get(test.key);
}
