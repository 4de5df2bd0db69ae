import type { Container } from '../apps/identity.ts';
import type { Process } from '../context/process.ts';

/** `too late`: it had ended by itself. `refused`: the host did not let the agent do it. */
export type AppliedOutcome = 'done' | 'too late' | 'refused';

/**
 * The result of a response. Besides what doing it comes to: `monitored`: it is only reported what would be done. `limited`: the
 * limit of its window was used up. `unanswered`: the app's own exceptions to the rule were not asked, since its rules are paused
 * or its policy is not read yet.
 */
export type ResponseOutcome = AppliedOutcome | 'monitored' | 'limited' | 'unanswered';

/** A process as `killProcess` takes it. */
export interface ProcessId {
  readonly pid: number;
  /** Ticks since boot. */
  readonly startTicks: number;
}

/** What responses do to the host. */
export interface ResponseHost {
  /** Sends SIGKILL to this process, and to no other with its pid. Throws an Error with `code` ESRCH: it has ended; EPERM. */
  readonly killProcess: (pid: number, startTicks: number) => void;
  /**
   * The first process of the container, with which all others in it end. `gone`: it has none any more. `shared`: it has no pid
   * namespace of its own, as with `docker run --pid=host`.
   */
  readonly firstProcessOf: (container: Container) => ProcessId | 'gone' | 'shared';
  /** Kills this process when the detection's line had time to be written. */
  readonly endLater: (process: ProcessId) => void;
}

/** What a detection is about. */
export interface ResponseTarget {
  readonly process: Process;
  readonly container: Container;
}

/** How often a response is applied for the operator, at most: the damage that a wrong rule or a storm can do. */
export interface ResponseLimits {
  readonly windowMs: number;
  readonly ofHost: number;
  readonly ofOne: number;
  /** What `ofOne` counts for: a container, or an app. */
  readonly oneOf: (container: Container) => string;
}

/** Something that can be done about a detection. */
export interface Response {
  /** What it can promise, as detections say it in `varvel.response.guarantee`. */
  readonly guarantee: 'after the effect';
  /** The end of the detection's text. */
  readonly said: Readonly<Record<ResponseOutcome, string>>;
  readonly limits: ResponseLimits;
  /** What it ends, by which it is known that a record is from before that. */
  keyOf(target: ResponseTarget): string;
  /** Whether the target ended by the response, when this was applied to something with its key at `appliedBootNs`. */
  isOfBefore(target: ResponseTarget, appliedBootNs: bigint): boolean;
  /** Does it. Synchronous; never throws. */
  apply(target: ResponseTarget, host: ResponseHost): AppliedOutcome;
}

/** Ends a process, whatever has become of it meanwhile. Never throws. */
export function end(
  { pid, startTicks }: ProcessId,
  { killProcess }: Pick<ResponseHost, 'killProcess'>,
): AppliedOutcome {
  try {
    killProcess(pid, startTicks);
    return 'done';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ESRCH' ? 'too late' : 'refused';
  }
}
