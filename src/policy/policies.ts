import { setImmediate } from 'node:timers/promises';
import type { Container } from '../apps/identity.ts';
import type { Priority } from '../rules/detection.ts';
import { formatDiagnostic } from '../rules/loader/diagnostics.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import { compilePolicy } from './app-policy.ts';
import type { AppPolicy, CompiledPolicy, OperatorRules, PolicyTrust } from './app-policy.ts';
import { readPolicy } from './policy-document.ts';

/** Containers whose policies are remembered: as many as the scope has room for. Beyond, the operator's rules hold alone. */
const MAX_CONTAINERS = 16_384;
/** What a line says of a policy's mistakes. */
const MAX_SAID_CHARS = 1500;

/** A container whose first process is not known after so many looks is told all the same. */
const MAX_LOOKS = 5;
/** How long compiling goes on before others have their turn. */
const TURN_MS = 5;

/** By trust and text: what it came to, and how many containers have it. */
type Compiled = Map<string, { users: number; readonly result: CompiledPolicy }>;

/** Where a container's policy is from, and what it says. */
export interface PolicyText {
  /** For people, such as the name of the label or the file. */
  readonly name: string;
  readonly text: string;
  readonly trust: PolicyTrust;
  /** Why it is not taken at all, whatever the text. */
  readonly refusal?: string;
  /** What else its app is to be told. */
  readonly note?: string;
}

/** What is to be told of a container's policy: to its app, and to the operator. */
export interface PolicyNews {
  readonly container: Container;
  readonly state: 'in force' | 'refused';
  /** One line, safe to print: what the policy comes to, or what is wrong with it. */
  readonly text: string;
  /** SHA-256 of its text. */
  readonly digest: string | undefined;
}

/** Options of `Policies`. */
export interface PoliciesOptions {
  /** Undefined: no app has rules of its own. */
  readonly operator: OperatorRules | undefined;
  /** `none`: it has none, for good; undefined: not known yet. */
  readonly textOf: (container: Container) => PolicyText | 'none' | undefined;
  readonly tell: (news: PolicyNews) => void;
  /** The rules that apps have of their own are others now. */
  readonly onChanged: (ruleSets: readonly RuleSet[]) => void;
}

interface Entry {
  readonly source: PolicyText;
  compiled: CompiledPolicy;
  /** What the app was told last. */
  told: PolicyNews['state'] | undefined;
  /** How often it was looked whether it can be told. */
  looks: number;
}

/**
 * The policies of the containers in scope. A policy is read once, when its container is first seen, and stays as it was; the
 * same text is compiled once for all its containers.
 */
export class Policies {
  readonly #options: PoliciesOptions;
  /** By the container's full id. */
  readonly #entries = new Map<string, Entry>();
  /** Asked for, without one: this comes with each event. */
  readonly #without = new WeakSet<Container>();
  /** While a container has it. */
  #compiled: Compiled = new Map();
  #operator: OperatorRules | undefined;
  #shed: readonly Priority[] = [];

  constructor(options: PoliciesOptions) {
    this.#options = options;
    this.#operator = options.operator;
  }

  /** The rules of the container's app; undefined when there are the operator's alone. */
  of(container: Container): AppPolicy | undefined {
    this.take(container);
    return this.#entries.get(container.fullId)?.compiled.policy;
  }

  /** A container has come into scope, or is described anew. */
  take(container: Container): void {
    if (this.#operator === undefined || this.#entries.has(container.fullId)) return;
    if (this.#without.has(container) || this.#entries.size >= MAX_CONTAINERS) return;
    const source = this.#options.textOf(container);
    if (source === 'none') this.#without.add(container);
    if (source === undefined || source === 'none') return;
    const compiled = this.#use(source, this.#operator);
    this.#entries.set(container.fullId, { source, compiled, told: undefined, looks: 0 });
    if (compiled.policy !== undefined) this.#changed();
  }

  /** Switches apps' own rules of these priorities off, and all others on: the agent is over a ceiling, or no more. */
  shed(priorities: readonly Priority[]): void {
    this.#shed = priorities;
    for (const { result } of this.#compiled.values()) result.policy?.shed(priorities);
    this.#changed();
  }

  /**
   * The containers in scope, all of them, with those that have ended a moment ago, of which something may still be told. To be
   * called every second or so: apps are told what became of their policies here, once there is a log to tell it in.
   */
  follow(containers: readonly Container[]): void {
    for (const container of containers) {
      this.take(container);
      this.#tell(container);
    }
    const here = new Set(containers.map(({ fullId }) => fullId));
    for (const fullId of [...this.#entries.keys()]) if (!here.has(fullId)) this.forget(fullId);
  }

  /** The container is gone. */
  forget(fullId: string): void {
    const entry = this.#entries.get(fullId);
    if (entry === undefined) return;
    this.#entries.delete(fullId);
    const key = keyOf(entry.source);
    const shared = this.#compiled.get(key);
    if (shared === undefined || --shared.users > 0) return;
    this.#compiled.delete(key);
    if (shared.result.policy !== undefined) this.#changed();
  }

  /**
   * Compiles all against other rules of the operator's, in turns of a few ms. What it resolves to puts them into force, at
   * once: to be called when those rules are. Who is refused then, or no more, is told by `follow`.
   */
  async prepare(operator: OperatorRules | undefined): Promise<() => void> {
    const fresh: Compiled = new Map();
    if (operator === undefined) return () => this.#clear();
    let turnEndsMs = performance.now() + TURN_MS;
    for (const { source } of [...this.#entries.values()]) {
      const key = keyOf(source);
      if (!fresh.has(key)) fresh.set(key, { users: 0, result: compile(source, operator) });
      if (performance.now() < turnEndsMs) continue;
      await setImmediate();
      turnEndsMs = performance.now() + TURN_MS;
    }
    return () => this.#swap(operator, fresh);
  }

  /** Whether a policy of the container's is in force or was refused; undefined when it has none. */
  stateOf({ fullId }: Container): PolicyNews['state'] | undefined {
    const entry = this.#entries.get(fullId);
    if (entry === undefined) return undefined;
    return entry.compiled.policy === undefined ? 'refused' : 'in force';
  }

  /** Containers with a policy in force, with one that was refused, and how many different ones there are. */
  counts(): { readonly inForce: number; readonly refused: number; readonly different: number } {
    let inForce = 0;
    for (const { compiled } of this.#entries.values()) if (compiled.policy !== undefined) inForce++;
    const refused = this.#entries.size - inForce;
    return { inForce, refused, different: this.#compiled.size };
  }

  #clear(): void {
    this.#operator = undefined;
    this.#entries.clear();
    this.#compiled.clear();
    this.#changed();
  }

  #swap(operator: OperatorRules, fresh: Compiled): void {
    this.#operator = operator;
    this.#compiled = fresh;
    for (const entry of this.#entries.values()) {
      entry.compiled = this.#use(entry.source, operator);
    }
    // Those of containers that have gone meanwhile.
    for (const [key, { users }] of fresh) if (users === 0) fresh.delete(key);
    this.#changed();
  }

  #tell(container: Container): void {
    const entry = this.#entries.get(container.fullId);
    if (entry === undefined) return;
    const state = entry.compiled.policy === undefined ? 'refused' : 'in force';
    if (entry.told === state) return;
    if (container.initPid === 0 && ++entry.looks < MAX_LOOKS) return;
    entry.told = state;
    this.#options.tell(newsOf(container, entry.source, entry.compiled));
  }

  #use(source: PolicyText, operator: OperatorRules): CompiledPolicy {
    const key = keyOf(source);
    const shared = this.#compiled.get(key) ?? { users: 0, result: compile(source, operator) };
    this.#compiled.set(key, shared);
    shared.result.policy?.shed(this.#shed);
    shared.users++;
    return shared.result;
  }

  #changed(): void {
    const sets = [...this.#compiled.values()].flatMap(({ result }) => result.policy?.ruleSet ?? []);
    this.#options.onChanged(sets.filter(({ rules }) => rules.length > 0));
  }
}

function compile(source: PolicyText, operator: OperatorRules): CompiledPolicy {
  if (source.refusal !== undefined) return { policy: undefined, errors: [], warnings: [] };
  const { document, errors } = readPolicy(source);
  return document === undefined
    ? { policy: undefined, errors, warnings: [] }
    : compilePolicy(document, operator, source.trust);
}

function keyOf({ name, text, trust, refusal }: PolicyText): string {
  return JSON.stringify([name, trust, text, refusal]);
}

function newsOf(
  container: Container,
  { name, trust, refusal, note }: PolicyText,
  { policy, errors, warnings }: CompiledPolicy,
): PolicyNews {
  const found = [...errors, ...warnings].map((one) => formatDiagnostic(one).split('\n')[0] ?? '');
  const all = [refusal, ...found, note].filter((one) => one !== undefined).join('; ');
  const said = all.length > MAX_SAID_CHARS ? `${all.slice(0, MAX_SAID_CHARS)}…` : all;
  if (policy === undefined) {
    return {
      ...{ container, state: 'refused', digest: undefined },
      text: `The policy (${name}) of this app is refused, so the operator’s rules watch it as they are: ${said}`,
    };
  }
  const { active, own, excepted, muted, killing, minimumPriority } = policy.summary;
  const doubts = said === '' ? '' : `. But: ${said}`;
  return {
    ...{ container, state: 'in force', digest: policy.digest },
    text: `The policy (${name}, ${trust}) of this app is in force: ${active} rules from ${minimumPriority} up, ${own.length} of its own, ${excepted.length} with exceptions of its own, ${muted.length} off${killing.length === 0 ? '' : `, ${killing.length} that end the process`}${doubts}`,
  };
}
