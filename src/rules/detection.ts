import type { Container } from '../apps/identity.ts';
import type { Lineage } from './lineage.ts';

export const PRIORITIES = [
  'Emergency',
  'Alert',
  'Critical',
  'Error',
  'Warning',
  'Notice',
  'Informational',
  'Debug',
] as const;

/** Falco's priorities, most severe first. */
export type Priority = (typeof PRIORITIES)[number];

/**
 * A field's value in `output_fields`: null when absent. Integers beyond 2^53 (times in nanoseconds) are bigints,
 * written as JSON numbers with all their digits, as Falco does.
 */
export type OutputValue = string | number | bigint | boolean | null | readonly string[];

/** Bytes of UTF-8 that an output's text has at most, and one value in it or in `output_fields`; `…` ends what was cut. */
export const MAX_OUTPUT_BYTES = 8192;
export const MAX_VALUE_BYTES = 4096;

/** `output_fields` has at most so many keys, of so many bytes with their values; the fields after that are left out. */
export const MAX_OUTPUT_FIELDS = 256;
export const MAX_OUTPUT_FIELDS_BYTES = 32_768;

/** A rule that matched an event: everything a log line needs, detached from the event. */
export interface Detection {
  readonly rule: string;
  readonly priority: Priority;
  /** `varvel`: what the agent says of itself. */
  readonly source: 'syscall' | 'varvel';
  readonly tags: readonly string[];
  /** Unix ns of the event. */
  readonly timeNs: bigint;
  readonly bootNs: bigint;
  /** The formatted output, not yet escaped: it holds attacker-controlled text. */
  readonly output: string;
  readonly outputFields: Readonly<Record<string, OutputValue>>;
  /** Something in the output or its fields was cut or left out, to stay within the bounds above. */
  readonly truncated?: boolean;
  readonly eventNum: number;
  readonly cgroupId: number;
  /** Undefined only while the identity is pending; a detection leaves through a stream only with it. */
  readonly container: Container | undefined;
  /** The process and its ancestors; absent in what the agent says of itself. */
  readonly lineage?: Lineage;
  /** The same in all lines of one cause (evaluation/incidents.ts); absent in what the agent says of itself. */
  readonly incident?: string;
}

/** What is known of a detection before it is written out. */
export type DetectionBrief = Pick<Detection, 'rule' | 'priority' | 'timeNs' | 'container'>;
