import type { EarlyDetections } from './agent-succession.ts';
import type { Detection } from './rules/detection.ts';
import type { FanOut } from './streams/fan-out.ts';

/** Options of `Outgoing`. */
export interface OutgoingOptions {
  readonly fanOut: FanOut;
  readonly early: EarlyDetections;
  /** A detection goes to the streams. */
  readonly onDetection: (detection: Detection) => void;
}

/**
 * What leaves the agent. It watches before its streams are open, so that nothing is missed meanwhile: what it finds by then is
 * kept (bounded, as EarlyDetections says), and so are lines of its own, of which there are few.
 */
export class Outgoing {
  readonly #options: OutgoingOptions;
  #early: EarlyDetections | undefined;
  readonly #lines: Detection[] = [];

  constructor(options: OutgoingOptions) {
    this.#options = options;
    this.#early = options.early;
  }

  deliver(detection: Detection): void {
    if (this.#early !== undefined) {
      this.#early.keep(detection);
      return;
    }
    this.#options.onDetection(detection);
    this.#options.fanOut.deliver(detection);
  }

  /** A line of the agent's own. */
  say(line: Detection): void {
    if (this.#early !== undefined) this.#lines.push(line);
    else this.#options.fanOut.say(line);
  }

  /** The streams are open: what was kept goes there first. */
  open(): void {
    const kept = this.#early?.kept();
    this.#early = undefined;
    for (const line of this.#lines.splice(0)) this.say(line);
    for (const detection of kept?.detections ?? []) this.deliver(detection);
    for (const { container, timeNs } of kept?.dropped ?? []) {
      if (container === undefined) continue;
      const times = { firstNs: timeNs, lastNs: timeNs };
      this.#options.fanOut.noteUnseen({ container, reasons: { starting: 1 }, ...times });
    }
  }
}
