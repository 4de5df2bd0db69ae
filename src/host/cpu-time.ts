import { threadCpuMs } from 'ebpf-loader-napi';

/**
 * Clocks in ms, of wall time and of this thread's CPU time: without what garbage collection and compilation take beside it, on
 * threads of their own.
 */
export const THREAD_CLOCKS = {
  nowMs: (): number => performance.now(),
  cpuMs: (): number => threadCpuMs(),
};
