// What the agent runs to try the probe at its start.
import { addonPath, runFirstProcess, selfTest } from 'ebpf-loader-napi';
import { explained } from './kernel-error.ts';

/**
 * Runs a child that enters the cgroup directory, opens the file `sentinel`, connects a UDP socket to 127.0.0.1:9 (nothing is
 * sent) and execs /bin/true. Blocks a few ms; returns its pid. Throws UserError if it cannot.
 */
export function runSelfTestChild(cgroupDirectory: string, sentinel: string): number {
  return explained('run the self-test', () => selfTest(cgroupDirectory, sentinel));
}

/** The path of the loader's addon, for such a script. */
export const loaderAddon = addonPath;

/**
 * Runs a script by Node.js as the first process of a container would run: in the cgroup directory, and in namespaces of its own. Blocks
 * some 100 ms; returns its exit code, at most 200. Throws UserError if it cannot be run, or was killed.
 */
export function runAsContainer(cgroupDirectory: string, script: string): number {
  return explained('run a process as a container does', () =>
    runFirstProcess(cgroupDirectory, process.execPath, script),
  );
}
