import { createHash } from 'node:crypto';
import {
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import type { OwnFolder } from '../shared/own-folder.ts';
import type { PolicyTrust } from './app-policy.ts';

/** Containers whose policies are kept on disk; of more, the one that was used least recently is forgotten. */
const MAX_PINS = 4096;
/** One that no agent asked for in so long is a container's that is gone. */
const MAX_AGE_MS = 30 * 86_400_000;

const FORMAT = 1;
const FILE = /^[0-9a-f]{40}$/;

/** A policy as it was first read from a container. */
export interface PinnedPolicy {
  /** Of the file in the container. */
  readonly path: string;
  readonly trust: PolicyTrust;
  /** Undefined: the file was refused. */
  readonly text: string | undefined;
  readonly refusal: string | undefined;
  /** Which of the containers that had the name one after the other; undefined where a name is one container's for ever. */
  readonly incarnation: string | undefined;
}

/**
 * What containers' policy files said when they were first read, on disk: so a later edit counts for nothing, also when the
 * agent was restarted in between. A file for each container, written whole or not at all. Bounds: 4,096 containers, 64 KiB
 * of text each. What the disk does not take is pinned for this agent's life only.
 */
export class PolicyPins {
  readonly #folder: Pick<OwnFolder, 'inside'>;
  readonly #onProblem: (error: unknown) => void;
  readonly #max: number;
  #count: number;

  /** `onProblem` is told of what could not be read or written; nothing is thrown. */
  constructor(
    folder: Pick<OwnFolder, 'inside'>,
    onProblem: (error: unknown) => void,
    max = MAX_PINS,
  ) {
    this.#folder = folder;
    this.#onProblem = onProblem;
    this.#max = max;
    this.#count = this.#sweep(max).length;
  }

  /** Undefined when nothing, or nothing whole, is kept of this container. */
  get(name: string, incarnation: string | undefined): PinnedPolicy | undefined {
    try {
      const path = this.#pathOf(name);
      const kept = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
      const { format, name: its, pin } = kept;
      if (format !== FORMAT || its !== name || !isPin(pin)) return undefined;
      if (pin.incarnation !== incarnation) return undefined;
      const now = new Date();
      utimesSync(path, now, now);
      return pin;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#onProblem(error);
      return undefined;
    }
  }

  put(name: string, pin: PinnedPolicy): void {
    this.#attempt(() => {
      if (++this.#count > this.#max) this.#count = this.#sweep(this.#max - 1).length + 1;
      const path = this.#pathOf(name);
      const whole = `${path}.new`;
      writeFileSync(whole, JSON.stringify({ format: FORMAT, name, pin }), { mode: 0o600 });
      renameSync(whole, path);
    });
  }

  /** The container is gone for good. */
  remove(name: string): void {
    this.#attempt(() => rmSync(this.#pathOf(name), { force: true }));
  }

  #pathOf(name: string): string {
    return `${this.#folder.inside}/${createHash('sha256').update(name).digest('hex').slice(0, 40)}`;
  }

  /** Forgets what is old, and the oldest beyond `max`. Returns what is left. */
  #sweep(max: number): string[] {
    const kept: { readonly path: string; readonly usedMs: number }[] = [];
    this.#attempt(() => {
      for (const file of readdirSync(this.#folder.inside)) {
        const path = `${this.#folder.inside}/${file}`;
        const usedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
        if (usedMs === undefined) continue;
        // What a writer that was killed left half done goes too.
        if (!FILE.test(file) || Date.now() - usedMs > MAX_AGE_MS) rmSync(path, { force: true });
        else kept.push({ path, usedMs });
      }
      kept.sort((a, b) => b.usedMs - a.usedMs);
      for (const { path } of kept.splice(max)) rmSync(path, { force: true });
    });
    return kept.map(({ path }) => path);
  }

  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#onProblem(error);
    }
  }
}

function isPin(value: unknown): value is PinnedPolicy {
  if (typeof value !== 'object' || value === null) return false;
  const { path, trust, text, refusal, incarnation } = value as Record<string, unknown>;
  const isOptional = (one: unknown): boolean => one === undefined || typeof one === 'string';
  return (
    typeof path === 'string' &&
    (trust === 'verified' || trust === 'unverified') &&
    [text, refusal, incarnation].every(isOptional)
  );
}
