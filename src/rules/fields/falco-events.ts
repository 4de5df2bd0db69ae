import {
  FORMER_PARAMS,
  FORMER_TYPES,
  GENERIC_SYSCALLS,
  OTHER_EVENT_NAMES,
  OTHER_LINES,
  SYSCALL_LINES,
} from './falco-event-table.ts';

/** A param of a Falco event. */
export interface FalcoParam {
  readonly name: string;
  /** Falco's name of the type: `FD`, `FSPATH`, `ERRNO`, `FLAGS32`, … */
  readonly type: string;
  /** How a number is printed. */
  readonly format: 'decimal' | 'octal' | 'hex';
}

/** What is known of a Falco event. */
export interface FalcoEvent {
  readonly name: string;
  /** As in the table: for `io-read`, `io-write` and `io-other`, `evt.category` depends on the descriptor. */
  readonly category: string;
  readonly params: readonly FalcoParam[];
  readonly readsFromFd: boolean;
  readonly writesToFd: boolean;
  /** Makes the caller wait. */
  readonly waits: boolean;
  readonly syscall: boolean;
}

const FORMATS = { o: 'octal', x: 'hex' } as const;

const GENERIC_PARAMS: readonly FalcoParam[] = [
  { name: 'ID', type: 'SYSCALLID', format: 'decimal' },
  { name: 'nativeID', type: 'UINT16', format: 'decimal' },
];

const words = (text: string): string[] => text.trim().split(/\s+/);

function parseParam(text: string): FalcoParam {
  const [, name = '', type = '', format] = /^(\w+):(\w+)(?:\/(\w))?$/.exec(text) ?? [];
  return { name, type, format: format === 'o' || format === 'x' ? FORMATS[format] : 'decimal' };
}

function parseLine(line: string, syscall: boolean): FalcoEvent {
  const [name = '', kind = '', ...params] = line.split(' ');
  const [category = '', flags = ''] = kind.split('/');
  return {
    name,
    category,
    params: params.map(parseParam),
    readsFromFd: flags.includes('r'),
    writesToFd: flags.includes('w'),
    waits: flags.includes('s'),
    syscall,
  };
}

function genericSyscall(name: string): FalcoEvent {
  return {
    name,
    category: 'other',
    params: GENERIC_PARAMS,
    readsFromFd: false,
    writesToFd: false,
    waits: false,
    syscall: true,
  };
}

const EVENTS: ReadonlyMap<string, FalcoEvent> = new Map(
  [
    ...SYSCALL_LINES.trim()
      .split('\n')
      .map((line) => parseLine(line, true)),
    ...words(GENERIC_SYSCALLS).map(genericSyscall),
    ...OTHER_LINES.trim()
      .split('\n')
      .map((line) => parseLine(line, false)),
  ].map((event) => [event.name, event]),
);

const OTHER_NAMES: ReadonlySet<string> = new Set(words(OTHER_EVENT_NAMES));

/** Types of each param's name: the first is that of its first appearance in Falco's table. */
const PARAM_TYPES: ReadonlyMap<string, ReadonlySet<string>> = collectTypes();

function collectTypes(): Map<string, Set<string>> {
  const types = new Map<string, Set<string>>();
  const add = ({ name, type }: FalcoParam): void => {
    const known = types.get(name);
    if (known === undefined) types.set(name, new Set([type]));
    else known.add(type);
  };
  for (const text of words(`${FORMER_PARAMS} ${FORMER_TYPES}`)) add(parseParam(text));
  for (const event of EVENTS.values()) event.params.forEach(add);
  return types;
}

/** Every event of Falco's schema, in its order: system calls first. */
export const FALCO_EVENT_NAMES: readonly string[] = [...EVENTS.keys()];

/** Every param's name, for suggestions. */
export const FALCO_PARAM_NAMES: readonly string[] = [...PARAM_TYPES.keys()];

/** What is known of an event; undefined when the schema has none of that name. */
export function falcoEvent(name: string): FalcoEvent | undefined {
  return EVENTS.get(name);
}

/**
 * Does Falco take this as an event's name in a condition? Beside the schema's events, names of former events and
 * the kernel's other names of some system calls.
 */
export function isFalcoEvent(name: string): boolean {
  return EVENTS.has(name) || OTHER_NAMES.has(name);
}

/** An event's params in Falco's order; none for an event that is not in the schema. */
export function falcoParams(event: string): readonly FalcoParam[] {
  return EVENTS.get(event)?.params ?? [];
}

/** Has any event, of today or former, a param of this name? */
export function isFalcoParam(name: string): boolean {
  return PARAM_TYPES.has(name);
}

/** Falco's types of all params of this name, the one that `evt.rawarg` is compiled with first; empty for none. */
export function falcoParamTypes(name: string): ReadonlySet<string> {
  return PARAM_TYPES.get(name) ?? new Set();
}

/** Is the event a system call, so that `syscall.type` has its name? */
export function isSyscall(event: string): boolean {
  return EVENTS.get(event)?.syscall ?? false;
}
