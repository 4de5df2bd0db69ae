import type { Container } from '../apps/identity.ts';
import type { Process } from '../context/process.ts';
import { isDrillRule } from '../shared/drill.ts';
import { RecentMap } from '../shared/recent-map.ts';
import type { ResponseName } from '../shared/response-names.ts';
import type { OperatorResponses, RespondedRule } from './operator-responses.ts';
import type { Response, ResponseHost, ResponseOutcome } from './response.ts';
import { RESPONSES } from './responses.ts';

/** Limits on processes that the operator's responses kill in a minute: the damage that a wrong rule or a storm can do. */
export const MAX_A_MINUTE = { ofContainer: 60, ofHost: 600 };
/** Limit on counted containers; the oldest start again from zero. */
const MAX_CONTAINERS = 10_000;
/** Limit on remembered killed processes, whose records may still arrive. */
const MAX_ENDED = 1024;
const MINUTE_MS = 60_000;

/** The response to a detection, and its outcome. */
export interface DoneResponse {
  readonly name: ResponseName;
  readonly outcome: ResponseOutcome;
  readonly guarantee: Response['guarantee'];
}

/** A detection, and the response that the app asks for. */
export interface Respondable {
  /** The operator's version of the rule. Undefined: the app has added it, and the operator's responses do not apply. */
  readonly rule: RespondedRule | undefined;
  readonly container: Container;
  readonly process: Process;
  /** The response that the app's policy asks for. */
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

/** How often a response had an outcome; monotonic. */
export interface ResponseCount {
  readonly name: ResponseName;
  readonly outcome: ResponseOutcome;
  readonly count: number;
}

/** Runs the response to a detection, from the app's policy or else from the operator. Never throws. */
export class Responder {
  readonly #host: ResponseHost;
  readonly #nowMs: () => number;
  #operators: OperatorResponses;
  readonly #counts = new Map<ResponseName, Map<ResponseOutcome, number>>();
  #ofContainer = new RecentMap<string, number>(MAX_CONTAINERS);
  #ofHost = 0;
  #minute = -1;
  /** Start times of killed processes, by pid. */
  readonly #ended = new RecentMap<number, bigint>(MAX_ENDED);

  constructor({ host, operators, nowMs }: ResponderOptions) {
    this.#host = host;
    this.#operators = operators;
    this.#nowMs = nowMs;
  }

  /** Sets the operator's responses from now on. */
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

  /** Why nothing is done; undefined if something is. Limits and modes do not apply to what an app asks for itself. */
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
    // A record of what it had done before it was killed.
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

  /** Whether the limits of container and host allow one more in this minute. */
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
