import { bootId } from '../host/boot-clock.ts';
import type { Apps } from '../apps/apps.ts';
import type { Container } from '../apps/identity.ts';
import type { Process, UserNames } from '../context/process.ts';
import { ProcFs } from '../context/proc-fs.ts';
import type { ProcessTree } from '../context/process-tree.ts';
import { SetupRoots } from './setup-roots.ts';
import { ContainerUsers } from './users.ts';
import type { KernelEvent } from '../events/event.ts';
import { bootNs, type SystemBootClock } from '../host/boot-clock.ts';
import { PolicyFiles } from './policy-files.ts';
import { PolicyPins } from './policy-pins.ts';
import { containerRootReader } from '../host/root-reader.ts';

export interface InsidesOptions {
  readonly apps: Apps;
  readonly pins: PolicyPins;
  readonly clock: SystemBootClock;
  /** As `ProcessTree.programSince`. */
  readonly programSince: ProcessTree['programSince'];
}

/** What is read of containers' own files: the names of their users, and the policies that apps bring. */
export class Insides {
  readonly policies: PolicyFiles;
  readonly #users: ContainerUsers;
  readonly #setupRoots: SetupRoots;

  constructor({ apps, pins, clock, programSince }: InsidesOptions) {
    const procReader = new ProcFs();
    this.#users = new ContainerUsers({
      rootReader: containerRootReader,
      procReader,
      imageOf: (root) => apps.imageOf(root),
      processIn: (root) => apps.firstProcessOf(root),
    });
    this.policies = new PolicyFiles({
      rootReader: containerRootReader,
      procReader,
      pins,
      bootId: bootId(),
      nowMs: () => performance.now(),
      programSince,
      bootNs,
      unixMinusBootNs: () => clock.unixMinusBootNs,
      ownerOf: (root) => apps.registry.ownerOf(root),
      processesOf: (runtime, key) => apps.processesOf(runtime, key),
      onAnswered: (runtime, key) => apps.onFileAnswer(runtime, key),
    });
    this.#setupRoots = new SetupRoots({
      rootReader: containerRootReader,
      procReader,
      isWanted: (root) => this.#users.isUnknown(root) || this.policies.isWanted(root),
      look: (root, pid, startTicks, where) => {
        if (where === 'root') this.policies.lookAtSetup(root, pid, startTicks);
        return this.#users.readAhead(root, pid, startTicks, where);
      },
    });
    apps.listen({ onForgotten: (root) => this.#users.forget(root) });
  }

  /** A process of the runtime is in a container that it sets up. */
  onSetup(root: number, process: Process): void {
    this.#setupRoots.watch(root, process);
  }

  onEvent(event: KernelEvent, process: Process): void {
    if (event.exec === undefined || process.setup || event.result !== 0) return;
    const { pid, vpid, startBootNs } = process;
    const program = { pid, vpid, startBootNs, sinceBootNs: event.bootNs };
    this.policies.onProgram(event.cgroupId, program);
  }

  /** The user names of the container with this root cgroup, where `process` runs; has them read if needed. */
  usersOf(root: number, process: Process): UserNames {
    // Events of the runtime's set-up are not reported: they need no names.
    if (!process.setup) this.#users.ensure(root, process.pid, process.startBootNs);
    return this.#users.names(root);
  }

  stop(): void {
    this.#setupRoots.stop();
  }
}

/** The policy files for `Apps`, which exists before `Insides`. */
export function filesOf(insides: () => Insides, onForgotten: (fullId: string) => void) {
  return {
    answerOf: (container: Container) => insides().policies.answerOf(container),
    lookInto: (container: Container, pids: readonly number[], isLast: boolean) =>
      insides().policies.lookInto(container, pids, isLast),
    giveUp: (container: Container) => insides().policies.giveUp(container),
    ended: (runtime: Container['runtime'], key: string) => insides().policies.ended(runtime, key),
    forget: (runtime: Container['runtime'], key: string) => {
      onForgotten(key);
      insides().policies.forget(runtime, key);
    },
  };
}
