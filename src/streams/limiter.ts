import type { Container } from '../apps/identity.ts';
import type { DetectionBrief, Priority } from '../rules/detection.ts';
import { instanceKey } from './instance-key.ts';

/** A detection takes one token for each such part of its output: most take one, the largest four. */
const TOKEN_CHARACTERS = 2048;

/** Lines that one app instance may write; detections beyond are counted. Each bucket refills at its rate per minute. */
export interface LimitOptions {
  /** Burst and rate of one rule. */
  readonly burst: number;
  readonly perMinute: number;
  /** For all rules together. Critical and more severe detections have a bucket of this size of their own. */
  readonly appBurst: number;
  readonly appPerMinute: number;
  /** How often what was counted becomes a line. */
  readonly summaryMs: number;
}

/** Detections of one rule that were counted instead of written. */
export interface Suppressed {
  readonly rule: string;
  readonly priority: Priority;
  readonly count: number;
  /** Unix ns of the first and the last of them. */
  readonly firstNs: bigint;
  readonly lastNs: bigint;
  /** Of the last one. */
  readonly container: Container | undefined;
}

/** Limit on the rule buckets that are kept. Beyond it the least recent instance is evicted; its counts are reported first. */
const MAX_BUCKETS = 16_384;

const RESERVED: readonly Priority[] = ['Emergency', 'Alert', 'Critical'];

interface Bucket {
  tokens: number;
  atMs: number;
}

interface RuleBucket extends Bucket {
  suppressed: number;
  firstNs: bigint;
  last: DetectionBrief | undefined;
  toldMs: number;
}

interface Instance {
  readonly key: string;
  readonly rules: Map<string, RuleBucket>;
  readonly reserved: Bucket;
  readonly shared: Bucket;
}

/**
 * Keeps a repeated detection from filling its app's log: a token bucket per rule and app instance, and one for all rules of the
 * instance. The first lines are written at once. The rest is counted exactly and reported in a summary line from time to time.
 */
export class DetectionLimiter {
  readonly #options: LimitOptions;
  readonly #nowMs: () => number;
  /** Least recently used first. */
  readonly #instances = new Map<string, Instance>();
  /** The last of them: in a flood it is asked for again and again. */
  #latest: Instance | undefined;
  #buckets = 0;
  readonly #counting = new Set<RuleBucket>();
  readonly #told: Suppressed[] = [];

  constructor(options: LimitOptions, nowMs: () => number) {
    this.#options = options;
    this.#nowMs = nowMs;
  }

  /**
   * Whether the detection may be written: it takes one token, otherwise the detection is counted. Call `settle` for each line
   * that is written.
   */
  admit(detection: DetectionBrief): boolean {
    const { bucket, own } = this.#bucketsOf(detection);
    if (bucket.tokens >= 1 && own.tokens >= 1) {
      bucket.tokens--;
      own.tokens--;
      return true;
    }
    if (bucket.suppressed++ === 0) {
      bucket.firstNs = detection.timeNs;
      this.#counting.add(bucket);
    }
    bucket.last = detection;
    return false;
  }

  /** Charges an admitted line for its extra length. The balance may go below zero, which delays the next line. */
  settle(detection: DetectionBrief & { readonly output: string }): void {
    const more = Math.ceil(detection.output.length / TOKEN_CHARACTERS) - 1;
    if (more <= 0) return;
    const { bucket, own } = this.#bucketsOf(detection);
    bucket.tokens -= more;
    own.tokens -= more;
  }

  /** Counts that are due now: those counted for `summaryMs`, or all of them with `all`. Each count is returned once. */
  due(all = false): readonly Suppressed[] {
    const nowMs = this.#nowMs();
    for (const bucket of this.#counting) {
      if (!all && nowMs - bucket.toldMs < this.#options.summaryMs) continue;
      this.#tell(bucket);
      bucket.toldMs = nowMs;
    }
    return this.#told.splice(0);
  }

  /** The two buckets that a detection draws from, refilled. */
  #bucketsOf({ container, rule, priority }: DetectionBrief): { bucket: RuleBucket; own: Bucket } {
    const nowMs = this.#nowMs();
    const { burst, perMinute, appBurst, appPerMinute } = this.#options;
    const instance = this.#instance(instanceKey(container), nowMs);
    const bucket = this.#rule(instance, rule, nowMs);
    const own = RESERVED.includes(priority) ? instance.reserved : instance.shared;
    fill(bucket, burst, perMinute, nowMs);
    fill(own, appBurst, appPerMinute, nowMs);
    return { bucket, own };
  }

  #tell(bucket: RuleBucket): void {
    this.#counting.delete(bucket);
    const { last, suppressed, firstNs } = bucket;
    if (last === undefined) return;
    const { rule, priority, timeNs, container } = last;
    this.#told.push({ rule, priority, count: suppressed, firstNs, lastNs: timeNs, container });
    bucket.suppressed = 0;
    bucket.last = undefined;
  }

  #rule({ rules }: Instance, rule: string, nowMs: number): RuleBucket {
    let bucket = rules.get(rule);
    if (bucket !== undefined) return bucket;
    if (this.#buckets >= MAX_BUCKETS) this.#forgetOldest();
    bucket = {
      tokens: this.#options.burst,
      atMs: nowMs,
      suppressed: 0,
      firstNs: 0n,
      last: undefined,
      toldMs: nowMs,
    };
    rules.set(rule, bucket);
    this.#buckets++;
    return bucket;
  }

  #instance(key: string, nowMs: number): Instance {
    if (this.#latest?.key === key) return this.#latest;
    const full = (): Bucket => ({ tokens: this.#options.appBurst, atMs: nowMs });
    const instance = this.#instances.get(key) ?? {
      key,
      rules: new Map<string, RuleBucket>(),
      reserved: full(),
      shared: full(),
    };
    this.#instances.delete(key);
    this.#instances.set(key, instance);
    this.#latest = instance;
    return instance;
  }

  /** Evicts the rules of the oldest instance, and the instance itself unless it is the current one. */
  #forgetOldest(): void {
    for (const oldest of this.#instances.values()) {
      for (const bucket of oldest.rules.values()) this.#tell(bucket);
      this.#buckets -= oldest.rules.size;
      oldest.rules.clear();
      if (oldest !== this.#latest) this.#instances.delete(oldest.key);
      break;
    }
  }
}

function fill(bucket: Bucket, burst: number, perMinute: number, nowMs: number): void {
  bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perMinute) / 60_000);
  bucket.atMs = nowMs;
}
