import type { CeilingStatus } from './ceilings.ts';
import type { CanaryStatus } from './canary.ts';
import type { RuleCostStatus } from './rule-costs.ts';
import type { ContinuityStatus } from './continuity.ts';
import type { EvidenceCounts } from './evidence.ts';
import type { KnownFilesStatus } from './known-files.ts';
import type { RulesStatus } from './live-rules.ts';
import type { VerdictsStatus } from './verdict-group.ts';
import type { AdmissionCounters } from '../evaluation/admission.ts';
import type { AppsSnapshot } from '../apps/status.ts';
import type { ProcessTreeCounters } from '../context/process-tree.ts';
import type { PoliciesStatus } from '../policy/policies.ts';
import type { StartTrial } from '../plan/denial-test.ts';
import type { PauseStatus } from '../responses/container-pauses.ts';
import type { IsolationStatus } from '../responses/network-isolation.ts';
import type { Lift } from '../responses/lifts.ts';
import type { RefusedCall } from '../responses/response.ts';
import type { EndedDenial } from '../responses/operator-responses.ts';
import type { ResponseCount } from '../responses/responder.ts';
import type { RuleEngineCounters } from '../rules/engine.ts';
import type { FanOutCounters } from '../streams/fan-out.ts';
import type { SpooledCounters } from '../streams/spool/spooled-stream.ts';
import type { StreamCounters } from '../streams/stream.ts';

/** All counts, for metrics and `varvel status`, since the agent's start. */
export interface AgentSnapshot {
  readonly hostname: string;
  readonly startedAtMs: number;
  readonly pid: number;
  readonly rules: RulesStatus;
  readonly hooks: readonly string[];
  readonly apps: AppsSnapshot;
  /** Records received from the kernel, by event name. */
  readonly events: Readonly<Record<string, number>>;
  readonly kernel: {
    readonly emitted: number;
    readonly dropped: number;
    readonly prefiltered: number;
    /** The same, by event name. */
    readonly filtered: Readonly<Record<string, number>>;
    readonly scopeFull: number;
    /** Times that the kernel did not run the probe: see SkippedPrograms. */
    readonly skipped: number;
    /** Denials whose record was dropped: no line tells of them. */
    readonly deniedDropped: number;
    /** Apps to which nothing is denied any more, since that seemed to harm them. */
    readonly denialEnded: readonly EndedDenial[];
    /**
     * The part of `emitted` from the self-test at start. `emitted` is the sum of this, the containers' counts, and the counter
     * `forgottenRecords` of `apps`.
     */
    readonly selfTest: number;
    /** What became of the tests of denial at the start (`denied`: it works), or why they could not be made; undefined: no tests. */
    readonly denialTest?: Readonly<Record<StartTrial, string>> | undefined;
    /** Why calls cannot be refused here although a rule denies some, by what they are. */
    readonly refusalsUnavailable?: Readonly<Partial<Record<RefusedCall, string>>>;
    /** What is denied goes on without the agent for this time (`keep`: for good), or why it does not; undefined: it is not asked for, or nothing is denied. */
    readonly pinned?: {
      readonly keepMs: number | 'keep';
      readonly unavailable: string | undefined;
      /** Why a lift of one app or rule would not work then. */
      readonly notRecorded: string | undefined;
    };
    /** Files that rules name which deny opens: these are refused by any name. */
    readonly knownFiles: KnownFilesStatus;
    /** Containers whose opens are filtered in the kernel if no rule can match. */
    readonly verdicts: VerdictsStatus;
  };
  readonly received: number;
  /** Events that wait for their container's identity. */
  readonly waiting: AdmissionCounters;
  readonly engine: Pick<RuleEngineCounters, 'evaluated' | 'skippedSetup'> & {
    readonly detections: Readonly<Record<string, number>>;
    /** Events dropped because something other than a rule threw. */
    readonly failedEvents: number;
  };
  /** Results of responses to detections; results that did not occur are missing. */
  readonly responses: readonly ResponseCount[];
  /** Lines of evidence. */
  readonly evidence: EvidenceCounts;
  /** Containers that are cut off from the network. */
  readonly isolation: IsolationStatus;
  /** Containers that are paused. */
  readonly pauses: PauseStatus;
  /** Responses that are not enforced for now, as the operator has lifted them. */
  readonly lifts: readonly Lift[];
  /** What the operator's rules have cost, the costliest first: an estimate from a sample of events. */
  readonly ruleCosts: readonly RuleCostStatus[];
  /** Apps' own policies, and what their rules have cost: measured, not sampled. */
  readonly policies: PoliciesStatus;
  /** What the agent uses and may use, and which rules are off because of that. */
  readonly ceilings: CeilingStatus;
  /** What was unwatched before this agent, and what it cannot keep for the next. */
  readonly continuity: ContinuityStatus;
  /** Absent if it is off. */
  readonly canary?: CanaryStatus;
  readonly processes: ProcessTreeCounters;
  readonly delivery: FanOutCounters;
  readonly streams: Readonly<Record<string, StreamCounters | SpooledCounters>>;
}
