import { pathNumber } from '../../events/call-params.ts';
import { EVENT_TABLE, JUDGED_CALLS } from '../../events/table.gen.ts';
import type { Test } from '../../rules/compile/checked.ts';
import {
  ALL_KINDS,
  CONNECT_KINDS,
  EXEC_KINDS,
  KINDS_OF,
  kindsOfEvent,
  kindsOfEvents,
  LINKS,
  NO_KINDS,
  OPEN_EVENTS,
  RENAMES,
  SYMLINKS,
  UNIX_KINDS,
  WITH_DESCRIPTOR,
  WORKED_PATHS,
  type Judged,
  type JudgedEvent,
  type Kinds,
} from './call-kinds.ts';
import type { PathPart } from './path-tests.ts';
import { WAY_KINDS } from './ways.ts';

/** What of a call a field is, for calls of these kinds. */
interface Source {
  readonly judged: Judged;
  readonly kinds: Kinds;
  /** Not every such call has it. */
  readonly optional?: boolean;
}

/** What a field is, by call; it is absent for calls in none of these. */
export interface PathField {
  /** The field is this path, or a part of it. If two are for the same calls, it has both values. */
  readonly sources: readonly Source[];
  /** The calls for which it is something else, or which may be either. */
  readonly unknown: Kinds;
  readonly part: PathPart;
  /** Compared in lower case. */
  readonly lowered: boolean;
}

const OPENS = kindsOfEvents(OPEN_EVENTS);

/** By the number of the call's text. */
const NUMBERED: readonly (Judged | undefined)[] = [undefined, 'first path', 'second path'];

/** `evt.arg.NAME`: a path where it is one of the two that the kernel judges. */
function ofParam(name: string): Pick<PathField, 'sources' | 'unknown'> {
  const sources: Source[] = [];
  let unknown = OPENS | EXEC_KINDS;
  if (name === 'filename') {
    sources.push({ judged: 'filename', kinds: EXEC_KINDS });
    unknown &= ~EXEC_KINDS;
  }
  for (const event of JUDGED_CALLS) {
    const judged = NUMBERED[pathNumber(event, name) ?? 0];
    const kinds = kindsOfEvent(event);
    if (judged !== undefined) sources.push({ judged, kinds });
    else if (EVENT_TABLE[event].params.some(([param]) => param === name)) unknown |= kinds;
  }
  return { sources: merged(sources), unknown };
}

/** `fs.path.*`: only of calls that worked. */
const worked = (judged: Judged, events: readonly JudgedEvent[]): Source => ({
  judged,
  kinds: kindsOfEvents(events) & WORKED_PATHS,
});

const WITH_ONE = JUDGED_CALLS.filter(
  (event) => ![...RENAMES, ...LINKS, ...SYMLINKS, ...WITH_DESCRIPTOR].includes(event),
);

/** As src/rules/fields/fs.ts has them. */
const FS_PATHS: Readonly<Record<string, Pick<PathField, 'sources' | 'unknown'>>> = {
  name: {
    sources: [worked('first path', WITH_ONE), worked('file', WITH_DESCRIPTOR)],
    unknown: OPENS,
  },
  source: {
    sources: [worked('first path', RENAMES), worked('second path', [...LINKS, ...SYMLINKS])],
    unknown: NO_KINDS,
  },
  target: {
    sources: [worked('second path', RENAMES), worked('first path', LINKS)],
    unknown: kindsOfEvents(SYMLINKS),
  },
  placed: {
    sources: [
      worked('second path', [...RENAMES, ...LINKS, ...SYMLINKS]),
      // An exchange puts both in place.
      { ...worked('first path', ['renameat2']), optional: true },
    ],
    unknown: NO_KINDS,
  },
};

const FD_PARTS: Readonly<Record<string, PathPart>> = {
  'fd.name': 'path',
  'fd.directory': 'directory',
  'fd.filename': 'name',
};
const OF_DESCRIPTOR = {
  sources: [{ judged: 'file', kinds: KINDS_OF.file & ~UNIX_KINDS }],
  unknown: EXEC_KINDS | CONNECT_KINDS | WAY_KINDS,
} as const;
/** `fd.name` is also where a unix socket is bound to. */
const NAME_OF_DESCRIPTOR = {
  sources: [{ judged: 'file', kinds: KINDS_OF.file }],
  unknown: EXEC_KINDS | WAY_KINDS | (CONNECT_KINDS & ~UNIX_KINDS),
} as const;
/** `basename(fd.name)` of a directory is something else than `fd.filename`, so that of files is not decided. */
const NAME_OF_SOCKET = {
  sources: [{ judged: 'file', kinds: UNIX_KINDS }],
  unknown: ALL_KINDS & ~UNIX_KINDS,
} as const;

/** Each call has a program. */
const OF_PROGRAM = {
  sources: [{ judged: 'program', kinds: ALL_KINDS }],
  unknown: NO_KINDS,
} as const;

const FIELD = /^(?:(tolower|basename)\()?([a-z.]+)\)?$/;

/** The field that a test reads; undefined if it is no path of judged calls or of a program. */
export function pathFieldOf({ left }: Pick<Test, 'left'>): PathField | undefined {
  const [, transformer, name = ''] = FIELD.exec(left.key) ?? [];
  const lowered = transformer === 'tolower';
  const ofDescriptor = FD_PARTS[name];
  if (transformer === 'basename' && ofDescriptor !== undefined)
    return name === 'fd.name' ? { ...NAME_OF_SOCKET, part: 'name', lowered } : undefined;
  if (ofDescriptor !== undefined) {
    const known = name === 'fd.name' ? NAME_OF_DESCRIPTOR : OF_DESCRIPTOR;
    return { ...known, part: ofDescriptor, lowered };
  }
  if (name === 'proc.exepath') return { ...OF_PROGRAM, part: plainPart(transformer), lowered };
  const [, kind, of = ''] = /^(evt\.arg|fs\.path)\.([a-z]+)$/.exec(name) ?? [];
  const found = kind === 'evt.arg' ? ofParam(of) : kind === 'fs.path' ? FS_PATHS[of] : undefined;
  if (found === undefined || found.sources.length === 0) return undefined;
  const part = plainPart(transformer);
  const { sources, unknown } = part === 'name' ? withoutFiles(found) : found;
  return { sources, unknown: unknown | CONNECT_KINDS | WAY_KINDS, part, lowered };
}

/** `fd.filename` is absent for a directory; `basename()` of its path is its own name. */
function withoutFiles({
  sources,
  unknown,
}: Pick<PathField, 'sources' | 'unknown'>): Pick<PathField, 'sources' | 'unknown'> {
  const files = sources.filter(({ judged }) => judged === 'file');
  return {
    sources: sources.filter(({ judged }) => judged !== 'file'),
    unknown: files.reduce((sum, { kinds }) => sum | kinds, unknown),
  };
}

const plainPart = (transformer: string | undefined): PathPart =>
  transformer === 'basename' ? 'name' : 'path';

/** The calls for which the field is absent. */
export const absentKinds = ({ sources, unknown }: PathField): Kinds =>
  sources.reduce((kinds, source) => kinds & ~source.kinds, ALL_KINDS & ~unknown);

/** One source for each path. */
function merged(sources: readonly Source[]): readonly Source[] {
  const kinds = new Map<Judged, Kinds>();
  for (const source of sources)
    kinds.set(source.judged, (kinds.get(source.judged) ?? NO_KINDS) | source.kinds);
  return [...kinds].map(([judged, of]) => ({ judged, kinds: of }));
}
