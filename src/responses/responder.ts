import type { Container } from '../apps/identity.ts';
import type { Process } from '../context/process.ts';
import { isDrillRule } from '../shared/drill.ts';
import { RecentMap } from '../shared/recent-map.ts';
import type { ResponseName } from '../shared/response-names.ts';
import type { OperatorResponses, RespondedRule } from './operator-responses.ts';
import type { Response, ResponseHost, ResponseOutcome } from './response.ts';
import { RESPONSES } from './responses.ts';

/** Processes that the operator's responses end in a minute: what a rule that is wrong, or a storm, can do to an app and a host. */
export const MAX_A_MINUTE = { ofContainer: 60, ofHost: 600 };
/** Containers that are counted; the oldest begin anew. */
const MAX_CONTAINERS = 10_000;
/** Processes that were ended, of which records may be still to come. */
const MAX_ENDED = 1024;
const MINUTE_MS = 60_000;

/** What was done about a detection. */
export interface DoneResponse {
  readonly name: ResponseName;
  readonly outcome: ResponseOutcome;
  readonly guarantee: Response['guarantee'];
}

/** A detection, and who may have something done about it. */
export interface Respondable {
  /** As the operator has it. Undefined: the app has added it, and the operator's responses are not about it. */
  readonly rule: RespondedRule | undefined;
  readonly container: Container;
  readonly process: Process;
  /** What the app's policy asks for. */
  readonly asked: ResponseName | undefined;
  /** Whether the exceptions that the app has to this rule were asked: what they let pass is no detection. */
  readonly isAnswered: () => boolean;
}

export interface ResponderOptions {
  readonly host: ResponseHost;
  readonly operators: OperatorResponses;
  /** Monotonic ms. */
  readonly nowMs: () => number;
}

/** How often what became of responses; monotonic. */
export interface ResponseCount {
  readonly name: ResponseName;
  readonly outcome: ResponseOutcome;
  readonly count: number;
}

/** Does what is to be done about a detection: what the app's policy asks for, and what the operator does. Never throws. */
export class Responder {
  readonly #host: ResponseHost;
  readonly #nowMs: () => number;
  #operators: OperatorResponses;
  readonly #counts = new Map<ResponseName, Map<ResponseOutcome, number>>();
  #ofContainer = new RecentMap<string, number>(MAX_CONTAINERS);
  #ofHost = 0;
  #minute = -1;
  /** By pid: the start of a process that was ended. */
  readonly #ended = new RecentMap<number, bigint>(MAX_ENDED);

  constructor({ host, operators, nowMs }: ResponderOptions) {
    this.#host = host;
    this.#operators = operators;
    this.#nowMs = nowMs;
  }

  /** What the operator wants from now on. */
  setOperators(operators: OperatorResponses): void {
    this.#operators = operators;
  }

  respond(detection: Respondable): DoneResponse | undefined {
    const { rule, container } = detection;
    const isAnswerable = rule !== undefined && !isDrillRule(rule.name);
    const operators = isAnswerable ? this.#operators.of(rule, container.app) : undefined;
    const name = detection.asked ?? operators?.response;
    if (name === undefined) return undefined;
    const outcome = this.#refusal(detection, operators?.mode) ?? this.#apply(name, detection);
    const counts = this.#counts.get(name) ?? new Map<ResponseOutcome, number>();
    this.#counts.set(name, counts.set(outcome, (counts.get(outcome) ?? 0) + 1));
    return { name, outcome, guarantee: RESPONSES[name].guarantee };
  }

  counts(): ResponseCount[] {
    return [...this.#counts].flatMap(([name, counts]) =>
      [...counts].map(([outcome, count]) => ({ name, outcome, count })),
    );
  }

  /** Why nothing is done; undefined where it is. What an app asks of itself is its own affair. */
  #refusal(
    { asked, isAnswered, container, process }: Respondable,
    mode: 'monitor' | 'enforce' | undefined,
  ): ResponseOutcome | undefined {
    if (asked !== undefined) return undefined;
    if (!isAnswered()) return 'unanswered';
    if (mode !== 'enforce') return 'monitored';
    return this.#hasEnded(process) || this.#hasRoom(container.fullId) ? undefined : 'limited';
  }

  #apply(name: ResponseName, { asked, container, process }: Respondable): ResponseOutcome {
    // What it had done before it was ended comes after that.
    if (this.#hasEnded(process)) return 'done';
    const outcome = RESPONSES[name].apply(process, this.#host);
    if (outcome !== 'done') return outcome;
    this.#ended.set(process.pid, process.startBootNs);
    if (asked === undefined) this.#countOne(container.fullId);
    return outcome;
  }

  #hasEnded({ pid, startBootNs }: Process): boolean {
    return this.#ended.get(pid) === startBootNs;
  }

  /** Whether the container, and the host, may have one more in this minute. */
  #hasRoom(container: string): boolean {
    const minute = Math.floor(this.#nowMs() / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#ofHost = 0;
      this.#ofContainer = new RecentMap(MAX_CONTAINERS);
    }
    const { ofContainer, ofHost } = MAX_A_MINUTE;
    return (this.#ofContainer.get(container) ?? 0) < ofContainer && this.#ofHost < ofHost;
  }

  #countOne(container: string): void {
    this.#ofHost++;
    this.#ofContainer.set(container, (this.#ofContainer.get(container) ?? 0) + 1);
  }
}
