import { createHash, timingSafeEqual } from 'node:crypto';
import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Detection } from '../rules/detection.ts';
import type { Logger } from '../shared/logger.ts';
import { secretIn, type OwnFolder } from '../host/own-folder.ts';
import { UserError } from '../shared/user-error.ts';

// How one agent takes another's place without a gap: both watch for a moment, and a time parts what they tell. The new one
// connects to the old one's socket and shows the secret of the claim, which only who can read the state folder knows. It
// starts beside the old one, and says "ready" when it sees everything. The old one then tells what happened before that
// moment, ends in order, and says when it was. What the new one has found since, it has kept.

const SOCKET = 'succession.sock';
const HELLO = 'hello ';
const READY = 'ready';
const TAKEN = 'taken';
const REFUSED = 'refused';
/** Clients that have not shown the secret; of more, the one that came first is dropped. */
const MAX_STRANGERS = 8;
/** How long a client may take to show the secret. */
const HELLO_MS = 5_000;
/** No line of a successor is longer. */
const MAX_LINE = 256;
/**
 * Both agents stamp an event by themselves, each when its probe saw it: so far apart at most. Around the parting time each
 * of what the new one found is therefore looked for among what the old one told.
 */
const SKEW_NS = 20_000_000n;
/**
 * How far back what both saw is compared. At the far end an event may find its neighbour instead of itself, that one the next,
 * and so on for as long as the same comes again within the skew: a second of it is more than there is.
 */
const BACK_NS = 1_000_000_000n;
const MAX_BOUNDARY = 4096;
/** Detections that a successor keeps until it may write. */
const MAX_EARLY = 65_536;
const WARN_EVERY_MS = 10_000;

/** Of two agents that see the same thing, each says of it by itself when and as what number it came. */
const OF_THE_AGENT = /^evt\.(?:time|rawtime|num|latency|reltime|datetime)/;

/** The same for the same event, whoever sees it. */
function keyOf({ rule, cgroupId, outputFields }: Detection): string {
  const fields = Object.entries(outputFields).filter(([field]) => !OF_THE_AGENT.test(field));
  const text = JSON.stringify([rule, cgroupId, fields], (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

/** What the old agent says at its end. */
interface Farewell {
  /** It told what happened before; boot ns. */
  readonly since: string;
  /** What it told within BACK_NS before: boot ns and key, in the order of time. */
  readonly boundary: readonly (readonly [bootNs: string, key: string])[];
}

export interface SuccessionServerOptions {
  /** What a successor has to show: the secret of the folder's claim. */
  readonly secret: string;
  readonly logger: Logger;
  /** A successor sees everything: time to end. */
  readonly onAsked: () => void;
}

/**
 * The running agent's side: waits for a successor. A client that says nothing for 5 s, or anything but the secret first, is
 * dropped; at most 8 such clients are kept at a time, and none of them keeps a successor out.
 */
export class SuccessionServer {
  readonly #server: Server;
  readonly #options: SuccessionServerOptions;
  readonly #path: string;
  readonly #strangers = new Set<Socket>();
  #successor: Socket | undefined;
  #isReady = false;
  #recent: { readonly bootNs: bigint; readonly key: string }[] = [];

  /** Listens in the state folder, which is the agent's own and claimed by it. Throws the file system's error. */
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
    // An agent that ends does not wait for one.
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

  /** Everything before `since` was told. */
  sayFarewell(since: bigint): void {
    const boundary = this.#recent
      .filter(({ bootNs }) => bootNs >= since - BACK_NS)
      .sort((one, other) => Number(one.bootNs - other.bootNs))
      .map(({ bootNs, key }) => [String(bootNs), key] as const);
    const farewell: Farewell = { since: String(since), boundary };
    this.#successor?.write(`${JSON.stringify(farewell)}\n`);
  }

  /** While the state folder is open still. */
  removeSocket(): void {
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // A disk that went read-only meanwhile. Nobody listens there any more.
    }
  }

  /** Tells the successor, by the end of the connection, that all that was this agent's is free. */
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

/** Hands over each line of what a client sends. One that sends a line without an end is dropped. */
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

/** What an agent has found before it may write. */
export interface EarlyDetections {
  keep(detection: Detection): void;
  /** What is to be told now, and what there was no room for. */
  kept(): { readonly detections: readonly Detection[]; readonly dropped: readonly Detection[] };
}

/** Of an agent that takes nobody's place: all of it is to be told. */
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

  /** Undefined when no agent runs there. Throws UserError when it has a successor already, or cannot be asked. */
  static async begin(folder: OwnFolder, logger: Logger): Promise<Succession | undefined> {
    const socket = connect({ path: `${folder.inside}/${SOCKET}` });
    const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
      socket.once('connect', () => resolve(undefined));
      socket.once('error', resolve);
    });
    if (error === undefined) {
      // An agent of an earlier version knows no secret, and passes over the line.
      socket.write(`${HELLO}${secretIn(folder.inside) ?? ''}\n`);
      return new Succession(socket, logger);
    }
    if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') return undefined;
    throw new UserError(
      `The agent that runs cannot be asked to make room: ${error.code ?? error.message}.`,
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

  /** Keeps a detection until it is known whether the old agent tells it. */
  keep(detection: Detection): void {
    this.#found.keep(detection);
  }

  /**
   * This agent sees everything: resolves when the old one has told the rest and has ended. From this call on there is no way
   * back. Throws UserError, before anything has happened, when the old one has another successor.
   */
  async takeOver(): Promise<void> {
    if (this.#hasEnded && this.#farewell === undefined && this.#answer === undefined)
      this.#logger.warn(
        {},
        'the agent before ended without a word: what it told last may come twice',
      );
    this.#socket.write(`${READY}\n`);
    const timer = setInterval(
      () => this.#logger.warn({}, 'waiting for the agent before to end: lines are kept meanwhile'),
      WARN_EVERY_MS,
    );
    await this.#ended;
    clearInterval(timer);
    if (this.#answer === TAKEN)
      throw new UserError('Another agent is already taking the place of the one that runs.');
    if (this.#answer === REFUSED)
      throw new UserError(
        'The agent that runs does not make room: it does not know the secret in the claim of the state folder ("owner"). Stop it, then start this one without --replace.',
      );
  }

  /** The old agent goes on. */
  giveUp(): void {
    this.#socket.destroy();
  }

  /**
   * What was found meanwhile and is this agent's to tell, and what there was no room for. Without a farewell (the old one was
   * killed) all of it: better twice than never.
   */
  kept(): { readonly detections: readonly Detection[]; readonly dropped: readonly Detection[] } {
    const farewell = this.#farewell ?? { since: '0', boundary: [] };
    const { detections, dropped } = this.#found.kept();
    const ours = oursOf([...detections, ...dropped], BigInt(farewell.since), farewell.boundary);
    const isOurs = (detection: Detection): boolean => ours.has(detection);
    return { detections: detections.filter(isOurs), dropped: dropped.filter(isOurs) };
  }
}

/** Undefined for what is no farewell. */
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
 * In the order of time, each takes the earliest of what was told and is the same; so what finds nothing is as late as can
 * be, and as many as the old one did not tell.
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
