import type { Process } from '../context/process.ts';
import type { KernelFile } from '../events/event.ts';
import { isDrillRule } from '../shared/drill.ts';
import { RecentMap } from '../shared/recent-map.ts';
import type { Guarantee, ResponseName } from '../shared/response-names.ts';
import type { ResponseSetting } from '../config/response-config.ts';
import type { OperatorResponses, RespondedRule } from './operator-responses.ts';
import { RecentUses } from './recent-uses.ts';
import { guaranteeOf } from './response.ts';
import type { Denied, ResponseHost, ResponseOutcome, ResponseTarget } from './response.ts';
import { RESPONSES } from './responses.ts';

/** Limit on remembered killed processes, whose records may still arrive. */
const MAX_ENDED = 1024;

/** Whether the kernel has done what the response does. */
const isPrevented = (name: ResponseName, { denied }: Respondable): boolean =>
  denied === 'program' ? RESPONSES[name].endsProcess : denied !== undefined && name === 'deny';

/** The response to a detection, and its outcome. */
export interface DoneResponse {
  readonly name: ResponseName;
  readonly outcome: ResponseOutcome;
  readonly guarantee: Guarantee;
  /** It is `limited` so as to spare the app's last instance. */
  readonly sparesLast?: true;
  /** What was prevented, if that is the outcome. */
  readonly denied?: Denied;
}

/** The outcome that is told is `limited`. */
type Decided = ResponseOutcome | 'spared';

const doneOf = (name: ResponseName, decided: Decided, { denied }: Respondable): DoneResponse => {
  const outcome = decided === 'spared' ? 'limited' : decided;
  return {
    name,
    outcome,
    guarantee: guaranteeOf(outcome),
    ...(decided === 'spared' ? { sparesLast: true } : {}),
    ...(outcome === 'prevented' && denied !== undefined ? { denied } : {}),
  };
};

/** A detection, and the response that the app asks for. */
export interface Respondable extends ResponseTarget {
  /** The rule as it matched: the operator's, or one of the app's own. */
  readonly matched: RespondedRule;
  /** The response that the app's policy asks for. */
  readonly asked: ResponseName | undefined;
  /** Of its event: its number in this agent's life, and Unix ns. */
  readonly eventNum: number;
  readonly timeNs: bigint;
  /** The file that it opens, as the kernel knows it. */
  readonly file: KernelFile | undefined;
  /** Whether the exceptions that the app has to this rule were asked: what they let pass is no detection. */
  readonly isAnswered: () => boolean;
}

export interface ResponderOptions {
  readonly host: ResponseHost;
  readonly operators: OperatorResponses;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** Called just before a response is applied: the process is still there, and waits for its end meanwhile. Must not throw. */
  readonly beforeApplied?: (detection: Respondable) => void;
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
  readonly #beforeApplied: ((detection: Respondable) => void) | undefined;
  #operators: OperatorResponses;
  readonly #counts = new Map<ResponseName, Map<ResponseOutcome, number>>();
  readonly #uses = new Map<ResponseName, RecentUses>();
  /** Start times of killed processes, by pid. */
  readonly #ended = new RecentMap<number, bigint>(MAX_ENDED);

  constructor({ host, operators, nowMs, beforeApplied }: ResponderOptions) {
    this.#beforeApplied = beforeApplied;
    this.#host = host;
    this.#operators = operators;
    this.#nowMs = nowMs;
  }

  /** Sets the operator's responses from now on. */
  setOperators(operators: OperatorResponses): void {
    this.#operators = operators;
  }

  /**
   * At most one for each response that there is; the app's own comes first. Of what was denied each detection says so, also one
   * of a rule that does not deny.
   */
  respond(detection: Respondable): readonly DoneResponse[] {
    const done = this.#respond(detection);
    return detection.denied !== undefined && !done.some(({ outcome }) => outcome === 'prevented')
      ? [...done, doneOf('deny', 'prevented', detection)]
      : done;
  }

  #respond(detection: Respondable): readonly DoneResponse[] {
    const { rule, container } = detection;
    const isAnswerable = rule !== undefined && !isDrillRule(rule.name);
    const operators = isAnswerable ? this.#operators.of(rule, container.app) : [];
    const asked = this.#askedOf(detection, operators);
    const ofOperator = operators.filter(({ response }) => response !== asked);
    return [
      ...(asked === undefined
        ? []
        : [this.#count(asked, this.#forApp(asked, detection), detection)]),
      ...ofOperator.map((setting) =>
        this.#count(setting.response, this.#forOperator(setting, detection), detection),
      ),
    ];
  }

  /** What the app asks for. Where its denial has ended, that must not take the place of what the operator asks for. */
  #askedOf(
    { asked, container }: Respondable,
    operators: readonly ResponseSetting[],
  ): ResponseName | undefined {
    const hasEnded = asked === 'deny' && this.#operators.endedIn(container.app) !== undefined;
    return hasEnded && operators.some(({ response }) => response === 'deny') ? undefined : asked;
  }

  /** Those of the operator that are in force. */
  get operators(): OperatorResponses {
    return this.#operators;
  }

  counts(): ResponseCount[] {
    return [...this.#counts].flatMap(([name, counts]) =>
      [...counts].map(([outcome, count]) => ({ name, outcome, count })),
    );
  }

  #forApp(name: ResponseName, detection: Respondable): ResponseOutcome {
    const { matched, container } = detection;
    if (this.#operators.isLifted(matched, container.app)) return 'monitored';
    // The kernel may have denied it just before.
    if (isPrevented(name, detection)) return 'prevented';
    if (name === 'deny' && this.#operators.endedIn(container.app) !== undefined) return 'monitored';
    return this.#apply(name, detection, false);
  }

  /** Limits and modes do not apply to what an app asks for itself, which is applied at once. */
  #forOperator(
    { response: name, mode, guarantee, lastInstance }: ResponseSetting,
    detection: Respondable,
  ): Decided {
    if (mode === 'enforce' && isPrevented(name, detection)) return 'prevented';
    if (!detection.isAnswered()) return 'unanswered';
    if (mode !== 'enforce') return 'monitored';
    if (guarantee === 'before the effect') return 'reported';
    if (!this.#isInForce(name, detection)) {
      if (!this.#usesOf(name).hasRoom(detection, this.#nowMs())) return 'limited';
      const mayBeLast = lastInstance || RESPONSES[name].saidOfLast === undefined;
      if (!mayBeLast && this.#host.isLast(detection)) return 'spared';
    }
    return this.#apply(name, detection, true);
  }

  #apply(name: ResponseName, detection: Respondable, counts: boolean): ResponseOutcome {
    if (isPrevented(name, detection)) return 'prevented';
    if (this.#isInForce(name, detection)) {
      RESPONSES[name].again?.(detection, this.#host);
      return 'done';
    }
    const { process } = detection;
    this.#beforeApplied?.(detection);
    const outcome = RESPONSES[name].apply(detection, this.#host);
    if (outcome !== 'done') return outcome;
    if (RESPONSES[name].endsProcess) this.#ended.set(process.pid, process.startBootNs);
    if (counts) this.#usesOf(name).note(detection, this.#nowMs());
    return outcome;
  }

  #count(name: ResponseName, decided: Decided, detection: Respondable): DoneResponse {
    const done = doneOf(name, decided, detection);
    const { outcome } = done;
    const counts = this.#counts.get(name) ?? new Map<ResponseOutcome, number>();
    this.#counts.set(name, counts.set(outcome, (counts.get(outcome) ?? 0) + 1));
    return done;
  }

  #isInForce(name: ResponseName, detection: Respondable): boolean {
    const response = RESPONSES[name];
    // A record of what it had done before it was killed.
    if (response.endsProcess && this.#hasEnded(detection.process)) return true;
    return response.isInForce(detection, this.#host);
  }

  #hasEnded({ pid, startBootNs }: Process): boolean {
    return this.#ended.get(pid) === startBootNs;
  }

  #usesOf(name: ResponseName): RecentUses {
    const known = this.#uses.get(name) ?? new RecentUses(RESPONSES[name].limits);
    this.#uses.set(name, known);
    return known;
  }
}
