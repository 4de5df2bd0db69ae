import type { EarlyDetections, SuccessionServer } from './succession.ts';
import type { DetectionAdmission } from '../evaluation/evaluation.ts';
import type { Detection, DetectionBrief } from '../rules/detection.ts';
import type { FanOut } from '../streams/fan-out.ts';

export interface OutgoingOptions {
  readonly fanOut: FanOut;
  readonly early: EarlyDetections;
  /** A detection goes to the streams, or is only counted there. */
  readonly onDetection: (detection: DetectionBrief) => void;
  /** The successor that must learn of each detection with its fields, while there is one. */
  readonly successor: () => Pick<SuccessionServer, 'noteDetection'> | undefined;
}

/**
 * The agent's output. The agent watches before its streams are open, so that nothing is missed. Until then, detections are kept
 * (up to the limit of EarlyDetections), and so are its own lines, of which there are few.
 */
export class Outgoing {
  readonly #options: OutgoingOptions;
  #early: EarlyDetections | undefined;
  readonly #lines: Detection[] = [];

  constructor(options: OutgoingOptions) {
    this.#options = options;
    this.#early = options.early;
  }

  deliver(detection: Detection, admission: DetectionAdmission = 'open'): void {
    if (this.#early !== undefined) {
      this.#early.keep(detection);
      return;
    }
    this.#options.successor()?.noteDetection(detection);
    this.#options.onDetection(detection);
    this.#options.fanOut.deliver(detection, admission === 'admitted');
  }

  /** Decides what happens to a detection whose output is not written yet. */
  admit(detection: DetectionBrief): DetectionAdmission {
    if (this.#early !== undefined || this.#options.successor() !== undefined) return 'open';
    if (this.#options.fanOut.admit(detection)) return 'admitted';
    this.#options.onDetection(detection);
    return 'counted';
  }

  /** Writes one of the agent's own lines. */
  say(line: Detection): void {
    if (this.#early !== undefined) this.#lines.push(line);
    else this.#options.fanOut.say(line);
  }

  /** The streams are open: they first get what was kept. */
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
