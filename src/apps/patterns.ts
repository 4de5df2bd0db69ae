import type { ScopePattern } from '../probe/scope.ts';
import { UserError, type SourcePosition } from '../shared/user-error.ts';

/** What the probe's table of patterns holds. */
export const MAX_SCOPE_PATTERNS = 16;
const MAX_PREFIX_BYTES = 63;
const MAX_LEAF_BYTES = 31;
const HEX64 = /^[0-9a-f]{64}$/;

function hex64(prefix: string, leafPrefix = '', leafSuffix = '', deep = false): ScopePattern {
  return { prefix, leafPrefix, handle: 'hex64', leafSuffix, deep };
}

function notContainer(prefix: string, leaf: string): ScopePattern {
  return { prefix, leafPrefix: leaf, handle: 'none', leafSuffix: '', deep: false, negative: true };
}

function anyHandle(prefix: string): ScopePattern {
  return { prefix, leafPrefix: '', handle: 'any', leafSuffix: '', deep: false };
}

/** dockerd with its default cgroup parents: the cgroupfs driver's, then the systemd driver's. */
export const DOCKER_PATTERNS: readonly ScopePattern[] = [
  hex64('/docker/'),
  hex64('/system.slice/', 'docker-', '.scope'),
];

/** Podman, cgroupfs and systemd (its `container` cgroup below is a nested one). */
export const PODMAN_PATTERNS: readonly ScopePattern[] = [
  hex64('/libpod_parent/', 'libpod-'),
  hex64('/machine.slice/', 'libpod-', '.scope'),
];

/** Kubernetes over containerd, CRI-O or Docker, cgroupfs and systemd. */
export const CRI_PATTERNS: readonly ScopePattern[] = [
  hex64('/kubepods/', '', '', true),
  hex64('/kubepods.slice/', 'cri-containerd-', '.scope', true),
  hex64('/kubepods.slice/', 'crio-', '.scope', true),
  hex64('/kubepods.slice/', 'docker-', '.scope', true),
];

/**
 * Patterns for a kubelet whose root is not `/kubepods` or `/kubepods.slice` (its `cgroupRoot`): the cgroup above its pods,
 * as in `/kubelet/kubepods` or `/kubelet.slice/kubelet-kubepods.slice`. Throws UserError when it cannot be one.
 */
export function criPatterns(root: string, position?: SourcePosition): ScopePattern[] {
  const subject = `The Kubernetes cgroup ${quote(root)}`;
  checkRoot(root, subject, '/kubelet.slice/kubelet-kubepods.slice', position);
  const prefix = `${root}/`;
  return [
    hex64(prefix, '', '', true),
    hex64(prefix, 'cri-containerd-', '.scope', true),
    hex64(prefix, 'crio-', '.scope', true),
  ].map((pattern) => checked(pattern, subject, position));
}

/** Where Garden puts its containers, unless it was itself started in a cgroup of its own: then below that one. */
export const GARDEN_ROOT = '/garden';

/** Garden, with and without CPU throttling. `good` and `bad` hold containers, they are none. */
export const GARDEN_PATTERNS: readonly ScopePattern[] = gardenPatterns(GARDEN_ROOT);

/**
 * Patterns for a Garden whose root is the cgroup `root`, as in `/system.slice/runit.service/garden`. Throws UserError
 * when it cannot be one.
 */
export function gardenPatterns(root: string, position?: SourcePosition): ScopePattern[] {
  const subject = `The Garden cgroup ${quote(root)}`;
  checkRoot(root, subject, '/system.slice/runit.service/garden', position);
  const prefix = `${root}/`;
  return [
    notContainer(prefix, 'good'),
    notContainer(prefix, 'bad'),
    anyHandle(`${prefix}good/`),
    anyHandle(`${prefix}bad/`),
    anyHandle(prefix),
  ].map((pattern) => checked(pattern, subject, position));
}

function checkRoot(
  root: string,
  subject: string,
  example: string,
  position: SourcePosition | undefined,
): void {
  if (/^(?:\/[^/*]+)+$/.test(root) && !/\/\.{1,2}(?:\/|$)/.test(root)) return;
  throw new UserError(
    `${subject} must be an absolute path without "*", such as "${example}".`,
    position === undefined ? {} : { position },
  );
}

/**
 * Patterns for a dockerd whose cgroup parent is not the default: a path for the cgroupfs driver
 * (`/apps`), a slice for the systemd driver (`apps-web.slice`). Throws UserError when it cannot be one.
 */
export function dockerParentPattern(parent: string, position?: SourcePosition): ScopePattern {
  const slice = /^(?:[\w.:]+-)*[\w.:]+\.slice$/.test(parent);
  const path = slice ? expandSlice(parent) : parent.startsWith('/') ? parent : `/${parent}`;
  const pattern = hex64(
    path.endsWith('/') ? path : `${path}/`,
    slice ? 'docker-' : '',
    slice ? '.scope' : '',
  );
  return checked(pattern, `The Docker cgroup parent ${quote(parent)}`, position);
}

/** systemd nests `a-b.slice` in `a.slice` (systemd.slice(5)). */
function expandSlice(slice: string): string {
  const parts = slice.replace(/\.slice$/, '').split('-');
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('-')}.slice`).join('');
}

/**
 * Compiles a pattern from the configuration: an absolute cgroup path with one `*` in its last component,
 * which stands for the handle (anything not empty); `/**` before the last component allows more levels.
 * Throws UserError, with a sentence, for anything else.
 */
export function compilePattern(text: string, position?: SourcePosition): ScopePattern {
  const subject = `The cgroup pattern ${quote(text)}`;
  const fail = (problem: string): never => {
    throw new UserError(
      `${subject} ${problem}, as in "/my-apps/*".`,
      position === undefined ? {} : { position },
    );
  };
  if (!text.startsWith('/')) fail('must start with "/"');
  const cut = text.lastIndexOf('/');
  const leaf = text.slice(cut + 1);
  let parent = text.slice(0, cut);
  const deep = parent.endsWith('/**');
  if (deep) parent = parent.slice(0, -'/**'.length);
  if (parent === '') fail('must name a cgroup above the containers');
  if (parent.includes('*')) fail('may have "*" only in its last component');
  const components = parent.slice(1).split('/');
  if (components.some((part) => part === '' || part === '.' || part === '..')) {
    fail('must not have empty, "." or ".." components');
  }
  const star = leaf.indexOf('*');
  if (star < 0 || leaf.includes('*', star + 1)) fail('must have one "*" in its last component');
  return checked(
    {
      prefix: `${parent}/`,
      leafPrefix: leaf.slice(0, star),
      handle: 'any',
      leafSuffix: leaf.slice(star + 1),
      deep,
    },
    subject,
    position,
  );
}

function checked(pattern: ScopePattern, subject: string, position?: SourcePosition): ScopePattern {
  const options = position === undefined ? {} : { position };
  const tooLong =
    Buffer.byteLength(pattern.prefix) > MAX_PREFIX_BYTES
      ? `more than ${MAX_PREFIX_BYTES} bytes before its last component`
      : Buffer.byteLength(pattern.leafPrefix) > MAX_LEAF_BYTES ||
          Buffer.byteLength(pattern.leafSuffix) > MAX_LEAF_BYTES
        ? `more than ${MAX_LEAF_BYTES} bytes on a side of its "*"`
        : undefined;
  if (tooLong !== undefined) throw new UserError(`${subject} has ${tooLong}.`, options);
  if (/[\p{Cc}\p{Cs}]/u.test(pattern.prefix + pattern.leafPrefix + pattern.leafSuffix)) {
    throw new UserError(`${subject} has control characters.`, options);
  }
  return pattern;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}

/** Where a path met a pattern. */
export interface PathMatch<P extends ScopePattern> {
  readonly pattern: P;
  /** The part of the last component that names the container. */
  readonly handle: string;
  /** Path of the cgroup that is the container: the path itself, or an ancestor. */
  readonly rootPath: string;
}

/**
 * Which container a cgroup path belongs to: walking from the root, the first ancestor (or the path itself)
 * that a pattern matches decides, so a name nested below a container never changes the answer. Of several
 * patterns that match one path the first in the list decides; if it is negative, that cgroup is no
 * container and the walk goes on below it. The kernel comes to the same answer from mkdir to mkdir.
 */
export function matchPath<P extends ScopePattern>(
  patterns: readonly P[],
  path: string,
): PathMatch<P> | undefined {
  for (let end = path.indexOf('/', 1); ; end = path.indexOf('/', end + 1)) {
    const rootPath = end < 0 ? path : path.slice(0, end);
    for (const pattern of patterns) {
      const handle = matchWhole(pattern, rootPath);
      if (handle === undefined) continue;
      if (pattern.negative === true) break;
      return { pattern, handle, rootPath };
    }
    if (end < 0) return undefined;
  }
}

function matchWhole(pattern: ScopePattern, path: string): string | undefined {
  const { prefix, leafPrefix, leafSuffix } = pattern;
  if (!path.startsWith(prefix)) return undefined;
  const leafStart = path.lastIndexOf('/') + 1;
  if (pattern.deep ? leafStart < prefix.length : leafStart !== prefix.length) return undefined;
  const leaf = path.slice(leafStart);
  if (leaf.length < leafPrefix.length + leafSuffix.length) return undefined;
  if (!leaf.startsWith(leafPrefix) || !leaf.endsWith(leafSuffix)) return undefined;
  const handle = leaf.slice(leafPrefix.length, leaf.length - leafSuffix.length);
  switch (pattern.handle) {
    case 'hex64':
      return HEX64.test(handle) ? handle : undefined;
    case 'any':
      return handle === '' ? undefined : handle;
    case 'none':
      return handle === '' ? handle : undefined;
  }
}

/** Whether a cgroup can be the anchor of a pattern or lead to one: the rescan looks below it. */
export function leadsToPattern(patterns: readonly ScopePattern[], path: string): boolean {
  const below = path.endsWith('/') ? path : `${path}/`;
  return patterns.some(
    (pattern) =>
      pattern.prefix.startsWith(below) || (pattern.deep && below.startsWith(pattern.prefix)),
  );
}
