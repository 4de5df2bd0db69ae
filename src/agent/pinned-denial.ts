import { createHash } from 'node:crypto';
import {
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import type { RegistryEntry } from '../apps/resolution.ts';
import { readUnseenDenials } from '../host/pinned-programs.ts';
import type { LiveProbe } from '../probe/live.ts';
import type { Detection } from '../rules/detection.ts';
import type { AgentConfig } from '../config/config.ts';
import { formatDurationMs } from '../config/units.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';
import { DeniedRecords } from './denied-record.ts';
import { unseenDenialsNotice } from '../streams/notices.ts';
import type { AgentSnapshot } from './snapshot.ts';
import type { KernelVerdicts } from './verdicts.ts';

/** The folder in the BPF file system. In it there is one directory for each agent that keeps denying. */
const FOLDER = 'varvel';
/** What former agents left is removed after this time, whatever this one denies. */
const MOST_BESIDE_MS = 60_000;
/** For `noteSeen`. */
const NO_LIMIT = 0;
/** What could not be kept is tried again after this time. */
const RETRY_MS = 60_000;

/** How long it goes on, for people. */
export const keptText = (keepMs: number | 'keep'): string =>
  keepMs === 'keep' ? 'until somebody ends it' : `for ${formatDurationMs(keepMs)}`;

export interface PinnedDenialOptions {
  readonly probe: Pick<LiveProbe, 'pin' | 'unpin' | 'noteSeen'>;
  /** Where a BPF file system is mounted (`probe.bpf_filesystem`). */
  readonly fileSystem: string;
  /** `probe.deny_without_agent`; 0: what is denied ends with the agent; `keep`: it goes on for good. */
  readonly keepMs: number | 'keep';
  /** Agents of another state folder are none of this one's. */
  readonly stateDir: string;
  readonly logger: Logger;
  readonly say: (line: Detection) => void;
  readonly verdicts: Pick<KernelVerdicts, 'denied'>;
  /** Monotonic ms. */
  readonly nowMs: () => number;
}

/** Names that begin so are those of agents with this state folder. */
const ownerOf = (stateDir: string): string =>
  createHash('sha256').update(stateDir).digest('hex').slice(0, 16);

/**
 * The directories that agents with this state folder have left, or that one has which is running. A BPF file system may be everybody's
 * to write: what is not root's alone counts as not there. Throws UserError if the file system cannot be read.
 */
export function pinnedDirectories(fileSystem: string, stateDir: string): readonly string[] {
  const folder = join(fileSystem, FOLDER);
  try {
    if (!isRootsAlone(folder)) return [];
    return readdirSync(folder)
      .filter((name) => name.startsWith(`${ownerOf(stateDir)}-`))
      .map((name) => join(folder, name))
      .filter(isRootsAlone);
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new UserError(`Cannot read ${folder}: ${code}. Run this as root.`, { cause: error });
  }
}

/** Whether it is a directory that nobody but root can change; no link. Throws the file system's error. */
function isRootsAlone(path: string): boolean {
  const { uid, mode } = lstatSync(path);
  return (mode & S_IFMT) === S_IFDIR && uid === 0 && (mode & 0o022) === 0;
}
const { S_IFMT, S_IFDIR } = constants;

/** Ends what is denied by these names. Throws the file system's error. */
export function removePins(directory: string): void {
  for (const name of readdirSync(directory)) unlinkSync(join(directory, name));
  rmdirSync(directory);
}

/**
 * What is denied goes on for a while after the agent, however it ends, and until the next one denies: the programs have names in a BPF
 * file system. What they deny then has no lines; the next agent tells how much it was.
 */
export class PinnedDenial {
  readonly #options: PinnedDenialOptions;
  readonly #directory: string;
  readonly #records: DeniedRecords;
  #notRecorded: string | undefined;
  /** Whether a former agent had left something when this one started. */
  readonly #hadFormer: boolean;
  /** What former agents have left is gone. */
  #isAlone = false;
  /** When it first could deny itself. */
  #beganMs: number | undefined;
  #pinned = false;
  #nextMs = -Infinity;
  #unavailable: string | undefined;

  /** As configured. Call before anything is denied. */
  static of(
    { probe, stateDir }: Pick<AgentConfig, 'probe' | 'stateDir'>,
    others: Omit<PinnedDenialOptions, 'fileSystem' | 'keepMs' | 'stateDir'>,
  ): PinnedDenial {
    const { bpfFileSystem: fileSystem, denyWithoutAgentMs: keepMs } = probe;
    return new PinnedDenial({ fileSystem, keepMs, stateDir, ...others });
  }

  constructor(options: PinnedDenialOptions) {
    const { fileSystem, stateDir } = options;
    this.#options = options;
    const folder = join(fileSystem, FOLDER);
    this.#directory = join(folder, `${ownerOf(stateDir)}-${process.pid}-${Date.now()}`);
    this.#records = new DeniedRecords(stateDir);
    this.#hadFormer = this.#directories().length > 0;
  }

  /** For the snapshot: undefined where nothing is asked for, or nothing is denied yet. */
  status(): Pick<AgentSnapshot['kernel'], 'pinned'> {
    const { keepMs } = this.#options;
    const isKnown = this.#pinned || this.#unavailable !== undefined;
    const [unavailable, notRecorded] = [this.#unavailable, this.#notRecorded];
    return isKnown ? { pinned: { keepMs, unavailable, notRecorded } } : {};
  }

  /**
   * Call each second. `denies`: something is denied. `isSettled`: each container that is known has its table, so that what former agents
   * have left can go; it is only asked until that is gone.
   */
  onTick(denies: () => boolean, isSettled: () => boolean, entries: readonly RegistryEntry[]): void {
    const { probe, keepMs, nowMs } = this.#options;
    this.#beganMs ??= nowMs();
    if (!this.#isAlone) {
      const isOver = nowMs() - this.#beganMs >= MOST_BESIDE_MS;
      if (isSettled()) this.removeFormer(entries);
      else if (isOver) this.#removeTooEarly(entries);
    }
    if (keepMs === 0) return;
    if (nowMs() >= this.#nextMs && denies()) {
      this.#keepRecord();
      this.#pin();
    }
    if (this.#pinned) probe.noteSeen(keepMs === 'keep' ? NO_LIMIT : keepMs);
  }

  /** The agent ends, and with it what it denies, unless that is to go on: a successor ends it once it denies itself. */
  end(verdicts: Pick<KernelVerdicts, 'stop'>): void {
    if (this.#pinned)
      this.#options.logger.warn(
        { directory: this.#directory },
        `what is denied stays denied without an agent, ${keptText(this.#options.keepMs)} (probe.deny_without_agent): varvel lift ends it`,
      );
    verdicts.stop({ keeps: this.#pinned });
  }

  /** First: what has names must be known to who lifts a part of it. */
  #keepRecord(): void {
    try {
      this.#records.keep(this.#directory, this.#options.verdicts.denied());
      this.#notRecorded = undefined;
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? String(error);
      if (this.#notRecorded === undefined)
        this.#options.logger.warn(
          { why },
          'without an agent only all denials can be lifted, not those of one app or rule: which these are could not be written to state_dir',
        );
      this.#notRecorded = why;
    }
  }

  /** Idempotent: more may be loaded than the last time. */
  #pin(): void {
    const { probe, fileSystem, logger, nowMs } = this.#options;
    try {
      const folder = join(fileSystem, FOLDER);
      // Not "recursive", which says ENOENT where the file system is read-only.
      if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
      if (!isRootsAlone(folder))
        throw new UserError(`${folder} is not a directory that only root can change`);
      probe.pin(this.#directory);
      this.#pinned = true;
      this.#unavailable = undefined;
    } catch (error) {
      this.#nextMs = nowMs() + RETRY_MS;
      this.#unpin();
      const { code = String(error) } = error as NodeJS.ErrnoException;
      const why =
        error instanceof UserError
          ? error.message
          : `Cannot make ${join(fileSystem, FOLDER)}: ${code}. There must be a BPF file system that the agent may write to (mount -t bpf bpf /sys/fs/bpf)`;
      if (this.#unavailable !== why)
        logger.warn(
          { why },
          'denial ends if the agent ends: probe.deny_without_agent does not work here',
        );
      this.#unavailable = why;
    }
  }

  #unpin(): void {
    this.#pinned = false;
    this.#records.remove(this.#directory);
    this.#options.probe.unpin();
    this.#remove(this.#directory);
  }

  /** Whether a former agent's programs may deny beside this one: what they refuse is not in this one's records. */
  get hasFormer(): boolean {
    return this.#hadFormer && !this.#isAlone;
  }

  /** Ends what former agents have left, also that which ends just now. Call it at once when responses are lifted. */
  removeFormer(entries: readonly RegistryEntry[]): void {
    if (this.#isAlone) return;
    for (const directory of this.#directories()) {
      if (directory === this.#directory) continue;
      this.#tell(directory, entries);
      this.#remove(directory);
    }
    // Also those of before the host's start.
    this.#records.removeOthers(this.#directory);
    this.#isAlone = true;
  }

  #removeTooEarly(entries: readonly RegistryEntry[]): void {
    if (this.hasFormer)
      this.#options.logger.warn(
        {},
        `the former agent’s denials end now, after ${formatDurationMs(MOST_BESIDE_MS)}: in containers that have no table of rules yet nothing is denied until they have`,
      );
    this.removeFormer(entries);
  }

  /** Those of this state folder. That they cannot be read ends no agent. */
  #directories(): readonly string[] {
    const { fileSystem, stateDir, logger } = this.#options;
    try {
      return pinnedDirectories(fileSystem, stateDir);
    } catch (error) {
      logger.warn(
        { error },
        'it is not known whether a former agent has left something that denies',
      );
      return [];
    }
  }

  #remove(directory: string): void {
    try {
      removePins(directory);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Whoever ran `varvel lift` was faster.
      if (code !== 'ENOENT')
        this.#options.logger.error(
          { error, directory },
          'Could not remove a former agent’s BPF programs: they keep denying. Run `varvel lift` as root.',
        );
    }
  }

  /** Tells each app that is still there how often something was denied to it. */
  #tell(directory: string, entries: readonly RegistryEntry[]): void {
    const { logger, say } = this.#options;
    const known = readUnseenDenials(directory);
    if (known === undefined)
      logger.warn(
        { directory },
        'it is not known what a former agent’s programs have denied since it ended: they are of another version',
      );
    const counts = known ?? [];
    const all = counts.reduce((sum, { count }) => sum + count, 0);
    if (all > 0) logger.warn({ denied: all }, 'denied while no agent was running');
    const timeNs = BigInt(Date.now()) * 1_000_000n;
    for (const { cgroupId, count } of counts) {
      const entry = entries.find((one) => one.cgroupId === cgroupId);
      if (entry?.resolution.state === 'included')
        say(unseenDenialsNotice(count, entry.resolution.container, timeNs));
    }
  }
}
