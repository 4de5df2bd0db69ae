import { setTimeout as delay } from 'node:timers/promises';
import { readLogLine } from '../../reading/read-log-line.ts';
import type { LogSystem } from '../../reading/read-log-line.ts';
import type { ReadDetection } from '../../reading/read-detection.ts';
import { textIn } from '../../reading/own-fields.ts';
import { readTextLine } from '../../reading/read-text-line.ts';
import { isDrillRule } from '../../shared/drill.ts';
import { COVERAGE_RULE, SUPPRESSED_RULE } from '../../streams/notice-rules.ts';
import type { DrillAction } from './action.ts';
import { UserCommand } from './process.ts';
import type { CommandEnd } from './process.ts';

/** From the end of a command that prints a log and ends to its next run: at first, and later. */
const POLL_MS = 300;
const LATER_POLL_MS = 1000;
const LATER_MS = 10_000;
/** A command that runs for longer follows its log; usually it has connected by then. */
const READY_MS = 2000;

/** The drill's line, when it was first read. */
export interface DrillLine {
  /** Of `performance.now()`. */
  readonly atMs: number;
  /** `unknown`: the log does not say who wrote it. */
  readonly origin: 'varvel' | 'unknown';
  /** Unix ms, by the clock of the agent's host; undefined in the text format, which has no date. */
  readonly eventMs: number | undefined;
  readonly hostname: string | undefined;
  readonly incident?: string | undefined;
}

/** The newest coverage line. */
export interface CoverageLine {
  /** Unix ms, by the clock of the agent's host; undefined in the text format. */
  readonly timeMs: number | undefined;
  readonly hostname: string | undefined;
  /** `start`, `running`, `stop`, `agent stop` or `replaced`. */
  readonly when: string | undefined;
  /** Rules that are off for now, as a reader is told. */
  readonly notWatched: string | undefined;
  /** The sentence, to be quoted. */
  readonly text: string;
}

/** What a log said so far. */
export interface LogFacts {
  readonly drill: DrillLine | undefined;
  readonly coverage: CoverageLine | undefined;
  /** Lines of the agent, or that look like one where the log does not say. */
  readonly agentLines: number;
  readonly lines: number;
  /** Looked like the drill's line and came from elsewhere than the agent. */
  readonly forged: number;
  /** Have the token and the rule, in a form that is none of the known ones. */
  readonly strange: number;
  /** When the newest other drill of the same rule was, unix ms. */
  readonly earlierMs: number | undefined;
  /** Its incident. */
  readonly earlierIncident?: string | undefined;
  /** The agent counted drills instead of writing them. */
  readonly suppressed: boolean;
  /** How the command ended the last time; undefined while its first run goes on. */
  readonly lastEnd: CommandEnd | undefined;
}

/** What a `LogReader` is to look for. */
export interface LogReaderOptions {
  readonly action: Pick<DrillAction, 'token' | 'rule'>;
  /** Where the log is from; undefined: nobody said, so it proves nothing. */
  readonly from: LogSystem | undefined;
  readonly sourceType: string;
  /** Only coverage lines and earlier drills of this app count; undefined for any. */
  readonly app: string | undefined;
}

const NOTHING = { agentLines: 0, lines: 0, forged: 0, strange: 0 };

type Changing = { -readonly [Key in keyof LogFacts]: LogFacts[Key] };

/** Takes the lines of a log; the same line may come again and again. */
export class LogReader {
  readonly #options: LogReaderOptions;
  readonly facts: Changing = {
    ...NOTHING,
    drill: undefined,
    coverage: undefined,
    earlierMs: undefined,
    suppressed: false,
    lastEnd: undefined,
  };
  #counted = { ...NOTHING };

  constructor(options: LogReaderOptions) {
    this.#options = options;
  }

  /** The log is read from its beginning again: the counts are the maximum over all readings. */
  restart(): void {
    this.#counted = { ...NOTHING };
  }

  line(raw: string, atMs: number): void {
    this.#take(raw, atMs);
    for (const name of ['agentLines', 'lines', 'forged', 'strange'] as const)
      this.facts[name] = Math.max(this.facts[name], this.#counted[name]);
  }

  #take(raw: string, atMs: number): void {
    const { from, sourceType, action } = this.#options;
    const { token, rule: own } = action;
    this.#counted.lines++;
    const { origin, text, detection } = readLogLine(raw, from, sourceType);
    const plain = detection === undefined ? readTextLine(text) : undefined;
    const rule = detection?.rule ?? plain?.rule;
    const isDrill =
      rule !== undefined &&
      isDrillRule(rule) &&
      (detection === undefined ? plain?.output.includes(token) : saysToken(detection, token));
    if (origin === 'other') {
      if (isDrill === true) this.#counted.forged++;
      return;
    }
    if (rule === undefined) {
      if (origin === 'varvel') this.#counted.agentLines++;
      if (text.includes(token) && text.includes(own)) this.#counted.strange++;
      return;
    }
    this.#counted.agentLines++;
    if (isDrill === true) {
      const eventMs = detection === undefined ? undefined : Date.parse(detection.time);
      const { hostname } = detection ?? {};
      const incident = (detection ?? plain)?.incident;
      this.facts.drill ??= { atMs, origin, eventMs, hostname, incident };
    } else if (detection !== undefined) this.#other(detection);
    else if (plain?.rule === COVERAGE_RULE) {
      const { output, fields } = plain;
      const said = coverageSaid(fields, output);
      this.facts.coverage = { timeMs: undefined, hostname: undefined, ...said };
    }
  }

  #other({ rule, time, hostname, fields, output, app, incident }: ReadDetection): void {
    const { action, app: wanted } = this.#options;
    if (wanted !== undefined && app?.['name'] !== wanted && app?.['guid'] !== wanted) return;
    const timeMs = Date.parse(time);
    if (rule === action.rule && timeMs >= (this.facts.earlierMs ?? 0)) {
      this.facts.earlierMs = timeMs;
      this.facts.earlierIncident = incident;
    }
    if (rule === SUPPRESSED_RULE && fields['suppressed.rule'] === action.rule)
      this.facts.suppressed = true;
    const newer = timeMs >= (this.facts.coverage?.timeMs ?? 0);
    if (rule !== COVERAGE_RULE || !newer) return;
    this.facts.coverage = { timeMs, hostname, ...coverageSaid(fields, output) };
  }
}

function coverageSaid(
  fields: Readonly<Record<string, unknown>>,
  text: string,
): Pick<CoverageLine, 'when' | 'notWatched' | 'text'> {
  const when = textIn(fields, 'coverage.when');
  return { when, notWatched: textIn(fields, 'coverage.not_watched'), text };
}

function saysToken({ fields, output }: ReadDetection, token: string): boolean {
  return fields['fd.filename'] === token || output.includes(token);
}

/** Runs a command that prints a log, again when it has ended, and takes its lines. */
export class LogWatch {
  readonly #command: string;
  readonly #reader: LogReader;
  #running: UserCommand | undefined;
  readonly #stopped = new AbortController();

  constructor(command: string, options: LogReaderOptions) {
    this.#command = command;
    this.#reader = new LogReader(options);
  }

  get facts(): LogFacts {
    return this.#reader.facts;
  }

  /** Resolves when the log was read once, or is being followed. */
  async start(): Promise<void> {
    await Promise.race([
      new Promise<void>((resolve) => void this.#follow(resolve)),
      delay(READY_MS),
    ]);
  }

  stop(): void {
    this.#stopped.abort();
    this.#running?.stop();
  }

  async #follow(onRead: () => void): Promise<void> {
    const { signal } = this.#stopped;
    const beganMs = performance.now();
    while (!this.#isStopped()) {
      this.#reader.restart();
      this.#running = new UserCommand(this.#command, undefined, (line) =>
        this.#reader.line(line, performance.now()),
      );
      const end = await this.#running.ended;
      if (this.#isStopped()) return;
      this.#reader.facts.lastEnd = end;
      onRead();
      const isLater = performance.now() - beganMs > LATER_MS;
      const waitMs = isLater ? LATER_POLL_MS : POLL_MS;
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }
}
