import type { Process } from '../context/process.ts';

/** `too late`: the process had ended. `refused`: the host did not let the agent do it. */
export type AppliedOutcome = 'done' | 'too late' | 'refused';

/**
 * What became of a response. Besides what doing it comes to: `monitored`: it is only to be told what would be done. `limited`: as
 * many as may be were done in this minute. `unanswered`: the app's own exceptions to the rule were not asked, since its rules are
 * paused or its policy is not read yet.
 */
export type ResponseOutcome = AppliedOutcome | 'monitored' | 'limited' | 'unanswered';

/** What responses do to the host; must throw an Error with a `code` when it fails. */
export interface ResponseHost {
  /** Sends SIGKILL to the process with this pid and start (ticks since boot), and to no other. ESRCH: it has ended; EPERM. */
  readonly killProcess: (pid: number, startTicks: number) => void;
}

/** Something that can be done about a detection. */
export interface Response {
  /** What it can promise, as detections say it in `varvel.response.guarantee`. */
  readonly guarantee: 'after the effect';
  /** The end of a sentence that begins with "process". */
  readonly said: Readonly<Record<ResponseOutcome, string>>;
  /** Does it to the process in which the detection happened. Synchronous; never throws. */
  apply(process: Process, host: ResponseHost): AppliedOutcome;
}
