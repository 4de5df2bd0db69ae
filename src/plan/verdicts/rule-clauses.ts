import { createHash } from 'node:crypto';
import { LIMITS } from '../../events/table.gen.ts';
import type { Checked } from '../../rules/compile/checked.ts';
import { PRIORITIES } from '../../rules/detection.ts';
import type { LoadedRule } from '../../rules/rule-set.ts';
import { atOnce, type Steps } from '../../shared/turns.ts';
import { factsFor, factsOfOld, type ContainerFacts } from './container-tests.ts';
import { clausesOf, failuresByPath, failuresOf } from './clauses.ts';
import { withoutCovered, withoutFiles, withoutNames, type Clause } from './conjunctions.ts';
import {
  ALL_KINDS,
  ANY_PATH,
  EXEC_KINDS,
  deniableAmong,
  isDeniable,
  isJudged,
  kindsOfEvents,
  NO_KINDS,
  WITH_TWO_PATHS,
  withSecondPaths,
  type Kinds,
} from './call-kinds.ts';
import { UNHOOKED_WAYS, WAY_KINDS } from './ways.ts';

const { VERDICT_CERTAIN, VERDICT_CLAUSES } = LIMITS;

/** The rules about judged calls: if one of them matches a call, one of the clauses holds. */
export interface RuleClauses {
  /** At most as many as a set has bits. */
  readonly clauses: readonly Clause[];
  /** Names of the rules whose file comparisons were dropped because of the limit. */
  readonly widened: readonly string[];
  /** Rules that certainly match where none of their failures holds. */
  readonly certain: readonly CertainRule[];
}

/** A rule of which the kernel can be certain, for calls of some kind. */
export interface CertainRule {
  readonly name: string;
  /** If the rule does not match a call, one of them holds. */
  readonly failures: readonly Clause[];
  /** What it certainly matches is denied: programs are ended before their first instruction, other calls are refused. */
  readonly denies: boolean;
}

/** Limit over all rules before covered clauses are removed, which takes time quadratic in their number. */
const ALL_CLAUSES_MAX = 512;

/** Limit on the clauses that are kept free for rules that deny. */
const FAILURES_KEPT = VERDICT_CLAUSES / 4;

/** Limit on what is kept of one condition: it says the same of most containers. */
const FACTS_MAX = 16;

/** By condition, and by what is known of containers. */
type KnownClauses = WeakMap<Checked, Map<string | undefined, readonly Clause[]>>;

/** Clauses of the operator's rules, which are part of every table, and their failures. */
const KNOWN: KnownClauses = new WeakMap();
const KNOWN_FAILURES: KnownClauses = new WeakMap();
/** Those of calls with two paths, by each of them. */
const BY_PATH = (['first path', 'second path'] as const).map((path) => ({
  known: new WeakMap<Checked, Map<string | undefined, readonly Clause[]>>(),
  failures: (condition: Checked, container: ContainerFacts | undefined) =>
    failuresByPath(condition, container, path),
}));

function remembered(
  known: KnownClauses,
  condition: Checked,
  container: ContainerFacts | undefined,
  make: typeof clausesOf,
): readonly Clause[] {
  const facts = container && factsFor(condition, container);
  const byFacts = known.get(condition) ?? new Map<string | undefined, readonly Clause[]>();
  const clauses = byFacts.get(facts?.key) ?? make(condition, facts);
  if (byFacts.size >= FACTS_MAX) byFacts.clear();
  known.set(condition, byFacts.set(facts?.key, clauses));
  return clauses;
}

/**
 * The clauses of the enabled rules, for containers of which this is known, or for any. Those of `kept` rules are
 * cached. Room is left for the failures of the `denied` rules, as far as there may be so many.
 */
export function* ruleClausesOf(
  rules: Iterable<LoadedRule>,
  container: ContainerFacts | undefined,
  kept: ReadonlySet<LoadedRule> = new Set(),
  denied: readonly LoadedRule[] = [],
): Steps<RuleClauses> {
  const found: { readonly name: string; clauses: readonly Clause[] }[] = [];
  for (const rule of rules) {
    const { name, enabled, events, condition } = rule;
    if (!enabled || ![...events].some(isJudged)) continue;
    const clauses = kept.has(rule)
      ? remembered(KNOWN, condition, container, clausesOf)
      : clausesOf(condition, container);
    // Of these nothing is filtered.
    const ofEvents = kindsOfEvents(events) & ~EXEC_KINDS & ~WAY_KINDS;
    const own = clauses.map((clause) => ({ ...clause, kinds: clause.kinds & ofEvents }));
    found.push({ name, clauses: own });
    yield;
  }
  const failures = denied.reduce(
    (sum, { condition }) =>
      sum + remembered(KNOWN_FAILURES, condition, container, failuresOf).length,
    0,
  );
  return yield* bounded(found, VERDICT_CLAUSES - Math.min(failures, FAILURES_KEPT));
}

function* bounded(
  rules: { readonly name: string; clauses: readonly Clause[] }[],
  max: number,
): Steps<RuleClauses> {
  const largestFirst = rules.sort((one, other) => other.clauses.length - one.clauses.length);
  const widened: string[] = [];
  /** Drops the file literals of the largest rules until at most `most` clauses are left. */
  const widen = (most: number): void => {
    let count = rules.reduce((sum, { clauses }) => sum + clauses.length, 0);
    for (const rule of largestFirst) {
      if (count <= most) return;
      if (widened.includes(rule.name)) continue;
      widened.push(rule.name);
      count -= rule.clauses.length - 1;
      rule.clauses = [withoutFiles(rule.clauses)];
    }
  };
  const all = (): Steps<readonly Clause[]> => withoutCovered(rules.flatMap((rule) => rule.clauses));
  if (rules.reduce((sum, rule) => sum + rule.clauses.length, 0) <= ALL_CLAUSES_MAX) {
    const narrow = yield* all();
    if (narrow.length <= max) return { clauses: narrow, widened, certain: [] };
  }
  // Rules name many programs: what a file must be is worth more.
  for (const rule of rules) rule.clauses = yield* withoutCovered(rule.clauses.map(withoutNames));
  widen(ALL_CLAUSES_MAX);
  let clauses = yield* all();
  for (let most = ALL_CLAUSES_MAX / 2; clauses.length > max; most /= 2) {
    if (most < 1) return { clauses: [withoutFiles(clauses)], widened, certain: [] };
    widen(most);
    clauses = yield* all();
  }
  return { clauses, widened, certain: [] };
}

/**
 * The same with those of the enabled rules that the kernel can be certain of, as far as there is room: first those that deny what
 * they match, of these the `first` ones, then the most severe, then the ones with the fewest clauses. The rules must be exactly those
 * that hold for the containers.
 */
export function* withCertainRules(
  { clauses, widened }: RuleClauses,
  rules: Iterable<LoadedRule>,
  container: ContainerFacts | undefined,
  denied: ReadonlySet<LoadedRule> = new Set(),
  first: ReadonlySet<LoadedRule> = denied,
): Steps<RuleClauses> {
  const found: { readonly rule: CertainRule; readonly rank: number; readonly severity: number }[] =
    [];
  for (const rule of rules) {
    const { enabled, events, condition } = rule;
    const mayDeny = denied.has(rule) && [...events].some(isDeniable);
    if (!enabled || (!mayDeny && ![...events].some(isJudged))) continue;
    const failures = remembered(KNOWN_FAILURES, condition, container, failuresOf);
    const one = certainRuleOf(rule, failures, mayDeny);
    const all = one === undefined ? [] : [one];
    if (mayDeny) all.push(...byEitherPath(rule, failures, container));
    for (const certain of all) {
      const rank = !certain.denies ? 2 : first.has(rule) ? 0 : 1;
      // Of those that are only counted any will do.
      const severity = certain.denies ? PRIORITIES.indexOf(rule.priority) : 0;
      found.push({ rule: certain, rank, severity });
    }
    yield;
  }
  const firstFirst = found.sort(
    (one, other) =>
      one.rank - other.rank ||
      one.severity - other.severity ||
      one.rule.failures.length - other.rule.failures.length,
  );
  const certain: CertainRule[] = [];
  let room = VERDICT_CLAUSES - clauses.length;
  for (const { rule } of firstFirst) {
    if (certain.length === VERDICT_CERTAIN) break;
    // A smaller one may still fit.
    if (rule.failures.length > room) continue;
    room -= rule.failures.length;
    certain.push(rule);
  }
  return { clauses, widened, certain };
}

/** `among`: only calls of these kinds are denied; default: all that can be. Undefined: the kernel can be certain of none. */
function certainRuleOf(
  { name, events }: LoadedRule,
  failures: readonly Clause[],
  mayDeny: boolean,
  among: Kinds = ALL_KINDS,
): CertainRule | undefined {
  const kinds = certainAmong(events, failures) & among;
  if (kinds === NO_KINDS) return undefined;
  const deniedKinds = mayDeny ? deniableAmong(kinds) : NO_KINDS;
  const denies = deniedKinds !== NO_KINDS;
  return {
    name,
    failures: denies ? failuresAmong(failures, withSecondPaths(deniedKinds)) : failures,
    denies,
  };
}

/**
 * A rule that denies, as further rules about calls with two paths: each is certain by one of them. Those that are certain of nothing
 * else than the rule itself are left out.
 */
function byEitherPath(
  rule: LoadedRule,
  failures: readonly Clause[],
  container: ContainerFacts | undefined,
): readonly CertainRule[] {
  const textOf = (all: readonly Clause[]): string => all.map(clauseText).sort().join('\n');
  return BY_PATH.flatMap(({ known, failures: make }) => {
    const own = remembered(known, rule.condition, container, make);
    const found = certainRuleOf(rule, own, true, WITH_TWO_PATHS);
    if (found?.denies !== true) return [];
    const same = certainRuleOf(rule, failures, true, WITH_TWO_PATHS);
    return same !== undefined && textOf(same.failures) === textOf(found.failures) ? [] : [found];
  });
}

/** The calls for which the kernel can be certain that the rule matches, in any container, also where it does not deny them. */
export const certainKindsOf = ({ events, condition }: LoadedRule): Kinds =>
  certainAmong(events, failuresOf(condition, undefined, EXEC_KINDS));

/**
 * The calls that the rule can deny in a container that is old enough for it: programs that are run, connections to IP
 * addresses, and calls on files, of which the kernel can be certain.
 */
export const deniedKindsOf = (rule: LoadedRule): Kinds => deniableAmong(certainOfOld(rule));

/** Those of which the kernel can be certain although no hook sees them first. */
export const unhookedKindsOf = (rule: LoadedRule): Kinds => certainOfOld(rule) & UNHOOKED_WAYS;

const certainOfOld = ({ events, condition }: LoadedRule): Kinds =>
  certainAmong(events, failuresOf(condition, factsOfOld(condition)));

/** Whether it can deny any call. */
export const canDeny = (rule: LoadedRule): boolean => deniedKindsOf(rule) !== NO_KINDS;

/** Failures of a rule that denies calls of these kinds. Of all others it counts as failing: one clause says so, which leaves room. */
function failuresAmong(failures: readonly Clause[], denied: Kinds): readonly Clause[] {
  const own = failures.map((clause) => ({ ...clause, kinds: clause.kinds & denied }));
  const others: Clause = { kinds: ALL_KINDS & ~denied, literals: [] };
  return atOnce(withoutCovered([...own, others]));
}

/** Of these events, without those for which the rule may always fail. */
function certainAmong(events: Iterable<string>, failures: readonly Clause[]): Kinds {
  const always = failures.filter(({ literals }) => literals.length === 0);
  return kindsOfEvents(events) & ANY_PATH & ~withoutFiles(always).kinds;
}

/** Equal for equal clauses. */
function clauseText({ kinds, literals }: Clause): string {
  const tests = literals
    .map(({ test, judged, holds }) => `${judged} ${holds ? '' : 'not '}${test.key}`)
    .sort();
  return JSON.stringify([kinds.toString(16), tests]);
}

/** Equal for equivalent clauses. */
export function digestOf({ clauses, certain }: RuleClauses): string {
  const textOf = (all: readonly Clause[]): string => all.map(clauseText).sort().join('\n');
  const all = [clauses, ...certain.map(({ failures }) => failures)].map(textOf);
  // With their names, which say what denies.
  const denied = certain.map(({ name, denies }) => JSON.stringify(denies && name));
  return createHash('sha256').update(all.concat(denied).join('\n\n')).digest('hex');
}
