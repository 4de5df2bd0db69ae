import { pathNumber } from '../../events/call-params.ts';
import type { EventName } from '../../events/table.gen.ts';
import { absolutePath } from '../../shared/path.ts';
import { descriptorName } from './descriptor.ts';
import { field, fieldWithReader, future } from './field.ts';
import type { FieldClass, View } from './field.ts';

const EPERM = 1;

/** A path of an event: as the call resolves it, and as it was passed. Undefined where the event has none. */
interface PathParam {
  readonly resolved: string | undefined;
  readonly raw: string | undefined;
}

type ReadPath = (view: View) => PathParam | undefined;
type PathTable = Readonly<Partial<Record<EventName, ReadPath>>>;

/** Falco counts every result but -1 as a successful open (it uses the C library's test), and leaves creat out. */
const ofOpen: ReadPath = (view) =>
  view.event.result === -EPERM
    ? undefined
    : { resolved: descriptorName(view), raw: view.event.open?.rawPath };

/** Of all others only those that worked count. */
const worked = (view: View): boolean => view.event.result === 0;

/** A path among the call's params. */
const param =
  (name: string): ReadPath =>
  (view) => {
    const { call, type } = view.event;
    const number = pathNumber(type, name);
    if (call === undefined || number === undefined || !worked(view)) return undefined;
    return { resolved: call.path(number), raw: call.text(number) };
  };

/** A string that need not be a path: the first of the call's. */
const firstText =
  (resolve: (text: string, view: View) => string | undefined): ReadPath =>
  (view) => {
    const { call } = view.event;
    if (call === undefined || !worked(view)) return undefined;
    const raw = call.text(1);
    return { resolved: resolve(raw, view), raw };
  };

/** A relative link target is resolved from the link's directory. The link's own path is the call's second string. */
function linkTarget(text: string, { event }: View): string | undefined {
  const link = event.call?.path(2);
  return absolutePath(text, text.startsWith('/') || link === undefined ? '' : `${link}/..`);
}

const ofDescriptor: ReadPath = (view) => {
  if (!worked(view)) return undefined;
  const name = descriptorName(view);
  return { resolved: name, raw: name };
};

const NAMES: PathTable = {
  open: ofOpen,
  openat: ofOpen,
  openat2: ofOpen,
  mkdir: param('path'),
  mkdirat: param('path'),
  rmdir: param('path'),
  unlink: param('path'),
  unlinkat: param('name'),
  umount2: param('name'),
  chmod: param('filename'),
  fchmodat: param('filename'),
  fchmod: ofDescriptor,
  chown: param('path'),
  lchown: param('path'),
  fchownat: param('pathname'),
  fchown: ofDescriptor,
};

const RENAMES = ['rename', 'renameat', 'renameat2'] as const;
const LINKS = ['link', 'linkat'] as const;
const SYMLINKS = ['symlink', 'symlinkat'] as const;

const forEach = (events: readonly EventName[], read: ReadPath): PathTable =>
  Object.fromEntries(events.map((event) => [event, read]));

/** Of a link Falco calls the new name the source, and what it leads to the target. */
const SOURCES: PathTable = {
  ...forEach(RENAMES, param('oldpath')),
  ...forEach(LINKS, param('newpath')),
  ...forEach(SYMLINKS, param('linkpath')),
  // A device, or a word such as `none`.
  mount: firstText((text) => text),
};

const TARGETS: PathTable = {
  ...forEach(RENAMES, param('newpath')),
  ...forEach(LINKS, param('oldpath')),
  ...forEach(SYMLINKS, firstText(linkTarget)),
  mount: param('dir'),
};

const read =
  (table: PathTable, what: keyof PathParam) =>
  (view: View): string | undefined =>
    table[view.event.type]?.(view)?.[what];

const RENAME_EXCHANGE = 2;
const RENAMED: ReadonlySet<string> = new Set(RENAMES);
const newName = read(TARGETS, 'resolved');
const oldName = read(SOURCES, 'resolved');

/** Falco's source is the old name of a rename, and the new one of a link. */
function placed(view: View): readonly (string | undefined)[] {
  const { call, type } = view.event;
  if (!RENAMED.has(type)) return type === 'mount' ? [] : [oldName(view)];
  const exchanges = type === 'renameat2' && ((call?.int(5) ?? 0) & RENAME_EXCHANGE) !== 0;
  return exchanges ? [newName(view), oldName(view)] : [newName(view)];
}

export const FS_CLASS: FieldClass = {
  name: 'fs.path',
  description: 'The paths that a system call names',
  fields: [
    field(
      'fs.path.name',
      'CHARBUF',
      'The path, resolved: of open, mkdir, rmdir, unlink, chmod, chown, umount2 and their kind.',
      read(NAMES, 'resolved'),
      { pathDependent: true },
    ),
    field('fs.path.nameraw', 'CHARBUF', 'The same path as passed.', read(NAMES, 'raw')),
    field(
      'fs.path.source',
      'CHARBUF',
      "What a rename moves, a link's own path, what a mount takes; resolved.",
      read(SOURCES, 'resolved'),
    ),
    field('fs.path.sourceraw', 'CHARBUF', 'The same path as passed.', read(SOURCES, 'raw')),
    field(
      'fs.path.target',
      'CHARBUF',
      'Where a rename moves it, what a link leads to, where a mount puts it; resolved.',
      read(TARGETS, 'resolved'),
    ),
    field('fs.path.targetraw', 'CHARBUF', 'The same path as passed.', read(TARGETS, 'raw')),
    fieldWithReader(
      'fs.path.placed',
      'CHARBUF',
      'The paths at which a rename or a link has put something, both of an exchange; resolved (our own).',
      () => {
        const values: string[] = [];
        return {
          shape: 'any',
          notEqual: 'some',
          read(view) {
            values.length = 0;
            for (const path of placed(view)) if (path !== undefined) values.push(path);
            return values;
          },
          output: (view) => placed(view).find((path) => path !== undefined) ?? null,
        };
      },
      { noVal: true, noTransformer: true },
    ),
  ],
};

export const FDLIST_CLASS: FieldClass = {
  name: 'fdlist',
  description: 'The descriptors of a poll',
  fields: [
    future('fdlist.nums', 'CHARBUF', 'Their numbers.'),
    future('fdlist.names', 'CHARBUF', 'Their names.'),
    future('fdlist.cips', 'CHARBUF', "Their clients' addresses."),
    future('fdlist.sips', 'CHARBUF', "Their servers' addresses."),
    future('fdlist.cports', 'CHARBUF', "Their clients' ports."),
    future('fdlist.sports', 'CHARBUF', "Their servers' ports."),
  ],
};

export const UTIL_CLASS: FieldClass = {
  name: 'util',
  description: 'Aids that Falco has for its own tools',
  fields: [future('util.cnt', 'UINT64', 'Counts the events that it is read for.')],
};
