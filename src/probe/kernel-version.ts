import { release } from 'node:os';

/** The oldest kernel whose hooks and program types the probe uses (BPF_PROG_TYPE_SYSCALL is of 5.14, bpf_task_pt_regs of 5.15). */
const KERNEL_MIN = [5, 15] as const;

/** Why the probe cannot run on a kernel (`version` as uname(2) gives it), as a sentence; undefined if it is new enough. */
export function kernelTooOld(version = release()): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  return major < KERNEL_MIN[0] || (major === KERNEL_MIN[0] && minor < KERNEL_MIN[1])
    ? `Linux ${version} is too old: the probe needs ${KERNEL_MIN.join('.')} or newer.`
    : undefined;
}
