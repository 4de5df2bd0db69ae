import { readdirSync, readFileSync } from 'node:fs';

/** A process of the host, by its arguments. */
export interface NamedProcess {
  readonly pid: number;
  readonly argv: readonly string[];
}

/** Those of the host with the text in their arguments. */
export function processesNaming(text: string): NamedProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const line = readFileSync(`/proc/${name}/cmdline`, 'utf8');
        return line.includes(text) ? [{ pid: Number(name), argv: line.split('\0') }] : [];
      } catch {
        return []; // ended meanwhile
      }
    });
}
