import { closeSync, ftruncateSync, readFileSync, writeSync } from 'node:fs';
import { tookAPart } from '../shared/disk-trouble.ts';
import type { OwnFolder } from '../host/own-folder.ts';
import { openOwnFile } from '../host/own-file.ts';
import type { Logger } from '../shared/logger.ts';

const NAME = 'alive';
/** A record of fixed size, written in place by one system call. */
const BYTES = 256;
const FORMAT = 1;

/** The previous agent's last sign of life. */
export interface LastSign {
  /** CLOCK_BOOTTIME, ns: it watched until then. */
  readonly bootNs: bigint;
  /** Whether it was stopped; otherwise it ended abruptly. */
  readonly stopped: boolean;
}

export interface SignOfLifeOptions {
  /** /proc/sys/kernel/random/boot_id: records of another boot say nothing about this one. */
  readonly bootId: string;
  readonly logger: Logger;
  /** The disk no longer accepts writes, or (without an error) accepts them again. */
  readonly onTrouble: (error: unknown) => void;
}

/**
 * A file that says until when an agent watched, so that the next one can report how long nobody did. It is written every second
 * into the page cache, without a sync: it only has to outlive the agent, since no container outlives the host. Limit: 256
 * bytes.
 */
export class SignOfLife {
  readonly #options: SignOfLifeOptions;
  #fd: number | undefined;
  #last: LastSign | undefined;

  constructor(folder: Pick<OwnFolder, 'inside'> | undefined, options: SignOfLifeOptions) {
    this.#options = options;
    if (folder !== undefined) this.#open(folder.inside, true);
  }

  /** What the previous agent wrote in this boot of the host; undefined if there was none, or it cannot be read. */
  get last(): LastSign | undefined {
    return this.#last;
  }

  get isKept(): boolean {
    return this.#fd !== undefined;
  }

  /** Tries again to keep the file in this folder, if it is not kept yet. */
  keepIn(folder: Pick<OwnFolder, 'inside'>): void {
    if (this.#fd === undefined) this.#open(folder.inside, false);
  }

  /** This agent has watched until `bootNs`; `stopped`: it does not watch any longer. */
  write({ bootNs, stopped }: LastSign): void {
    if (this.#fd === undefined) return;
    try {
      writeRecord(this.#fd, { bootId: this.#options.bootId, bootNs, stopped });
    } catch (error) {
      this.close();
      this.#options.onTrouble(error);
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #open(folder: string, isFirst: boolean): void {
    const { bootId, logger, onTrouble } = this.#options;
    let fd: number | undefined;
    try {
      const opened = openOwnFile(folder, NAME, BYTES);
      ({ fd } = opened);
      const text = readFileSync(fd, 'latin1');
      const found = isFirst ? signIn(text, bootId) : undefined;
      if (opened.setAside !== undefined || found === 'damaged')
        logger.warn(
          { why: opened.setAside ?? 'it is damaged' },
          'The file "alive" in the state folder is damaged, or was changed by something other than an agent. So it is not known how long no agent watched before this start. Find out what changed the file.',
        );
      if (found !== 'damaged') this.#last = found ?? this.#last;
      // Allocates the space now, so that a full disk later does no harm.
      if (opened.size < BYTES) {
        ftruncateSync(fd, 0);
        const written = writeSync(fd, Buffer.alloc(BYTES, ' '), 0, BYTES, 0);
        if (written < BYTES) throw tookAPart();
      }
      this.#fd = fd;
      onTrouble(undefined);
    } catch (error) {
      if (fd !== undefined) closeSync(fd);
      onTrouble(error);
    }
  }
}

interface Record extends LastSign {
  readonly bootId: string;
}

function writeRecord(fd: number, { bootId, bootNs, stopped }: Record): void {
  const text = JSON.stringify({ format: FORMAT, bootId, bootNs: String(bootNs), stopped });
  const bytes = Buffer.alloc(BYTES, ' ');
  bytes.write(text, 'latin1');
  writeSync(fd, bytes, 0, BYTES, 0);
}

function signIn(text: string, bootId: string): LastSign | 'damaged' | undefined {
  if (text.trim() === '') return text === '' || text.length === BYTES ? undefined : 'damaged';
  try {
    const { format, bootId: its, bootNs, stopped } = JSON.parse(text) as { [key: string]: unknown };
    if (format !== FORMAT || typeof bootNs !== 'string' || !/^\d{1,19}$/.test(bootNs))
      return 'damaged';
    return its === bootId ? { bootNs: BigInt(bootNs), stopped: stopped === true } : undefined;
  } catch {
    return 'damaged';
  }
}
