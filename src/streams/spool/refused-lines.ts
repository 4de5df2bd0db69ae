import type { AppIdentity, Container } from '../../apps/identity.ts';
import { DetectionIds } from '../detection-id.ts';
import { Losses } from '../losses.ts';
import { lostNotice } from '../notices.ts';
import type { OutgoingLine } from '../receiver.ts';
import type { Delivery } from '../stream.ts';

/** Lines that a receiver will never take, counted by the app's instance until they are told there. */
export class RefusedLines {
  readonly #losses = new Losses();
  readonly #ids = new DetectionIds();
  #hostname = '';

  /** What the agent says of itself does not count. */
  note({ app, seq, timeNs, hostname }: OutgoingLine): void {
    if (seq === 0) return;
    this.#hostname = hostname;
    this.#losses.note(app === undefined ? undefined : formerContainer(app), timeNs, 1);
  }

  /** Hands over a notice for each; those that are not taken (false) stay for the next time. */
  tell(stream: string, take: (notice: Delivery) => boolean): void {
    for (const lost of this.#losses.take()) {
      const detection = lostNotice(stream, lost);
      const id = this.#ids.next(detection.timeNs);
      const taken = take({ detection, id, seq: 0, hostname: this.#hostname });
      if (!taken) this.#losses.add(lost);
    }
  }
}

/** The container of a line that was read back from the disk: only its app is known, and that instances differ. */
function formerContainer(app: AppIdentity): Container {
  const { guid, name, space, org, processType, instance } = app;
  return {
    fullId: JSON.stringify([guid, name, space, org, processType, instance]),
    ...{ id: '', name: '', runtime: 'cgroup', labels: {}, initPid: 0, app },
    ...{ image: undefined, imageRepository: undefined, imageTag: undefined },
    ...{ imageId: undefined, imageDigest: undefined, privileged: undefined, tty: undefined },
    ...{ startedAtMs: undefined, details: undefined, logFile: undefined },
  };
}
