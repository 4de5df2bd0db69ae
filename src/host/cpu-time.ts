import { threadCpuMs } from 'ebpf-loader-napi';

/** Clocks in ms: wall time, and CPU time of this thread, without garbage collection and compilation on other threads. */
export const THREAD_CLOCKS = {
  nowMs: (): number => performance.now(),
  cpuMs: (): number => threadCpuMs(),
};
