/** Numbers of an instance of which some may not be in its log. */
export interface NumberGap {
  readonly from: number;
  readonly to: number;
  /**
   * `ended`: the previous agent ended while lines were on their way. `host`: the host crashed, so the last number is unknown.
   * `forgotten`: the instance's numbers are unknown, due to too many instances, or a damaged or unusable file of numbers.
   */
  readonly why: 'ended' | 'host' | 'forgotten';
}

/** What is known of the numbers of one app instance. */
export interface Instance {
  readonly key: string;
  /** -1: forgotten meanwhile. */
  slot: number;
  given: number;
  /** The number of its last line, 0 before the first; undefined where that is not known: numbers may have been skipped. */
  lastLine: number | undefined;
  settled: number;
  readonly underWay: LinesUnderWay;
  /** The first number that a log did not take and that is not reported yet. */
  lostFrom: number | undefined;
  gap: NumberGap | undefined;
}

/**
 * The number of one line and its open deliveries. Call `enqueued` for each log that the line goes to, and `written` or `lost`
 * when that log is done with it. Call `complete` when no other log will follow.
 */
export class Numbered {
  readonly seq: number;
  /** Numbers from this one on become settled together with this line. */
  readonly from: number;
  readonly #instance: Instance;
  readonly #onSettled: (instance: Instance) => void;
  #open = 1;

  constructor(
    instance: Instance,
    { seq, from }: { readonly seq: number; readonly from: number },
    onSettled: (instance: Instance) => void,
  ) {
    this.#instance = instance;
    this.seq = seq;
    this.from = from;
    this.#onSettled = onSettled;
  }

  get settled(): boolean {
    return this.#open === 0;
  }

  enqueued(): void {
    this.#open++;
  }

  written(): void {
    if (--this.#open === 0) this.#onSettled(this.#instance);
  }

  lost(): void {
    this.#instance.lostFrom = Math.min(this.#instance.lostFrom ?? Infinity, this.from);
    this.written();
  }

  complete(): void {
    this.written();
  }
}

/** Settled lines before the first unsettled one that are kept at most, or half of all. */
const KEPT_LINES = 32;

/**
 * Lines on their way, by number. Each line costs the same however many there are: a log that takes nothing lets tens of thousands
 * wait.
 */
export class LinesUnderWay {
  #lines: Numbered[] = [];
  /** Lines before this one are settled. */
  #first = 0;

  get first(): Numbered | undefined {
    return this.#lines[this.#first];
  }

  add(line: Numbered): void {
    this.#lines.push(line);
  }

  addFirst(line: Numbered): void {
    this.#lines.splice(0, this.#first, line);
    this.#first = 0;
  }

  /** Removes the settled ones, up to the first that is not. */
  removeSettled(): void {
    while (this.first?.settled === true) this.#first++;
    if (this.#first === this.#lines.length) this.#lines = [];
    else if (this.#first <= KEPT_LINES || this.#first * 2 < this.#lines.length) return;
    else this.#lines = this.#lines.slice(this.#first);
    this.#first = 0;
  }
}
