import type { AppIdentity, Container } from '../../apps/identity.ts';
import { DetectionIds } from '../detection-id.ts';
import { Losses } from '../losses.ts';
import { lostNotice, MAX_LOST_RANGES } from '../notices.ts';
import { parseRanges } from '../number-range.ts';
import type { OutgoingLine } from '../receiver.ts';
import type { Delivery } from '../stream.ts';

/** Lines that a receiver will never get, counted by app instance until a notice reports them there. */
export class RefusedLines {
  readonly #losses = new Losses();
  readonly #ids = new DetectionIds();
  #hostname = '';

  /** What the agent says of itself does not count. */
  note(line: OutgoingLine): void {
    if (line.seq > 0) this.#hostname = line.hostname;
    noteIn(this.#losses, line);
  }

  /**
   * `count` of these lines: it is not known which. Where they are of several app instances, or some of them have no number,
   * each instance is told how many at most.
   */
  noteSome(lines: readonly OutgoingLine[], count: number): void {
    if (count >= lines.length) {
      for (const line of lines) this.note(line);
      return;
    }
    const groups = new Losses();
    for (const line of lines) noteIn(groups, line);
    const all = groups.take();
    const atMost = all.length > 1 || lines.some(({ seq }) => seq === 0);
    this.#hostname = lines[0]?.hostname ?? this.#hostname;
    for (const group of all) {
      const most = Math.min(count, group.count);
      this.#losses.add({ ...group, count: most, ...(atMost ? { atMost } : {}) });
    }
  }

  /** Adds back the losses of a notice that was not taken itself. */
  again({ detection, hostname }: Delivery): void {
    const {
      'lost.count': count,
      'lost.first': firstNs,
      'lost.last': lastNs,
    } = detection.outputFields;
    if (typeof count !== 'number' || typeof firstNs !== 'bigint' || typeof lastNs !== 'bigint')
      return;
    this.#hostname = hostname;
    const numbers = parseRanges(detection.outputFields['lost.numbers'], MAX_LOST_RANGES);
    const atMost = detection.outputFields['lost.at_most'] === true ? { atMost: true } : {};
    const { container } = detection;
    this.#losses.add({ container, count, firstNs, lastNs, numbers, ...atMost });
  }

  /** Passes on a notice for each loss. Those not taken (false) are kept for the next time. False if any was not taken. */
  tell(stream: string, take: (notice: Delivery) => boolean): boolean {
    let all = true;
    for (const lost of this.#losses.take()) {
      const detection = lostNotice(stream, lost);
      const id = this.#ids.next(detection.timeNs);
      const taken = take({ detection, id, seq: 0, hostname: this.#hostname });
      if (!taken) this.#losses.add(lost);
      all &&= taken;
    }
    return all;
  }
}

function noteIn(losses: Losses, { app, seq, timeNs }: OutgoingLine): void {
  if (seq === 0) return;
  // Without an instance several containers have numbers of their own under the app's name.
  const isOneInstance = app?.instance !== undefined;
  const container = app === undefined ? undefined : formerContainer(app);
  losses.note(container, timeNs, isOneInstance ? seq : undefined);
}

/** The container of a line that was read back from the disk: only its app is known, and that instances differ. */
function formerContainer(app: AppIdentity): Container {
  const { guid, name, space, org, processType, instance } = app;
  return {
    fullId: JSON.stringify([guid, name, space, org, processType, instance]),
    id: '',
    name: '',
    runtime: 'cgroup',
    labels: {},
    initPid: 0,
    app,
    image: undefined,
    imageRepository: undefined,
    imageTag: undefined,
    imageId: undefined,
    imageDigest: undefined,
    privileged: undefined,
    tty: undefined,
    startedAtMs: undefined,
    details: undefined,
    logFile: undefined,
  };
}
