import { Fifo } from '../shared/fifo.ts';

/** Something that is to be done later, and what it takes in memory until then. */
export interface LaterWork {
  readonly bytes: number;
  /** Must not throw. */
  run(): void;
}

export interface ContainerTurnsOptions {
  /** Calls back when the rings and everything else had their turn; default setImmediate. */
  readonly schedule?: (turn: () => void) => void;
  /** Monotonic ms; default performance.now. */
  readonly nowMs?: () => number;
}

/** How long the containers that have work together take between two turns of everything else. */
export const CONTAINER_TURN_MS = 10;
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
  bytes: number;
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
  /** The one whose turn is next is first. */
  readonly #waiting = new Map<TurnsKey, Waiting>();
  #count = 0;
  #bytes = 0;
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
    return this.#count;
  }

  /**
   * Evaluates an event of the container, now or later, after all that it has waiting. `now` must not throw; `later` is called
   * where it has to wait. False: as much of it waits as may, and nothing was done. Where only all containers' room is full, its
   * oldest are evaluated at once.
   */
  event(container: TurnsKey, now: () => void, later: () => LaterWork): boolean {
    this.#wantTurn();
    const waiting = this.#waiting.get(container);
    if (waiting === undefined && this.#hasShare(container)) {
      this.#run(container, now);
      return true;
    }
    if (waiting !== undefined && isFull(waiting)) return false;
    const work = later();
    while (!this.#hasRoom(container, work) && this.#shift(container));
    if (this.#hasRoom(container, work)) this.#wait(container, 'events', work);
    else this.#run(container, () => work.run());
    return true;
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
    const { ofAll, bytesOfAll } = MAX_WAITING;
    const waiting = this.#waiting.get(container);
    if (waiting !== undefined && isFull(waiting)) return false;
    return this.#count < ofAll && this.#bytes + bytes <= bytesOfAll;
  }

  #wait(container: TurnsKey, kind: 'events' | 'detections', work: LaterWork): void {
    let waiting = this.#waiting.get(container);
    if (waiting === undefined) {
      waiting = { detections: new Fifo(), events: new Fifo(), bytes: 0 };
      this.#waiting.set(container, waiting);
    }
    waiting[kind].push(work);
    waiting.bytes += work.bytes;
    this.#bytes += work.bytes;
    this.#count++;
  }

  /** Does the oldest that waits of the container; whether there was any. */
  #shift(container: TurnsKey): boolean {
    const waiting = this.#waiting.get(container);
    if (waiting === undefined) return false;
    const { detections, events } = waiting;
    const work = detections.shift() ?? events.shift();
    if (detections.length + events.length === 0) this.#waiting.delete(container);
    if (work === undefined) return false;
    waiting.bytes -= work.bytes;
    this.#bytes -= work.bytes;
    this.#count--;
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
    this.#spentMs.clear();
    const endsMs = this.#nowMs() + CONTAINER_TURN_MS;
    // At least one, however long everything else takes.
    do this.#next();
    while (this.#count > 0 && this.#nowMs() < endsMs);
    if (this.#count > 0) this.#wantTurn();
  }
}

/** By bytes, what came last may have passed the bound. */
function isFull({ detections, events, bytes }: Waiting): boolean {
  const count = detections.length + events.length;
  return count >= MAX_WAITING.ofOne || bytes >= MAX_WAITING.bytesOfOne;
}
