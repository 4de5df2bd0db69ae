/** Where in a file of the user's an error is: 1-based line and column. */
export interface SourcePosition {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
}

/**
 * An error that is the user's to mend: its message is a sentence that says what is wrong and what to
 * do. `main.ts` prints it without a stack trace and exits with `exitCode`.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
  readonly position: SourcePosition | undefined;
  readonly exitCode: number;
  /** Others of the same kind, as further mistakes in one file: `toDisplay` has them as well. */
  readonly more: readonly UserError[];

  constructor(
    message: string,
    options: {
      position?: SourcePosition;
      exitCode?: number;
      cause?: unknown;
      more?: readonly UserError[];
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.position = options.position;
    this.exitCode = options.exitCode ?? 1;
    this.more = options.more ?? [];
  }

  /** `file:line:column: message`, as far as the position is known; a line for each of several. */
  toDisplay(): string {
    return [this.#display(), ...this.more.map((one) => one.toDisplay())].join('\n');
  }

  #display(): string {
    if (this.position === undefined) return this.message;
    const { file, line, column } = this.position;
    const where = [file, line, column].filter((part) => part !== undefined).join(':');
    return `${where}: ${this.message}`;
  }
}
