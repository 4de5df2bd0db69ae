import type { Container } from '../apps/identity.ts';
import type { PolicyText } from '../container-files/policy-text.ts';
import { reasonOf } from '../evaluation/rule-watch.ts';
import { atOnce, inTurns, type Steps } from '../shared/turns.ts';
import { policySteps } from './app-policy.ts';
import type { CompiledPolicy, OperatorRules } from './app-policy.ts';
import { readPolicy } from './policy-document.ts';

/** The result for a document; `failure`: compiling it threw. */
export interface PolicyResult extends CompiledPolicy {
  readonly failure?: string;
}

const NOTHING: PolicyResult = { policy: undefined, errors: [], warnings: [] };

/** Equal keys mean equal results. */
export const keyOf = ({ name, text, trust, refusal }: PolicyText): string =>
  JSON.stringify([name, trust, text, refusal]);

/** Never throws: a document that breaks the compiler is refused like an invalid one. */
export function* compileSteps(source: PolicyText, operator: OperatorRules): Steps<PolicyResult> {
  if (source.refusal !== undefined) return NOTHING;
  try {
    const { document, errors } = readPolicy(source);
    yield;
    if (document === undefined) return { ...NOTHING, errors };
    return yield* policySteps(document, operator, source.trust);
  } catch (error) {
    return { ...NOTHING, failure: `it cannot be compiled (${reasonOf(error)})` };
  }
}

/** Steps and their result: the caller of the last step is not always the one who needs the result. */
class Compiling {
  readonly steps: Steps<PolicyResult>;
  #result: PolicyResult | undefined;

  constructor(source: PolicyText, operator: OperatorRules) {
    this.steps = this.#remember(compileSteps(source, operator));
  }

  /** Runs all remaining steps at once. */
  finish(): PolicyResult {
    return this.#result ?? atOnce(this.steps);
  }

  *#remember(steps: Steps<PolicyResult>): Steps<PolicyResult> {
    this.#result = yield* steps;
    return this.#result;
  }
}

interface Pending {
  readonly source: PolicyText;
  readonly compiling: Compiling;
  /** By full id. */
  readonly containers: Map<string, Container>;
}

/** Receives the result for a document, and the containers that waited for it. */
type OnEnd = (source: PolicyText, containers: readonly Container[], result: PolicyResult) => void;

/** Compiles documents one by one, in turns of 5 ms: a large one takes a quarter of a second. */
export class PolicyCompiler {
  readonly #onEnd: OnEnd;
  /** By key. */
  readonly #pending = new Map<string, Pending>();
  /** The key of what a container waits for, by its full id. */
  readonly #waiting = new Map<string, string>();
  #isRunning = false;

  constructor(onEnd: OnEnd) {
    this.#onEnd = onEnd;
  }

  /** Waiting containers, by full id. */
  get waiting(): ReadonlyMap<string, unknown> {
    return this.#waiting;
  }

  sources(): PolicyText[] {
    return [...this.#pending.values()].map(({ source }) => source);
  }

  /** A small document may already be compiled when this returns. */
  add(source: PolicyText, container: Container, operator: OperatorRules): void {
    const key = keyOf(source);
    const pending = this.#pending.get(key) ?? {
      source,
      compiling: new Compiling(source, operator),
      containers: new Map<string, Container>(),
    };
    pending.containers.set(container.fullId, container);
    this.#pending.set(key, pending);
    this.#waiting.set(container.fullId, key);
    void this.#run();
  }

  /** Compiles the rest of this container's document at once. */
  finish(fullId: string): void {
    const key = this.#waiting.get(fullId);
    const pending = key === undefined ? undefined : this.#pending.get(key);
    if (key !== undefined && pending !== undefined) this.#end(key, pending.compiling.finish());
  }

  /** Restarts with other operator rules. `known` returns the result for a document, if available. */
  restart(operator: OperatorRules, known: (source: PolicyText) => PolicyResult | undefined): void {
    for (const [key, pending] of [...this.#pending]) {
      const { source } = pending;
      const result = known(source);
      if (result !== undefined) this.#end(key, result);
      else this.#pending.set(key, { ...pending, compiling: new Compiling(source, operator) });
    }
  }

  /** Releases all waiting containers: apps have no policies any more. */
  stop(): void {
    for (const key of [...this.#pending.keys()]) this.#end(key, NOTHING);
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      for (let [next] = this.#pending; next !== undefined; [next] = this.#pending) {
        const [key, { compiling }] = next;
        const isWanted = (): boolean => this.#pending.get(key)?.compiling === compiling;
        const result = await inTurns(compiling.steps, isWanted);
        if (result !== undefined && isWanted()) this.#end(key, result);
      }
    } finally {
      this.#isRunning = false;
    }
  }

  #end(key: string, result: PolicyResult): void {
    const pending = this.#pending.get(key);
    if (pending === undefined) return;
    this.#pending.delete(key);
    for (const fullId of pending.containers.keys()) this.#waiting.delete(fullId);
    const containers = [...pending.containers.values()];
    try {
      this.#onEnd(pending.source, containers, result);
    } catch (error) {
      // One policy less is better than no agent.
      const failure = `it cannot be put into force (${reasonOf(error)})`;
      try {
        this.#onEnd(pending.source, containers, { ...NOTHING, failure });
      } catch {
        // Only the operator's rules apply to these containers.
      }
    }
  }
}
