/** Something that is to be written later, and what it takes in memory until then. */
export interface LaterWrite {
  readonly bytes: number;
  /** Must not throw. */
  run(): void;
}

export interface WritingTurnsOptions {
  /** Calls back when the rings and everything else had their turn; default setImmediate. */
  readonly schedule?: (turn: () => void) => void;
  /** Monotonic ms; default performance.now. */
  readonly nowMs?: () => number;
}

/** How long detections are written between two turns of everything else: shared by the containers that have some. */
export const WRITING_TURN_MS = 10;
/** What may wait of one container, and of all: beyond, its oldest is written at once. */
const MAX_WAITING = { ofOne: 1024, ofAll: 8192, bytesOfOne: 4 << 20, bytesOfAll: 16 << 20 };

/** What was written leaves the front of the list when it is so much, and half of it. */
const MOVE_AT = 256;

/** The full id of a container, in whichever of its cgroups it was; without one, the cgroup. */
export type Writer = string | number;

interface Waiting {
  readonly writes: (LaterWrite | undefined)[];
  head: number;
  bytes: number;
}

/**
 * Shares the time in which detections are written out, a millisecond each where they are long. The first of a container are written
 * at once. When a container has had its share of this turn the rest waits, in order, so that events of others need not.
 */
export class WritingTurns {
  readonly #schedule: (turn: () => void) => void;
  readonly #nowMs: () => number;
  /** By container: what was spent on it since the last turn. */
  readonly #spentMs = new Map<Writer, number>();
  /** The one whose turn is next is first. */
  readonly #waiting = new Map<Writer, Waiting>();
  #count = 0;
  #bytes = 0;
  #isScheduled = false;

  constructor({
    schedule = setImmediate,
    nowMs = () => performance.now(),
  }: WritingTurnsOptions = {}) {
    this.#schedule = schedule;
    this.#nowMs = nowMs;
  }

  /** Detections that wait. */
  get waiting(): number {
    return this.#count;
  }

  /** Writes a detection of the container, now or later, after all that it has waiting. `now` must not throw; `later` is called where it has to wait. */
  add(container: Writer, now: () => void, later: () => LaterWrite): void {
    this.#wantTurn();
    const waiting = this.#waiting.get(container);
    if (waiting === undefined && this.#hasShare(container)) {
      this.#run(container, now);
      return;
    }
    const write = later();
    let queue = waiting;
    while (queue !== undefined && !this.#hasRoom(queue, write))
      queue = this.#shift(container, queue) ? queue : undefined;
    if (this.#hasRoom(queue, write)) this.#wait(container, queue, write);
    else this.#run(container, () => write.run());
  }

  /** Writes all that waits. */
  drain(): void {
    for (const container of [...this.#waiting.keys()]) this.#finish(container);
  }

  /** In order of their first detection, containers share the turn: one alone has all of it. */
  #hasShare(container: Writer): boolean {
    const spentMs = this.#spentMs.get(container);
    return spentMs === undefined || spentMs * this.#spentMs.size < WRITING_TURN_MS;
  }

  #run(container: Writer, write: () => void): void {
    const startedMs = this.#nowMs();
    write();
    const spentMs = this.#nowMs() - startedMs;
    this.#spentMs.set(container, (this.#spentMs.get(container) ?? 0) + spentMs);
  }

  #hasRoom(waiting: Waiting | undefined, { bytes }: LaterWrite): boolean {
    const { ofOne, ofAll, bytesOfOne, bytesOfAll } = MAX_WAITING;
    const { writes, head, bytes: before } = waiting ?? { writes: [], head: 0, bytes: 0 };
    return (
      writes.length - head < ofOne &&
      before + bytes <= bytesOfOne &&
      this.#count < ofAll &&
      this.#bytes + bytes <= bytesOfAll
    );
  }

  #wait(container: Writer, waiting: Waiting | undefined, write: LaterWrite): void {
    const queue = waiting ?? { writes: [], head: 0, bytes: 0 };
    if (waiting === undefined) this.#waiting.set(container, queue);
    queue.writes.push(write);
    queue.bytes += write.bytes;
    this.#count++;
    this.#bytes += write.bytes;
  }

  /** Writes all that waits of one container. */
  #finish(container: Writer): void {
    const queue = this.#waiting.get(container);
    if (queue !== undefined) while (this.#shift(container, queue));
  }

  /** Writes the oldest that waits; whether there are more. */
  #shift(container: Writer, queue: Waiting): boolean {
    const write = queue.writes[queue.head];
    queue.writes[queue.head++] = undefined;
    if (queue.head >= MOVE_AT && queue.head * 2 >= queue.writes.length) {
      queue.writes.splice(0, queue.head);
      queue.head = 0;
    }
    const isLast = queue.head >= queue.writes.length;
    if (isLast) this.#waiting.delete(container);
    if (write === undefined) return false;
    queue.bytes -= write.bytes;
    this.#bytes -= write.bytes;
    this.#count--;
    this.#run(container, () => write.run());
    return !isLast;
  }

  #wantTurn(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => this.#turn());
  }

  /** The oldest of the container whose turn it is. */
  #next(): void {
    for (const [container, queue] of this.#waiting) {
      this.#waiting.delete(container);
      this.#waiting.set(container, queue);
      this.#shift(container, queue);
      return;
    }
  }

  #turn(): void {
    this.#isScheduled = false;
    this.#spentMs.clear();
    const endsMs = this.#nowMs() + WRITING_TURN_MS;
    // At least one, however long everything else takes.
    do this.#next();
    while (this.#count > 0 && this.#nowMs() < endsMs);
    if (this.#count > 0) this.#wantTurn();
  }
}
