import type { Container } from '../apps/identity.ts';
import type { DetectionBrief, Priority } from '../rules/detection.ts';
import { instanceKey } from './instance-key.ts';

/** What one app instance may have written; what is more is counted. Each bucket fills up at its rate a minute. */
export interface LimitOptions {
  /** Lines of one rule at once, and a minute after that. */
  readonly burst: number;
  readonly perMinute: number;
  /** Of all rules together. Critical and more severe detections have this much to themselves. */
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

/** Rules of app instances whose buckets are kept; beyond, the least recent is forgotten, and its counts told first. */
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

/**
 * Keeps a detection that comes again and again from filling its app's log: a token bucket per rule and app instance, and
 * one for all rules of the instance. The first lines are written as they come; the rest is counted exactly, and becomes a
 * line of its own from time to time.
 */
export class DetectionLimiter {
  readonly #options: LimitOptions;
  readonly #nowMs: () => number;
  /** Least recently used first. */
  readonly #rules = new Map<string, RuleBucket>();
  readonly #instances = new Map<string, Bucket>();
  readonly #counting = new Set<string>();
  readonly #told: Suppressed[] = [];

  constructor(options: LimitOptions, nowMs: () => number) {
    this.#options = options;
    this.#nowMs = nowMs;
  }

  /** Whether the detection becomes a line; otherwise it is counted. */
  take(detection: DetectionBrief): boolean {
    return this.#take(detection, true);
  }

  /** True when the detection is counted instead of written: it has been. What would be a line is left as it is. */
  isCounted(detection: DetectionBrief): boolean {
    return !this.#take(detection, false);
  }

  #take(detection: DetectionBrief, isLine: boolean): boolean {
    const nowMs = this.#nowMs();
    const { burst, perMinute, appBurst, appPerMinute } = this.#options;
    const instance = instanceKey(detection.container);
    const key = `${instance} ${detection.rule}`;
    const bucket = this.#rule(key, nowMs);
    const reserve = RESERVED.includes(detection.priority) ? 'reserved' : 'shared';
    const own = this.#instance(`${reserve} ${instance}`, nowMs);
    fill(bucket, burst, perMinute, nowMs);
    fill(own, appBurst, appPerMinute, nowMs);
    if (bucket.tokens >= 1 && own.tokens >= 1) {
      if (isLine) {
        bucket.tokens--;
        own.tokens--;
      }
      return true;
    }
    if (bucket.suppressed++ === 0) {
      bucket.firstNs = detection.timeNs;
      this.#counting.add(key);
    }
    bucket.last = detection;
    return false;
  }

  /** What is to be told now: counted for `summaryMs`, or with `all` everything. Each count is told once. */
  due(all = false): readonly Suppressed[] {
    const nowMs = this.#nowMs();
    for (const key of this.#counting) {
      const bucket = this.#rules.get(key);
      if (bucket === undefined || (!all && nowMs - bucket.toldMs < this.#options.summaryMs))
        continue;
      this.#tell(key, bucket);
      bucket.toldMs = nowMs;
    }
    return this.#told.splice(0);
  }

  #tell(key: string, bucket: RuleBucket): void {
    this.#counting.delete(key);
    const { last, suppressed, firstNs } = bucket;
    if (last === undefined) return;
    const { rule, priority, timeNs, container } = last;
    this.#told.push({ rule, priority, count: suppressed, firstNs, lastNs: timeNs, container });
    bucket.suppressed = 0;
    bucket.last = undefined;
  }

  #rule(key: string, nowMs: number): RuleBucket {
    const bucket = this.#rules.get(key) ?? {
      ...{ tokens: this.#options.burst, atMs: nowMs, suppressed: 0, firstNs: 0n },
      ...{ last: undefined, toldMs: nowMs },
    };
    this.#rules.delete(key);
    this.#rules.set(key, bucket);
    if (this.#rules.size > MAX_BUCKETS) {
      for (const [oldest, forgotten] of this.#rules) {
        this.#tell(oldest, forgotten);
        this.#rules.delete(oldest);
        break;
      }
    }
    return bucket;
  }

  #instance(key: string, nowMs: number): Bucket {
    const bucket = this.#instances.get(key) ?? { tokens: this.#options.appBurst, atMs: nowMs };
    this.#instances.delete(key);
    this.#instances.set(key, bucket);
    if (this.#instances.size > MAX_BUCKETS) {
      for (const oldest of this.#instances.keys()) {
        this.#instances.delete(oldest);
        break;
      }
    }
    return bucket;
  }
}

function fill(bucket: Bucket, burst: number, perMinute: number, nowMs: number): void {
  bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perMinute) / 60_000);
  bucket.atMs = nowMs;
}
