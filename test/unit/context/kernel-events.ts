// Events as the decoder yields them, for tests of the stages behind it.
import type { CgroupChange } from '../../../src/events/cgroup-record.ts';
import type {
  Ancestor,
  CallDetails,
  CloneDetails,
  Credentials,
  ExecDetails,
  KernelEvent,
  KernelFile,
} from '../../../src/events/event.ts';

const CREDENTIALS: Credentials = {
  uid: 0,
  gid: 0,
  euid: 0,
  egid: 0,
  hostUid: 0,
  hostGid: 0,
  hostEuid: 0,
  hostEgid: 0,
  loginUid: -1,
  userNamespace: 4026531837,
  capEffective: 0n,
  capPermitted: 0n,
  capInheritable: 0n,
};

/** Who acts: pid and start name the process, the rest is what the header says of it. */
export interface Actor {
  pid: number;
  start: bigint;
  comm?: string;
  ppid?: number;
  parentStart?: bigint;
  vpid?: number;
}

export function kernelEvent(
  actor: Actor,
  bootNs: bigint,
  rest: Partial<KernelEvent> = {},
): KernelEvent {
  const made: KernelEvent = {
    type: 'openat',
    num: 1,
    bootNs,
    timeNs: bootNs,
    cpu: 0,
    cgroupId: 7,
    pid: actor.pid,
    tid: actor.pid,
    vpid: actor.vpid ?? actor.pid,
    vtid: actor.vpid ?? actor.pid,
    ppid: actor.ppid ?? 1,
    startBootNs: actor.start,
    parentStartBootNs: actor.parentStart ?? 1n,
    result: 0,
    comm: actor.comm ?? 'app',
    bytes: 400,
    tty: 0,
    credentials: CREDENTIALS,
    ruleMatches: false,
    denied: false,
    judged: undefined,
    open: undefined,
    call: undefined,
    exec: undefined,
    clone: undefined,
    exit: undefined,
    param: () => undefined,
    detach: () => made,
    ...rest,
  };
  return made;
}

export const FILE: KernelFile = {
  path: '/usr/bin/app',
  pathTruncated: false,
  detached: false,
  devMajor: 8,
  devMinor: 1,
  ino: 42,
  upperLayer: false,
  lowerLayer: false,
  memfd: false,
  unlinked: false,
};

export function execEvent(
  actor: Actor,
  bootNs: bigint,
  options: {
    argv?: readonly string[];
    env?: readonly string[];
    file?: Partial<KernelFile>;
    ancestors?: readonly Ancestor[];
    filename?: string;
    parentsProgram?: boolean;
    result?: number;
  } = {},
): KernelEvent {
  const result = options.result ?? 0;
  const argv = options.argv ?? ['app'];
  const exec: ExecDetails = {
    file: result === 0 ? { ...FILE, ...options.file } : undefined,
    filename: options.filename ?? argv[0] ?? '',
    parentsProgram: options.parentsProgram ?? false,
    writable: false,
    argv,
    argvTruncated: false,
    cwd: '/srv',
    env: options.env,
    packed: () => ({ argv: packed(argv), env: options.env && packed(options.env) }),
    envTruncated: false,
    fileCtimeNs: 0n,
    fileMtimeNs: 0n,
    pidNamespaceStartBootNs: 0n,
    standard: [],
    ancestors: options.ancestors ?? [],
    pgid: 11,
    vpgid: 12,
    sid: 13,
    vsid: 14,
  };
  return kernelEvent(actor, bootNs, { type: 'execve', result, exec });
}

/** As the kernel has them: a NUL after each. */
const packed = (words: readonly string[]): string =>
  Buffer.from(words.map((word) => `${word}\0`).join('')).toString('latin1');

export function cloneEvent(
  actor: Actor,
  bootNs: bigint,
  child: { pid: number; start: bigint; vpid?: number },
  options: Partial<CloneDetails> = {},
): KernelEvent {
  const clone: CloneDetails = {
    flags: 17n,
    childPid: child.pid,
    childTid: child.pid,
    childVpid: child.vpid ?? child.pid,
    childVtid: child.vpid ?? child.pid,
    childStartBootNs: child.start,
    ...options,
  };
  return kernelEvent(actor, bootNs, { type: 'clone', result: child.pid, clone });
}

export function exitEvent(actor: Actor, bootNs: bigint): KernelEvent {
  return kernelEvent(actor, bootNs, { type: 'procexit', exit: { status: 0 } });
}

/** To that directory; what else the call's details are is not looked at. */
export function chdirEvent(actor: Actor, bootNs: bigint, directory: string): KernelEvent {
  return callEvent(actor, bootNs, 'chdir', { directory: () => directory });
}

/** With the numbers that were passed. */
export function setpgidEvent(actor: Actor, bootNs: bigint, pid: number, pgid: number): KernelEvent {
  return callEvent(actor, bootNs, 'setpgid', { int: (n) => (n === 1 ? pid : pgid) });
}

export function callEvent(
  actor: Actor,
  bootNs: bigint,
  type: KernelEvent['type'],
  call: Partial<CallDetails> = {},
): KernelEvent {
  return kernelEvent(actor, bootNs, { type, call: call as CallDetails });
}

/** A process is moved into the container's cgroup. */
export const attachChange = (
  pid: number,
  bootNs: bigint,
  rest: Partial<CgroupChange> = {},
): CgroupChange => ({
  kind: 'attach',
  cgroupId: 7,
  rootCgroupId: 7,
  path: '/docker/x',
  state: 'included',
  bootNs,
  pid,
  ...rest,
});
