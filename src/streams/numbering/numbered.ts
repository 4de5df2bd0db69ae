/** Numbers of an instance of which some may not be in its log. */
export interface NumberGap {
  readonly from: number;
  readonly to: number;
  /**
   * `ended`: the agent before ended while lines were on their way. `host`: the host did, so that nobody knows how far it came.
   * `forgotten`: the numbers of the instance are not known: there were too many instances, or the file of numbers was
   * damaged or could not be used.
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
  /** Lines on their way, by number. */
  underWay: Numbered[];
  /** The first number that a log has not taken and that nobody was told of yet. */
  lostFrom: number | undefined;
  gap: NumberGap | undefined;
}

/**
 * A line's number, and what is still to become of it. `enqueued` for each log that the line goes to, `written` or `lost` when
 * that log is done with it, and `complete` once no other log will follow.
 */
export class Numbered {
  readonly seq: number;
  /** The first number that is not settled before this one is. */
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
