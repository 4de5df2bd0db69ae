import { Fifo } from '../shared/fifo.ts';

/** Something that is to be done later, and what it takes in memory until then. */
export interface LaterWork {
  readonly bytes: number;
  /** It has waited before, in a queue with limits of its own: the limits here do not count it. */
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
  /** Evaluating it costs less than queueing it, so it never starts a queue; behind events that wait, it waits too. */
  readonly isCheap: boolean;
  /** Runs, in a flood, work that has no room to wait; all of it is charged to the container's app. */
  flood(work: () => void): void;
}

export interface ContainerTurnsOptions {
  /** Calls back when the rings and everything else had their turn; default setImmediate. */
  readonly schedule?: (turn: () => void) => void;
  /** Monotonic ms; default performance.now. */
  readonly nowMs?: () => number;
}

/** Time per turn for all containers with work, before everything else has its turn. */
export const CONTAINER_TURN_MS = 5;
/** In a flood, so many queued events are evaluated for each new one: all at once would block everything else. */
const FLOOD_STEP = 2;
/** A flood is over with a turn in which the container's events took less. */
const FLOOD_OVER_MS = 1;
/** What may wait of one container, and of all. */
export const MAX_WAITING = {
  ofOne: 2048,
  ofAll: 8192,
  bytesOfOne: 4 << 20,
  bytesOfAll: 16 << 20,
};
/** Limit for released work of all containers; one container has at most what could wait before. */
export const MAX_RELEASED = { ofAll: 16_384, bytesOfAll: 24 << 20 };

interface Amount {
  count: number;
  bytes: number;
}

/** The full id of a container, in whichever of its cgroups it is; without one, the cgroup. */
export type TurnsKey = string | number;

interface Waiting {
  /** Of events that were evaluated: all of them come before the next event. */
  readonly detections: Fifo<LaterWork>;
  readonly events: Fifo<LaterWork>;
  /** Of both, without what was released. */
  readonly own: Amount;
}

/**
 * Shares the time that an app can prolong: evaluating events with rules of its own, and writing detections. A container's first
 * work runs at once. After its share of the turn the rest waits, in order, so that events of others do not have to.
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
  readonly #own: Amount = { count: 0, bytes: 0 };
  readonly #released: Amount = { count: 0, bytes: 0 };
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
    return this.#own.count + this.#released.count;
  }

  /**
   * Evaluates an event now or later, after the container's queued events. In a flood (no room) some queued events are evaluated
   * with each new one, until none waits. Then each is evaluated at once until the flood is over, since queueing costs as much
   * again.
   */
  event(container: TurnsKey, event: EventWork): void {
    this.#wantTurn();
    const now = (): void => event.now();
    if (!this.#waiting.has(container) && this.#hasShare(container)) this.#run(container, now);
    else if (!this.#isFlooded(container, event)) this.#wait(container, 'events', event.later());
    else if (event.isReleased || event.isCheap) this.#run(container, now);
    else event.flood(() => this.#run(container, now));
  }

  /**
   * The same for writing a detection: it waits for other detections, but not for events. Without room the oldest is written
   * now.
   */
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

  /** Evaluates at once what waits of one container. What it detects is written when its turn comes. */
  finishEvents(container: TurnsKey): void {
    while (this.#shiftEvent(container));
  }

  /** The same of all containers. */
  finishAllEvents(): void {
    for (const container of [...this.#waiting.keys()]) this.finishEvents(container);
  }

  /** Does all that waits. */
  drain(): void {
    for (const container of [...this.#waiting.keys()]) while (this.#shift(container));
  }

  #isFlooded(container: TurnsKey, event: EventWork): boolean {
    if (event.isReleased) {
      // What could wait before it was released is no flood.
      if (!isOver(this.#released, MAX_RELEASED)) return false;
      this.finishEvents(container);
      return true;
    }
    if (!this.#flooded.has(container) && !event.isCheap) {
      if (!this.#isFull(container)) return false;
      this.#flooded.add(container);
    }
    const events = this.#waiting.get(container)?.events;
    if (events === undefined) return true;
    while (events.first?.isReleased === true) this.#shiftEvent(container);
    if (events.length > 0)
      event.flood(() => {
        for (let n = 0; n < FLOOD_STEP || this.#isFull(container); n++)
          if (!this.#shiftEvent(container)) break;
      });
    return events.length === 0;
  }

  /** Containers share the turn in order of their first work; a single one has all of it. */
  #hasShare(container: TurnsKey): boolean {
    const spentMs = this.#spentMs.get(container);
    return spentMs === undefined || spentMs * this.#spentMs.size < CONTAINER_TURN_MS;
  }

  /** An event that is evaluated has detections to write: what it took so far is charged before that. */
  #run(container: TurnsKey, work: () => void): void {
    const isNested = this.#charge(container);
    try {
      work();
    } finally {
      this.#charge(container);
      if (!isNested) this.#unchargedMs = undefined;
    }
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
    return !this.#isFull(container) && this.#own.bytes + bytes <= MAX_WAITING.bytesOfAll;
  }

  /** By bytes, what came last may have passed the bound: one record has 64 KiB at most. */
  #isFull(container: TurnsKey): boolean {
    if (isOver(this.#own, MAX_WAITING)) return true;
    const own = this.#waiting.get(container)?.own;
    if (own === undefined) return false;
    return own.count >= MAX_WAITING.ofOne || own.bytes >= MAX_WAITING.bytesOfOne;
  }

  #wait(container: TurnsKey, kind: 'events' | 'detections', work: LaterWork): void {
    let waiting = this.#waiting.get(container);
    if (waiting === undefined) {
      waiting = { detections: new Fifo(), events: new Fifo(), own: { count: 0, bytes: 0 } };
      this.#waiting.set(container, waiting);
    }
    waiting[kind].push(work);
    this.#count(waiting, work, 1);
  }

  #count(waiting: Waiting, { bytes, isReleased }: LaterWork, sign: 1 | -1): void {
    for (const amount of isReleased === true ? [this.#released] : [this.#own, waiting.own]) {
      amount.count += sign;
      amount.bytes += sign * bytes;
    }
  }

  /** Does the oldest that waits of the container; whether there was any. */
  #shift(container: TurnsKey): boolean {
    const waiting = this.#waiting.get(container);
    return this.#take(container, waiting?.detections.shift() ?? waiting?.events.shift());
  }

  /** Evaluates the oldest event that waits of the container, whatever is to be written before. */
  #shiftEvent(container: TurnsKey): boolean {
    return this.#take(container, this.#waiting.get(container)?.events.shift());
  }

  #take(container: TurnsKey, work: LaterWork | undefined): boolean {
    const waiting = this.#waiting.get(container);
    if (waiting === undefined || work === undefined) return false;
    if (waiting.detections.length + waiting.events.length === 0) this.#waiting.delete(container);
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
    while (this.waiting > 0 && this.#nowMs() < endsMs);
    if (this.waiting > 0) this.#wantTurn();
  }
}

function isOver(
  { count, bytes }: Amount,
  { ofAll, bytesOfAll }: Readonly<Record<'ofAll' | 'bytesOfAll', number>>,
): boolean {
  return count >= ofAll || bytes >= bytesOfAll;
}
