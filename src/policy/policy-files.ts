import type { AppFiles } from '../apps/container-looks.ts';
import { IDENTITY_MEMORY_MS } from '../apps/container-registry.ts';
import type { Container } from '../apps/identity.ts';
import type { ProcReader } from '../context/proc-reader.ts';
import { TICK_NS } from '../context/proc-reader.ts';
import type { ContainerRootReader } from '../shared/container-root.ts';
import type { PolicyTrust } from './app-policy.ts';
import type { PolicyText } from './policies.ts';
import { findPolicyFile } from './find-policy.ts';
import type { PolicyFile, PolicyFileReader } from './find-policy.ts';
import type { PinnedPolicy, PolicyPins } from './policy-pins.ts';

type RuntimeName = Container['runtime'];

/** Containers whose answers are remembered; the oldest goes. */
const MAX_CONTAINERS = 16_384;
/** File systems round the time of a change down to the kernel's tick, which is at most 10 ms. */
const TICKS_NS = 20_000_000n;

/** Options of `PolicyFiles`. */
export interface PolicyFilesOptions {
  readonly rootReader: PolicyFileReader & Pick<ContainerRootReader, 'hasContainerRoot'>;
  readonly procReader: ProcReader;
  readonly pins: Pick<PolicyPins, 'get' | 'put' | 'remove'>;
  /** Unix time minus the time since boot, ns, as of now: a clock that was set anew since a container's start misleads. */
  readonly unixMinusBootNs: () => bigint;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** Differs after each boot. */
  readonly bootId: string;
  /** Whose a root cgroup is. */
  readonly ownerOf: (
    rootCgroupId: number,
  ) => { readonly runtime: RuntimeName; readonly key: string } | undefined;
  /** There is an answer for the container with this key. */
  readonly onAnswered: (runtime: RuntimeName, key: string) => void;
}

/** What somebody saw who looked into a container. */
interface Look {
  readonly file: PolicyFile;
  /** Before any program of the app ran. */
  readonly early: boolean;
  /** Unix ns; undefined when nobody asked. */
  readonly startedNs: bigint | undefined;
  readonly incarnation: string | undefined;
}

/**
 * The policies that apps bring as files. A container is looked into once: while its runtime sets it up, before the app's
 * program runs, through the root that its processes have; where that was missed, through one that runs. What was read then
 * holds until the container is gone, whatever becomes of the file, also across the agent's restarts (`PolicyPins`).
 *
 * `verified` is what nobody in the container can have written: it was read before a program of the app ran, and the container
 * has not run before; or nothing on the way to it has changed since the container's first process started.
 */
export class PolicyFiles implements AppFiles {
  readonly #options: PolicyFilesOptions;
  readonly #looks = new Map<string, Look>();
  readonly #answers = new Map<string, PolicyText | 'none'>();
  /** Containers without an answer in which programs of the app have run. */
  readonly #begun = new Set<string>();
  /** Until when what is known of them is still needed. */
  readonly #ended = new Map<string, number>();

  constructor(options: PolicyFilesOptions) {
    this.#options = options;
  }

  /** Whether nobody has looked into the container with this root cgroup. */
  isWanted(rootCgroupId: number): boolean {
    const name = this.#ownerName(rootCgroupId);
    return name !== undefined && !this.#isKnown(name);
  }

  /** A program of the app has been started in it. */
  onProgram(rootCgroupId: number, vpid: number): void {
    const name = this.#ownerName(rootCgroupId);
    if (name === undefined || this.#isKnown(name)) return;
    // Garden's own, which does nothing; the app comes when it runs.
    if (vpid === 1 && this.#options.ownerOf(rootCgroupId)?.runtime === 'garden') return;
    this.#begun.add(name);
    dropOldest(this.#begun);
  }

  /** Looks through a process of the runtime whose root is the container's. */
  lookAtSetup(rootCgroupId: number, pid: number, startTicks: number): void {
    const owner = this.#options.ownerOf(rootCgroupId);
    const name = this.#ownerName(rootCgroupId);
    if (owner === undefined || name === undefined || this.#isKnown(name)) return;
    // It is not early any more: `lookInto` compares times.
    if (this.#begun.has(name) && owner.runtime !== 'garden') return;
    const { rootReader, procReader, pins } = this.#options;
    const pin = owner.runtime === 'garden' ? undefined : pins.get(name, undefined);
    const file = findPolicyFile(rootReader, pid);
    // Another process may have the pid by now.
    const process = procReader.read(pid, startTicks);
    if (process === undefined) return;
    if (pin !== undefined) this.#answer(name, textOfPin(pin, file));
    else if (file !== undefined) {
      const early = !this.#begun.has(name);
      this.#looks.set(name, { file, early, startedNs: undefined, incarnation: undefined });
      dropOldest(this.#looks);
    } else if (owner.runtime === 'garden' && process.vpid === 1) return;
    else this.#answer(name, 'none');
    this.#options.onAnswered(owner.runtime, owner.key);
  }

  lookInto(
    container: Container,
    pids: readonly number[],
    isLast: boolean,
  ): 'answered' | 'empty' | 'unreachable' {
    const { rootReader, procReader, pins, bootId, unixMinusBootNs } = this.#options;
    if (container.runtime === 'docker' && container.ranBefore === undefined && !isLast) {
      return 'unreachable';
    }
    const processes = pids
      .filter((pid) => rootReader.hasContainerRoot(pid))
      .flatMap((pid) => procReader.stat(pid) ?? [])
      .sort((a, b) => a.startTicks - b.startTicks);
    const [first] = processes;
    if (first === undefined) return 'unreachable';
    const isGarden = container.runtime === 'garden';
    const incarnation = isGarden ? `${bootId} ${first.startTicks}` : undefined;
    const name = nameOf(container.runtime, container.fullId);
    const pin = pins.get(name, incarnation);
    const file = findPolicyFile(rootReader, first.pid);
    if (procReader.stat(first.pid)?.startTicks !== first.startTicks) return 'unreachable';
    if (pin !== undefined) this.#answer(name, textOfPin(pin, file));
    else if (file === undefined) {
      if (isGarden && processes.length === 1) return 'empty';
      this.#answer(name, 'none');
    } else {
      const startedNs = BigInt(first.startTicks) * TICK_NS + unixMinusBootNs();
      this.#looks.set(name, { file, early: false, startedNs, incarnation });
    }
    return 'answered';
  }

  giveUp(container: Container): void {
    this.#answer(nameOf(container.runtime, container.fullId), 'none');
  }

  ended(runtime: RuntimeName, key: string): void {
    const name = nameOf(runtime, key);
    if (this.#answers.get(name) !== 'none') this.#options.pins.remove(name);
    const nowMs = this.#options.nowMs();
    this.#ended.set(name, nowMs + IDENTITY_MEMORY_MS);
    for (const [one, untilMs] of this.#ended) {
      if (untilMs > nowMs && this.#ended.size <= MAX_CONTAINERS) break;
      this.#drop(one);
    }
  }

  forget(runtime: RuntimeName, key: string): void {
    const name = nameOf(runtime, key);
    this.#drop(name);
    this.#options.pins.remove(name);
  }

  answerOf(container: Container): 'enabled' | 'none' | undefined {
    const answer = this.#settled(container);
    return answer === undefined || answer === 'none' ? answer : 'enabled';
  }

  /** What the container's file says; undefined while nobody has looked. */
  textOf(container: Container): PolicyText | 'none' | undefined {
    return this.#settled(container);
  }

  /** What was seen counts from when it is known whose it is. */
  #settled(container: Container): PolicyText | 'none' | undefined {
    // Whose cgroups are apps by themselves, those apps have the host's files.
    if (container.runtime === 'cgroup') return 'none';
    const name = nameOf(container.runtime, container.fullId);
    const answer = this.#answers.get(name);
    const look = this.#looks.get(name);
    if (answer !== undefined || look === undefined) return answer;
    this.#looks.delete(name);
    const { path, text, refusal } = look.file;
    const pin = {
      path,
      text,
      refusal,
      trust: trustOf(look, container),
      incarnation: look.incarnation,
    };
    this.#options.pins.put(name, pin);
    const found = textOfPin(pin, look.file);
    this.#answer(name, found);
    return found;
  }

  #drop(name: string): void {
    this.#ended.delete(name);
    this.#answers.delete(name);
    this.#looks.delete(name);
    this.#begun.delete(name);
  }

  #answer(name: string, answer: PolicyText | 'none'): void {
    this.#answers.set(name, answer);
    this.#begun.delete(name);
    dropOldest(this.#answers);
  }

  #isKnown(name: string): boolean {
    return this.#answers.has(name) || this.#looks.has(name);
  }

  #ownerName(rootCgroupId: number): string | undefined {
    const owner = this.#options.ownerOf(rootCgroupId);
    if (owner === undefined || owner.runtime === 'cgroup') return undefined;
    return nameOf(owner.runtime, owner.key);
  }
}

function trustOf({ file, early, startedNs }: Look, container: Container): PolicyTrust {
  // Docker has not said yet, or it has: what a run of before left behind.
  if (container.ranBefore ?? container.runtime === 'docker') return 'unverified';
  if (early) return 'verified';
  // In a cell the first process is older than the app.
  if (container.runtime === 'garden') return 'unverified';
  if (startedNs === undefined || file.changedNs === undefined) return 'unverified';
  return file.changedNs < startedNs - TICKS_NS ? 'verified' : 'unverified';
}

function textOfPin(pin: PinnedPolicy, now: PolicyFile | undefined): PolicyText {
  const { path, trust, text = '', refusal } = pin;
  const isSame = now?.text === pin.text && now?.path === path;
  return {
    // The places that a refusal names are the tenant's own file's.
    ...{ name: path.endsWith('.json') ? 'varvel.yml' : path, text, trust },
    ...(refusal === undefined ? {} : { refusal: `${path}: ${refusal}` }),
    ...(isSame
      ? {}
      : { note: `${path} is another now than when the app started, which changes nothing` }),
  };
}

function nameOf(runtime: RuntimeName, key: string): string {
  return `${runtime} ${key}`;
}

function dropOldest(all: Map<string, unknown> | Set<string>): void {
  if (all.size <= MAX_CONTAINERS) return;
  for (const oldest of all.keys()) {
    all.delete(oldest);
    return;
  }
}
