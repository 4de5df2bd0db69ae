import type { Container } from '../apps/identity.ts';
import type { Process } from '../context/process.ts';
import type { RespondedRule } from './operator-responses.ts';
import type { Guarantee } from '../shared/response-names.ts';

/** `too late`: it had ended by itself. `refused`: the host did not let the agent do it. `limited`: as many as may be are in force. */
export type AppliedOutcome = 'done' | 'too late' | 'refused' | 'limited';

/**
 * The outcome of a response. Besides that of applying it: `prevented`: the kernel has denied it before the effect. `monitored`: it is
 * only reported what would be done. `reported`: it was not prevented, and the entry wants nothing done after the effect. `limited`: also the limit of its period was used up, or it would have met an
 * app's last instance.
 * `unanswered`: the app's own exceptions to the rule were not asked, since its rules are paused or its policy is not read yet.
 */
export type ResponseOutcome =
  AppliedOutcome | 'monitored' | 'reported' | 'unanswered' | 'prevented';

export const guaranteeOf = (outcome: ResponseOutcome): Guarantee =>
  outcome === 'prevented' ? 'before the effect' : 'after the effect';

/** Why the outcome is `unanswered`. */
export const UNCHECKED =
  'because the app’s policy is paused or not yet read, so its exceptions could not be checked';

/** Why a response is `limited` that an app notices as a whole. */
export const LAST_INSTANCE =
  'it is the last instance of the app that is up on this host (last_instance: true in the entry does it all the same)';

/**
 * What the kernel can deny: a program, before its first instruction; a connection, to open a file, a change of a name, a mode or an
 * owner, and a call that is judged by who makes it, which fail with EPERM.
 */
export type Denied = 'program' | RefusedCall | 'change';
/**
 * Calls that the kernel can refuse; `connection`: to IP addresses; `unix`: to unix sockets; `file`: opens and changes; `call`: those that are judged by who makes them; `memory`: of these,
 * those that make memory executable; `namespace`: those that make a user namespace; `cgroup`: binds and device nodes, where `call`
 * cannot be refused.
 */
export const REFUSED_CALLS = [
  'connection',
  'unix',
  'file',
  'call',
  'memory',
  'namespace',
  'cgroup',
] as const;
export type RefusedCall = (typeof REFUSED_CALLS)[number];

/** What a detection is about. */
export interface ResponseTarget {
  readonly process: Process;
  readonly container: Container;
  /** The container's cgroup, from the event. */
  readonly cgroupId: number;
  /** The operator's version of the rule; undefined: the app has added it. */
  readonly rule: RespondedRule | undefined;
  /** What the kernel has denied, as a rule asks for that. */
  readonly denied: Denied | undefined;
}

/** Actions on the host; each throws an Error with a `code` when it fails. */
export interface ResponseHost {
  /** Sends SIGKILL to the process with this pid and start (ticks since boot), and to no other. ESRCH: it has ended; EPERM. */
  readonly killProcess: (pid: number, startTicks: number) => void;
  /** Whether the container is cut off from the network. */
  readonly isIsolated: (target: ResponseTarget) => boolean;
  /** Whether it is the last instance of its app that is up here (last-instance.ts). */
  readonly isLast: (target: ResponseTarget) => boolean;
  /** Whether the container was ended, or is to be. */
  readonly isEnding: (target: ResponseTarget) => boolean;
  /** Ends all processes of the container when its line had time to be written. ESRCH: it has ended; ENOTSUP: not here. */
  readonly endContainer: (target: ResponseTarget) => void;
  /** Whether the container is paused. */
  readonly isPaused: (target: ResponseTarget) => boolean;
  /** Stops all processes of the container where they are. ESRCH: it has ended; ENOSPC: too many are; ENOTSUP: not here. */
  readonly pause: (target: ResponseTarget) => void;
  /** Cuts the container off from the network. ESRCH: it has ended; ENOSPC: too many are; ENOTSUP: not here. */
  readonly isolate: (target: ResponseTarget) => void;
}

/** How often a response is applied for the operator at most: the damage that a wrong rule or a storm can do. */
export interface ResponseLimits {
  readonly periodMs: number;
  readonly ofHost: number;
  readonly ofOne: number;
  /** What `ofOne` counts for: a container, or an app. */
  readonly oneOf: (container: Container) => string;
}

/** Something that can be done about a detection. */
export interface Response {
  /** The end of the detection's text. */
  readonly said: Readonly<Record<Exclude<ResponseOutcome, 'prevented' | 'reported'>, string>> & {
    readonly reported?: string;
    readonly prevented?: Readonly<Partial<Record<Denied, string>>>;
  };
  /** The end of the text where it is `limited` so as to spare the last instance of an app; undefined: it spares none. */
  readonly saidOfLast?: string;
  readonly limits: ResponseLimits;
  /** Whether it ends the process, as the denial of a program does: records of what the process did before may come later. */
  readonly endsProcess: boolean;
  /** Whether it is in force already, and so uses up no limit. */
  readonly isInForce: (target: ResponseTarget, host: ResponseHost) => boolean;
  /** What to do about another detection while it is in force; default: nothing. Never throws. */
  readonly again?: (target: ResponseTarget, host: ResponseHost) => void;
  /** Applies it. Synchronous; never throws. */
  apply(target: ResponseTarget, host: ResponseHost): AppliedOutcome;
}
