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

/** Runs a full garbage collection, some 100 ms. The freed memory is kept for later allocations. */
export function collectGarbage(): void {
  collector()();
}

/**
 * The same, and returns free memory to the system. Compacts sparsely used pages, shrinks the young generation (with
 * Node 26; Node 20 keeps its 32 MiB), and trims the C library's heap. For idle times: it takes longer, and later
 * allocations must ask the system again.
 */
export function giveMemoryBack(): void {
  setFlagsFromString('--compact-on-every-full-gc');
  collector()({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  setFlagsFromString('--no-compact-on-every-full-gc');
  trimHeap();
}
