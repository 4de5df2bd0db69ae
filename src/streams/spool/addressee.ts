import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, lstatSync, readSync, writeSync } from 'node:fs';
import { openOwnFile } from '../../host/own-file.ts';
import { tookAPart } from '../../shared/disk-trouble.ts';
import { SILENT_LOGGER } from '../../shared/logger.ts';
import type { RecordLabel } from './record.ts';
import type { SpoolCounters, SpoolOptions } from './spool-types.ts';

const NAME = 'receiver';
/** A host name or a path has at most 253 bytes; escaped, six times that. */
const MAX_BYTES = 2048;

/**
 * For whom a spool's records wait. A file in the folder (`receiver`) tells the next process, which so notices another url. It
 * holds no secret: of the address only a SHA-256. Where it is missing, or a kill cut it off, no change is noticed.
 */
export class Addressee {
  /** See SpoolCounters. */
  givenUp = 0;
  former: SpoolCounters['former'];
  readonly #options: SpoolOptions;
  readonly #digest: string | undefined;
  #isWritten = false;

  constructor(options: SpoolOptions) {
    this.#options = options;
    const { destination } = options;
    if (destination === undefined) return;
    this.#digest = createHash('sha256').update(destination.address).digest('base64url');
  }

  /**
   * Of the records that an earlier process left in this folder, those that are still to be sent, and those to be dropped as they
   * waited for another destination. Throws the file system's error.
   */
  divide<Item extends RecordLabel>(
    folder: string,
    left: readonly Item[],
  ): { readonly stay: readonly Item[]; readonly go: readonly Item[] } {
    const where = this.#formerIn(folder);
    if (where === undefined) return { stay: left, go: [] };
    const isDropped = this.#options.onUrlChange === 'drop';
    // Of a detection a notice of losses has its time alone, and what it tells is missing at any receiver.
    const go = isDropped ? left.filter(({ kept }) => kept !== true) : [];
    const stay = isDropped ? left.filter(({ kept }) => kept === true) : left;
    this.givenUp += go.length;
    this.#tell(where, isDropped ? go.length : stay.length, !isDropped);
    return { stay, go };
  }

  /** Records in this folder are for this destination from now on. Throws the file system's error. */
  writeTo(folder: string): void {
    const { destination } = this.#options;
    if (this.#isWritten || destination === undefined) return;
    const { where } = destination;
    const text = Buffer.from(JSON.stringify({ where, digest: this.#digest }));
    const { fd } = openOwnFile(folder, NAME, MAX_BYTES);
    try {
      if (writeSync(fd, text, 0, text.length, 0) !== text.length) throw tookAPart();
      ftruncateSync(fd, text.length);
    } finally {
      closeSync(fd);
    }
    this.#isWritten = true;
  }

  /** For whom records waited, for people; undefined: for the same, or it is not known. */
  #formerIn(folder: string): string | undefined {
    const { destination } = this.#options;
    if (destination === undefined) return undefined;
    // On a full disk it cannot be made.
    if (lstatSync(`${folder}/${NAME}`, { throwIfNoEntry: false }) === undefined) return undefined;
    const { fd, size, setAside } = openOwnFile(folder, NAME, MAX_BYTES);
    if (setAside !== undefined) {
      const { folder: path, logger = SILENT_LOGGER } = this.#options;
      logger.warn(
        { why: setAside },
        `${NAME} in ${path} ${setAside}: it was moved to ${NAME}.damaged. Whether the lines there wait for another url is not known: they are sent. Find out what changed it.`,
      );
    }
    try {
      const bytes = Buffer.alloc(size);
      const former = parsed(bytes.toString('utf8', 0, readSync(fd, bytes, 0, size, 0)));
      if (former === undefined || former.digest === this.#digest) return undefined;
      const { where } = former;
      return where === destination.where ? `another path of ${where}` : where;
    } finally {
      closeSync(fd);
    }
  }

  #tell(where: string, records: number, kept: boolean): void {
    if (records === 0) return;
    this.former = { where, records, kept };
    const { folder, logger = SILENT_LOGGER } = this.#options;
    const now = kept
      ? 'They go to the new one (on_url_change: keep)'
      : 'They are dropped, and their apps are told (on_url_change: drop)';
    logger.warn(
      this.former,
      `The receiver of the lines in ${folder} has changed. ${records} of them waited for ${where}. ${now}.`,
    );
  }
}

function parsed(text: string): { readonly where: string; readonly digest: string } | undefined {
  try {
    const { where, digest } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    return typeof where === 'string' && typeof digest === 'string' ? { where, digest } : undefined;
  } catch {
    return undefined;
  }
}
