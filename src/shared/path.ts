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
