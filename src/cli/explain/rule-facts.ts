import { EVENT_TABLE, KINDS } from '../../events/table.gen.ts';
import type { EventName } from '../../events/table.gen.ts';
import { hooksFor } from '../../plan/hooks.ts';
import { openMaskFor } from '../../plan/open-mask.ts';
import {
  isDecided,
  isDecidedOfAncestors,
  isDecidedOfExec,
  isDecidedOneWay,
} from '../../plan/verdicts/clauses.ts';
import type { Clause } from '../../plan/verdicts/conjunctions.ts';
import {
  deniedAccessesAmong,
  deniesCallsAmong,
  deniesChangesAmong,
  CONNECT_KINDS,
  EXEC_KINDS,
  IP_KINDS,
  isExec,
  isFileCall,
  isJudged,
  kindsOfEvents,
  NO_KINDS,
  summaryOf,
  UNIX_KINDS,
} from '../../plan/verdicts/call-kinds.ts';
import type { JudgedEvent, Kinds } from '../../plan/verdicts/call-kinds.ts';
import { certainKindsOf, deniedKindsOf, ruleClausesOf } from '../../plan/verdicts/rule-clauses.ts';
import { namedPathsOf } from '../../plan/named-paths.ts';
import { someTest } from '../../rules/compile/checked.ts';
import type { Read } from '../../rules/compile/checked.ts';
import { isTooManyEvents } from '../../rules/compile/infer.ts';
import { conditionCost, outputNanos } from '../../rules/cost/rule-cost.ts';
import { eventStatus, isEventName } from '../../rules/fields/events.ts';
import type { EventStatus } from '../../rules/fields/events.ts';
import type { FieldDefinition } from '../../rules/fields/field.ts';
import { findField } from '../../rules/fields/registry.ts';
import type { LoadedRule } from '../../rules/rule-set.ts';
import { atOnce } from '../../shared/turns.ts';

/** A field that a rule reads, as the rule writes it. */
export interface FieldFact {
  readonly key: string;
  readonly type: string;
  /** That of `varvel fields --status`; a param is `not yet` too where no event of the rule has it. */
  readonly status: FieldDefinition['status'];
}

/** Which opens the kernel reports for the rule; it discards the others. */
export interface OpenFacts {
  readonly read: boolean;
  readonly write: boolean;
  readonly failed: boolean;
}

/** The part of a rule that the kernel decides for a file call or a connect: it discards the call unless a clause holds. */
export interface KernelFacts {
  /** Comparisons, of all. */
  readonly decided: number;
  readonly clauses: readonly Clause[];
  /** The calls for which the kernel can be certain of a match. */
  readonly certain: readonly JudgedEvent[];
}

export type DeniableCalls = 'programs' | 'connections' | 'sockets' | 'files' | 'calls';

/** What `do: deny` does about the rule. */
export interface DenialFacts {
  /** What the rule is about that can be denied at all. */
  readonly about: readonly DeniableCalls[];
  /** Of these, what the kernel can be certain of, so that it is denied before the effect. */
  readonly before: readonly DeniableCalls[];
  /** Whether it names files whose opens are denied, so that they are known by their inodes; undefined: it denies no opens. */
  readonly namesFiles: boolean | undefined;
  /** The comparisons that it does not decide. */
  readonly undecided: readonly string[];
}

/** What a rule is run for, reads and costs. */
export interface RuleFacts {
  /** By name; with the events that the agent does not report. */
  readonly events: readonly { readonly name: string; readonly status: EventStatus }[];
  /** The condition does not restrict the event type, or hardly. */
  readonly anyEvent: boolean;
  readonly conditionFields: readonly FieldFact[];
  /** Those that the output reads besides. */
  readonly outputFields: readonly FieldFact[];
  /** The system call hooks that its events need, besides those that are always attached. */
  readonly hooks: readonly string[];
  /** Undefined when it is run for no opens. */
  readonly opens: OpenFacts | undefined;
  /** What the kernel decides of file calls and connects; undefined when the rule is run for none. */
  readonly kernel: KernelFacts | undefined;
  /** What `do: deny` can do about the programs, connections and calls on files that it matches; undefined when it is run for none. */
  readonly denial: DenialFacts | undefined;
  /** Comparisons that an event takes at most, each counted once. */
  readonly comparisons: number;
  /** Those of them that look at the whole text with a pattern. */
  readonly costly: readonly string[];
  /** Estimates for the worst event, in microseconds: the condition, and a detection's output. */
  readonly worstCaseUs: { readonly condition: number; readonly output: number };
}

const COSTLY: readonly string[] = ['regex', 'glob', 'iglob'];

/** Works out what is to be known of a rule. */
export function factsOf(rule: LoadedRule): RuleFacts {
  const names = [...rule.events].sort();
  const reported = names.filter(isEventName);
  const comparisons = new Set<string>();
  const costly = new Set<string>();
  const decided = new Set<string>();
  const decidedOfDeniable = new Set<string>();
  /** Those that would have to be known to hold. */
  const wantedToHold = new Set<string>();
  const isOfPrograms = reported.some(isExec);
  const isOfFiles = reported.some(isFileCall);
  const read = new Map<string, FieldFact>();
  const note = (into: Map<string, FieldFact>, one: Read): void => {
    for (const fact of fieldFacts(one, reported)) into.set(fact.key, fact);
  };
  someTest(rule.condition, (test, isWanted) => {
    comparisons.add(test.key);
    if (isWanted && isDecidedOneWay(test)) wantedToHold.add(test.key);
    if (isDecided(test)) decided.add(test.key);
    const ofCall = isDecided(test) || (isOfFiles && isDecidedOfAncestors(test));
    if (isOfPrograms ? isDecidedOfExec(test) : ofCall) decidedOfDeniable.add(test.key);
    if (COSTLY.includes(test.operator)) costly.add(test.key);
    note(read, test.left);
    if (test.right !== undefined) note(read, test.right);
    return false;
  });
  const printed = new Map<string, FieldFact>();
  for (const { plain } of rule.output.fields) for (const one of plain) note(printed, one);
  const isOpen = reported.some((event) => EVENT_TABLE[event].kind === KINDS.open);
  const enabled = { ...rule, enabled: true };
  return {
    events: names.map((name) => ({ name, status: eventStatus(name) })),
    anyEvent: isTooManyEvents(rule.events),
    conditionFields: sorted(read),
    outputFields: sorted(printed).filter(({ key }) => !read.has(key)),
    hooks: hooksFor(new Set(reported)),
    opens: isOpen ? openMaskFor({ rules: [enabled] }) : undefined,
    kernel: reported.some(isJudged)
      ? {
          decided: decided.size,
          clauses: atOnce(ruleClausesOf([enabled], undefined)).clauses,
          certain: summaryOf(certainKindsOf(enabled) & ~EXEC_KINDS).events,
        }
      : undefined,
    denial: denialOf(
      enabled,
      [...comparisons].filter((key) => !decidedOfDeniable.has(key) || wantedToHold.has(key)),
    ),
    comparisons: comparisons.size,
    costly: [...costly],
    worstCaseUs: {
      condition: Math.ceil(conditionCost([rule.condition]).nanos / 1000),
      output: Math.ceil(outputNanos(rule) / 1000),
    },
  };
}

function denialOf(rule: LoadedRule, undecided: readonly string[]): RuleFacts['denial'] {
  const { clauses } = atOnce(ruleClausesOf([rule], undefined));
  const possible = clauses.reduce((all, { kinds }) => all | kinds, NO_KINDS);
  // To where it can connect at all.
  const about = deniableIn(kindsOfEvents(rule.events) & (possible | ~CONNECT_KINDS));
  if (about.length === 0) return undefined;
  const denied = deniedKindsOf(rule);
  const namesFiles =
    deniedAccessesAmong(denied) === 0 ? undefined : namedPathsOf([rule]).length > 0;
  return { about, before: deniableIn(denied), namesFiles, undecided };
}

const deniableIn = (kinds: Kinds): readonly DeniableCalls[] => [
  ...((kinds & EXEC_KINDS) === NO_KINDS ? [] : (['programs'] as const)),
  ...((kinds & IP_KINDS) === NO_KINDS ? [] : (['connections'] as const)),
  ...((kinds & UNIX_KINDS) === NO_KINDS ? [] : (['sockets'] as const)),
  ...(deniedAccessesAmong(kinds) === 0 && !deniesChangesAmong(kinds) ? [] : (['files'] as const)),
  ...(deniesCallsAmong(kinds) ? (['calls'] as const) : []),
];

function fieldFacts(read: Read, events: readonly EventName[]): FieldFact[] {
  const named = read.field === undefined ? read.fields : [read.key];
  return named.flatMap((key) => {
    const found = findField(/^[^[]+/.exec(key)?.[0] ?? key);
    if (found === undefined) return [];
    const { field, dotArgument } = found;
    const type = read.field === undefined ? field.type : read.type;
    return [{ key, type, status: statusOf(field, dotArgument, events) }];
  });
}

function statusOf(
  field: FieldDefinition,
  param: string | undefined,
  events: readonly EventName[],
): FieldDefinition['status'] {
  const isParam = (field.name === 'evt.arg' || field.name === 'evt.rawarg') && param !== undefined;
  if (!isParam || /^\d+$/.test(param)) return field.status;
  const has = (event: EventName): boolean =>
    EVENT_TABLE[event].params.some(([name]) => name === param);
  return events.some(has) ? field.status : 'not yet';
}

const sorted = (facts: ReadonlyMap<string, FieldFact>): FieldFact[] =>
  [...facts.values()].sort((left, right) => (left.key < right.key ? -1 : 1));
