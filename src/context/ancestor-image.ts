import { KeptImage, nameOnlyImage } from './process-image.ts';
import { startTicksOf } from './proc-reader.ts';
import type { ProcReader } from './proc-reader.ts';
import type { ProcessImage } from './process.ts';

/**
 * The image as it was before an exec at `bootNs`. Records are handled later than they happen, so /proc may have shown
 * what the exec began. Then only the name is known.
 */
export function imageBefore(image: ProcessImage, bootNs: bigint, name: string): ProcessImage {
  // What is not read by now must not be read later.
  const known = image instanceof AncestorImage ? (image.known ?? nameOnlyImage(image.name)) : image;
  const isLate =
    known instanceof KeptImage && known.readBootNs !== undefined && known.readBootNs >= bootNs;
  return isLate ? nameOnlyImage(name) : known;
}

/**
 * The image of an ancestor of which the probe told the name and perhaps the file. All else is read from /proc at the
 * first look, if the process still lives and has not run something else since. One bounded read per ancestor, a few
 * per container start.
 */
export class AncestorImage implements ProcessImage {
  readonly name: string;
  readonly exeDevMajor = 0;
  readonly exeDevMinor = 0;
  readonly exeIno = 0;
  readonly exeUpperLayer = false;
  readonly exeLowerLayer = false;
  readonly exeWritable = false;
  readonly exeCtimeNs = 0n;
  readonly exeMtimeNs = 0n;
  readonly standard = [];
  readonly env = undefined;
  readonly #pid: number;
  readonly #startBootNs: bigint;
  readonly #reader: ProcReader;
  readonly #onRead: (image: AncestorImage) => void;
  #facts: KeptImage | undefined;
  #told: string | undefined;
  #isRead = false;

  /** `onRead`: called when more of it is known. */
  constructor(
    pid: number,
    startBootNs: bigint,
    name: string,
    reader: ProcReader,
    onRead: (image: AncestorImage) => void,
  ) {
    this.name = name;
    this.#pid = pid;
    this.#startBootNs = startBootNs;
    this.#reader = reader;
    this.#onRead = onRead;
  }

  /** The file that it runs, by the probe, which knows it also of a process that has ended since. */
  tell(exePath: string): void {
    if (this.#told === exePath) return;
    this.#told = exePath;
    this.#facts = this.#facts?.ofFile(exePath) ?? nameOnlyImage(this.name, exePath);
    this.#onRead(this);
  }

  /** What is known so far; undefined if that is the name alone. */
  get known(): KeptImage | undefined {
    return this.#facts;
  }

  /** Reads it now, if it has not been read yet. */
  look(): void {
    this.#read();
  }

  get exe(): string {
    return this.#read().exe;
  }

  get exePath(): string {
    return this.#told ?? this.#read().exePath;
  }

  get args(): readonly string[] {
    return this.#read().args;
  }

  get argsTruncated(): boolean {
    return this.#read().argsTruncated;
  }

  get cwd(): string {
    return this.#read().cwd;
  }

  get exeMemfd(): boolean {
    return this.#read().exeMemfd;
  }

  #read(): ProcessImage {
    if (this.#isRead && this.#facts !== undefined) return this.#facts;
    this.#isRead = true;
    const snapshot = this.#reader.read(this.#pid, startTicksOf(this.#startBootNs));
    const told = this.#told;
    if (snapshot?.stat.comm !== this.name) this.#facts ??= nameOnlyImage(this.name);
    else this.#facts = told === undefined ? snapshot.image : snapshot.image.ofFile(told);
    this.#onRead(this);
    return this.#facts;
  }
}
