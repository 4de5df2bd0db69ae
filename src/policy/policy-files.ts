import type { AppFiles } from '../apps/container-looks.ts';
import { IDENTITY_MEMORY_MS } from '../apps/container-registry.ts';
import type { Container } from '../apps/identity.ts';
import type { ProcReader } from '../context/proc-reader.ts';
import { startTicksOf, TICK_NS } from '../context/proc-reader.ts';
import type { ContainerRootReader } from '../shared/container-root.ts';
import type { PolicyTrust } from './app-policy.ts';
import type { PolicyText } from './policies.ts';
import { findPolicyFile } from './find-policy.ts';
import type { PolicyFile, PolicyFileReader } from './find-policy.ts';
import type { PinnedPolicy, PolicyPins } from './policy-pins.ts';

type RuntimeName = Container['runtime'];

/** Containers whose answers are remembered; the oldest goes. */
const MAX_CONTAINERS = 16_384;
/**
 * How far behind the clock the time of a file's change may lie: file systems round down to the kernel's tick, at most 10 ms,
 * and on a virtual machine that stands still ticks come late.
 */
const FILE_TIMES_NS = 20_000_000n;
/** How long the record of a program is waited for that may run by now; then it was lost. */
const RECORD_NS = 3_000_000_000n;

/** Options of `PolicyFiles`. */
export interface PolicyFilesOptions {
  readonly rootReader: PolicyFileReader & Pick<ContainerRootReader, 'hasContainerRoot'>;
  readonly procReader: ProcReader;
  readonly pins: Pick<PolicyPins, 'get' | 'put' | 'remove'>;
  /** As `ProcessTree.programSince`. */
  readonly programSince: (pid: number, startTicks: number) => bigint | 'not yet' | undefined;
  /** CLOCK_BOOTTIME. */
  readonly bootNs: () => bigint;
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

/** A process that has just run a program. */
interface Program {
  readonly pid: number;
  /** In the container. */
  readonly vpid: number;
  readonly startBootNs: bigint;
}

/** What somebody saw who looked into a container. */
interface Look {
  readonly file: PolicyFile;
  /** When the file had been read, CLOCK_BOOTTIME ns. */
  readonly readBootNs: bigint;
  readonly incarnation: string | undefined;
  /**
   * Before any program of the app ran. Undefined until a record tells when the first one did: who looks late, on a host that
   * has no time for the agent, meets the app where the runtime's process was.
   */
  early: boolean | undefined;
  /** Since when programs of the app can have run, Unix ns; undefined when that is not known. */
  startedNs: bigint | undefined;
}

/**
 * The policies that apps bring as files. A container is looked into once: while its runtime sets it up, before the app's
 * program runs, through the root that its processes have; where that was missed, through one that runs. What was read then
 * holds until the container is gone, whatever becomes of the file, also across the agent's restarts (`PolicyPins`).
 *
 * `verified` is what nobody in the container can have written: it was read before a program of the app ran, and the container
 * has not run before; or nothing on the way to it has changed since the container's first process ran its first program, or
 * started, where that program's start was not seen.
 */
export class PolicyFiles implements AppFiles {
  readonly #options: PolicyFilesOptions;
  readonly #looks = new Map<string, Look>();
  readonly #answers = new Map<string, PolicyText | 'none'>();
  /** Containers that nobody has looked into and in which programs of the app have run. */
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

  /** This process of the container runs a program of the app now. */
  onProgram(rootCgroupId: number, { pid, vpid, startBootNs }: Program): void {
    const owner = this.#options.ownerOf(rootCgroupId);
    const name = this.#ownerName(rootCgroupId);
    if (owner === undefined || name === undefined || this.#answers.has(name)) return;
    // Garden's own, which does nothing; the app comes when it runs.
    if (vpid === 1 && owner.runtime === 'garden') return;
    const look = this.#looks.get(name);
    if (look === undefined) {
      this.#begun.add(name);
      dropOldest(this.#begun);
    } else if (look.early === undefined) {
      const since = this.#options.programSince(pid, startTicksOf(startBootNs));
      look.early = typeof since === 'bigint' && look.readBootNs < since;
      if (typeof since === 'bigint') look.startedNs = since + this.#options.unixMinusBootNs();
      this.#options.onAnswered(owner.runtime, owner.key);
    }
  }

  /** Looks through a process of the runtime whose root is the container's. */
  lookAtSetup(rootCgroupId: number, pid: number, startTicks: number): void {
    const owner = this.#options.ownerOf(rootCgroupId);
    const name = this.#ownerName(rootCgroupId);
    if (owner === undefined || name === undefined || this.#isKnown(name)) return;
    // It is not early any more: `lookInto` compares times.
    if (this.#begun.has(name) && owner.runtime !== 'garden') return;
    const { rootReader, procReader, pins, bootNs } = this.#options;
    const pin = owner.runtime === 'garden' ? undefined : pins.get(name, undefined);
    const file = findPolicyFile(rootReader, pid);
    // Another process may have the pid by now.
    const process = procReader.read(pid, startTicks);
    if (process === undefined) return;
    if (pin !== undefined) this.#answer(name, textOfPin(pin, file));
    else if (file !== undefined) {
      const early = this.#begun.has(name) ? false : undefined;
      this.#looks.set(name, {
        ...{ file, early, readBootNs: bootNs(), startedNs: undefined, incarnation: undefined },
      });
      dropOldest(this.#looks);
      if (early === undefined) return;
    } else if (owner.runtime === 'garden' && process.vpid === 1) return;
    else this.#answer(name, 'none');
    this.#options.onAnswered(owner.runtime, owner.key);
  }

  lookInto(
    container: Container,
    pids: readonly number[],
    isLast: boolean,
  ): 'answered' | 'empty' | 'unreachable' {
    const { rootReader, procReader, pins, bootId, bootNs, programSince, unixMinusBootNs } =
      this.#options;
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
    const since = programSince(first.pid, first.startTicks);
    const before = this.#looks.get(name);
    // What was seen then is the better answer once the first program's record has come.
    if (before !== undefined && before.early === undefined) {
      if (since === 'not yet' || bootNs() - before.readBootNs < RECORD_NS) return 'empty';
    }
    const pin = pins.get(name, incarnation);
    // Before the app's first process a droplet that is there may be half of one.
    if (pin === undefined && isGarden && processes.length === 1) return 'empty';
    const file = findPolicyFile(rootReader, first.pid);
    if (procReader.stat(first.pid)?.startTicks !== first.startTicks) return 'unreachable';
    if (pin !== undefined) this.#answer(name, textOfPin(pin, file));
    else if (file === undefined) this.#answer(name, 'none');
    else {
      // A runtime too changes what is above the file while it sets the container up: places for mounts, in /etc say.
      const startedBootNs = typeof since === 'bigint' ? since : BigInt(first.startTicks) * TICK_NS;
      const startedNs = startedBootNs + unixMinusBootNs();
      this.#looks.set(name, { file, early: false, readBootNs: bootNs(), startedNs, incarnation });
    }
    return 'answered';
  }

  giveUp(container: Container): void {
    const name = nameOf(container.runtime, container.fullId);
    const look = this.#looks.get(name);
    // Nobody told of its first program.
    if (look !== undefined) look.early ??= false;
    else this.#answer(name, 'none');
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
    if (look.early === undefined) return undefined;
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
  return file.changedNs < startedNs - FILE_TIMES_NS ? 'verified' : 'unverified';
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
