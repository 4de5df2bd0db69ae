import type { Value } from '../fields/field.ts';
import { errorName } from '../fields/errno.ts';
import { isSyscall } from '../fields/falco-events.ts';
import { directoryOf, fileNameOf } from '../../shared/path.ts';

/** Reads another field; undefined when it is absent. */
export interface ReadGiven {
  /** Given, or what follows from others. */
  (name: string, argument?: string): readonly Value[] | undefined;
  /** Only if it is given itself. */
  readonly given: (name: string) => readonly Value[] | undefined;
}

/** What a field is when others are given: undefined when nothing follows. */
export type Derivation = (
  name: string,
  argument: string | undefined,
  read: ReadGiven,
) => readonly Value[] | undefined;

/** Both ends of a descriptor and their other names. */
const ENDS: Readonly<Record<string, readonly string[]>> = {
  'fd.ip': ['fd.cip', 'fd.sip'],
  'fd.port': ['fd.cport', 'fd.sport'],
  'fd.proto': ['fd.cproto', 'fd.sproto'],
  'fd.net': ['fd.cnet', 'fd.snet'],
};
const LOCAL_AND_REMOTE: Readonly<Record<string, readonly string[]>> = {
  'fd.ip': ['fd.lip', 'fd.rip'],
  'fd.port': ['fd.lport', 'fd.rport'],
  'fd.proto': ['fd.lproto', 'fd.rproto'],
  'fd.net': ['fd.lnet', 'fd.rnet'],
};
const NETS: Readonly<Record<string, string>> = {
  'fd.net': 'fd.ip',
  'fd.cnet': 'fd.cip',
  'fd.snet': 'fd.sip',
  'fd.lnet': 'fd.lip',
  'fd.rnet': 'fd.rip',
};

/** The ancestors' fields with those of the process and its parent, which are their [0] and [1]. */
const ANCESTORS: readonly (readonly [any: string, own: string, parent: string | undefined])[] = [
  ['proc.aname', 'proc.name', 'proc.pname'],
  ['proc.aexe', 'proc.exe', 'proc.pexe'],
  ['proc.aexepath', 'proc.exepath', 'proc.pexepath'],
  ['proc.acmdline', 'proc.cmdline', 'proc.pcmdline'],
  ['proc.apid', 'proc.pid', 'proc.ppid'],
  ['proc.avpid', 'proc.vpid', 'proc.pvpid'],
  ['proc.aargs', 'proc.args', undefined],
  ['proc.aenv', 'proc.env', undefined],
];
const MAX_ANCESTORS = 64;
const IN_CONTAINER = 'proc.container_a';

const bothEnds: Derivation = (name, _argument, read) => {
  for (const pairs of [ENDS, LOCAL_AND_REMOTE]) {
    const ends = (pairs[name] ?? []).flatMap((end) => read(end) ?? []);
    if (ends.length > 0) return ends;
  }
  const address = NETS[name];
  return address === undefined ? undefined : read(address);
};

const ancestors: Derivation = (name, argument, read) => {
  // Where nothing else is said, all of them are the container's.
  if (name.startsWith(IN_CONTAINER)) return read(name.replace(IN_CONTAINER, 'proc.a'), argument);
  for (const [any, own, parent] of ANCESTORS) {
    if (name === parent) return read(any, '1');
    if (name !== any) continue;
    if (argument === '0') return read(own);
    if (argument !== undefined) {
      const listed = read.given(any)?.[Number(argument) - 1];
      if (listed !== undefined) return [listed];
      return argument === '1' && parent !== undefined ? read.given(parent) : undefined;
    }
    const found: Value[] = [];
    for (let level = 1; level <= MAX_ANCESTORS; level++) {
      const value = read(any, String(level));
      if (value === undefined && level > 1) break;
      found.push(...(value ?? []));
    }
    return found;
  }
  return undefined;
};

const words = (values: readonly Value[] | undefined): string[] | undefined =>
  values === undefined ? undefined : String(values[0]).split(' ').filter(Boolean);

/** What follows `NAME=` in an environment; '' when it is not there (S1). */
const variable = (environment: readonly string[], name: string): string =>
  environment.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';

const parts: Derivation = (name, argument, read) => {
  const path = (): string | undefined => {
    const value = read('fd.name')?.[0];
    return typeof value === 'string' && value.startsWith('/') ? value : undefined;
  };
  const one = (value: Value | undefined): readonly Value[] | undefined =>
    value === undefined ? undefined : [value];
  switch (name) {
    case 'fd.directory': {
      const found = path();
      return found === undefined ? undefined : one(directoryOf(found));
    }
    case 'fd.filename': {
      const found = path();
      return found === undefined ? undefined : one(fileNameOf(found));
    }
    case 'fd.nameraw':
      return one(path());
    // A missing word is empty, not absent (S1).
    case 'proc.args': {
      const found = argument === undefined ? undefined : words(read('proc.args'));
      return found === undefined ? undefined : [found[Number(argument)] ?? ''];
    }
    case 'proc.env': {
      const found = argument === undefined ? undefined : words(read('proc.env'));
      return found === undefined ? undefined : [variable(found, argument ?? '')];
    }
    case 'syscall.type': {
      const type = read('evt.type')?.[0];
      return type !== undefined && isSyscall(String(type)) ? [type] : undefined;
    }
    case 'evt.failed': {
      const result = read('evt.rawres')?.[0];
      return result === undefined ? undefined : [Number(result) < 0];
    }
    case 'evt.res': {
      const result = read('evt.rawres')?.[0];
      if (result === undefined) return undefined;
      const number = Number(result);
      return [number >= 0 ? 'SUCCESS' : (errorName(number) ?? String(number))];
    }
    case 'evt.dir':
      return ['<'];
    case 'evt.source':
      return ['syscall'];
    case 'evt.num':
    case 'evt.count':
      return [1];
    default:
      return undefined;
  }
};

/** Which params the paths of a call are: as `fs.path.source`, `fs.path.target` and `fs.path.placed` have them. */
const TWO_PATHS: Readonly<
  Record<string, readonly [source: string, target: string, placed: string]>
> = {
  ...Object.fromEntries(
    ['rename', 'renameat', 'renameat2'].map((type) => [type, ['oldpath', 'newpath', 'newpath']]),
  ),
  ...Object.fromEntries(
    ['link', 'linkat'].map((type) => [type, ['newpath', 'oldpath', 'newpath']]),
  ),
  ...Object.fromEntries(
    ['symlink', 'symlinkat'].map((type) => [type, ['linkpath', 'target', 'linkpath']]),
  ),
};

const paths: Derivation = (name, _argument, read) => {
  if (!name.startsWith('fs.path.')) return undefined;
  const params = TWO_PATHS[String(read('evt.type')?.[0])];
  if (params === undefined || Number(read('evt.rawres')?.[0] ?? 0) !== 0) return undefined;
  const [source, target, placed] = params.map((param) => read('evt.arg', param) ?? []);
  switch (name) {
    case 'fs.path.source':
      return source;
    case 'fs.path.target':
      return target;
    case 'fs.path.placed': {
      const exchanges = String(read('evt.arg', 'flags')?.[0]).includes('RENAME_EXCHANGE');
      return [...(placed ?? []), ...(exchanges ? (source ?? []) : [])];
    }
    default:
      return undefined;
  }
};

/** In the order in which they are tried. */
export const DERIVED: readonly Derivation[] = [bothEnds, ancestors, parts, paths];
