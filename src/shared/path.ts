/** `/etc/../x//y/./` → `/x/y`: by its text alone, without looking at links. `path` begins with '/'. */
export function normalizePath(path: string): string {
  if (!/\/(?:\/|\.{1,2}(?:\/|$)|$)/.test(path)) return path;
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** All forms of a process's root in /proc: `/proc/self/root`, `/proc/7/task/8/root`. */
const PROC_ROOT = /^\/proc\/(?:(?:self|\d+)(?:\/task\/\d+)?|thread-self)\/root$/;

/** Links whose target the text does not tell, or that lead deeper into /proc: `..` below them is unclear too. */
const UNCLEAR =
  /^\/(?:proc\/(?:net|thread-self|(?:self|\d+)(?:\/task\/\d+)?\/(?:cwd|fd\/[^/]+))|dev\/(?:fd|stdin|stdout|stderr))$/;

/** Last components of such links, except those below `fd`. */
const UNCLEAR_NAMES: ReadonlySet<string> = new Set([
  'net',
  'thread-self',
  'cwd',
  'fd',
  'stdin',
  'stdout',
  'stderr',
]);

/** The most that either has: `/proc/7/task/8/fd/9`. */
const DETOUR_PARTS = 6;

/**
 * `/proc/self/root/etc/x` → `/etc/x`: normalizes a path and removes every detour by a process's root. Other processes
 * of a container have the same root, or the path is a host path of the same form. Below an unclear link `..` stays, so
 * that rules can tell such a path by its beginning.
 */
export function withoutProcRoot(path: string): string {
  if (!/\/(?:proc|dev)(?:\/|$)/.test(path)) return normalizePath(path);
  const parts: string[] = [];
  let unclear = false;
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && !unclear) parts.pop();
    else parts.push(part);
    if (parts.length > DETOUR_PARTS || (parts[0] !== 'proc' && parts[0] !== 'dev')) continue;
    if (part === 'root') {
      // The rest starts at the root again, so `..` there cannot lead into /proc.
      if (!PROC_ROOT.test(`/${parts.join('/')}`)) continue;
      parts.length = 0;
      unclear = false;
    } else if (!unclear && (UNCLEAR_NAMES.has(part) || parts.at(-2) === 'fd')) {
      unclear = UNCLEAR.test(`/${parts.join('/')}`);
    }
  }
  return `/${parts.join('/')}`;
}

/** What the probe looks up: a path that begins with the caller's own working directory or descriptor (call__find_detour). */
const DETOUR = /^\/(?:proc\/(?:thread-)?self\/(?:cwd|fd\/\d+)|dev\/fd\/\d+)(?=\/|$)/;

/**
 * A passed path, absolute and without detours through /proc; undefined when its base directory is not known. `start` is
 * from the probe: where a relative path starts, or where a detour leads.
 */
export function absolutePath(passed: string, start: string): string | undefined {
  if (!start.startsWith('/')) return passed.startsWith('/') ? withoutProcRoot(passed) : undefined;
  if (!passed.startsWith('/')) return withoutProcRoot(`${start}/${passed}`);
  return withoutProcRoot(passed.replace(DETOUR, () => start));
}

/** The directory a path is in: `/etc` of `/etc/shadow`, `/` of `/x`; undefined for a bare name. */
export function directoryOf(path: string): string | undefined {
  const slash = path.lastIndexOf('/');
  if (slash < 0) return undefined;
  return slash === 0 ? '/' : path.slice(0, slash);
}

/** The last component of a path; '' when it ends with a slash. */
export function fileNameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
