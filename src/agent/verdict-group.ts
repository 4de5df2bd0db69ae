import type { CertainCounts } from './certain-matches.ts';
import type { DeniedRecord, DeniedTable } from './denied-record.ts';
import type { DenyingStatus } from './denials.ts';
import type { Container } from '../apps/identity.ts';
import type { RegistryEntry, Resolution } from '../apps/resolution.ts';
import { knowsAtLeast, type ContainerFacts } from '../plan/verdicts/container-tests.ts';
import { levelOf } from '../probe/scope.ts';
import { isSameCondition } from '../rules/compile/checked.ts';
import type { Priority } from '../rules/detection.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import { BEFORE_IDENTITY, type JudgedApp } from './judged-app.ts';
import { NONE } from './verdict-numbers.ts';

/** A container's cgroup, at this level below its hierarchy's root. */
export interface Member {
  readonly cgroupId: number;
  readonly level: number;
  readonly resolution: Resolution;
}

export const memberOf = ({ cgroupId, path, resolution }: RegistryEntry): Member => ({
  cgroupId,
  level: levelOf(path),
  resolution,
});

/** Whether it is this container. Another one may have the number of its cgroup now. */
export const isOf = (container: Container, member: Member | undefined): boolean =>
  member?.resolution.state === 'included' && member.resolution.container === container;

/** Containers with the same rules, of which the same is known, with the same rules that deny. */
export interface Group {
  readonly app: JudgedApp | 'none';
  readonly facts: ContainerFacts;
  /** Its name among those of the app. */
  readonly key: string;
  /** By which rules programs are to be denied, and by which of them the kernel does. */
  denied: readonly LoadedRule[];
  denies: readonly string[];
  /** Whether its table filters; else it only denies. */
  filters: boolean;
  /** Number of its table; NONE if there is none. */
  number: number;
  /** The `#turn` of that table, which may be one that it keeps from another group. */
  tableTurn: number;
  /** The `#turn` in which its own table was made, or could not be; -1 before. */
  turn: number;
  entries: Member[];
}

/** What a group has of its table. */
export type TableOf = Pick<Group, 'number' | 'denies' | 'filters' | 'tableTurn'>;

/** Of a group for which there is none yet. */
export const NO_TABLE: TableOf = {
  number: NONE,
  denies: [],
  filters: false,
  tableTurn: -1,
};

/**
 * Whether the table of a group, of this turn, is sound for one of these rules, which deny the same: what was known of the former's
 * containers is known of the other's too, or the container is the same (`isSame`): of that it stays true. So it is when the former
 * keeps it from a third.
 */
export function mayKeepTable(
  former: Group,
  { app, denied, facts }: Pick<Group, 'app' | 'denied' | 'facts'>,
  turn: number,
  isSame: boolean,
): boolean {
  if (former.tableTurn !== turn || former.app !== app) return false;
  const namesOf = (rules: readonly LoadedRule[]): string =>
    rules.map(({ name }) => name).join('\n');
  return (
    namesOf(former.denied) === namesOf(denied) && (isSame || knowsAtLeast(facts, former.facts))
  );
}

/**
 * The same of a table that is to filter nothing: it is sound without the rules that are returned, by which the other group denies
 * nothing. Undefined: it is of no use.
 */
export function endedIfKept(
  former: Group,
  { denied, facts }: Pick<Group, 'denied' | 'facts'>,
  isSame: boolean,
): ReadonlySet<string> | undefined {
  if (former.number === NONE) return undefined;
  // Of containers that nothing is known of, nothing was taken for known.
  if (!isSame && former.app !== BEFORE_IDENTITY && !knowsAtLeast(facts, former.facts))
    return undefined;
  const kept = former.denied.filter((rule) => denied.some((other) => isSameRule(rule, other)));
  const ended = former.denies.filter((name) => !kept.some((rule) => rule.name === name));
  return ended.length < former.denies.length ? new Set(ended) : undefined;
}

/** Whether it matches the same: one of the same files, read again, may. */
const isSameRule = (one: LoadedRule, other: LoadedRule): boolean =>
  one === other ||
  (one.name === other.name &&
    one.enabled === other.enabled &&
    one.events.size === other.events.size &&
    [...one.events].every((event) => other.events.has(event)) &&
    isSameCondition(one.condition, other.condition));

/** What becomes of the rules that deny in a group. */
export interface StillDenied {
  /** Those that are in force, as they are now. */
  readonly denied: readonly LoadedRule[];
  /** The names of the operator's that are not, or have changed. */
  readonly ended: ReadonlySet<string>;
  /** Whether one of the app's own is off. */
  readonly losesOwn: boolean;
}

/** `rules`: those of the operator that are in force, by name; `shed`: the app's own of these priorities are not. */
export function stillDenied(
  { app, denied }: Pick<Group, 'app' | 'denied'>,
  rules: ReadonlyMap<string, LoadedRule>,
  shed: readonly Priority[],
): StillDenied {
  const own = app === 'none' ? [] : app.ruleSet.rules;
  const kept: LoadedRule[] = [];
  const ended = new Set<string>();
  let losesOwn = false;
  for (const rule of denied) {
    const now = rules.get(rule.name);
    if (own.includes(rule)) {
      if (shed.includes(rule.priority)) losesOwn = true;
      else kept.push(rule);
    } else if (now !== undefined && isSameRule(rule, now)) kept.push(now);
    else ended.add(rule.name);
  }
  return { denied: kept, ended, losesOwn };
}

/** Number of rules by which the kernel denies with the table of this number; undefined: there is none. */
export function deniesBy(groups: Iterable<Group>, number: number | undefined): number {
  if (number === undefined || number === NONE) return 0;
  for (const group of groups) if (group.number === number) return group.denies.length;
  return 0;
}

/** By container, the rules by which the kernel denies there. */
export const denyingByContainer = (
  groups: Iterable<Group>,
): ReadonlyMap<number, readonly LoadedRule[]> =>
  new Map(
    [...groups].flatMap(({ number, denied, denies, entries }) => {
      const rules = number === NONE ? [] : denied.filter(({ name }) => denies.includes(name));
      return entries.map(({ cgroupId }) => [cgroupId, rules] as const);
    }),
  );

/** Number of containers whose table is not of this change of the rules, or not yet for what is known of them now. */
export function waitingFor(turn: number, groups: Iterable<Group>): number {
  let waiting = 0;
  for (const group of groups) if (group.turn !== turn) waiting += group.entries.length;
  return waiting;
}

/** For who lifts a part of what is denied without an agent. `told`: the number of each cgroup's table. */
export function deniedRecord(
  tables: readonly DeniedTable[],
  groups: Iterable<Group>,
  told: ReadonlyMap<number, number>,
): DeniedRecord {
  const numbers = new Set(tables.map(({ number }) => number));
  const containers = [...groups].flatMap(({ entries }) =>
    entries.flatMap(({ cgroupId, level, resolution }) => {
      if (!numbers.has(told.get(cgroupId) ?? NONE) || resolution.state !== 'included') return [];
      return [{ cgroupId, level, app: resolution.container.app?.name ?? null }];
    }),
  );
  return { tables, containers };
}

/** What the kernel filters and denies. */
export interface VerdictsStatus {
  /** Containers that have a table. */
  readonly containers: number;
  readonly tables: number;
  /** Containers for which another is to be made: until then the kernel filters less there, and may deny less. */
  readonly waiting: number;
  readonly certain: CertainCounts;
  readonly denying: DenyingStatus & {
    /** Containers in which a rule that should deny asks for an age that they do not have yet, or that is not known. */
    readonly tooYoung: number;
  };
}
