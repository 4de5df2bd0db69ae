import { createHash } from 'node:crypto';
import type { Container } from '../apps/identity.ts';
import type { Process } from '../context/process.ts';
import { RecentMap } from '../shared/recent-map.ts';
import { causeOf, processKey } from './cause.ts';

/** A line belongs to an incident at most so long after its last line, */
export const GAP_MS = 30_000;
/** and after its first one: a new incident begins then, and pages again. */
export const MAX_MS = 900_000;
/** What starts so soon after a line of a process of the app's start is an effect of it. */
export const EFFECT_MS = 5000;
/** So many incidents begin with a rule in a container, until it was silent there for so long. */
export const MAX_BEGUN = 3;
export const QUIET_MS = 900_000;

/** What is remembered: processes of open incidents and rules of a container, and containers of the host; the oldest are forgotten. */
export const MAX_ROOTS = 32;
export const MAX_RULES = 32;
export const MAX_CONTAINERS = 512;

/** A start that /proc told is rounded down to a tick. */
const ROUNDED_MS = 10;

/** Crockford's base 32 in lower case; a letter comes first, so that nothing takes an id for a number. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const LETTERS = DIGITS.slice(10);
const ID_LENGTH = 8;

/** What is asked of a detection, to tell its incident. */
export interface IncidentLine {
  readonly rule: string;
  readonly bootNs: bigint;
  readonly cgroupId: number;
  readonly process: Process;
  readonly container: Container | undefined;
}

interface Incident {
  readonly id: string;
  readonly firstMs: number;
  lastMs: number;
}

interface Root {
  readonly incident: Incident;
  /** Lines of the process itself that were near to each other: the last such run. */
  own?: { readonly fromMs: number; toMs: number };
}

interface RuleState {
  begun: number;
  lastMs: number;
  /** Takes the lines of the rule that may begin no incident. */
  crowd: Incident | undefined;
}

interface ContainerState {
  readonly roots: RecentMap<string, Root>;
  readonly rules: RecentMap<string, RuleState>;
}

/**
 * Gives lines of one cause one incident: those of the same process, its descendants, and its ancestors up to the app's own start,
 * in one container. Looks at nothing but the processes' tree, in O(ancestors); nothing waits for it. Its memory is bounded: what
 * is forgotten costs one more incident, never a line.
 */
export class Incidents {
  readonly #hostname: string;
  readonly #containers = new RecentMap<string, ContainerState>(MAX_CONTAINERS);

  constructor(hostname: string) {
    this.#hostname = hostname;
  }

  /** The id of the incident that a line belongs to: 8 lower-case letters and digits, a letter first. */
  of(line: IncidentLine): string {
    const { process, container, rule } = line;
    const nowMs = Number(line.bootNs) / 1e6;
    const key = container?.fullId ?? `cgroup ${line.cgroupId}`;
    const known = this.#containers.get(key) ?? {
      roots: new RecentMap<string, Root>(MAX_ROOTS),
      rules: new RecentMap<string, RuleState>(MAX_RULES),
    };
    this.#containers.set(key, known);
    const state = ruleState(known, rule, nowMs);
    const { root, start } = causeOf(process, container);
    const rootKey = processKey(root);
    const before = known.roots.get(rootKey);
    let of = before !== undefined && isOpen(before.incident, nowMs) ? before : undefined;
    if (of === undefined) {
      const incident =
        effectOf(known, root, start, nowMs) ?? this.#begin(state, key, rootKey, line);
      // Processes of a crowd have nothing in common but the rule.
      if (incident === undefined) return this.#crowd(state, key, line);
      of = { incident };
    }
    known.roots.set(rootKey, of);
    of.incident.lastMs = Math.max(of.incident.lastMs, nowMs);
    if (rootKey === processKey(process)) noteOwn(of, nowMs);
    return of.incident.id;
  }

  #begin(
    state: RuleState,
    container: string,
    root: string,
    { bootNs }: IncidentLine,
  ): Incident | undefined {
    if (state.begun >= MAX_BEGUN) return undefined;
    state.begun++;
    return this.#incident([container, root], bootNs);
  }

  #crowd(state: RuleState, container: string, { rule, bootNs }: IncidentLine): string {
    state.crowd ??= this.#incident([container, rule], bootNs);
    return state.crowd.id;
  }

  /** The same line gives the same id in another agent of the host: two of them overlap when one replaces the other. */
  #incident(of: readonly string[], bootNs: bigint): Incident {
    const hash = createHash('sha256').update(JSON.stringify([this.#hostname, ...of, `${bootNs}`]));
    const firstMs = Number(bootNs) / 1e6;
    return { id: idOf(hash.digest()), firstMs, lastMs: firstMs };
  }
}

function idOf(hash: Buffer): string {
  let id = LETTERS[hash.readUInt32LE(0) % LETTERS.length] ?? '';
  for (let at = 4; id.length < ID_LENGTH; at++) id += DIGITS[(hash[at] ?? 0) & 31] ?? '';
  return id;
}

/** Of the rule in this container; as new where it was silent for long. */
function ruleState({ rules }: ContainerState, rule: string, nowMs: number): RuleState {
  const before = rules.get(rule);
  const isQuiet = before === undefined || nowMs - before.lastMs > QUIET_MS;
  const state = isQuiet ? { begun: 0, lastMs: nowMs, crowd: undefined } : before;
  state.lastMs = Math.max(state.lastMs, nowMs);
  rules.set(rule, state);
  return state;
}

const isOpen = ({ firstMs, lastMs }: Incident, nowMs: number): boolean =>
  nowMs - lastMs <= GAP_MS && nowMs - firstMs <= MAX_MS;

/** The open incident of a process of the app's start, of which the root is an effect: it was started right after a line of it. */
function effectOf(
  { roots }: ContainerState,
  root: Process,
  start: readonly Process[],
  nowMs: number,
): Incident | undefined {
  const startedMs = Number(root.startBootNs) / 1e6;
  for (const above of start) {
    const found = roots.get(processKey(above));
    if (found?.own === undefined || !isOpen(found.incident, nowMs)) continue;
    const { fromMs, toMs } = found.own;
    if (startedMs >= fromMs - ROUNDED_MS && startedMs <= toMs + EFFECT_MS) return found.incident;
  }
  return undefined;
}

function noteOwn(root: Root, nowMs: number): void {
  if (root.own !== undefined && nowMs - root.own.toMs <= EFFECT_MS)
    root.own.toMs = Math.max(root.own.toMs, nowMs);
  else root.own = { fromMs: nowMs, toMs: nowMs };
}
