import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Container } from '../../apps/identity.ts';
import { descriptors, findShim, isRunning, type LogEntrance } from './locate-log.ts';

/** containerd's namespace of what the kubelet asked for. */
const NAMESPACE = 'k8s.io';
/** Where containerd keeps what it needs of a running task, below its state folder. */
const TASKS = 'io.containerd.runtime.v2.task';
/** runc's default, also if containerd's state folder is another. */
const RUNC_ROOT = '/run/containerd/runc';
const ID = /^[0-9a-f]{64}$/;

/** Why there is no way into a log now. */
export type NoCriEntrance = 'not started' | 'closed' | 'ended' | 'not found';

/**
 * Where containerd reads the output of a container of Kubernetes, found anew for every line. Only root can change what
 * is looked at here.
 *
 * As containerd 1.7 does it: its CRI plugin makes FIFOs `<state>/io.containerd.grpc.v1.cri/containers/<id>/io/<n>/<id>-stdout`
 * and `-stderr`, and writes what it reads from them into the pod's log folder, in the CRI's log format; the shim, one for
 * a whole pod, copies into them what it reads from the app. As with Docker (`fifoEntrances`) a FIFO may be opened only while the
 * shim has it open: the reader ends for good at the first moment without a writer. So it is opened by the shim's own
 * descriptor, which is there exactly then, and needs no path below containerd's folders. While containerd is away, the
 * shim keeps the FIFO, and what is written waits in it (64 KiB, the app's own lines with it).
 *
 * CRI-O has no such way: its conmon writes the log itself, from a pipe that has no name and ends with the container.
 */
export function criEntrances(
  container: Container,
  stateDir: string,
  sandboxId: string,
): readonly LogEntrance[] | NoCriEntrance {
  const { fullId } = container;
  if (!ID.test(fullId) || !ID.test(sandboxId) || !existsSync(join(stateDir, TASKS)))
    return 'not found';
  // runc keeps it from before the container's first process until some time after the app has begun.
  const roots = [join(stateDir, 'runc'), RUNC_ROOT];
  const beginning = roots.some((root) => existsSync(join(root, NAMESPACE, fullId, 'exec.fifo')));
  const started = withFirstProcess(container, stateDir);
  if (started.initPid === 0) return beginning ? 'not started' : 'ended';
  const shim = findShim(started, sandboxId);
  const held = shim === undefined ? [] : fifosOf(shim, fullId);
  if (held.length > 0) return held;
  if (beginning) return 'not started';
  return isRunning(started) ? 'closed' : 'ended';
}

/** Whether the container runs; its first process may be younger than what is known of it. */
export function isCriRunning(container: Container, stateDir: string): boolean {
  return ID.test(container.fullId) && isRunning(withFirstProcess(container, stateDir));
}

function withFirstProcess(container: Container, stateDir: string): Container {
  if (container.initPid > 0) return container;
  try {
    const file = join(stateDir, TASKS, NAMESPACE, container.fullId, 'init.pid');
    const pid = Number(readFileSync(file, 'latin1'));
    return Number.isSafeInteger(pid) && pid > 0 ? { ...container, initPid: pid } : container;
  } catch {
    return container; // not yet, or no more
  }
}

function fifosOf(shim: number, fullId: string): LogEntrance[] {
  try {
    const open = descriptors(shim);
    return ['stdout', 'stderr'].flatMap((name) => {
      const end = new RegExp(`/containers/${fullId}/io/[^/]+/${fullId}-${name}$`);
      const found = open.find(({ target, writable }) => writable && end.test(target));
      if (found === undefined) return [];
      const stat = statSync(found.path, { throwIfNoEntry: false });
      // The descriptor may be another FIFO of the same pod when it is opened, so the inode is checked as well.
      return stat?.isFIFO() === true
        ? [{ path: found.path, magicLink: true, dev: stat.dev, ino: stat.ino }]
        : [];
    });
  } catch {
    return []; // the shim has ended
  }
}
