// Events and processes as the stages before the rules make them, by hand: for tests of the rules alone.
import type { Container } from '../../src/apps/identity.ts';
import type { Process, ProcessImage } from '../../src/context/process.ts';
import type {
  CallDetails,
  Credentials,
  ExecDetails,
  KernelEvent,
  KernelFile,
  OpenDetails,
  ParamValue,
  SocketDetails,
  SocketTuple,
} from '../../src/events/event.ts';
import type { EventName } from '../../src/events/table.gen.ts';
import type { Subject } from '../../src/rules/subject.ts';

export const BOOT_NS = 500_000_000_000n;
export const TIME_NS = 1_764_033_409_123_456_789n;

export function makeImage(overrides: Partial<ProcessImage> = {}): ProcessImage {
  return {
    name: 'node',
    exe: '/usr/local/bin/node',
    exePath: '/usr/local/bin/node',
    args: ['server.js'],
    argsTruncated: false,
    cwd: '/app',
    exeDevMajor: 0,
    exeDevMinor: 49,
    exeIno: 4711,
    exeUpperLayer: false,
    exeLowerLayer: true,
    exeMemfd: false,
    exeWritable: false,
    exeCtimeNs: 0n,
    exeMtimeNs: 0n,
    standard: [],
    env: undefined,
    ...overrides,
  };
}

export type ProcessOverrides = Partial<Omit<Process, 'image'>> & { image?: Partial<ProcessImage> };

/** A shim outside of the scope: what starts containers. */
export const RUNTIME = makeProcess({
  pid: 900,
  vpid: 900,
  sid: 900,
  vsid: 900,
  pgid: 900,
  vpgid: 900,
  startBootNs: 1_000_000_000n,
  inScope: false,
  image: {
    name: 'containerd-shim',
    exe: 'containerd-shim',
    exePath: '/usr/bin/containerd-shim',
    args: [],
  },
});

export function makeProcess(overrides: ProcessOverrides = {}): Process {
  const { image, ...rest } = overrides;
  return {
    pid: 4242,
    vpid: 17,
    startBootNs: BOOT_NS - 100_000_000_000n,
    parent: undefined,
    imageSinceBootNs: 0n,
    previousImage: undefined,
    loginUid: -1,
    tty: 0,
    pidNamespaceStartBootNs: 0n,
    pgid: 4242,
    vpgid: 17,
    sid: 4242,
    vsid: 17,
    nestedCgroup: undefined,
    inScope: true,
    setup: false,
    origin: 'probe',
    ...rest,
    image: makeImage(image),
  };
}

export const CREDENTIALS: Credentials = {
  uid: 1000,
  gid: 1000,
  euid: 1000,
  egid: 1000,
  hostUid: 1000,
  hostGid: 1000,
  hostEuid: 1000,
  hostEgid: 1000,
  loginUid: -1,
  userNamespace: 4026531837,
  capEffective: 0b100001n,
  capPermitted: 0n,
  capInheritable: 0n,
};

export const CONTAINER: Container = {
  fullId: '3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e',
  id: '3ad7b26ded6d',
  name: 'shop-web-1',
  runtime: 'docker',
  image: 'registry/shop:1.4',
  imageRepository: 'registry/shop',
  imageTag: '1.4',
  imageId: 'sha256:0123',
  imageDigest: 'sha256:4567',
  details: {
    mounts: [
      {
        source: '/srv/data',
        destination: '/data',
        mode: 'ro',
        writable: false,
        propagation: 'rprivate',
      },
      { source: '/proc/1', destination: '/p', mode: '', writable: true, propagation: 'rslave' },
    ],
    hostPid: false,
    hostNetwork: true,
    hostIpc: false,
    ip: '172.17.0.2',
  },
  labels: { team: 'checkout', 'varvel.enable': 'true' },
  privileged: false,
  tty: false,
  initPid: 4200,
  startedAtMs: Number(TIME_NS / 1_000_000n) - 120_000,
  app: {
    name: 'shop',
    guid: 'a-guid',
    space: 'prod',
    org: 'acme',
    processType: 'web',
    instance: '0',
  },
  logFile: undefined,
};

export function makeFile(path: string, overrides: Partial<KernelFile> = {}): KernelFile {
  return {
    path,
    pathTruncated: false,
    detached: false,
    devMajor: 259,
    devMinor: 3,
    ino: 99,
    upperLayer: false,
    lowerLayer: true,
    memfd: false,
    unlinked: false,
    ...overrides,
  };
}

export function makeOpen(path: string, overrides: Partial<OpenDetails> = {}): OpenDetails {
  return {
    file: makeFile(path),
    rawPath: path,
    rawPathTruncated: false,
    directoryPath: '',
    dirFd: -100,
    flags: 0,
    mode: 0,
    resolve: 0,
    created: false,
    forRead: true,
    forWrite: false,
    directory: false,
    ...overrides,
  };
}

/** A system call that is about nothing, unless told otherwise. */
export function makeCall(overrides: Partial<CallDetails> = {}): CallDetails {
  return {
    arg: () => 0n,
    int: () => 0,
    text: () => '',
    directory: () => '',
    path: () => undefined,
    textTruncated: false,
    textUnreadable: false,
    fd: -1,
    file: undefined,
    fileFlags: 0,
    fileMode: 0,
    socket: undefined,
    address: undefined,
    data: Buffer.alloc(0),
    size: 0,
    queueLength: 0,
    queueMax: 0,
    ...overrides,
  };
}

/** A TCP connection of descriptor 9. */
export function makeConnect(
  tuple: Partial<SocketTuple> = {},
  socket: Partial<SocketDetails> = {},
): CallDetails {
  const ends: SocketTuple = {
    family: 2,
    protocol: 6,
    socketType: 1,
    localIp: '172.17.0.2',
    localPort: 40_000,
    remoteIp: '93.184.216.34',
    remotePort: 443,
    unixPath: '',
    ...tuple,
  };
  const { family, protocol, socketType } = ends;
  const details = { family, protocol, socketType, tuple: ends, connected: true };
  return makeCall({ fd: 9, socket: { ...details, peerChanged: false, ...socket } });
}

/** A connect that failed: of its socket nothing but the number is known. */
export function makeRefused(fd: number): CallDetails {
  return makeCall({ ...makeConnect({}, { tuple: undefined, connected: false }), fd });
}

export function makeExec(overrides: Partial<ExecDetails> = {}): ExecDetails {
  return {
    file: makeFile('/bin/sh'),
    filename: '/bin/sh',
    parentsProgram: false,
    writable: false,
    argv: ['sh'],
    argvTruncated: false,
    cwd: '/',
    env: undefined,
    packed: () => ({ argv: 'sh\0', env: undefined }),
    envTruncated: false,
    fileCtimeNs: 0n,
    fileMtimeNs: 0n,
    pidNamespaceStartBootNs: 0n,
    standard: [],
    ancestors: [],
    pgid: 1,
    vpgid: 1,
    sid: 1,
    vsid: 1,
    ...overrides,
  };
}

type EventOverrides = Partial<Omit<KernelEvent, 'param' | 'detach'>> & {
  params?: Readonly<Record<string, ParamValue>>;
};

export function makeEvent(type: EventName, overrides: EventOverrides = {}): KernelEvent {
  const { params = {}, ...rest } = overrides;
  const event: KernelEvent = {
    type,
    num: 7,
    bootNs: BOOT_NS,
    timeNs: TIME_NS,
    cpu: 1,
    cgroupId: 12_345,
    pid: 4242,
    tid: 4243,
    vpid: 17,
    vtid: 18,
    ppid: 4200,
    startBootNs: BOOT_NS - 100_000_000_000n,
    parentStartBootNs: 2_000_000_000n,
    result: 0,
    comm: 'node',
    bytes: 400,
    ruleMatches: false,
    denied: false,
    judged: undefined,
    tty: 0,
    credentials: CREDENTIALS,
    open: undefined,
    call: undefined,
    exec: undefined,
    clone: undefined,
    exit: undefined,
    param: (name) => (Object.hasOwn(params, name) ? params[name] : undefined),
    detach: () => event,
    ...rest,
  };
  return event;
}

export function makeSubject(
  event: KernelEvent,
  overrides: Partial<Omit<Subject, 'event'>> = {},
): Subject {
  return {
    event,
    process: makeProcess({ parent: makeProcess({ pid: 4200, vpid: 1, parent: RUNTIME }) }),
    container: CONTAINER,
    users: {
      userName: (uid) => ({ 0: 'root', 1000: 'vcap' })[uid],
      groupName: (gid) => ({ 0: 'root', 1000: 'vcap' })[gid],
      homeDir: (uid) => (uid === 1000 ? '/home/vcap' : undefined),
      shell: (uid) => (uid === 1000 ? '/bin/bash' : undefined),
    },
    domains: {
      namesOf: (ip) => (ip === '93.184.216.34' ? ['example.com', 'www.example.com'] : []),
      areKnown: () => true,
    },
    usage: {
      statusOf: () => ({ vmSizeKb: 9000, vmRssKb: 3000, vmSwapKb: 12, threads: 4 }),
      openFilesOf: () => 21,
      fileLimitOf: () => 84,
      cgroupsOf: () =>
        new Map([
          ['cpuacct', '/a/b'],
          ['', '/c'],
        ]),
      faultsOf: () => ({ minor: 70, major: 7 }),
    },
    hostname: 'cell-1',
    ...overrides,
  };
}

/** An open that succeeded, for reading. */
export function openForRead(path: string, overrides: Partial<OpenDetails> = {}): KernelEvent {
  return makeEvent('openat', { result: 3, open: makeOpen(path, overrides) });
}

/** An open that succeeded, for writing. */
export function openForWrite(path: string, overrides: Partial<OpenDetails> = {}): KernelEvent {
  const open = makeOpen(path, { forRead: false, forWrite: true, flags: 1, ...overrides });
  const truncates = (open.flags & 0o1000) !== 0;
  return makeEvent('openat', {
    result: 3,
    open,
    params: { flags: truncates ? 'O_TRUNC|O_WRONLY' : 'O_WRONLY' },
  });
}
