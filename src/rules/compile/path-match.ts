import { compileGlob } from './glob.ts';

/** A component of the paths that were given, and what comes after it. */
interface Node {
  /** A path ends here: what is below it matches. */
  isEnd: boolean;
  readonly texts: Map<string, Node>;
  readonly globs: Map<string, { readonly test: (part: string) => boolean; readonly next: Node }>;
}

const newNode = (): Node => ({ isEnd: false, texts: new Map(), globs: new Map() });

/**
 * pmatch: is the value below one of the paths? By component, leading and double slashes do not count, a
 * component may be a glob, and the root (or '') holds every path (E2, S10). A value costs one look-up for each of its components,
 * and one test for each glob that may stand there, however many paths there are.
 */
export function compilePathMatch(paths: readonly string[]): (value: string) => boolean {
  const root = newNode();
  for (const path of paths) add(root, components(path));
  return (value) => isBelow(root, value);
}

const SLASH = 47;

/** Most values leave the paths at their first components: the others are not taken apart. */
function isBelow(root: Node, value: string): boolean {
  let node = root;
  let at = 0;
  while (!node.isEnd) {
    if (node.globs.size > 0) return isBelowAny([node], components(value.slice(at)));
    while (value.charCodeAt(at) === SLASH) at += 1;
    if (at >= value.length) return false;
    const slash = value.indexOf('/', at);
    const end = slash < 0 ? value.length : slash;
    const next = node.texts.get(value.slice(at, end));
    if (next === undefined) return false;
    node = next;
    at = end;
  }
  return true;
}

function add(root: Node, parts: readonly string[]): void {
  let node = root;
  for (const part of parts) {
    // What is below a path that matches matches with it.
    if (node.isEnd) return;
    node = /[?*[]/.test(part) ? globOf(node, part) : textOf(node, part);
  }
  node.isEnd = true;
}

function textOf({ texts }: Node, part: string): Node {
  const next = texts.get(part) ?? newNode();
  texts.set(part, next);
  return next;
}

function globOf({ globs }: Node, component: string): Node {
  const known = globs.get(component);
  if (known !== undefined) return known.next;
  const next = newNode();
  globs.set(component, { test: compileGlob(component).test, next });
  return next;
}

/** All that the parts so far may have come to, at once: globs and texts of one place can go on side by side. */
function isBelowAny(nodes: readonly Node[], parts: readonly string[]): boolean {
  let alive = nodes;
  for (let at = 0; alive.length > 0; at++) {
    if (alive.some(({ isEnd }) => isEnd)) return true;
    const part = parts[at];
    if (part === undefined) return false;
    const next: Node[] = [];
    for (const { texts, globs } of alive) {
      const exact = texts.get(part);
      if (exact !== undefined) next.push(exact);
      for (const glob of globs.values()) if (glob.test(part)) next.push(glob.next);
    }
    alive = next;
  }
  return false;
}

function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}
