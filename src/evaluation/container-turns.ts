import { Fifo } from '../shared/fifo.ts';

/** Something that is to be done later, and what it takes in memory until then. */
export interface LaterWork {
  readonly bytes: number;
  /** It has waited before, within bounds of its own: these here do not count it. */
  readonly isReleased?: boolean;
  /** Must not throw. */
  run(): void;
}

/** An event of a container, which is evaluated now or later. Nothing of it may throw. */
export interface EventWork {
  now(): void;
  /** Called where it has to wait. */
  later(): LaterWork;
  readonly isReleased: boolean;
  /** Runs what has no room to wait, on the account of the container's app. */
  flood(work: () => void): void;
}

export interface ContainerTurnsOptions {
  /** Calls back when the rings and everything else had their turn; default setImmediate. */
  readonly schedule?: (turn: () => void) => void;
  /** Monotonic ms; default performance.now. */
  readonly nowMs?: () => number;
}

/** How long the containers that have work together take between two turns of everything else. */
export const CONTAINER_TURN_MS = 10;
/** A flood is over with a turn in which the container's events took less. */
const FLOOD_OVER_MS = 1;
/** What may wait of one container, and of all. */
export const MAX_WAITING = {
  ofOne: 2048,
  ofAll: 8192,
  bytesOfOne: 4 << 20,
  bytesOfAll: 16 << 20,
};

/** The full id of a container, in whichever of its cgroups it is; without one, the cgroup. */
export type TurnsKey = string | number;

interface Waiting {
  /** Of events that were evaluated: all of them come before the next event. */
  readonly detections: Fifo<LaterWork>;
  readonly events: Fifo<LaterWork>;
  /** Without what was released. */
  counted: number;
  countedBytes: number;
}

/**
 * Shares the time that can be long by an app's own doing: in which events with rules of its own are evaluated, and in which
 * detections are written out. A container's first are done at once. When it has had its share of this turn the rest waits, in
 * order, so that events of others need not.
 */
export class ContainerTurns {
  readonly #schedule: (turn: () => void) => void;
  readonly #nowMs: () => number;
  /** By container: what was spent on it since the last turn. */
  readonly #spentMs = new Map<TurnsKey, number>();
  /** Containers without room for their events. */
  readonly #flooded = new Set<TurnsKey>();
  /** The one whose turn is next is first. */
  readonly #waiting = new Map<TurnsKey, Waiting>();
  #allCount = 0;
  #allBytes = 0;
  #isScheduled = false;
  /** Since when the work that runs is not charged yet; undefined when none runs. */
  #unchargedMs: number | undefined;

  constructor({
    schedule = setImmediate,
    nowMs = () => performance.now(),
  }: ContainerTurnsOptions = {}) {
    this.#schedule = schedule;
    this.#nowMs = nowMs;
  }

  /** Events and detections that wait. */
  get waiting(): number {
    return this.#allCount;
  }

  /**
   * Evaluates an event of the container, now or later, after all that it has waiting. Without room all of the container is done at once, and so is what comes until the flood is over: to
   * wait costs as much again.
   */
  event(container: TurnsKey, event: EventWork): void {
    this.#wantTurn();
    const now = (): void => event.now();
    if (!this.#waiting.has(container) && this.#hasShare(container)) this.#run(container, now);
    else if (this.#isFlooded(container, event)) event.flood(() => this.#run(container, now));
    else this.#wait(container, 'events', event.later());
  }

  /** The same with a detection that is to be written: it waits for others, and for no event. Without room the oldest is written. */
  detection(container: TurnsKey, now: () => void, later: () => LaterWork): void {
    this.#wantTurn();
    if (!this.#hasDetections(container) && this.#hasShare(container)) {
      this.#run(container, now);
      return;
    }
    const work = later();
    while (!this.#hasRoom(container, work) && this.#hasDetections(container))
      this.#shift(container);
    if (this.#hasRoom(container, work)) this.#wait(container, 'detections', work);
    else this.#run(container, () => work.run());
  }

  /** Does all that waits of one container. */
  finish(container: TurnsKey): void {
    while (this.#shift(container));
  }

  /** Does all that waits. */
  drain(): void {
    for (const container of [...this.#waiting.keys()]) this.finish(container);
  }

  #isFlooded(container: TurnsKey, event: EventWork): boolean {
    if (this.#flooded.has(container)) return true;
    if (event.isReleased || !this.#isFull(container)) return false;
    event.flood(() => this.finish(container));
    this.#flooded.add(container);
    return true;
  }

  /** In order of their first work, containers share the turn: one alone has all of it. */
  #hasShare(container: TurnsKey): boolean {
    const spentMs = this.#spentMs.get(container);
    return spentMs === undefined || spentMs * this.#spentMs.size < CONTAINER_TURN_MS;
  }

  /** An event that is evaluated has detections to write: what it took so far is charged before that. */
  #run(container: TurnsKey, work: () => void): void {
    const isNested = this.#charge(container);
    work();
    this.#charge(container);
    if (!isNested) this.#unchargedMs = undefined;
  }

  /** Whether there was something to charge. */
  #charge(container: TurnsKey): boolean {
    const nowMs = this.#nowMs();
    const sinceMs = this.#unchargedMs;
    this.#unchargedMs = nowMs;
    if (sinceMs === undefined) return false;
    this.#spentMs.set(container, (this.#spentMs.get(container) ?? 0) + nowMs - sinceMs);
    return true;
  }

  #hasDetections(container: TurnsKey): boolean {
    return (this.#waiting.get(container)?.detections.length ?? 0) > 0;
  }

  #hasRoom(container: TurnsKey, { bytes }: LaterWork): boolean {
    return !this.#isFull(container) && this.#allBytes + bytes <= MAX_WAITING.bytesOfAll;
  }

  /** By bytes, what came last may have passed the bound: one record has 64 KiB at most. */
  #isFull(container: TurnsKey): boolean {
    const { ofOne, ofAll, bytesOfOne, bytesOfAll } = MAX_WAITING;
    if (this.#allCount >= ofAll || this.#allBytes >= bytesOfAll) return true;
    const waiting = this.#waiting.get(container);
    if (waiting === undefined) return false;
    return waiting.counted >= ofOne || waiting.countedBytes >= bytesOfOne;
  }

  #wait(container: TurnsKey, kind: 'events' | 'detections', work: LaterWork): void {
    let waiting = this.#waiting.get(container);
    if (waiting === undefined) {
      waiting = { detections: new Fifo(), events: new Fifo(), counted: 0, countedBytes: 0 };
      this.#waiting.set(container, waiting);
    }
    waiting[kind].push(work);
    this.#count(waiting, work, 1);
  }

  #count(waiting: Waiting, { bytes, isReleased }: LaterWork, sign: 1 | -1): void {
    this.#allCount += sign;
    this.#allBytes += sign * bytes;
    if (isReleased === true) return;
    waiting.counted += sign;
    waiting.countedBytes += sign * bytes;
  }

  /** Does the oldest that waits of the container; whether there was any. */
  #shift(container: TurnsKey): boolean {
    const waiting = this.#waiting.get(container);
    if (waiting === undefined) return false;
    const { detections, events } = waiting;
    const work = detections.shift() ?? events.shift();
    if (detections.length + events.length === 0) this.#waiting.delete(container);
    if (work === undefined) return false;
    this.#count(waiting, work, -1);
    this.#run(container, () => work.run());
    return true;
  }

  #wantTurn(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => this.#turn());
  }

  /** The oldest of the container whose turn it is. */
  #next(): void {
    for (const [container, waiting] of this.#waiting) {
      this.#waiting.delete(container);
      this.#waiting.set(container, waiting);
      this.#shift(container);
      return;
    }
  }

  #turn(): void {
    this.#isScheduled = false;
    for (const container of this.#flooded)
      if ((this.#spentMs.get(container) ?? 0) < FLOOD_OVER_MS) this.#flooded.delete(container);
    this.#spentMs.clear();
    const endsMs = this.#nowMs() + CONTAINER_TURN_MS;
    // At least one, however long everything else takes.
    do this.#next();
    while (this.#allCount > 0 && this.#nowMs() < endsMs);
    if (this.#allCount > 0) this.#wantTurn();
  }
}
