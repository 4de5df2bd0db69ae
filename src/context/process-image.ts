import type { ExecDetails } from '../events/event.ts';
import { joinWords, unpackWords, wordAfter, type PackedWords } from '../events/words.ts';
import type { ProcessImage } from './process.ts';

/** Characters of argv[0] that stay when an image's words are dropped. */
const EXE_KEPT_CHARS = 64;

/**
 * Cache of decoded arguments: SHORT_DECODED of at most SHORT_BYTES, LONG_DECODED longer ones. At worst (words of two
 * bytes) it takes 6 MiB for the short ones and 2 MiB for the long ones.
 */
const SHORT_BYTES = 512;
const SHORT_DECODED = 1024;
const LONG_DECODED = 8;

/** A ring of decoded words; a new entry evicts the oldest. */
class DecodedWords {
  readonly #kept: (ImageWords | undefined)[];
  #next = 0;

  constructor(places: number) {
    this.#kept = new Array<ImageWords | undefined>(places).fill(undefined);
  }

  keep(words: ImageWords): void {
    this.#kept[this.#next]?.forgetDecoded();
    this.#kept[this.#next] = words;
    this.#next = (this.#next + 1) % this.#kept.length;
  }
}

const shortDecoded = new DecodedWords(SHORT_DECODED);
const longDecoded = new DecodedWords(LONG_DECODED);

/** Arguments and environment of a program, as bytes. Images that differ in their directory only share one. */
export class ImageWords {
  #argv: PackedWords;
  #env: PackedWords | undefined;
  #truncated: boolean;
  #decoded: { readonly exe: string; readonly args: readonly string[] } | undefined;

  /** `argv` with argv[0]. `truncated`: there was more of it. */
  constructor(argv: PackedWords, env: PackedWords | undefined, truncated: boolean) {
    this.#argv = argv;
    this.#env = env;
    this.#truncated = truncated;
  }

  /** What is kept, in bytes. */
  get bytes(): number {
    return this.#argv.length + (this.#env?.length ?? 0);
  }

  /** argv[0]; undefined without any. */
  get exe(): string | undefined {
    return this.#argv === '' ? undefined : this.#decode().exe;
  }

  get args(): readonly string[] {
    return this.#decode().args;
  }

  get argsTruncated(): boolean {
    return this.#truncated;
  }

  get env(): readonly string[] | undefined {
    return this.#env === undefined ? undefined : unpackWords(this.#env);
  }

  /** See ProcessImage.envText. */
  envText(): string | undefined {
    return this.#env === undefined ? undefined : joinWords(this.#env);
  }

  /** See ProcessImage.variable. */
  variable(prefix: PackedWords): string | undefined {
    return this.#env === undefined ? undefined : (wordAfter(this.#env, prefix) ?? '');
  }

  /** Drops all but the beginning of argv[0]: the arguments are then truncated, and the environment is unknown. */
  drop(): void {
    const nul = this.#argv.indexOf('\0');
    const end = Math.min(EXE_KEPT_CHARS, nul < 0 ? this.#argv.length : nul);
    // A slice would keep the whole string in memory: V8 makes it a view.
    this.#argv = Buffer.from(this.#argv.slice(0, end), 'latin1').toString('latin1');
    this.#env = undefined;
    this.#truncated = true;
    this.#decoded = undefined;
  }

  /** For DecodedWords. */
  forgetDecoded(): void {
    this.#decoded = undefined;
  }

  #decode(): { readonly exe: string; readonly args: readonly string[] } {
    if (this.#decoded === undefined) {
      const [exe = '', ...args] = unpackWords(this.#argv);
      this.#decoded = { exe, args };
      (this.#argv.length <= SHORT_BYTES ? shortDecoded : longDecoded).keep(this);
    }
    return this.#decoded;
  }
}

/** What an image is made of besides its words. */
export type ImageFacts = Omit<
  ProcessImage,
  'exe' | 'args' | 'argsTruncated' | 'env' | 'envText' | 'variable'
> & {
  /** For an empty argv. */
  readonly filename: string;
  /** It was read from /proc, up to this time (CLOCK_BOOTTIME ns). An exec before that may be the one that it shows. */
  readonly readBootNs?: bigint | undefined;
};

/** An image whose words are kept as bytes and decoded when a rule asks for them. */
export class KeptImage implements ProcessImage {
  readonly name: string;
  readonly exePath: string;
  readonly cwd: string;
  readonly exeDevMajor: number;
  readonly exeDevMinor: number;
  readonly exeIno: number;
  readonly exeUpperLayer: boolean;
  readonly exeLowerLayer: boolean;
  readonly exeMemfd: boolean;
  readonly exeWritable: boolean;
  readonly exeCtimeNs: bigint;
  readonly exeMtimeNs: bigint;
  readonly standard: ProcessImage['standard'];
  readonly filename: string;
  readonly readBootNs: bigint | undefined;
  readonly words: ImageWords;

  constructor(facts: ImageFacts, words: ImageWords) {
    this.name = facts.name;
    this.exePath = facts.exePath;
    this.cwd = facts.cwd;
    this.exeDevMajor = facts.exeDevMajor;
    this.exeDevMinor = facts.exeDevMinor;
    this.exeIno = facts.exeIno;
    this.exeUpperLayer = facts.exeUpperLayer;
    this.exeLowerLayer = facts.exeLowerLayer;
    this.exeMemfd = facts.exeMemfd;
    this.exeWritable = facts.exeWritable;
    this.exeCtimeNs = facts.exeCtimeNs;
    this.exeMtimeNs = facts.exeMtimeNs;
    this.standard = facts.standard;
    this.filename = facts.filename;
    this.readBootNs = facts.readBootNs;
    this.words = words;
  }

  get exe(): string {
    return this.words.exe ?? this.filename;
  }

  get args(): readonly string[] {
    return this.words.args;
  }

  get argsTruncated(): boolean {
    return this.words.argsTruncated;
  }

  get env(): readonly string[] | undefined {
    return this.words.env;
  }

  envText(): string | undefined {
    return this.words.envText();
  }

  variable(prefix: PackedWords): string | undefined {
    return this.words.variable(prefix);
  }

  /** The same program, known to be of this file. */
  ofFile(exePath: string): KeptImage {
    return new KeptImage({ ...(this as ImageFacts), exePath }, this.words);
  }

  /** The same program in another directory. */
  movedTo(cwd: string): KeptImage {
    return new KeptImage({ ...(this as ImageFacts), cwd }, this.words);
  }
}

/** What an exec record says of the program. Copies: the event's bytes are overwritten by the next ones. */
export function imageOfExec(comm: string, exec: ExecDetails): KeptImage {
  const { file } = exec;
  const { argv, env } = exec.packed();
  return new KeptImage(
    {
      name: comm,
      exePath: file?.path ?? exec.filename,
      cwd: exec.cwd,
      exeDevMajor: file?.devMajor ?? 0,
      exeDevMinor: file?.devMinor ?? 0,
      exeIno: file?.ino ?? 0,
      exeUpperLayer: file?.upperLayer ?? false,
      exeLowerLayer: file?.lowerLayer ?? false,
      exeMemfd: file?.memfd ?? false,
      exeWritable: exec.writable,
      exeCtimeNs: exec.fileCtimeNs,
      exeMtimeNs: exec.fileMtimeNs,
      standard: exec.standard,
      filename: argv === '' ? exec.filename : '',
    },
    new ImageWords(argv, env, exec.argvTruncated),
  );
}

/** An image of which only the name is known, and perhaps the file. */
export function nameOnlyImage(name: string, exePath = ''): KeptImage {
  return new KeptImage({ ...NO_FACTS, name, exePath }, new ImageWords('', undefined, false));
}

/** Nothing known. */
export const NO_FACTS: ImageFacts = {
  name: '',
  exePath: '',
  cwd: '',
  exeDevMajor: 0,
  exeDevMinor: 0,
  exeIno: 0,
  exeUpperLayer: false,
  exeLowerLayer: false,
  exeMemfd: false,
  exeWritable: false,
  exeCtimeNs: 0n,
  exeMtimeNs: 0n,
  standard: [],
  filename: '',
};
