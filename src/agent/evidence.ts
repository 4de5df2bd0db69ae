import { lookAtProcess, type ProcessLook } from '../context/process-look.ts';
import { startTicksOf } from '../context/proc-reader.ts';
import type { Process } from '../context/process.ts';
import type { FileDigest } from '../host/file-digest.ts';
import type { ResponseLimits } from '../responses/response.ts';
import { RecentUses } from '../responses/recent-uses.ts';
import type { DoneResponse, Respondable } from '../responses/responder.ts';
import { ancestors, containerAncestors } from '../rules/fields/ancestors.ts';
import { MAX_LINEAGE_ANCESTORS } from '../rules/lineage.ts';
import type { Detection } from '../rules/detection.ts';
import { RecentMap } from '../shared/recent-map.ts';
import { evidenceNotice } from '../streams/evidence-notice.ts';
import type { Delivery } from '../streams/stream.ts';
import { FileDigests, type DigestJob } from './file-digests.ts';

const MINUTE_MS = 60_000;
/** Lines of evidence in a minute, of a container and of the host. */
export const EVIDENCE_LIMITS: ResponseLimits = {
  periodMs: MINUTE_MS,
  ofHost: 30,
  ofOne: 6,
  oneOf: ({ fullId }) => fullId,
};
/** Limit on processes of which evidence was gathered; the oldest may have it again before their minute is over. */
const PROCESSES_MAX = 1024;

/** How long a line waits for the number of its detection, and for digests. */
const NUMBER_MS = 1000;
const DIGEST_MS = 10_000;
/** Of both, where the container is to be ended in a second: its log takes no line later. */
const ENDING_MS = 500;

export interface EvidenceOptions {
  /** Monotonic ms. */
  readonly nowMs: () => number;
  readonly say: (line: Detection) => void;
  /** Default: of the process, by /proc. */
  readonly look?: typeof lookAtProcess;
}

/** Monotonic. */
export interface EvidenceCounts {
  readonly written: number;
  /** Of `written`: something is missing. */
  readonly partly: number;
  /** Not gathered, as the limit of lines in a minute was reached. */
  readonly limited: number;
}

/** What was gathered of a detection, before its response. */
interface Taken {
  readonly detection: Respondable;
  readonly look: ProcessLook;
  readonly processes: readonly string[];
  /** As it was then: another exec changes the process. */
  readonly image: Process['image'];
}

/** A line of evidence that is not written yet. */
interface Waiting extends Taken {
  readonly responses: readonly DoneResponse[];
  readonly jobs: readonly (readonly [what: 'executable' | 'file', job: DigestJob])[];
  readonly timers: NodeJS.Timeout[];
  line: Pick<Delivery, 'seq' | 'id'> | undefined;
  /** It waits no longer for a number. */
  isLate: boolean;
}

/**
 * Evidence of detections that a response is applied to: what the process had open is looked at just before (`lookAtProcess`), files are
 * read afterwards, and one line of the agent’s own tells of both. Once a minute for each process.
 */
export class Evidence {
  readonly #options: EvidenceOptions;
  readonly #digests: FileDigests;
  readonly #uses = new RecentUses(EVIDENCE_LIMITS);
  /** When it was gathered, by pid and start. */
  readonly #processes = new RecentMap<string, number>(PROCESSES_MAX);
  /** By the event's number and the rule. */
  readonly #waiting = new Map<string, Waiting>();
  #taken: Taken | undefined;
  /** The detection that was asked for last: several responses have one evidence. */
  #asked: Respondable | undefined;
  #written = 0;
  #partly = 0;
  #limited = 0;

  constructor(options: EvidenceOptions) {
    this.#options = options;
    this.#digests = new FileDigests(options.nowMs);
  }

  /** Looks at the process: call it just before a response is applied. Takes at most some LOOK_CPU_MS. */
  before(detection: Respondable): void {
    if (this.#asked === detection) return;
    this.#asked = detection;
    this.#taken = this.#isDue(detection) ? this.#take(detection) : undefined;
  }

  /** What was done about the detection. Where the kernel had prevented it, the look is now: nothing waits for it. */
  after(detection: Respondable, responses: readonly DoneResponse[]): void {
    if (responses.some(({ outcome }) => outcome === 'prevented')) this.before(detection);
    const taken = this.#asked === detection ? this.#taken : undefined;
    this.#asked = undefined;
    this.#taken = undefined;
    if (taken !== undefined) this.#finish(taken, responses);
  }

  /** A detection has its number. */
  onNumbered({ detection, seq, id }: Delivery): void {
    if (this.#waiting.size === 0) return;
    const key = keyOf(detection);
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    waiting.line = { seq, id };
    this.#write(key, waiting);
  }

  counts(): EvidenceCounts {
    return { written: this.#written, partly: this.#partly, limited: this.#limited };
  }

  /** Writes what waits, as it is. */
  close(): void {
    for (const [key, waiting] of this.#waiting) this.#write(key, waiting, true);
  }

  #isDue(detection: Respondable): boolean {
    const nowMs = this.#options.nowMs();
    const { pid, startBootNs } = detection.process;
    const process = `${pid} ${startBootNs}`;
    if (nowMs - (this.#processes.get(process) ?? -Infinity) < MINUTE_MS) return false;
    if (!this.#uses.hasRoom(detection, nowMs)) {
      this.#limited++;
      return false;
    }
    this.#uses.note(detection, nowMs);
    this.#processes.set(process, nowMs);
    return true;
  }

  #take(detection: Respondable): Taken {
    const { process } = detection;
    const look = (this.#options.look ?? lookAtProcess)(
      process.pid,
      startTicksOf(process.startBootNs),
    );
    const above = [...containerAncestors(process)].slice(0, MAX_LINEAGE_ANCESTORS);
    return { detection, look, image: process.image, processes: [process, ...above].map(shown) };
  }

  #finish(taken: Taken, responses: readonly DoneResponse[]): void {
    const key = keyOf({ eventNum: taken.detection.eventNum, rule: taken.detection.matched.name });
    const jobs = this.#jobsOf(taken);
    const waiting: Waiting = {
      ...taken,
      responses,
      jobs,
      timers: [],
      line: undefined,
      isLate: false,
    };
    const isEnding = responses.some(
      ({ name, outcome }) => name === 'restart' && outcome === 'done',
    );
    const write = (isLast: boolean) => (): void => {
      waiting.isLate = true;
      this.#write(key, waiting, isLast);
    };
    waiting.timers.push(
      setTimeout(write(false), isEnding ? ENDING_MS : NUMBER_MS),
      setTimeout(write(true), isEnding ? ENDING_MS : DIGEST_MS),
    );
    this.#waiting.set(key, waiting);
    for (const [, { ended }] of jobs) void ended.then(() => this.#write(key, waiting));
  }

  #jobsOf({ detection, look, image }: Taken): Waiting['jobs'] {
    const { process, container, denied, file } = detection;
    const inside = [...containerAncestors(process)].map(({ pid }) => pid);
    const places = [...(look.isThere ? [process.pid] : []), ...inside, container.initPid];
    const outside = [...ancestors(process)].find(({ inScope }) => !inScope);
    const hosts = outside === undefined ? [1] : [1, outside.pid];
    const { program, mounts } = look;
    const state = { ino: image.exeIno, changedNs: image.exeCtimeNs };
    const executable =
      program !== undefined && mounts !== undefined
        ? this.#digests.ofOpen({ file: program, mounts }, hosts)
        : this.#digests.ofPath(image.exePath, places, state, hosts);
    if (denied !== 'file' || file === undefined) return [['executable', executable]];
    const refused = this.#digests.ofPath(file.path, places, { ino: file.ino }, hosts);
    return [
      ['executable', executable],
      ['file', refused],
    ];
  }

  /** `isNow`: also if something is still waited for. */
  #write(key: string, waiting: Waiting, isNow = false): void {
    const isWhole =
      (waiting.line !== undefined || waiting.isLate) &&
      waiting.jobs.every(([, { result }]) => result !== undefined);
    if (!(isNow || isWhole) || this.#waiting.get(key) !== waiting) return;
    this.#waiting.delete(key);
    waiting.timers.forEach(clearTimeout);
    for (const [, job] of waiting.jobs) job.giveUp();
    const missing = missingOf(waiting);
    this.#written++;
    if (missing.length > 0) this.#partly++;
    this.#options.say(this.#noticeOf(waiting, missing));
  }

  #noticeOf(
    { detection, look, image, processes, ...more }: Waiting,
    missing: readonly string[],
  ): Detection {
    const { container, matched, timeNs, process, denied, file } = detection;
    const digestOf = (what: 'executable' | 'file'): FileDigest | undefined => {
      const result = more.jobs.find(([of]) => of === what)?.[1].result;
      return typeof result === 'object' ? result : undefined;
    };
    return evidenceNotice({
      container,
      rule: matched.name,
      timeNs,
      line: more.line,
      responses: more.responses.map(({ name, outcome }) => `${name} ${outcome}`).join(', '),
      process: { pid: process.vpid, name: image.name },
      missing,
      program: { path: image.exePath, digest: digestOf('executable') },
      file:
        denied === 'file' && file !== undefined
          ? { path: file.path, digest: digestOf('file') }
          : undefined,
      processes,
      open: look.open,
      files: look.files,
      sockets: look.sockets,
    });
  }
}

const keyOf = ({ eventNum, rule }: Pick<Detection, 'eventNum' | 'rule'>): string =>
  `${eventNum} ${rule}`;

/** Not the path of an ancestor of which only the name is known: looking would read /proc. */
const shown = ({ vpid, image, origin }: Process): string =>
  [vpid, image.name, ...(origin === 'ancestor' ? [] : [image.exePath])].join(' ');

function missingOf({ look, jobs }: Pick<Waiting, 'look' | 'jobs'>): readonly string[] {
  const ofFiles = jobs.flatMap(([what, { result }]) =>
    typeof result === 'object' ? [] : [`sha256 of the ${what}: ${result ?? 'no time'}`],
  );
  return [
    ...(look.isThere ? [] : ['open files and sockets: the process had ended']),
    ...look.missing,
    ...ofFiles,
  ];
}
