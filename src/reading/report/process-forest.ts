import type { Origin } from '../../rules/lineage.ts';
import type { ReadLineage, ReadProcess } from '../read-detection.ts';
import { instanceKey } from './collector.ts';
import { textOf } from './fact.ts';
import type { Found } from '../found.ts';

/** Processes of a report's trees; detections of further ones are counted. */
export const MAX_PROCESSES = 1000;
const MAX_NAMES = 4;
const MAX_COMMANDS = 3;
/** Names of ancestors that Falco's fields can tell: proc.pname, proc.aname[2], … */
const MAX_NAMED_ANCESTORS = 8;

/** A process that detections tell of. */
export interface ProcessNode {
  /** In the container; undefined where only its name is known. */
  readonly pid: number | undefined;
  /** Hundredths of a second since the host's start. */
  readonly start: number | undefined;
  /** What it ran, one after the other: exec keeps the process. At most four. */
  readonly names: readonly string[];
  /** Command lines that detections of it had; at most three. */
  readonly commands: readonly string[];
  readonly exe: string | undefined;
  readonly children: readonly ProcessNode[];
  readonly found: readonly Found[];
  /** What is above it, as far as it has no parent here. */
  readonly above: ReadLineage['above'];
  /** How the oldest process of its lines came into the container: several where lines tell different things. */
  readonly origins: ReadonlySet<Origin>;
}

/** The processes of an app instance. */
export interface ProcessTree {
  readonly app: Found['app'];
  readonly hostname: string;
  readonly roots: readonly ProcessNode[];
}

/** All trees, and the detections that are in none. */
export interface ProcessForest {
  readonly trees: readonly ProcessTree[];
  /** Their lines tell no process. */
  readonly untold: readonly Found[];
  /** There were too many processes. */
  readonly leftOut: number;
  /** Some processes are known by their names only: two of the same names in the same place are drawn as one. */
  readonly byName: boolean;
}

interface MutableNode extends ProcessNode {
  names: string[];
  commands: string[];
  exe: string | undefined;
  children: MutableNode[];
  found: Found[];
  above: ProcessNode['above'];
  origins: Set<Origin>;
  parent: MutableNode | undefined;
}

/** A process during lookup: its identity key, and what is known of it. */
interface Told extends Omit<ReadProcess, 'pid'> {
  readonly key: string;
  readonly pid: number | undefined;
}

/** Joins the lineages of detections, in the log's order, into trees. */
export function processForest(all: readonly Found[]): ProcessForest {
  const nodes = new Map<string, MutableNode>();
  const trees = new Map<string, { app: Found['app']; hostname: string; nodes: MutableNode[] }>();
  const untold: Found[] = [];
  let leftOut = 0;
  let byName = false;
  for (const found of all) {
    const told = toldOf(found);
    if (told === undefined) {
      untold.push(found);
      continue;
    }
    const fresh = told.processes.filter(({ key }) => !nodes.has(key));
    if (nodes.size + fresh.length > MAX_PROCESSES) {
      leftOut++;
      continue;
    }
    byName ||= told.byName;
    const instance = instanceKey(found);
    let tree = trees.get(instance);
    if (tree === undefined) {
      tree = { app: found.app, hostname: found.hostname, nodes: [] };
      trees.set(instance, tree);
    }
    let below: MutableNode | undefined;
    for (const process of told.processes) {
      let node = nodes.get(process.key);
      if (node === undefined) {
        node = newNode(process);
        nodes.set(process.key, node);
        tree.nodes.push(node);
      }
      if (node.names.at(-1) !== process.name && node.names.length < MAX_NAMES)
        node.names.push(process.name);
      if (below === undefined) attach(node, found);
      else adopt(node, below);
      below = node;
    }
    if (below !== undefined && below.above === 'unknown') below.above = told.above;
    if (below !== undefined && told.origin !== undefined) below.origins.add(told.origin);
  }
  return {
    trees: [...trees.values()].map(({ app, hostname, nodes: members }) => {
      return { app, hostname, roots: members.filter(({ parent }) => parent === undefined) };
    }),
    untold,
    leftOut,
    byName,
  };
}

function newNode({ pid, start }: Told): MutableNode {
  return {
    pid,
    start,
    names: [],
    commands: [],
    exe: undefined,
    children: [],
    found: [],
    above: 'unknown',
    origins: new Set(),
    parent: undefined,
  };
}

function attach(node: MutableNode, found: Found): void {
  node.found.push(found);
  const command = textOf(found, 'proc.cmdline');
  if (
    command !== undefined &&
    !node.commands.includes(command) &&
    node.commands.length < MAX_COMMANDS
  )
    node.commands.push(command);
  node.exe ??= textOf(found, 'proc.exepath');
}

/** A log may contain anything: prevents a process from becoming its own ancestor. */
function adopt(parent: MutableNode, child: MutableNode): void {
  if (child.parent !== undefined) return;
  for (let at: MutableNode | undefined = parent; at !== undefined; at = at.parent)
    if (at === child) return;
  child.parent = parent;
  parent.children.push(child);
}

interface ToldLineage {
  /** The process first. */
  readonly processes: readonly Told[];
  readonly above: ProcessNode['above'];
  readonly origin: Origin | undefined;
  readonly byName: boolean;
}

/** What a line tells of its process and those above; undefined for nothing. */
function toldOf(found: Found): ToldLineage | undefined {
  const instance = instanceKey(found);
  const { lineage, container } = found;
  if (lineage !== undefined) {
    const { processes, above, origin } = lineage;
    const told = processes.map(({ pid, start, name }, level) => {
      // Without a start time a pid may be reused: then the ancestors distinguish processes.
      const chain = processes.slice(level).map((one) => [one.pid, one.name]);
      const key = start === undefined ? [instance, container, chain] : [instance, pid, start];
      return { pid: pid === 0 ? undefined : pid, start, name, key: JSON.stringify(key) };
    });
    return { processes: told, above, origin, byName: false };
  }
  const names = ['proc.name', 'proc.pname']
    .concat(Array.from({ length: MAX_NAMED_ANCESTORS - 1 }, (_, at) => `proc.aname[${at + 2}]`))
    .map((field) => textOf(found, field));
  const end = names.indexOf(undefined);
  const known = (end < 0 ? names : names.slice(0, end)) as string[];
  if (known.length === 0) return undefined;
  const pid = numberOf(found, 'proc.vpid') ?? numberOf(found, 'proc.pid');
  const processes = known.map((name, level) => {
    const own = level === 0 ? [pid, textOf(found, 'proc.cmdline')] : [];
    const key = JSON.stringify(['name', instance, container, known.slice(level), ...own]);
    return { pid: level === 0 ? pid : undefined, start: undefined, name, key };
  });
  return { processes, above: 'unknown', origin: undefined, byName: true };
}

function numberOf({ fields }: Found, name: string): number | undefined {
  const value = fields[name];
  return typeof value === 'number' ? value : undefined;
}
