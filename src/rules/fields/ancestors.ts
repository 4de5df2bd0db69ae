import type { Process } from '../../context/process.ts';

/** How far up the tree a rule looks: past it there is no ancestor. */
export const MAX_ANCESTORS = 64;

/** The ancestor so many levels up: 0 is the process itself; undefined when the tree ends below. */
export function ancestor(process: Process, level: number): Process | undefined {
  if (level > MAX_ANCESTORS) return undefined;
  let found: Process | undefined = process;
  for (let i = 0; i < level && found !== undefined; i++) found = found.parent;
  return found;
}

/** The oldest process above that is the container's, or itself: what the runtime started. */
export function firstInContainer(process: Process): Process {
  let first = process;
  for (const above of ancestors(process)) {
    if (!above.inScope) break;
    first = above;
  }
  return first;
}

/** The ancestors, parent first. */
export function* ancestors(process: Process): Generator<Process> {
  let found = process.parent;
  for (let level = 0; found !== undefined && level < MAX_ANCESTORS; level++) {
    yield found;
    found = found.parent;
  }
}

/** Those of the container, up to the process that the runtime started. */
export function* containerAncestors(process: Process): Generator<Process> {
  for (const above of ancestors(process)) {
    if (!above.inScope) return;
    yield above;
  }
}

/** The ancestor of that number, if all up to it are the container's; 0 is the process itself. */
export function containerAncestor(process: Process, level: number): Process | undefined {
  if (level === 0) return process;
  let left = level;
  for (const above of containerAncestors(process)) if (--left === 0) return above;
  return undefined;
}
