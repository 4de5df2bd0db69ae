/** This thread does nothing for so long, as on a host that has no time for it; what arrives meanwhile waits in the kernel. */
export function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
