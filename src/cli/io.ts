/** Where a command writes to: `main.ts` gives the process's own, tests their own. */
export interface Io {
  stdout(text: string): void;
  stderr(text: string): void;
  /** stdout is a terminal: colour and width are worth something. */
  readonly isTty: boolean;
  /** Width of the terminal; 80 without one. */
  readonly columns: number;
}

/** The same for a command that reads. */
export interface ReadingIo extends Io {
  /** What comes on standard input. */
  stdin(): AsyncIterable<Buffer>;
}
