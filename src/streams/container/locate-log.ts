import {
  existsSync,
  lstatSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  type Stats,
} from 'node:fs';
import { basename, join } from 'node:path';
import type { Container } from '../../apps/identity.ts';

const FIFO_NAMES = ['ID-stdout', 'ID-stderr', 'init-stdout', 'init-stderr'] as const;

/** A way into a container's log: to be opened for writing now, and checked to be a FIFO once open. */
export interface LogEntrance {
  readonly path: string;
  /** A link below /proc/PID/fd, which has to be followed; any other path must not be a link. */
  readonly magicLink: boolean;
  /** Expected device and inode, where the path may point to another file by now. */
  readonly dev?: number;
  readonly ino?: number;
}

/**
 * Where the engine reads a container's output. Needs no state across restarts of the agent. Only root can change what is read
 * here, except the app's own descriptors, which are compared and never trusted.
 *
 * As moby 26 and containerd 1.7 do it: dockerd makes FIFOs `<exec-root>/containerd/<id>/<id>-stdout` and
 * `-stderr` (before Docker 23 `init-stdout`) and reads them; the container's shim copies into them what it
 * reads from the app's pipes, or into the first what it reads from the pseudo terminal. The folder lasts as
 * long as the run: it is made before the shim starts, and removed when the container has ended. When the app
 * has closed every copy of one output, the shim and then the engine close theirs, for good (measured: ENXIO);
 * hence stderr's FIFO as the second choice.
 *
 * Gives the FIFOs that may be opened, best first; none when there are none (or not at these roots);
 * 'of another run' when they were made after the event at `timeNs` (Unix ns); 'not started' while the runtime is
 * still setting the container up.
 */
export function fifoEntrances(
  container: Container,
  execRoots: readonly string[],
  timeNs: bigint,
): readonly LogEntrance[] | 'of another run' | 'not started' {
  const { fullId } = container;
  // It becomes part of a path, and an id is never anything else.
  if (!/^[0-9a-f]{64}$/.test(fullId)) return [];
  for (const root of execRoots) {
    const folder = join(root, 'containerd', fullId);
    const names = FIFO_NAMES.map((name) => name.replace('ID', fullId));
    const fifos = names.flatMap((name) => {
      const path = join(folder, name);
      const stat = lstatSync(path, { throwIfNoEntry: false });
      return stat?.isFIFO() === true && stat.uid === 0 ? [{ path, stat }] : [];
    });
    if (fifos.length === 0) continue;
    const beginning = findBeginning(root, container);
    if (beginning !== undefined) {
      if (beginning.initPid === 0) return 'not started';
      const open = fifos.filter(({ stat }) => shimHolds(stat, beginning));
      if (open.length === 0) return 'not started';
      return open.map(({ path }) => ({ path, magicLink: false }));
    }
    const running = withFirstProcess(container, [root]);
    const held = fifos.filter(
      // The folder changes when the FIFOs are made, and with each command that is run in the container; a FIFO's own times
      // change with every write.
      ({ stat }) => isOlder(folder, timeNs) || shimHolds(stat, running),
    );
    if (held.length === 0) return 'of another run';
    return held.map(({ path }) => ({ path, magicLink: false }));
  }
  return [];
}

/**
 * Whether the shim has the FIFO open. A FIFO may be opened only once that was so: the engine's reader ends for good
 * at the first moment without a writer, so if we were the first to come and go, even without writing, the app's
 * whole output would be lost and the app would block, or the container would not start at all (measured: the
 * shim gives up after 30 s). The shim opens the FIFO before the app starts, so this need not be looked at for
 * a detection that is younger than the FIFO and came when the app had begun; for an older one (held while
 * `docker restart` made a new FIFO, or the clock was set back) it must.
 */
function shimHolds(fifo: Stats, container: Container): boolean {
  try {
    const shim = findShim(container);
    if (shim === undefined) return false;
    return descriptors(shim).some((descriptor) => {
      if (!descriptor.writable) return false;
      const target = statSync(descriptor.path, { throwIfNoEntry: false });
      return target?.ino === fifo.ino && target.dev === fifo.dev;
    });
  } catch {
    return false; // gone meanwhile
  }
}

function isOlder(folder: string, timeNs: bigint): boolean {
  const stat = statSync(folder, { bigint: true, throwIfNoEntry: false });
  return stat !== undefined && stat.mtimeNs <= timeNs;
}

/**
 * The container, with its first process (0: not known yet), while the runtime has not seen its app begin. The runtime's own
 * processes are in the container's cgroup from the start. Their actions may be taken for the app's (after lost records, or by
 * an agent that started meanwhile), so a detection does not prove that the app runs.
 *
 * runc and crun keep `exec.fifo` in the container's state folder (`<exec-root>/runtime-<name>/<namespace>/<id>`) from before
 * its first process until some time after the app has begun. Without that file there is nothing to wait for.
 */
function findBeginning(execRoot: string, container: Container): Container | undefined {
  const folder = stateFolderOf(execRoot, container);
  if (folder === undefined || !existsSync(join(folder, 'exec.fifo'))) return undefined;
  const started = { ...container, initPid: initPidOf(folder) };
  // One that has a first process no more has begun, and ended.
  return started.initPid === 0 || isRunning(started) ? started : undefined;
}

/**
 * The container with its first process, if it was described before it had one and has been started since. Detections of its
 * first moments have such a description.
 */
export function withFirstProcess(container: Container, execRoots: readonly string[]): Container {
  if (container.initPid > 0) return container;
  for (const root of execRoots) {
    const folder = stateFolderOf(root, container);
    if (folder !== undefined) return { ...container, initPid: initPidOf(folder) };
  }
  return container;
}

/** Where runc and crun keep what they know of a container that runs; undefined when they know none. */
function stateFolderOf(execRoot: string, { fullId }: Container): string | undefined {
  for (const runtime of folders(execRoot).filter((name) => name.startsWith('runtime-'))) {
    for (const namespace of folders(join(execRoot, runtime))) {
      const folder = join(execRoot, runtime, namespace, fullId);
      if (existsSync(folder)) return folder;
    }
  }
  return undefined;
}

function initPidOf(stateFolder: string): number {
  try {
    const state = readFileSync(join(stateFolder, 'state.json'), 'latin1');
    return Number(/"init_process_pid":(\d+)/.exec(state)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function folders(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/**
 * The entrances through the shim's own descriptors, best first, for engines whose exec root we do not know:
 * the FIFOs it copies to, else the anonymous pipes it reads the app's output from. Empty when there is no
 * shim (the container has ended) or nothing that is certain to be its log.
 */
export function entrancesThroughShim(container: Container): readonly LogEntrance[] {
  try {
    const shim = findShim(container);
    if (shim === undefined) return [];
    const open = descriptors(shim);
    const fifos = namedFifos(open, container.fullId);
    return fifos.length > 0 ? fifos : outputPipes(open, container.initPid);
  } catch {
    return [];
  }
}

/** Whether the container's first process is alive, and still that container's. */
export function isRunning(container: Container): boolean {
  if (container.initPid <= 0) return false;
  try {
    return readFileSync(`/proc/${container.initPid}/cgroup`, 'latin1').includes(container.fullId);
  } catch {
    return false;
  }
}

/** Whether any exec root exists: if none does, a missing container proves nothing. */
export function anyExecRootExists(execRoots: readonly string[]): boolean {
  return execRoots.some((root) => existsSync(join(root, 'containerd')));
}

export interface Descriptor {
  readonly path: string;
  readonly target: string;
  readonly readable: boolean;
  readonly writable: boolean;
}

/**
 * The shim is the parent of the container's first process, and was started with the container's id (of Kubernetes: its
 * pod's) among its arguments. Both are needed: a process of a tenant may carry any name and arguments, and a process
 * number may have passed on to another container.
 */
export function findShim(container: Container, id = container.fullId): number | undefined {
  if (container.initPid <= 0) return undefined;
  const ppid = readPpid(container.initPid);
  if (ppid === undefined || ppid <= 1) return undefined;
  const args = readArguments(ppid);
  const isShim = basename(args[0] ?? '').startsWith('containerd-shim');
  return isShim && args.includes(id) ? ppid : undefined;
}

function readArguments(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
  } catch {
    return []; // gone meanwhile
  }
}

function readPpid(pid: number): number | undefined {
  try {
    const match = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return match === null ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}

export function descriptors(pid: number): Descriptor[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => describe(pid, fd) ?? []);
}

function describe(pid: number, fd: string): Descriptor | undefined {
  const path = `/proc/${pid}/fd/${fd}`;
  try {
    // The mode of the link itself says how the descriptor is open (proc(5)); O_PATH has neither bit.
    const { mode } = lstatSync(path);
    return {
      path,
      target: readlinkSync(path),
      readable: (mode & 0o400) !== 0,
      writable: (mode & 0o200) !== 0,
    };
  } catch {
    return undefined; // closed meanwhile
  }
}

function namedFifos(open: readonly Descriptor[], fullId: string): LogEntrance[] {
  return FIFO_NAMES.flatMap((name) => {
    const end = `/${fullId}/${name.replace('ID', fullId)}`;
    const found = open.find(({ target, writable }) => writable && target.endsWith(end));
    return found === undefined ? [] : [{ path: found.path, magicLink: true }];
  });
}

/**
 * Of the pipes whose read end the shim holds, those that the app's first process can still write to, as its
 * descriptor 1 or 2. (The shim keeps the pipe of a closed output, without reading it: a line would vanish.)
 */
function outputPipes(open: readonly Descriptor[], initPid: number): LogEntrance[] {
  const pipes = open.filter(
    ({ target, readable, writable }) => readable && !writable && target.startsWith('pipe:['),
  );
  return [1, 2].flatMap((fd) => {
    const app = describe(initPid, String(fd));
    if (app?.writable !== true) return [];
    const found = pipes.find(({ target }) => target === app.target);
    return found === undefined ? [] : [{ path: found.path, magicLink: true }];
  });
}
