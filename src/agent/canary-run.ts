import type { DetectionBrief } from '../rules/detection.ts';

/**
 * The result of a run. `seen`: its line came out of the log system. `delivered`: every stream has delivered it, and no log
 * system is configured for reading. `not_seen`: the line did not get that far in time. `failed`: the run could not be tried, or
 * the line could not be looked up.
 */
export const CANARY_RESULTS = ['seen', 'delivered', 'not_seen', 'failed'] as const;
export type CanaryResult = (typeof CANARY_RESULTS)[number];

/** The last stage that saw the canary's action: nobody, the kernel, the rule, a stream, its receiver, the log system. */
export type CanaryHop = 'nobody' | 'kernel' | 'rule' | 'stream' | 'receiver' | 'log system';

/** One finished run. */
export interface CanaryRun {
  readonly result: CanaryResult;
  /** Unix ms of its end. */
  readonly atMs: number;
  /** From the action to the last stage; absent if it did not get there. */
  readonly seconds?: number;
  readonly hop: CanaryHop;
  /** A sentence or two for the operator. */
  readonly says: string;
}

/** What is known of the current run. */
export interface Watched {
  readonly token: string;
  readonly startedAt: number;
  readonly deadline: number;
  emitted: number;
  detection?: DetectionBrief;
  /** Id of its line, and the streams that should get it. */
  id?: string;
  expected: readonly string[];
  /** Streams that have it: in the spool, or delivered. */
  readonly queued: Set<string>;
  readonly taken: Set<string>;
  /** How often the log system was read, and why the last read failed. */
  looks: number;
  lookFailed?: string;
}

export function isGood(result: CanaryResult): boolean {
  return result === 'seen' || result === 'delivered';
}

/** Builds the result of a run that ends now. */
export function ended(result: CanaryResult, hop: CanaryHop, says: string): CanaryRun {
  return { result, hop, says, atMs: Date.now() };
}

/** Seconds since the run started. */
export function secondsOf({ startedAt }: Watched): number {
  return (performance.now() - startedAt) / 1000;
}

/** Whether every stream that should get the line has delivered it to its receiver. */
export function isGivenAway({ expected, taken }: Watched): boolean {
  return expected.length > 0 && expected.every((name) => taken.has(name));
}

/** The last stage that saw the canary's action. */
export function hopOf(watched: Watched): CanaryHop {
  const { detection, emitted, queued } = watched;
  if (isGivenAway(watched)) return 'receiver';
  if (queued.size > 0) return 'stream';
  if (detection !== undefined) return 'rule';
  return emitted > 0 ? 'kernel' : 'nobody';
}

/** How far it got, in words. */
export function wayOf(watched: Watched): string {
  const { detection, emitted, expected, queued, taken, looks } = watched;
  if (detection === undefined) {
    return emitted > 0
      ? `The last that saw it was the kernel: it handed over ${emitted} records of the container, and no rule fired.`
      : 'Nobody saw it: the kernel handed over no record of the container.';
  }
  if (queued.size === 0) return 'The last that saw it was the rule: no stream took the line.';
  const asked = looks > 0 ? ` Log Cache was asked ${looks} times.` : '';
  if (isGivenAway(watched))
    return `Its streams delivered it to their receivers (${expected.join(', ')}); after that it was not seen.${asked}`;
  const waits = expected.filter((name) => queued.has(name) && !taken.has(name));
  const without = expected.filter((name) => !queued.has(name));
  const parts = [
    ...waits.map((name) => `in the stream ${name} it waits for the receiver`),
    ...without.map((name) => `the stream ${name} did not take it`),
    ...[...taken].map((name) => `the stream ${name} has delivered it`),
  ];
  return `The last that saw it were its streams: ${parts.join('; ')}.${asked}`;
}

/** An error's message without its final full stop, as part of a sentence. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
}
