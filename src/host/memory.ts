import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimHeap } from 'ebpf-loader-napi';

type Collect = (options?: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

function collector(): Collect {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  setFlagsFromString('--no-expose-gc');
  return collect;
}

/** Frees what nobody holds, in some 100 ms. What is free is kept for what comes next. */
export function collectGarbage(): void {
  collector()();
}

/**
 * The same, and what is free goes back to the system: pages of which little is used are emptied first, the young generation
 * shrinks (with Node 26; Node 20 keeps its 32 MiB), and the C library's free pages go too. For a quiet time: it takes longer,
 * and what is needed next is to be asked for again.
 */
export function giveMemoryBack(): void {
  setFlagsFromString('--compact-on-every-full-gc');
  collector()({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  setFlagsFromString('--no-compact-on-every-full-gc');
  trimHeap();
}
