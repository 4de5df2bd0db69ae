import { isDrillRule } from '../shared/drill.ts';
import type { ResponseName } from '../shared/response-names.ts';
import { ResponseLedger } from './ledger.ts';
import type { OperatorResponses, RespondedRule } from './operator-responses.ts';
import type { Response, ResponseHost, ResponseOutcome, ResponseTarget } from './response.ts';
import { RESPONSES } from './responses.ts';

/** The response to a detection, and its outcome. */
export interface DoneResponse {
  readonly name: ResponseName;
  readonly outcome: ResponseOutcome;
  readonly guarantee: Response['guarantee'];
}

/** A detection, and the responses that the app asks for. */
export interface Respondable extends ResponseTarget {
  /** The operator's version of the rule. Undefined: the app has added it, and the operator's responses do not apply. */
  readonly rule: RespondedRule | undefined;
  /** The response that the app's policy asks for. */
  readonly asked: ResponseName | undefined;
  /** Whether the app's exceptions to this rule were evaluated: a match that they exempt is no detection. */
  readonly isAnswered: () => boolean;
}

export interface ResponderOptions {
  readonly host: ResponseHost;
  readonly operators: OperatorResponses;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** CLOCK_BOOTTIME ns, as records have it. */
  readonly bootNs: () => bigint;
}

/** How often a response had an outcome; monotonic. */
export interface ResponseCount {
  readonly name: ResponseName;
  readonly outcome: ResponseOutcome;
  readonly count: number;
}

/** Runs the responses to a detection, from the app's policy and from the operator. Never throws. */
export class Responder {
  readonly #host: ResponseHost;
  readonly #nowMs: () => number;
  #operators: OperatorResponses;
  readonly #counts = new Map<ResponseName, Map<ResponseOutcome, number>>();
  readonly #bootNs: () => bigint;
  readonly #ledgers = new Map<ResponseName, ResponseLedger>();

  constructor({ host, operators, nowMs, bootNs }: ResponderOptions) {
    this.#host = host;
    this.#operators = operators;
    this.#nowMs = nowMs;
    this.#bootNs = bootNs;
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
    const outcome = this.#refusal(name, detection, operators?.mode) ?? this.#apply(name, detection);
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
    name: ResponseName,
    detection: Respondable,
    mode: 'monitor' | 'enforce' | undefined,
  ): ResponseOutcome | undefined {
    if (detection.asked !== undefined) return undefined;
    if (!detection.isAnswered()) return 'unanswered';
    if (mode !== 'enforce') return 'monitored';
    const ledger = this.#ledgerOf(name);
    const isAllowed = ledger.hasEnded(detection) || ledger.hasRoom(detection, this.#nowMs());
    return isAllowed ? undefined : 'limited';
  }

  #apply(name: ResponseName, detection: Respondable): ResponseOutcome {
    const ledger = this.#ledgerOf(name);
    // A record of what happened before it was ended.
    if (ledger.hasEnded(detection)) return 'done';
    const outcome = RESPONSES[name].apply(detection, this.#host);
    if (outcome === 'done') ledger.note(detection, this.#bootNs(), detection.asked === undefined);
    return outcome;
  }

  #ledgerOf(name: ResponseName): ResponseLedger {
    const known = this.#ledgers.get(name) ?? new ResponseLedger(RESPONSES[name]);
    this.#ledgers.set(name, known);
    return known;
  }
}
