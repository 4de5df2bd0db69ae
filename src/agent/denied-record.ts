import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readOwnJson, writeOwnText } from '../host/own-json.ts';
import { LIMITS } from '../events/table.gen.ts';
import { TABLE } from '../plan/verdicts/layout.ts';

/** The folder of the records, below the state folder. */
export const RECORDS_FOLDER = 'denied';
/** Names of the files in it. */
export const RECORD = /^[0-9a-f]{16}-\d{1,10}-\d{1,16}(?:\.new)?$/;
/** Of a record: 16,384 containers with long names. */
const MAX_BYTES = 16 << 20;
const FORMAT = 1;

/** A table by which something is denied. */
export interface DeniedTable {
  readonly number: number;
  /** `digestOfTable`. */
  readonly sha256: string;
  /** Rule n by its name. */
  readonly rules: readonly string[];
}

/** A container that has such a table. */
export interface DeniedContainer {
  readonly cgroupId: number;
  /** As of ScopeMap. */
  readonly level: number;
  /** Null: it is of no app. */
  readonly app: string | null;
}

/** Which rules deny, and in which app's containers: the maps in the kernel have numbers only. */
export interface DeniedRecord {
  readonly tables: readonly DeniedTable[];
  readonly containers: readonly DeniedContainer[];
}

/** The same whatever rules of the table still deny: that is what a lift changes. A record is believed of no other table. */
export function digestOfTable(bytes: Uint8Array): string {
  const copy = Uint8Array.from(bytes);
  copy.fill(0, TABLE.denying, TABLE.denying + LIMITS.VERDICT_KINDS * 4);
  return createHash('sha256').update(copy).digest('hex');
}

/** The rules of the table that still deny something: bit n for rule n. */
export function denyingIn(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let bits = 0;
  for (let kind = 0; kind < LIMITS.VERDICT_KINDS; kind++)
    bits |= view.getUint32(TABLE.denying + 4 * kind, true);
  return bits >>> 0;
}

const pathOf = (stateDir: string, directory: string): string =>
  join(stateDir, RECORDS_FOLDER, basename(directory));

/** What is denied by the programs with names in `directory`, kept beside them in `state_dir`. */
export class DeniedRecords {
  readonly #stateDir: string;
  #last = '';

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** Does nothing if nothing has changed. Throws an Error that says why it cannot be kept: there is none then. */
  keep(directory: string, { tables, containers }: DeniedRecord): void {
    const text = JSON.stringify({ format: FORMAT, tables, containers });
    if (text === this.#last) return;
    this.#last = '';
    try {
      if (Buffer.byteLength(text) > MAX_BYTES)
        throw new Error(`it has more than ${MAX_BYTES} bytes`);
      writeOwnText(pathOf(this.#stateDir, directory), text);
    } catch (error) {
      this.remove(directory);
      throw error;
    }
    this.#last = text;
  }

  /** Undefined if there is none. Throws an Error that says why it is not believed. */
  read(directory: string): DeniedRecord | undefined {
    const kept = readOwnJson(pathOf(this.#stateDir, directory), MAX_BYTES);
    if (kept === undefined) return undefined;
    if (!isRecord(kept)) throw new Error('it is damaged, or of another version');
    return kept;
  }

  /** Never throws: one that is left is of tables that are gone. */
  remove(directory: string): void {
    this.#last = '';
    try {
      rmSync(pathOf(this.#stateDir, directory), { force: true });
    } catch {
      // The disk is read-only by now.
    }
  }

  /** Removes those of other directories: what had names there is gone. Never throws. */
  removeOthers(directory: string): void {
    try {
      for (const name of readdirSync(join(this.#stateDir, RECORDS_FOLDER)))
        if (RECORD.test(name) && name !== basename(directory))
          rmSync(join(this.#stateDir, RECORDS_FOLDER, name), { force: true });
    } catch {
      // There is none, or the disk is read-only.
    }
  }
}

function isRecord(kept: unknown): kept is DeniedRecord {
  const { format, tables, containers } = (kept ?? {}) as Partial<DeniedRecord & { format: number }>;
  return (
    format === FORMAT &&
    Array.isArray(tables) &&
    (tables as Partial<DeniedTable>[]).every(
      ({ number, sha256, rules }) =>
        isWhole(number) &&
        typeof sha256 === 'string' &&
        Array.isArray(rules) &&
        rules.every((name) => typeof name === 'string'),
    ) &&
    Array.isArray(containers) &&
    (containers as Partial<DeniedContainer>[]).every(
      ({ cgroupId, level, app }) =>
        isWhole(cgroupId) && isWhole(level) && (app === null || typeof app === 'string'),
    )
  );
}

const isWhole = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
