/**
 * What became of an attack, the best of its lines. `refused`: a call failed with EPERM. `ended first`: a program was ended
 * before its first instruction. `killed after`: its process was killed after the effect. `reported`: nothing was done. `silent`:
 * nothing was found.
 */
export const DENIALS = ['refused', 'ended first', 'killed after', 'reported', 'silent'] as const;
export type Denial = (typeof DENIALS)[number];

export interface DeniedRow {
  readonly action: string;
  readonly denial: Denial;
  /** The rules by which it was, the first one first. */
  readonly rules: readonly string[];
}

export interface DeniedRun {
  readonly kernel: string;
  /** Rules of this priority and above were to deny. */
  readonly priority: string;
  readonly rows: readonly DeniedRow[];
  /** Whatever was wrong: something was denied that no rule matches, or records of denials were lost. */
  readonly problems: readonly string[];
}
