import { closeSync, constants, fstatSync, lstatSync, openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Container } from '../../apps/identity.ts';
import { SANDBOX_LABEL } from '../../apps/labels.ts';
import { SILENT_LOGGER, type Logger } from '../../shared/logger.ts';
import { formatLine, type LineFormat } from '../format.ts';
import { RecentMap } from '../../shared/recent-map.ts';
import type { Delivery, LogStream, StreamCounters } from '../stream.ts';
import { criEntrances, isCriRunning } from './locate-cri-log.ts';
import {
  anyExecRootExists,
  entrancesThroughShim,
  fifoEntrances,
  isRunning,
  withFirstProcess,
  type LogEntrance,
} from './locate-log.ts';

/** PIPE_BUF on Linux (pipe(7)): a write of at most this many bytes is all or nothing, and never torn. */
const PIPE_BUF = 4096;
const MAX_LINE_BYTES = PIPE_BUF - '\n\n'.length;

/** Retry intervals for a full pipe (or a starting container): short at first, since the engine frees it in bursts, then longer. */
const RETRIES = [
  { untilMs: 200, everyMs: 1 },
  { untilMs: 1000, everyMs: 5 },
  { untilMs: Infinity, everyMs: 25 },
] as const;
/** How long a container's pipe may be full before its lines are dropped; each line still gets FULL_LINE_MS. */
const FULL_MS = 4000;
const FULL_LINE_MS = 500;
/** Limit while the runtime starts the container, which no app can delay: seconds on a busy host. Docker gives up after 30 s. */
const START_MS = 30_000;
/** Limit on containers whose full pipes, and whose FIFOs, are remembered; the oldest is evicted. */
const MAX_REMEMBERED = 1000;
const WARN_EVERY_MS = 60_000;

/** Counters of the container stream. */
export interface ContainerLogCounters extends StreamCounters {
  /** Of `failed`: the container had ended, so that nothing reads its log any more. */
  readonly endedFirst: number;
  /** Of `failed`: it runs, but has closed its stdout and stderr, upon which the engine closes the log. */
  readonly closedByApp: number;
  /** Of `failed`: the pipe stayed full (an engine that hangs, or an app that floods its log) for 4 s, then 500 ms a line. */
  readonly pipeFull: number;
}

export interface ContainerLogOptions {
  /** The engine's exec roots, e.g. `/run/docker` (dockerd's `--exec-root`). Looked at in this order. */
  readonly execRoots: readonly string[];
  /** containerd's state folder, `/run/containerd`, on a host of Kubernetes. */
  readonly criStateDir?: string | undefined;
  readonly format: LineFormat;
  readonly logger?: Logger;
}

/**
 * The FIFO that took a container's last line. While it is the same file, the shim has it open, and no other check is needed.
 * Finding it again costs a hundred calls, and a full pipe is retried each ms. An inode number may be reused; the birth time
 * tells the files apart.
 */
interface KnownFifo {
  readonly path: string;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly birthtimeNs: bigint;
}

type Attempt = 'written' | 'full' | 'not started' | 'closed' | 'ended' | 'not found';

/**
 * Writes detections into the container's own log, where `docker logs` and every log driver find them: into
 * the pipe from which the engine reads the container's standard output (its standard error, once the app has
 * closed the former). Never through a descriptor of the app, which the app may have replaced by anything.
 *
 * A line is one non-blocking write of at most PIPE_BUF bytes, so it arrives whole or not at all, whatever the
 * app writes meanwhile. The pipe is open for microseconds only: a write end held by us would keep the engine
 * waiting for more when the container has ended (measured: `docker wait` returned when we closed it, 8 s
 * late). Opening and writing never block, so both are done in place.
 *
 * Every line starts with a newline. Whether the app's last output ended with one cannot be known from
 * outside: the engine's copier keeps an unfinished line to itself (measured with dockerd 26, drivers
 * `json-file` and `local`: after `printf partial` neither the log file nor `docker logs` shows it; our "\n"
 * then completes it), and any guess made before the write could be made wrong by the app before the write
 * lands, which would let an attacker glue its text to our line. The price is an empty line in the log.
 */
export class ContainerLogStream implements LogStream {
  readonly name = 'container';
  readonly audience = 'tenant';
  readonly #execRoots: readonly string[];
  readonly #criStateDir: string;
  readonly #format: LineFormat;
  readonly #logger: Logger;
  #delivered = 0;
  #failed = 0;
  #endedFirst = 0;
  #closedByApp = 0;
  #pipeFull = 0;
  #closed = false;
  /** Monotonic ms of when a container's pipe was found full and has been since, by its full id. */
  readonly #fullSince = new RecentMap<string, number>(MAX_REMEMBERED);
  /** By the container's full id. */
  readonly #known = new RecentMap<string, KnownFifo>(MAX_REMEMBERED);
  #warnedAtMs = -Infinity;

  constructor(options: ContainerLogOptions) {
    this.#execRoots = options.execRoots;
    this.#criStateDir = options.criStateDir ?? '/run/containerd';
    this.#format = options.format;
    this.#logger = options.logger ?? SILENT_LOGGER;
  }

  /**
   * Containers of Docker and Kubernetes. The agent's notices only while the container runs, or is being started: nobody reads its
   * log afterwards.
   */
  accepts({ detection: { container, source, timeNs } }: Delivery): boolean {
    switch (container?.runtime) {
      case 'docker':
        return (
          source !== 'varvel' ||
          isRunning(withFirstProcess(container, this.#execRoots)) ||
          fifoEntrances(container, this.#execRoots, timeNs) === 'not started'
        );
      case 'cri':
        return (
          source !== 'varvel' ||
          isCriRunning(container, this.#criStateDir) ||
          this.#criEntrances(container) === 'not started'
        );
      default:
        return false;
    }
  }

  async deliver(delivery: Delivery): Promise<boolean> {
    const { container, timeNs } = delivery.detection;
    if (container === undefined) return this.#fail('not found');
    const line = formatLine(delivery, { format: this.#format, maxBytes: MAX_LINE_BYTES });
    const bytes = Buffer.from(`\n${line}\n`);
    let hindered: Attempt | undefined;
    let sinceMs = 0;
    for (;;) {
      const attempt = this.#attempt(container, timeNs, bytes);
      if (attempt === 'written') {
        this.#fullSince.delete(container.fullId);
        this.#delivered++;
        return true;
      }
      const nowMs = performance.now();
      if (attempt !== hindered) sinceMs = nowMs;
      hindered = attempt;
      if (this.#closed || nowMs >= this.#givenUpMs(attempt, container, sinceMs)) {
        if (attempt === 'not found') this.#warnNotFound(container);
        return this.#fail(attempt);
      }
      await delay(RETRIES.find(({ untilMs }) => nowMs - sinceMs < untilMs)?.everyMs);
    }
  }

  /** Deadline (monotonic ms) of a line that has failed since `sinceMs`: other failures are not temporary. */
  #givenUpMs(attempt: Attempt, { fullId }: Container, sinceMs: number): number {
    if (attempt === 'not started') return sinceMs + START_MS;
    if (attempt !== 'full') return sinceMs;
    const fullSince = this.#fullSince.get(fullId);
    if (fullSince === undefined) this.#fullSince.set(fullId, sinceMs);
    return Math.max((fullSince ?? sinceMs) + FULL_MS, sinceMs + FULL_LINE_MS);
  }

  counters(): ContainerLogCounters {
    return {
      delivered: this.#delivered,
      failed: this.#failed,
      dropped: 0,
      endedFirst: this.#endedFirst,
      closedByApp: this.#closedByApp,
      pipeFull: this.#pipeFull,
    };
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  #fail(attempt: Attempt): false {
    this.#failed++;
    if (attempt === 'ended') this.#endedFirst++;
    if (attempt === 'closed') this.#closedByApp++;
    if (attempt === 'full') this.#pipeFull++;
    return false;
  }

  #attempt(container: Container, timeNs: bigint, bytes: Buffer): Attempt {
    if (container.runtime === 'cri') return this.#attemptCri(container, bytes);
    const { fullId } = container;
    const known = this.#known.get(fullId);
    if (known !== undefined && isStill(known, timeNs)) {
      const { attempt } = writeOnce({ path: known.path, magicLink: false }, bytes);
      if (attempt !== 'no reader') return attempt;
    }
    this.#known.delete(fullId);
    const fifos = fifoEntrances(container, this.#execRoots, timeNs);
    if (fifos === 'of another run') return 'ended';
    if (fifos === 'not started') return fifos;
    const entrances = fifos.length > 0 ? fifos : entrancesThroughShim(container);
    for (const entrance of entrances) {
      const { attempt, fifo } = writeOnce(entrance, bytes);
      if (attempt === 'no reader') continue;
      // Without a birth time a reused inode cannot be detected.
      if (!entrance.magicLink && fifo !== undefined && fifo.birthtimeNs > 0n)
        this.#known.set(fullId, fifo);
      return attempt;
    }
    const found = entrances.length > 0;
    if (isRunning(withFirstProcess(container, this.#execRoots)))
      return found ? 'closed' : 'not found';
    return found || anyExecRootExists(this.#execRoots) ? 'ended' : 'not found';
  }

  #attemptCri(container: Container, bytes: Buffer): Attempt {
    const entrances = this.#criEntrances(container);
    if (typeof entrances === 'string') return entrances;
    for (const entrance of entrances) {
      const { attempt } = writeOnce(entrance, bytes);
      if (attempt !== 'no reader') return attempt;
    }
    // Its shim closed it this moment.
    return isCriRunning(container, this.#criStateDir) ? 'closed' : 'ended';
  }

  #criEntrances(container: Container): ReturnType<typeof criEntrances> {
    return criEntrances(container, this.#criStateDir, container.labels[SANDBOX_LABEL] ?? '');
  }

  #warnNotFound(container: Container): void {
    const nowMs = performance.now();
    if (nowMs - this.#warnedAtMs < WARN_EVERY_MS) return;
    this.#warnedAtMs = nowMs;
    const [where, advice] =
      container.runtime === 'cri'
        ? [
            { stateDir: this.#criStateDir },
            `Set runtimes.cri.state_dir to containerd's state folder (by default /run/containerd). CRI-O's logs cannot be written to: there, set streams.container.enabled: false and use another stream.`,
          ]
        : [
            { execRoots: this.#execRoots },
            `Set runtimes.docker.exec_root to dockerd's --exec-root (by default /run/docker).`,
          ];
    this.#logger.warn(
      { container: container.id, ...where },
      `The log of container ${container.id} was not found, so its detections are missing there. ${advice}`,
    );
  }
}

/** Whether the path still leads to that FIFO, and the event (Unix ns) is of its run. */
function isStill({ path, dev, ino, birthtimeNs }: KnownFifo, timeNs: bigint): boolean {
  if (timeNs < birthtimeNs) return false;
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat?.ino === ino && stat.dev === dev && stat.birthtimeNs === birthtimeNs;
}

interface Written {
  readonly attempt: 'written' | 'full' | 'no reader';
  /** What was opened, when it was a FIFO. */
  readonly fifo?: KnownFifo;
}

function writeOnce(entrance: LogEntrance, bytes: Buffer): Written {
  const { path, magicLink } = entrance;
  let fd: number;
  try {
    // libuv adds O_CLOEXEC.
    fd = openSync(
      path,
      constants.O_WRONLY | constants.O_NONBLOCK | (magicLink ? 0 : constants.O_NOFOLLOW),
    );
  } catch {
    return { attempt: 'no reader' }; // ENXIO, or removed meanwhile
  }
  let fifo: KnownFifo | undefined;
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isFIFO()) return { attempt: 'no reader' };
    const { dev, ino, birthtimeNs } = stat;
    const isOther = (entrance.dev ?? Number(dev)) !== Number(dev);
    if (isOther || (entrance.ino ?? Number(ino)) !== Number(ino)) return { attempt: 'no reader' };
    fifo = { path, dev, ino, birthtimeNs };
    return { attempt: writeSync(fd, bytes) === bytes.length ? 'written' : 'full', fifo };
  } catch (error) {
    const isFull = error instanceof Error && 'code' in error && error.code === 'EAGAIN';
    return isFull && fifo !== undefined ? { attempt: 'full', fifo } : { attempt: 'no reader' };
  } finally {
    closeSync(fd);
  }
}
