import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { CallResult } from '../../support/kernel-calls.ts';
import type { Step } from '../../support/kernel-process.ts';
import { above, procStat, procStatus } from './proc-facts.ts';

// What is done in a container to compare fields, and what another source than the agent says of each.

/** What the other source says. */
export interface Truth {
  /** As `varvel fields --status` prints it. */
  readonly source: string;
  readonly value: string | number | boolean | bigint | null;
  /** For times whose source is coarser: nanoseconds either way. */
  readonly within?: bigint;
}

/** An event and its fields. */
export interface Comparison {
  readonly event: string;
  /** With `event`, a condition that only one event of the container meets. */
  readonly when: string;
  /** The fields by their keys in a rule, and who else knows their values. */
  readonly fields: Readonly<Record<string, (world: World, line: Line) => Truth>>;
  /** Fields that only conditions can have, by what must hold for the event and what must not. */
  readonly conditions?: readonly Condition[];
}

export interface Condition {
  readonly field: string;
  readonly holds: string;
  readonly fails: string;
  /** That `holds` is true, by this source. */
  readonly source: string;
  readonly isTrue: (world: World) => boolean;
}

/** A container, named after it, that runs the steps of test/support/kernel-steps.c and stands still then. */
export interface Scenario {
  readonly name: string;
  /** The steps, or a whole command. They end with `pause`. */
  readonly steps: readonly Step[] | { readonly command: readonly string[] };
  readonly container?: Docker.ContainerCreateOptions;
  readonly comparisons: readonly Comparison[];
}

/** A detection: its fields as JSON has them, but whole numbers as bigint. */
export type Line = Readonly<Record<string, string | number | boolean | bigint | null>>;

/** Instead of a name: the container's first process. */
export const INIT = '';

/** A scenario's container, while its processes stand still. */
export class World {
  readonly inspect: Docker.ContainerInspectInfo;
  /** What the program reported of its calls, in order. */
  readonly results: readonly CallResult[];
  /** The detections, in the order of the scenario's comparisons. */
  readonly lines: readonly Line[];

  constructor(
    inspect: Docker.ContainerInspectInfo,
    results: readonly CallResult[],
    lines: readonly Line[],
  ) {
    this.inspect = inspect;
    this.results = results;
    this.lines = lines;
  }

  /** The host's id of the container's first process. */
  get init(): number {
    return this.inspect.State.Pid;
  }

  /** The host's id of the container's only process of that name. */
  pid(name: string): number {
    if (name === INIT) return this.init;
    const found = descendants(this.init).filter((pid) => procStat(pid).comm === name);
    if (found.length !== 1) throw new Error(`${found.length} processes are named ${name}`);
    return found[0]!;
  }

  /** The name of the nth process above it. */
  nameAbove(name: string, level: number): string {
    return procStat(above(this.pid(name), level)).comm;
  }

  /** The nth report of that call. */
  result(name: string, nth = 0): CallResult {
    const found = this.results.filter((one) => one.name === name || one.step === name)[nth];
    if (found === undefined) throw new Error(`the program reported no ${nth}th ${name}`);
    return found;
  }
}

export const LAYERS = 'the engine’s layer directories';

/** Is a path of the container in its writable layer, or in one of its image's? */
export function isInLayer(world: World, path: string, kind: 'UpperDir' | 'LowerDir'): boolean {
  const data = world.inspect.GraphDriver.Data as unknown as Readonly<Record<string, string>>;
  const folders = data[kind]?.split(':') ?? [];
  return folders.some((folder) => existsSync(join(folder, path)));
}

/** The process and those below it. */
function descendants(pid: number): number[] {
  const children = procChildren(pid);
  return [pid, ...children.flatMap(descendants)];
}

function procChildren(pid: number): number[] {
  return allProcesses().filter((one) => {
    try {
      return Number(procStatus(one, 'PPid')[0]) === pid;
    } catch {
      return false; // ended meanwhile
    }
  });
}

function allProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}
