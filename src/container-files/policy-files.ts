import type { PolicyText } from './policy-text.ts';
import type { AppFiles } from '../apps/container-looks.ts';
import { IDENTITY_MEMORY_MS } from '../apps/container-registry.ts';
import type { Container } from '../apps/identity.ts';
import { startTicksOf, TICK_NS } from '../context/proc-reader.ts';
import type { ProcReader, ProcStat } from '../context/proc-reader.ts';
import type { ContainerRootReader } from '../host/container-root.ts';
import { findPolicyFile } from './find-policy.ts';
import type { PolicyFileReader } from './find-policy.ts';
import { missedText, textOfPin, trustOf, type Look, type Missed } from './policy-look.ts';
import type { PolicyPins } from './policy-pins.ts';

type RuntimeName = Container['runtime'];

/** Limit on containers whose answers are kept; the oldest is evicted. */
const MAX_CONTAINERS = 16_384;
/** How long to wait for the record of a program; after that it counts as lost. */
const RECORD_NS = 3_000_000_000n;
/**
 * In Garden's containers also this many looks: a busy host can stall the agent for seconds, and records then come after
 * timers. Between two looks the event loop turns once, and reads at least 8 KiB of a container's waiting records: 320
 * KiB in 40 looks. Where many containers wait, looks are rarer: three in 15 s are enough.
 */
const RECORD_LOOKS = 40;
const FEW_LOOKS = 3;
const FEW_LOOKS_NS = 15_000_000_000n;
/** A cell downloads the app into the running container: a file that changed just now may be of half a droplet. */
const SETTLED_NS = 1_000_000_000n;
/** If a process of the app has run this long and there is no file, the app has none. */
const APP_RUNS_NS = 1_000_000_000n;

export interface PolicyFilesOptions {
  readonly rootReader: PolicyFileReader &
    Pick<ContainerRootReader, 'hasContainerRoot' | 'hasOtherRoot'>;
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
  /** The owner of a root cgroup. */
  readonly ownerOf: (
    rootCgroupId: number,
  ) => { readonly runtime: RuntimeName; readonly key: string } | undefined;
  /** Some of the processes that run in the container now, its first one among them. */
  readonly processesOf: (runtime: RuntimeName, key: string) => readonly number[];
  /** There is an answer for the container with this key. */
  readonly onAnswered: (runtime: RuntimeName, key: string) => void;
}

/** A process that has just run a program. */
interface Program {
  readonly pid: number;
  /** In the container. */
  readonly vpid: number;
  readonly startBootNs: bigint;
  /** Start of the program, CLOCK_BOOTTIME ns. */
  readonly sinceBootNs: bigint;
}

/**
 * The policies that apps bring as files. The agent reads a container's file once. What it read holds until the
 * container is gone, even if the file changes or the agent restarts (`PolicyPins`). It reads during set-up, before the
 * app's program runs, through the root of the runtime's processes. If it missed that, it reads through a running
 * process. In Garden's containers it uses the first process only: others may be sidecars, with images of their own.
 * There the app comes later.
 *
 * `verified` means that nobody in the container can have written the file. The container has not run before, and one of
 * two holds. The agent read the file before a program of the app ran. Or nothing on its path has changed since the
 * container's first process ran its first program, or started, if that program's start was not seen. With Garden, whose
 * first process does nothing, only times count: nothing on the path has changed since the first other program began.
 * Sidecars begin when the droplet is there.
 */
export class PolicyFiles implements AppFiles {
  readonly #options: PolicyFilesOptions;
  readonly #looks = new Map<string, Look>();
  readonly #answers = new Map<string, PolicyText | 'none'>();
  /** Containers in which programs of the app ran before the agent looked. */
  readonly #begun = new Set<string>();
  /**
   * For Garden's containers: when the first program outside of the first process began, CLOCK_BOOTTIME ns. Or why that
   * is not known.
   */
  readonly #firstPrograms = new Map<string, bigint | Missed>();
  /** Ended containers, and until when (monotonic ms) they are kept. */
  readonly #ended = new Map<string, number>();

  constructor(options: PolicyFilesOptions) {
    this.#options = options;
  }

  /** Whether to look at the set-up of the container with this root cgroup; never for Garden. */
  isWanted(rootCgroupId: number): boolean {
    const name = this.#ownerName(rootCgroupId);
    if (this.#options.ownerOf(rootCgroupId)?.runtime === 'garden') return false;
    return name !== undefined && !this.#isKnown(name);
  }

  /** Records of processes in the container were lost: its first program may have been among them. */
  onProcessRecordsLost(rootCgroupId: number): void {
    const name = this.#ownerName(rootCgroupId);
    if (name !== undefined && !this.#firstPrograms.has(name)) this.#noteFirst(name, 'records lost');
  }

  /** This process of the container runs a program of the app now. */
  onProgram(rootCgroupId: number, program: Program): void {
    const owner = this.#options.ownerOf(rootCgroupId);
    const name = this.#ownerName(rootCgroupId);
    if (owner === undefined || name === undefined || this.#answers.has(name)) return;
    if (owner.runtime === 'garden') {
      this.#onProgramInCell(owner.key, name, program);
      return;
    }
    const { pid, startBootNs } = program;
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
    // In one of Garden's it may be a sidecar's root. Once programs run it is not early any more: `lookInto` compares times.
    if (owner.runtime === 'garden' || this.#begun.has(name)) return;
    const { rootReader, procReader, pins, bootNs } = this.#options;
    const pin = pins.get(name, undefined);
    const file = findPolicyFile(rootReader, pid);
    // Another process may have the pid by now.
    const process = procReader.read(pid, startTicks);
    if (process === undefined) return;
    if (pin !== undefined) this.#answer(name, textOfPin(pin, file));
    else if (file === undefined) this.#answer(name, 'none');
    else {
      this.#addLook(name, { file, readBootNs: bootNs() });
      return;
    }
    this.#options.onAnswered(owner.runtime, owner.key);
  }

  lookInto(
    container: Container,
    pids: readonly number[],
    isLast: boolean,
  ): 'answered' | 'empty' | 'unreachable' {
    const { rootReader, procReader, pins, bootNs, programSince, unixMinusBootNs } = this.#options;
    const name = nameOf(container.runtime, container.fullId);
    if (container.runtime === 'garden') return this.#lookIntoCell(name, pids);
    if (container.runtime === 'docker' && container.ranBefore === undefined && !isLast) {
      return 'unreachable';
    }
    const [first] = this.#oldestFirst(pids);
    if (first === undefined) return 'unreachable';
    const since = programSince(first.pid, first.startTicks);
    const before = this.#looks.get(name);
    // The look during set-up is the better answer, once the first program's record has come.
    if (before !== undefined && before.early === undefined) {
      if (since === 'not yet' || bootNs() - before.readBootNs < RECORD_NS) return 'empty';
    }
    const pin = pins.get(name, undefined);
    const file = findPolicyFile(rootReader, first.pid);
    if (procReader.stat(first.pid)?.startTicks !== first.startTicks) return 'unreachable';
    if (pin !== undefined) this.#answer(name, textOfPin(pin, file));
    else if (file === undefined) this.#answer(name, 'none');
    else {
      // During set-up the runtime too changes directories above the file: mount points, in /etc say.
      const startedBootNs = typeof since === 'bigint' ? since : BigInt(first.startTicks) * TICK_NS;
      const startedNs = startedBootNs + unixMinusBootNs();
      this.#addLook(name, { file, readBootNs: bootNs(), early: false, startedNs });
    }
    return 'answered';
  }

  giveUp(container: Container): void {
    const name = nameOf(container.runtime, container.fullId);
    const look = this.#looks.get(name);
    // No record of its first program has come.
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

  /** Settles a look once the container is described, as its trust depends on that. */
  #settled(container: Container): PolicyText | 'none' | undefined {
    // Apps of the cgroup runtime see the host's files: none counts.
    if (container.runtime === 'cgroup') return 'none';
    const name = nameOf(container.runtime, container.fullId);
    const answer = this.#answers.get(name);
    const look = this.#looks.get(name);
    if (answer !== undefined || look === undefined) return answer;
    if (look.early === undefined) return undefined;
    this.#looks.delete(name);
    const { path, text, refusal } = look.file;
    const { trust, why } = trustOf(look, container);
    const pin = { path, text, refusal, trust, incarnation: look.incarnation };
    this.#options.pins.put(name, pin);
    const known = textOfPin(pin, look.file);
    const found = why === undefined ? known : { ...known, note: `unverified, as ${why}` };
    this.#answer(name, found);
    return found;
  }

  #onProgramInCell(key: string, name: string, program: Program): void {
    // Garden's own first process, which does nothing, or that of a sidecar.
    if (program.vpid === 1) return;
    // In the host's pid namespace, where no app runs: a process of Garden that was not seen to enter.
    if (program.vpid === program.pid) return;
    if (!this.#firstPrograms.has(name)) {
      const pids = this.#options.processesOf('garden', key);
      const [init] = this.#oldestFirst(pids);
      const isWhole =
        init !== undefined &&
        typeof this.#options.programSince(init.pid, init.startTicks) === 'bigint';
      this.#noteFirst(name, isWhole ? program.sinceBootNs : 'first process not seen');
      // At once: later the app may have changed directories above the file.
      if (this.#looks.get(name) === undefined && this.#lookIntoCell(name, pids) !== 'answered')
        return;
    }
    const look = this.#looks.get(name);
    if (look !== undefined && look.early === undefined) this.#settleTimes(name, look);
    if (this.#isKnown(name)) this.#options.onAnswered('garden', key);
  }

  /** Looks through the container's first process, which always has the app's image. */
  #lookIntoCell(name: string, pids: readonly number[]): 'answered' | 'empty' | 'unreachable' {
    const { rootReader, procReader, pins, bootId, bootNs, unixMinusBootNs } = this.#options;
    const [init, ...others] = this.#oldestFirst(pids);
    if (init === undefined) return 'unreachable';
    const before = this.#looks.get(name);
    if (before !== undefined) {
      const waitedNs = bootNs() - before.readBootNs;
      const looks = ++before.looks;
      const isEnough = looks >= RECORD_LOOKS || (looks >= FEW_LOOKS && waitedNs >= FEW_LOOKS_NS);
      if (!isEnough || waitedNs < RECORD_NS) return 'empty';
      this.#settleTimes(name, before);
      return 'answered';
    }
    const incarnation = `${bootId} ${init.startTicks}`;
    const pin = pins.get(name, incarnation);
    const hasBegun = this.#firstPrograms.has(name);
    const ofApp = others.filter(({ pid }) => !rootReader.hasOtherRoot(pid, init.pid));
    if (pin === undefined && !hasBegun && ofApp.length === 0) return 'empty';
    const file = findPolicyFile(rootReader, init.pid);
    if (procReader.stat(init.pid)?.startTicks !== init.startTicks) return 'unreachable';
    const nowBootNs = bootNs();
    if (pin !== undefined) this.#answer(name, textOfPin(pin, file));
    else if (file === undefined) {
      const [first] = ofApp;
      const forNs = first === undefined ? 0n : nowBootNs - BigInt(first.startTicks) * TICK_NS;
      if (forNs < APP_RUNS_NS) return 'empty';
      this.#answer(name, 'none');
    } else {
      const { changedNs = 0n } = file;
      const isFresh = changedNs > nowBootNs + unixMinusBootNs() - SETTLED_NS;
      if (isFresh && !hasBegun) return 'empty';
      const look = this.#addLook(name, { file, readBootNs: nowBootNs, incarnation });
      if (!hasBegun) return 'empty';
      this.#settleTimes(name, look);
    }
    return 'answered';
  }

  /** The first program is known, or will not be known any more. */
  #settleTimes(name: string, look: Look): void {
    const first = this.#firstPrograms.get(name);
    look.early = false;
    if (typeof first === 'bigint') look.startedNs = first + this.#options.unixMinusBootNs();
    else look.missed = missedText(first);
  }

  /** Processes with a container's root, the oldest first. */
  #oldestFirst(pids: readonly number[]): readonly ProcStat[] {
    const { rootReader, procReader } = this.#options;
    return pids
      .filter((pid) => rootReader.hasContainerRoot(pid))
      .flatMap((pid) => procReader.stat(pid) ?? [])
      .sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
  }

  #noteFirst(name: string, first: bigint | Missed): void {
    this.#firstPrograms.set(name, first);
    dropOldest(this.#firstPrograms);
  }

  #addLook(name: string, found: Pick<Look, 'file' | 'readBootNs'> & Partial<Look>): Look {
    const look = {
      early: undefined,
      startedNs: undefined,
      incarnation: undefined,
      looks: 0,
      ...found,
    };
    this.#looks.set(name, look);
    dropOldest(this.#looks);
    return look;
  }

  #drop(name: string): void {
    this.#ended.delete(name);
    this.#answers.delete(name);
    this.#looks.delete(name);
    this.#begun.delete(name);
    this.#firstPrograms.delete(name);
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
