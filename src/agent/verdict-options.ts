import type { Container } from '../apps/identity.ts';
import type { LiveProbe } from '../probe/live.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import type { Logger } from '../shared/logger.ts';
import type { CanRefuse, DeniedAmong } from './denials.ts';
import type { JudgedApp } from './judged-app.ts';

export interface KernelVerdictsOptions {
  readonly probe: Pick<
    LiveProbe,
    'setVerdicts' | 'suspendVerdicts' | 'stopFiltering' | 'copyVerdicts' | 'allowRules' | 'scope'
  >;
  readonly logger: Logger;
  /**
   * Returns the same object as long as nothing changes for the app. `none`: only the operator's rules apply, permanently;
   * undefined: not known yet.
   */
  readonly inForceFor: (container: Container) => JudgedApp | 'none' | undefined;
  /** Those of the rules that are to deny in the container; default none. O(rules) at most. */
  readonly deniedAmong?: DeniedAmong;
  /** Those of the operator's rules that are to deny where it is not known yet whose the container is; default none. */
  readonly deniedBeforeIdentity?: (rules: readonly LoadedRule[]) => readonly LoadedRule[];
  /** Whether such calls can be refused on this host: asked if a rule is to deny some. Default: they cannot. */
  readonly canRefuse?: CanRefuse;
  /** `probe.kernel_verdicts`. */
  readonly enabled: boolean;
  /** CLOCK_BOOTTIME in ns; default: the host's. */
  readonly bootNs?: () => bigint;
  /** Unix time; default: the host's. */
  readonly nowMs?: () => number;
  /** Delay until the rules have settled; a starting agent has more urgent work. 1000 by default. */
  readonly waitMs?: number;
}
