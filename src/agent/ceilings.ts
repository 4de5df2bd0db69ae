import { QUIET_PERCENT } from './tidying.ts';
import type { Usage } from '../metrics/own-usage.ts';
import { PRIORITIES, type Priority } from '../rules/detection.ts';

/** Seconds over which CPU use is averaged, and within which a step must show its effect there. For memory it is one. */
const WINDOW_TICKS = 3;
/** Use below this share of a ceiling counts as quiet. */
const QUIET_SHARE = 0.8;
/** If rules had to be shed again too soon, the next wait is longer, up to this factor. */
const MAX_PATIENCE = 32;

/** While rules are off because of memory: how often garbage is collected, so that memory in use decides when they come back. */
const COLLECT_EVERY_MS = 10_000;
/** While memory is over the ceiling: queued lines of a flood are garbage before V8 collects by itself. */
const COLLECT_AGAIN_MS = 500;

/** Never shed: detections that somebody must know at once. */
const KEPT: readonly Priority[] = ['Emergency', 'Alert', 'Critical'];
/** In the order of shedding. */
const SHEDDABLE = PRIORITIES.filter((priority) => !KEPT.includes(priority)).reverse();

/** What the agent may use, and how long it must be quiet before shed rules come back. */
export interface CeilingOptions {
  /** Percent of one CPU. Undefined: no ceiling. */
  readonly cpuPercent: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly restoreAfterMs: number;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** Number of enabled rules of these priorities. */
  readonly rulesOf: (priorities: readonly Priority[]) => number;
  /** Switches the rules of these priorities off, and all others on; throws if it cannot. */
  readonly shed: (priorities: readonly Priority[]) => void;
  /** Collects garbage, so that only memory in use counts. */
  readonly collectGarbage: () => void;
  /** Also returns free memory to the system: for quiet times. */
  readonly giveMemoryBack: () => void;
  /** Reports a change. */
  readonly onChange: (status: CeilingStatus, what: 'shed' | 'restored' | 'stuck') => void;
}

/** For metrics, `varvel status` and the lines of apps. */
export interface CeilingStatus {
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  readonly ceilings: {
    readonly cpuPercent: number | undefined;
    readonly memoryBytes: number | undefined;
  };
  /** Priorities whose rules are off now, and how many rules these are. */
  readonly shed: readonly Priority[];
  readonly rulesOff: number;
  /** The ceiling that was exceeded when the last of them were shed. */
  readonly because: 'cpu' | 'memory' | undefined;
  readonly sinceMs: number | undefined;
  /** Numbers of steps since the start. */
  readonly sheds: number;
  readonly restores: number;
  /** Number of times that use exceeded a ceiling with nothing left to shed. */
  readonly stuck: number;
}

/**
 * Keeps the agent below its ceilings by switching rules off, lowest priority first, never Critical and above. Their hooks are
 * detached and their events stay in the kernel, which reduces the load. One step at a time, each with some seconds to show its
 * effect. Shed rules come back step by step after `restoreAfterMs` of quiet. That time doubles after each restore that was too
 * early.
 */
export class Ceilings {
  readonly #options: CeilingOptions;
  #window: Usage[] = [];
  #last: Usage = { cpuPercent: 0, memoryBytes: 0 };
  #shed: readonly Priority[] = [];
  #because: CeilingStatus['because'];
  #sinceMs: number | undefined;
  #quietSinceMs: number | undefined;
  #restoredAtMs = -Infinity;
  #patience = 1;
  #isStuck = false;
  #collected = false;
  #collectedAtMs = -Infinity;
  #sheds = 0;
  #restores = 0;
  #stuck = 0;

  constructor(options: CeilingOptions) {
    this.#options = options;
  }

  /** Call every second with the current use. */
  onTick(usage: Usage): void {
    this.#last = usage;
    this.#window.push(usage);
    if (this.#window.length > WINDOW_TICKS) this.#window.shift();
    const over = this.#over();
    if (over === undefined) {
      if (this.#window.length < WINDOW_TICKS) return;
      this.#isStuck = false;
      this.#collected = false;
      this.#lookWhetherQuiet();
      return;
    }
    this.#quietSinceMs = undefined;
    // Garbage is not memory that the agent needs; a step turns most of what it frees into garbage.
    if (over === 'memory' && (!this.#collected || this.#isTimeToCollect())) {
      this.#collected = true;
      this.#collect(this.#options.collectGarbage);
      return;
    }
    this.#shedMore(over);
  }

  /** Call several times a second: collects what a flood leaves before it counts as needed. */
  onMemory(usedBytes: number): void {
    const { memoryBytes = Infinity, nowMs } = this.#options;
    if (usedBytes <= memoryBytes || this.#isStuck) return;
    if (nowMs() - this.#collectedAtMs < COLLECT_AGAIN_MS) return;
    this.#collected = true;
    this.#collectedAtMs = nowMs();
    this.#options.collectGarbage();
  }

  status(): CeilingStatus {
    const { cpuPercent, memoryBytes, rulesOf } = this.#options;
    return {
      ...this.#average(),
      ceilings: { cpuPercent, memoryBytes },
      shed: this.#shed,
      rulesOff: rulesOf(this.#shed),
      because: this.#because,
      sinceMs: this.#sinceMs,
      sheds: this.#sheds,
      restores: this.#restores,
      stuck: this.#stuck,
    };
  }

  #over(): 'cpu' | 'memory' | undefined {
    const { cpuPercent = Infinity, memoryBytes = Infinity } = this.#options;
    // Missing memory ends the agent at once; missing CPU time makes it late.
    if (this.#last.memoryBytes > memoryBytes) return 'memory';
    if (this.#window.length < WINDOW_TICKS) return undefined;
    return this.#average().cpuPercent > cpuPercent ? 'cpu' : undefined;
  }

  #average(): Usage {
    const count = this.#window.length;
    if (count === 0) return this.#last;
    const mean = (of: (usage: Usage) => number): number =>
      this.#window.reduce((sum, usage) => sum + of(usage), 0) / count;
    return { cpuPercent: mean((it) => it.cpuPercent), memoryBytes: mean((it) => it.memoryBytes) };
  }

  #shedMore(because: 'cpu' | 'memory'): void {
    const { rulesOf, nowMs } = this.#options;
    const before = rulesOf(this.#shed);
    let count = this.#shed.length;
    // Shedding a priority without rules frees nothing.
    while (count < SHEDDABLE.length && rulesOf(SHEDDABLE.slice(0, count)) === before) count++;
    const shed = SHEDDABLE.slice(0, count);
    if (rulesOf(shed) === before) {
      if (this.#isStuck) return;
      this.#isStuck = true;
      this.#stuck++;
      this.#options.onChange(this.status(), 'stuck');
      return;
    }
    if (this.#shed.length === 0) {
      const lasted = nowMs() - this.#restoredAtMs;
      const tooEarly = lasted < this.#options.restoreAfterMs * this.#patience;
      this.#patience = tooEarly ? Math.min(this.#patience * 2, MAX_PATIENCE) : 1;
      this.#sinceMs = Date.now();
    }
    this.#sheds++;
    this.#because = because;
    this.#apply(shed, 'shed');
  }

  #lookWhetherQuiet(): void {
    if (this.#shed.length === 0) return;
    const { cpuPercent = Infinity, memoryBytes = Infinity, nowMs, restoreAfterMs } = this.#options;
    const used = this.#average();
    const isQuiet =
      used.cpuPercent < cpuPercent * QUIET_SHARE && used.memoryBytes < memoryBytes * QUIET_SHARE;
    if (!isQuiet) {
      this.#quietSinceMs = undefined;
      const isHigh = used.memoryBytes >= memoryBytes * QUIET_SHARE;
      if (isHigh && this.#isTimeToCollect()) {
        const { collectGarbage, giveMemoryBack } = this.#options;
        this.#collect(used.cpuPercent < QUIET_PERCENT ? giveMemoryBack : collectGarbage);
      }
      return;
    }
    this.#quietSinceMs ??= nowMs();
    if (nowMs() - this.#quietSinceMs < restoreAfterMs * this.#patience) return;
    this.#quietSinceMs = undefined;
    this.#restoredAtMs = nowMs();
    this.#restores++;
    const { rulesOf } = this.#options;
    const before = rulesOf(this.#shed);
    let count = this.#shed.length;
    while (count > 0 && rulesOf(SHEDDABLE.slice(0, count)) === before) count--;
    // Priorities without rules come back together with those that have rules.
    while (count > 0 && rulesOf(SHEDDABLE.slice(0, count)) === 0) count--;
    if (count === 0) this.#sinceMs = undefined;
    this.#apply(SHEDDABLE.slice(0, count), 'restored');
  }

  #isTimeToCollect(): boolean {
    return this.#options.nowMs() - this.#collectedAtMs >= COLLECT_EVERY_MS;
  }

  #collect(by: () => void): void {
    this.#collectedAtMs = this.#options.nowMs();
    by();
    // Earlier use says nothing about current use.
    this.#window = [];
  }

  #apply(shed: readonly Priority[], what: 'shed' | 'restored'): void {
    this.#options.shed(shed);
    this.#shed = shed;
    this.#collected = false;
    if (shed.length === 0) this.#because = undefined;
    const status = this.status();
    // Earlier use says nothing about current use.
    this.#window = [];
    this.#options.onChange(status, what);
  }
}

/** Says in words which rules are off; undefined if none is. */
export function notWatchedFor({ shed, rulesOff, because }: CeilingStatus): string | undefined {
  const highest = shed.at(-1);
  if (highest === undefined || rulesOff === 0) return undefined;
  const rules = rulesOff === 1 ? '1 rule' : `${rulesOff} rules`;
  const why = because === 'memory' ? 'memory' : 'CPU time';
  return `${rules} of priority ${highest} and below, since the agent would need more ${why} than it may have`;
}
