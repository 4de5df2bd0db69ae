import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { CanaryContainer, CanaryGround } from './canary-container.ts';
import {
  ended,
  hopOf,
  isGivenAway,
  isGood,
  messageOf,
  secondsOf,
  wayOf,
  type CanaryResult,
  type CanaryRun,
  type Watched,
} from './canary-run.ts';
import type { CanaryConfig } from '../config/canary-config.ts';
import type { AgentConfig } from '../config/config.ts';
import type { Attachment } from '../plan/attachment.ts';
import type { LiveProbe } from '../probe/live.ts';
import { LogCache } from '../reading/log-cache.ts';
import type { DetectionBrief } from '../rules/detection.ts';
import type { Evaluation } from '../evaluation/evaluation.ts';
import { CANARY_FOLDER, CANARY_RULE } from '../shared/drill.ts';
import type { Logger } from '../shared/logger.ts';
import type { OutgoingLine } from '../streams/receiver.ts';
import { SpooledStream } from '../streams/spool/spooled-stream.ts';
import type { Delivery, LogStream } from '../streams/stream.ts';

/** Delay of the first run after the start, when the agent's own start-up work is done. Up to as long again is added, by host. */
const FIRST_MS = 60_000;
/** Delay after a run that was not seen or that failed, if shorter than the interval: shows whether the trouble lasts. */
const AGAIN_MS = 600_000;
/** Delay before the log system is first read, and the longest delay between two reads. */
const FIRST_LOOK_MS = 250;
const NEXT_LOOK_MS = 5_000;
const LOOK_TIMEOUT_MS = 10_000;
/** Times may lose their last digits on the way to the log system. */
const AROUND_NS = 100_000_000n;
/** 80 bits: identifies the line that is read back as this run's. */
const TOKEN_BYTES = 10;

/** For metrics and `varvel status`. */
export interface CanaryStatus {
  readonly runs: Readonly<Record<CanaryResult, number>>;
  readonly last?: CanaryRun;
  /** The last run that was seen or delivered: Unix ms, and how long it took. */
  readonly lastGood?: { readonly atMs: number; readonly seconds: number };
}

export interface CanaryOptions {
  readonly config: CanaryConfig;
  readonly hostname: string;
  readonly logger: Logger;
  readonly ground: CanaryGround;
  readonly logCache: Pick<LogCache, 'read'> | undefined;
  /** Attaches the hooks. */
  readonly attach: () => void;
  readonly isRuleOn: () => boolean;
  /** Records of a cgroup that the kernel has emitted. */
  readonly emittedOf: (cgroupId: number) => number | undefined;
  readonly streams: () => readonly LogStream[];
}

/**
 * The agent's own canary. A minute after the start, and then every interval, a process in its own cgroup triggers the rule
 * "Varvel canary", as an app's container would. The line takes the usual way and is looked up at its end. One run at a time;
 * each ends within the timeout plus some seconds and leaves nothing behind.
 */
export class Canary {
  readonly #options: CanaryOptions;
  readonly #runs: Record<CanaryResult, number> = { seen: 0, delivered: 0, not_seen: 0, failed: 0 };
  readonly #ending = new AbortController();
  #last: CanaryRun | undefined;
  #lastGood: CanaryStatus['lastGood'];
  #watched: Watched | undefined;
  #running: Promise<CanaryRun> | undefined;
  #wake: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #nth = 0;

  constructor(options: CanaryOptions) {
    this.#options = options;
  }

  /** Starts periodic runs; removes what a previous agent left of its runs. */
  start(): void {
    const { config, ground, hostname, logger } = this.#options;
    ground.clear().catch((error: unknown) => {
      logger.warn({}, `What an earlier canary left could not be removed: ${messageOf(error)}.`);
    });
    this.#schedule(firstDelayMs(hostname, config.intervalMs));
  }

  /** Runs now, or joins the current run. Never rejects. */
  run(): Promise<CanaryRun> {
    this.#running ??= this.#runOnce().finally(() => {
      this.#running = undefined;
      this.#watched = undefined;
    });
    return this.#running;
  }

  status(): CanaryStatus {
    return {
      runs: { ...this.#runs },
      ...(this.#last === undefined ? {} : { last: this.#last }),
      ...(this.#lastGood === undefined ? {} : { lastGood: this.#lastGood }),
    };
  }

  /** A rule matched. */
  onDetection(detection: DetectionBrief): void {
    if (this.#watched === undefined || !this.#isOurs(detection)) return;
    this.#watched.detection ??= detection;
    this.#wake?.();
  }

  /** A stream has accepted it: on its disk, if its receiver is remote. */
  onDelivered(delivery: Delivery, stream: LogStream): void {
    const watched = this.#watched;
    if (watched === undefined || !this.#isOurs(delivery.detection)) return;
    if (watched.id === undefined) {
      watched.id = delivery.id;
      watched.expected = this.#options
        .streams()
        .filter((one) => one.accepts(delivery))
        .map(({ name }) => name);
    }
    watched.queued.add(stream.name);
    if (!(stream instanceof SpooledStream)) watched.taken.add(stream.name);
    this.#wake?.();
  }

  /** A stream's receiver has it. */
  onTaken(stream: string, { id }: Pick<OutgoingLine, 'id'>): void {
    if (this.#watched?.id !== id) return;
    this.#watched.taken.add(stream);
    this.#wake?.();
  }

  /** Ends the current run, which then does not count. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#ending.abort();
    this.#wake?.();
    await this.#running;
  }

  #schedule(ms: number): void {
    this.#timer = setTimeout(() => {
      void this.run().then(({ result }) => {
        if (this.#ending.signal.aborted) return;
        const { hostname, config } = this.#options;
        const interval = isGood(result) ? config.intervalMs : Math.min(config.intervalMs, AGAIN_MS);
        this.#schedule(nextDelayMs(hostname, ++this.#nth, interval));
      });
    }, ms).unref();
  }

  async #runOnce(): Promise<CanaryRun> {
    const run = await this.#try();
    if (this.#ending.signal.aborted) return run;
    this.#runs[run.result]++;
    this.#last = run;
    const { result, seconds, hop, says } = run;
    if (isGood(result) && seconds !== undefined) this.#lastGood = { atMs: run.atMs, seconds };
    const facts = { result, seconds, lastSeenBy: hop };
    if (isGood(result)) this.#options.logger.info(facts, `Canary: ${says}`);
    else this.#options.logger.warn(facts, `Canary: ${says}`);
    return run;
  }

  async #try(): Promise<CanaryRun> {
    const { attach, config, isRuleOn } = this.#options;
    if (!isRuleOn())
      return ended(
        'failed',
        'nobody',
        `The rule "${CANARY_RULE}" is not on: load the rules that come with varvel, with minimum_priority informational or debug, and see whether a ceiling has switched it off.`,
      );
    const startedAt = performance.now();
    const watched: Watched = {
      token: randomBytes(TOKEN_BYTES).toString('hex'),
      startedAt,
      deadline: startedAt + config.timeoutMs,
      emitted: 0,
      expected: [],
      queued: new Set(),
      taken: new Set(),
      looks: 0,
    };
    this.#watched = watched;
    try {
      attach();
      await this.#act(watched);
    } catch (error) {
      return ended('failed', hopOf(watched), `It could not be tried: ${messageOf(error)}.`);
    }
    await this.#until(watched, () => watched.detection !== undefined);
    if (watched.detection === undefined) return this.#notSeen(watched);
    return config.logCache === undefined ? this.#awaitStreams(watched) : this.#lookFor(watched);
  }

  async #act(watched: Watched): Promise<void> {
    const { ground, emittedOf } = this.#options;
    let container: CanaryContainer | undefined;
    try {
      container = ground.make(watched.token);
      await container.act(`${CANARY_FOLDER}${watched.token}`, this.#ending.signal);
    } finally {
      if (container !== undefined) {
        watched.emitted = emittedOf(container.cgroupId) ?? 0;
        await container.remove();
      } else await ground.clear();
    }
  }

  async #awaitStreams(watched: Watched): Promise<CanaryRun> {
    await this.#until(watched, () => isGivenAway(watched));
    if (!isGivenAway(watched)) return this.#notSeen(watched);
    const seconds = secondsOf(watched);
    const names = watched.expected.join(', ');
    const says = `Every stream of its line (${names}) has delivered it within ${seconds.toFixed(1)} s. Whether it comes out of the log system is not known: canary.read names none.`;
    return { ...ended('delivered', 'receiver', says), seconds };
  }

  async #lookFor(watched: Watched): Promise<CanaryRun> {
    const { config, logCache } = this.#options;
    const { detection } = watched;
    let pauseMs = FIRST_LOOK_MS;
    while (detection !== undefined && logCache !== undefined) {
      const leftMs = watched.deadline - performance.now();
      if (leftMs <= 0 || this.#ending.signal.aborted) break;
      await this.#pause(Math.min(pauseMs, leftMs));
      pauseMs = Math.min(pauseMs * 2, NEXT_LOOK_MS);
      const answer = await logCache.read({
        sourceId: config.app.guid ?? '',
        fromNs: detection.timeNs - AROUND_NS,
        toNs: detection.timeNs + AROUND_NS,
        // The last read has its full timeout, however little time is left.
        timeoutMs: LOOK_TIMEOUT_MS,
        signal: this.#ending.signal,
      });
      watched.looks++;
      if ('failed' in answer) {
        watched.lookFailed = answer.failed;
        continue;
      }
      delete watched.lookFailed;
      if (!answer.lines.some((line) => line.includes(watched.token))) continue;
      const seconds = secondsOf(watched);
      const says = `Its line came out of the log system after ${seconds.toFixed(1)} s.`;
      return { ...ended('seen', 'log system', says), seconds };
    }
    return this.#notSeen(watched);
  }

  #notSeen(watched: Watched): CanaryRun {
    const { config } = this.#options;
    if (this.#ending.signal.aborted)
      return ended('failed', hopOf(watched), 'The agent is stopping, so the run was cut short.');
    const { lookFailed } = watched;
    const hop = hopOf(watched);
    if (lookFailed !== undefined)
      return ended(
        'failed',
        hop,
        `Log Cache could not be read, so nobody knows whether its line arrived: ${lookFailed}. ${wayOf(watched)}`,
      );
    const where = config.logCache === undefined ? 'leave by its streams' : 'come out of Log Cache';
    const says = `Its line did not ${where} within ${config.timeoutMs / 1000} s. ${wayOf(watched)}`;
    return ended('not_seen', hop, says);
  }

  #isOurs({ rule, container }: DetectionBrief): boolean {
    return rule === CANARY_RULE && container?.fullId === this.#watched?.token;
  }

  /** Waits until `isSo`, the run's deadline, or the end of the agent. */
  async #until(watched: Watched, isSo: () => boolean): Promise<void> {
    while (!isSo() && !this.#ending.signal.aborted) {
      const leftMs = watched.deadline - performance.now();
      if (leftMs <= 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#ending.signal }).catch(() => undefined);
  }
}

/** Returns the configured canary; undefined if it is off. Throws UserError if certificates or token cannot be used. */
export function openCanary(
  { canary: config, hostname }: Pick<AgentConfig, 'canary' | 'hostname'>,
  ground: CanaryGround | undefined,
  parts: {
    readonly logger: Logger;
    readonly attachment: Pick<Attachment, 'attachForNow'>;
    readonly probe: Pick<LiveProbe, 'scope'>;
    readonly evaluation: Evaluation;
    readonly streams: () => readonly LogStream[];
  },
): Canary | undefined {
  if (ground === undefined) return undefined;
  const { attachment, evaluation, logger, probe, streams } = parts;
  return new Canary({
    config,
    hostname,
    logger,
    ground,
    streams,
    logCache: config.logCache === undefined ? undefined : new LogCache(config.logCache, logger),
    attach: () => attachment.attachForNow(),
    isRuleOn: () =>
      evaluation.engine.ruleSet.rules.some(({ name, enabled }) => enabled && name === CANARY_RULE),
    emittedOf: (cgroupId) => probe.scope.get(cgroupId)?.emitted,
  });
}

/** Delay after the start: a minute, plus up to another minute or a tenth of the interval, whichever is less, by host. */
export function firstDelayMs(hostname: string, intervalMs: number): number {
  return FIRST_MS + shareOf(hostname, 0) * Math.min(FIRST_MS, intervalMs / 10);
}

/** Delay after the previous run: the interval, up to a twentieth more or less, by host and run. */
export function nextDelayMs(hostname: string, nth: number, intervalMs: number): number {
  return intervalMs * (0.95 + shareOf(hostname, nth) / 10);
}

/** From 0 to 1, constant per host and run: spreads the load of many cells that start together. */
function shareOf(hostname: string, nth: number): number {
  const hash = createHash('sha256').update(`${nth} ${hostname}`).digest();
  return hash.readUInt32BE(0) / 2 ** 32;
}
