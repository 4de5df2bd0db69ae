import type { RegistryEntry } from '../apps/resolution.ts';
import type { ContainerFacts } from '../plan/verdicts/container-tests.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import type { JudgedApp } from './judged-app.ts';
import { NONE } from './verdict-numbers.ts';

/** Containers with the same rules, of which the same is known, with the same rules that deny. */
export interface Group {
  readonly app: JudgedApp | 'none';
  readonly facts: ContainerFacts;
  /** Its name among those of the app. */
  readonly key: string;
  /** By which rules programs are to be denied, and by which of them the kernel does. */
  readonly denied: readonly LoadedRule[];
  denies: readonly string[];
  /** Number of its table; NONE if there is none. */
  number: number;
  /** The `#turn` for which the table was made. */
  turn: number;
  entries: RegistryEntry[];
}

/** Of a group for which there is none yet. */
export const NO_TABLE: Pick<Group, 'number' | 'denies'> = { number: NONE, denies: [] };

/** Whether a group, whose table was made in this turn, is of these rules, and of the same that deny. */
export function isOfSameRules(
  group: Group | undefined,
  app: JudgedApp | 'none',
  denied: readonly LoadedRule[],
  turn: number,
): group is Group {
  if (group?.turn !== turn || group.app !== app) return false;
  const namesOf = (rules: readonly LoadedRule[]): string =>
    rules.map(({ name }) => name).join('\n');
  return namesOf(group.denied) === namesOf(denied);
}
