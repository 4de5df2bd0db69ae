import { createHash, timingSafeEqual } from 'node:crypto';
import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Detection } from '../rules/detection.ts';
import type { Logger } from '../shared/logger.ts';
import { secretIn, type OwnFolder } from '../host/own-folder.ts';
import { UserError } from '../shared/user-error.ts';

// How one agent replaces another without a gap: both watch for a moment, and a point in time separates what they report. The
// new one connects to the old one's socket and shows the secret of the claim, which only readers of the state folder know. It
// starts beside the old one and says "ready" when it sees everything. The old one then reports what happened before that
// moment, ends in order, and says when it was. The new one has kept what it found since.

const SOCKET = 'succession.sock';
const HELLO = 'hello ';
const READY = 'ready';
const TAKEN = 'taken';
const REFUSED = 'refused';
/** Limit on clients that have not shown the secret; beyond it, the oldest is dropped. */
const MAX_STRANGERS = 8;
/** How long a client may take to show the secret. */
const HELLO_MS = 5_000;
/** Limit on the length of a successor's line. */
const MAX_LINE = 256;
/**
 * Each agent stamps an event by itself, when its probe sees it: the stamps differ by at most this time. So near the separating
 * time, the new one's detections are matched against those that the old one reported.
 */
const SKEW_NS = 20_000_000n;
/**
 * How far back detections that both saw are compared. At the far end an event may match its neighbour instead of itself. That
 * shifts the next, and so on for as long as equal events recur within the skew: a second exceeds any such run.
 */
const BACK_NS = 1_000_000_000n;
const MAX_BOUNDARY = 4096;
/** Limit on detections that a successor keeps until it may write. */
const MAX_EARLY = 65_536;
const WARN_EVERY_MS = 10_000;

/** Fields that differ between two agents that see the same event: its time and its number. */
const OF_THE_AGENT = /^evt\.(?:time|rawtime|num|latency|reltime|datetime)/;

/** Key of a detection: equal for the same event, whichever agent sees it. */
function keyOf({ rule, cgroupId, outputFields }: Detection): string {
  const fields = Object.entries(outputFields).filter(([field]) => !OF_THE_AGENT.test(field));
  const text = JSON.stringify([rule, cgroupId, fields], (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

/** The old agent's message at its end. */
interface Farewell {
  /** It reported what happened before this time; boot ns. */
  readonly since: string;
  /** What it reported within BACK_NS before: boot ns and key, in time order. */
  readonly boundary: readonly (readonly [bootNs: string, key: string])[];
}

export interface SuccessionServerOptions {
  /** The secret of the folder's claim, which a successor must show. */
  readonly secret: string;
  readonly logger: Logger;
  /** A successor sees everything: this agent must end. */
  readonly onAsked: () => void;
}

/**
 * The running agent's side: waits for a successor. Drops a client that is silent for 5 s or sends anything but the secret
 * first. It keeps at most 8 such clients, and none of them blocks a successor.
 */
export class SuccessionServer {
  readonly #server: Server;
  readonly #options: SuccessionServerOptions;
  readonly #path: string;
  readonly #strangers = new Set<Socket>();
  #successor: Socket | undefined;
  #isReady = false;
  #recent: { readonly bootNs: bigint; readonly key: string }[] = [];

  /** Listens in the state folder, which this agent owns and has claimed. Throws the file system's error. */
  static async open(
    folder: OwnFolder,
    options: SuccessionServerOptions,
  ): Promise<SuccessionServer> {
    const path = `${folder.inside}/${SOCKET}`;
    rmSync(path, { force: true, recursive: true });
    const opened = new SuccessionServer(path, options);
    await new Promise<void>((resolve, reject) => {
      opened.#server.once('error', reject);
      opened.#server.listen(path, resolve);
    });
    return opened;
  }

  private constructor(path: string, options: SuccessionServerOptions) {
    this.#path = path;
    this.#options = options;
    this.#server = createServer((socket) => this.#onConnection(socket));
    // An agent that ends does not wait for a successor.
    this.#server.unref();
  }

  get hasSuccessor(): boolean {
    return this.#successor !== undefined;
  }

  /** A detection goes to the streams. */
  noteDetection(detection: Detection): void {
    if (this.#successor === undefined) return;
    this.#recent.push({ bootNs: detection.bootNs, key: keyOf(detection) });
    if (this.#recent.length > 2 * MAX_BOUNDARY) this.#recent = this.#recent.slice(-MAX_BOUNDARY);
  }

  /** Everything before `since` was reported. */
  sayFarewell(since: bigint): void {
    const boundary = this.#recent
      .filter(({ bootNs }) => bootNs >= since - BACK_NS)
      .sort((one, other) => Number(one.bootNs - other.bootNs))
      .map(({ bootNs, key }) => [String(bootNs), key] as const);
    const farewell: Farewell = { since: String(since), boundary };
    this.#successor?.write(`${JSON.stringify(farewell)}\n`);
  }

  /** Call it while the state folder is still open. */
  removeSocket(): void {
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // The disk has become read-only. Nobody listens there any more.
    }
  }

  /** Ends the connection, which tells the successor that everything of this agent's is free. */
  close(): void {
    this.#server.close();
    for (const stranger of this.#strangers) stranger.destroy();
    this.#successor?.end();
    this.#successor?.unref();
  }

  #onConnection(socket: Socket): void {
    socket.on('error', () => undefined);
    this.#strangers.add(socket);
    if (this.#strangers.size > MAX_STRANGERS) {
      const [first] = this.#strangers;
      first?.destroy();
    }
    const timer = setTimeout(() => socket.destroy(), HELLO_MS).unref();
    const onKnown = (): void => {
      clearTimeout(timer);
      this.#strangers.delete(socket);
    };
    socket.on('close', onKnown);
    readLines(socket, (line) => {
      if (this.#strangers.has(socket)) {
        if (!isSecret(line, this.#options.secret)) {
          socket.end(`${REFUSED}\n`);
          socket.destroySoon();
          return;
        }
        onKnown();
        this.#welcome(socket);
      } else if (line === READY && this.#successor === socket) this.#onReady();
    });
  }

  #welcome(socket: Socket): void {
    if (this.#successor !== undefined) {
      socket.end(`${TAKEN}\n`);
      return;
    }
    const { logger } = this.#options;
    this.#successor = socket;
    this.#isReady = false;
    this.#recent = [];
    logger.info({}, 'another agent is starting, to take the place of this one');
    socket.on('close', () => {
      this.#successor = undefined;
      if (!this.#isReady)
        logger.warn({}, 'the agent that was starting has given up: this one goes on');
    });
  }

  #onReady(): void {
    this.#isReady = true;
    this.#options.onAsked();
  }
}

/** Calls `onLine` for each line of a client. Drops a client whose line exceeds the limit. */
function readLines(socket: Socket, onLine: (line: string) => void): void {
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      onLine(line);
    }
    if (text.length > MAX_LINE) socket.destroy();
  });
}

function isSecret(line: string, secret: string): boolean {
  const [shown, wanted] = [Buffer.from(line), Buffer.from(`${HELLO}${secret}`)];
  return shown.length === wanted.length && timingSafeEqual(shown, wanted);
}

/** Detections from before the agent may write. */
export interface EarlyDetections {
  keep(detection: Detection): void;
  /** What must be reported now, and what there was no room for. */
  kept(): { readonly detections: readonly Detection[]; readonly dropped: readonly Detection[] };
}

/** For an agent that replaces nobody: everything must be reported. */
export class FirstDetections implements EarlyDetections {
  #early: Detection[] = [];
  #dropped: Detection[] = [];

  keep(detection: Detection): void {
    const kept = this.#early.length < MAX_EARLY ? this.#early : this.#dropped;
    if (kept.length < MAX_EARLY) kept.push(detection);
  }

  kept(): { readonly detections: readonly Detection[]; readonly dropped: readonly Detection[] } {
    return { detections: this.#early.splice(0), dropped: this.#dropped.splice(0) };
  }
}

/** The new agent's side. */
export class Succession implements EarlyDetections {
  readonly #socket: Socket;
  readonly #logger: Logger;
  readonly #ended: Promise<void>;
  readonly #found = new FirstDetections();
  #farewell: Farewell | undefined;
  #hasEnded = false;
  #answer: typeof TAKEN | typeof REFUSED | undefined;

  /** Undefined if no agent runs there. Throws UserError if the running agent cannot be asked. */
  static async begin(folder: OwnFolder, logger: Logger): Promise<Succession | undefined> {
    const socket = connect({ path: `${folder.inside}/${SOCKET}` });
    const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
      socket.once('connect', () => resolve(undefined));
      socket.once('error', resolve);
    });
    if (error === undefined) {
      // An agent of an earlier version knows no secret and ignores the line.
      socket.write(`${HELLO}${secretIn(folder.inside) ?? ''}\n`);
      return new Succession(socket, logger);
    }
    if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') return undefined;
    throw new UserError(
      `The running agent cannot be asked to hand over: ${error.code ?? error.message}.`,
      { cause: error },
    );
  }

  private constructor(socket: Socket, logger: Logger) {
    this.#socket = socket;
    this.#logger = logger;
    createInterface({ input: socket }).on('line', (line) => {
      if (line === TAKEN || line === REFUSED) this.#answer = line;
      else this.#farewell = farewellIn(line);
    });
    socket.on('error', () => undefined);
    this.#ended = new Promise((resolve) => {
      socket.on('close', () => {
        this.#hasEnded = true;
        resolve();
      });
    });
  }

  /** Keeps a detection until it is known whether the old agent reports it. */
  keep(detection: Detection): void {
    this.#found.keep(detection);
  }

  /**
   * Call it when this agent sees everything: resolves when the old one has reported the rest and has ended. This call cannot be
   * undone. Throws UserError if the old one has another successor or refuses the secret; nothing has changed then.
   */
  async takeOver(): Promise<void> {
    if (this.#hasEnded && this.#farewell === undefined && this.#answer === undefined)
      this.#logger.warn({}, 'the previous agent ended unexpectedly: its last lines may come twice');
    this.#socket.write(`${READY}\n`);
    const timer = setInterval(
      () =>
        this.#logger.warn(
          {},
          'waiting for the previous agent to end: this agent’s lines wait until then',
        ),
      WARN_EVERY_MS,
    );
    await this.#ended;
    clearInterval(timer);
    if (this.#answer === TAKEN)
      throw new UserError('Another agent is already taking the place of the one that runs.');
    if (this.#answer === REFUSED)
      throw new UserError(
        'The running agent refuses to hand over: it does not know the secret in the claim of the state folder ("owner"). Stop it, then start this one without --replace.',
      );
  }

  /** Gives up; the old agent continues. */
  giveUp(): void {
    this.#socket.destroy();
  }

  /**
   * What was found meanwhile and must be reported by this agent, and what there was no room for. Without a farewell (the old
   * one was killed) that is everything: duplicates are better than losses.
   */
  kept(): { readonly detections: readonly Detection[]; readonly dropped: readonly Detection[] } {
    const farewell = this.#farewell ?? { since: '0', boundary: [] };
    const { detections, dropped } = this.#found.kept();
    const ours = oursOf([...detections, ...dropped], BigInt(farewell.since), farewell.boundary);
    const isOurs = (detection: Detection): boolean => ours.has(detection);
    return { detections: detections.filter(isOurs), dropped: dropped.filter(isOurs) };
  }
}

/** Undefined for anything but a farewell. */
function farewellIn(line: string): Farewell | undefined {
  try {
    const { since, boundary } = JSON.parse(line) as Record<string, unknown>;
    if (typeof since !== 'string' || !/^\d{1,20}$/.test(since) || !Array.isArray(boundary))
      return undefined;
    return { since, boundary: boundary as Farewell['boundary'] };
  } catch {
    return undefined;
  }
}

/**
 * In time order, each detection takes the earliest equal one that the old agent reported. So those without a match are the
 * latest possible, and as many as the old one did not report.
 */
function oursOf(
  found: Detection[],
  since: bigint,
  boundary: Farewell['boundary'],
): ReadonlySet<Detection> {
  const told = new Map<string, bigint[]>();
  for (const [bootNs, key] of boundary) {
    const times = told.get(key);
    if (times === undefined) told.set(key, [BigInt(bootNs)]);
    else times.push(BigInt(bootNs));
  }
  const ours = new Set<Detection>();
  found.sort((one, other) => Number(one.bootNs - other.bootNs));
  for (const detection of found) {
    const { bootNs } = detection;
    if (bootNs < since - BACK_NS - SKEW_NS) continue;
    if (bootNs >= since + SKEW_NS) {
      ours.add(detection);
      continue;
    }
    const times = told.get(keyOf(detection)) ?? [];
    while (times[0] !== undefined && times[0] <= bootNs - SKEW_NS) times.shift();
    const isTold = times[0] !== undefined && times[0] < bootNs + SKEW_NS;
    if (isTold) times.shift();
    else if (bootNs >= since - SKEW_NS) ours.add(detection);
  }
  return ours;
}
