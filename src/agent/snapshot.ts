import type { CeilingStatus } from './ceilings.ts';
import type { CanaryStatus } from './canary.ts';
import type { RuleCostStatus } from './rule-costs.ts';
import type { ContinuityStatus } from './continuity.ts';
import type { RulesStatus } from './live-rules.ts';
import type { VerdictsStatus } from './verdicts.ts';
import type { AdmissionCounters } from '../evaluation/admission.ts';
import type { AppsSnapshot } from '../apps/status.ts';
import type { ProcessTreeCounters } from '../context/process-tree.ts';
import type { PoliciesStatus } from '../policy/policies.ts';
import type { ResponseCount } from '../responses/responder.ts';
import type { RuleEngineCounters } from '../rules/engine.ts';
import type { FanOutCounters } from '../streams/fan-out.ts';
import type { SpooledCounters } from '../streams/spool/spooled-stream.ts';
import type { StreamCounters } from '../streams/stream.ts';

/** Everything countable, for metrics and `varvel status`. All counts are since the agent's start. */
export interface AgentSnapshot {
  readonly hostname: string;
  readonly startedAtMs: number;
  readonly pid: number;
  readonly rules: RulesStatus;
  readonly hooks: readonly string[];
  readonly apps: AppsSnapshot;
  /** Records by event name, as they came from the kernel. */
  readonly events: Readonly<Record<string, number>>;
  readonly kernel: {
    readonly emitted: number;
    readonly dropped: number;
    readonly prefiltered: number;
    /** The same by event name. */
    readonly filtered: Readonly<Record<string, number>>;
    readonly scopeFull: number;
    /**
     * Of `emitted`: the self-test's at start. `emitted` is this, and what the containers and the counter
     * `forgottenRecords` of `apps` say.
     */
    readonly selfTest: number;
    /** Whose opens end in the kernel where no rule can match. */
    readonly verdicts: VerdictsStatus;
  };
  readonly received: number;
  /** What waits for its container's identity. */
  readonly waiting: AdmissionCounters;
  readonly engine: Pick<RuleEngineCounters, 'evaluated' | 'skippedSetup'> & {
    readonly detections: Readonly<Record<string, number>>;
    /** Events that were given up because something threw that is no rule's. */
    readonly failedEvents: number;
  };
  /** What became of responses to detections; those of which there was none are missing. */
  readonly responses: readonly ResponseCount[];
  /** What the operator's rules have cost, the costliest first: an estimate from a sample of events. */
  readonly ruleCosts: readonly RuleCostStatus[];
  /** Apps' own policies, and what their rules have cost: measured, not sampled. */
  readonly policies: PoliciesStatus;
  /** What the agent uses and may use, and which rules are off for it. */
  readonly ceilings: CeilingStatus;
  /** What was not watched before this agent, and what it cannot keep for the next. */
  readonly continuity: ContinuityStatus;
  /** Absent when it is off. */
  readonly canary?: CanaryStatus;
  readonly processes: ProcessTreeCounters;
  readonly delivery: FanOutCounters;
  readonly streams: Readonly<Record<string, StreamCounters | SpooledCounters>>;
}
