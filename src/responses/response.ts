import type { Process } from '../context/process.ts';

/** `too late`: the process had ended. `refused`: the host did not let the agent do it. */
export type AppliedOutcome = 'done' | 'too late' | 'refused';

/**
 * The outcome of a response. Besides that of applying it: `monitored`: it is only reported what would be done. `limited`: the limit
 * of this minute was used up. `unanswered`: the app's own exceptions to the rule were not asked, since its rules are paused or its
 * policy is not read yet.
 */
export type ResponseOutcome = AppliedOutcome | 'monitored' | 'limited' | 'unanswered';

/** Actions on the host; each throws an Error with a `code` when it fails. */
export interface ResponseHost {
  /** Sends SIGKILL to the process with this pid and start (ticks since boot), and to no other. ESRCH: it has ended; EPERM. */
  readonly killProcess: (pid: number, startTicks: number) => void;
}

/** Something that can be done about a detection. */
export interface Response {
  /** What it guarantees, as in the field `varvel.response.guarantee` of detections. */
  readonly guarantee: 'after the effect';
  /** The end of a sentence that begins with "process". */
  readonly said: Readonly<Record<ResponseOutcome, string>>;
  /** Applies it to the process in which the detection happened. Synchronous; never throws. */
  apply(process: Process, host: ResponseHost): AppliedOutcome;
}
