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

  constructor(
    message: string,
    options: { position?: SourcePosition; exitCode?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.position = options.position;
    this.exitCode = options.exitCode ?? 1;
  }

  /** `file:line:column: message`, as far as the position is known. */
  toDisplay(): string {
    if (this.position === undefined) return this.message;
    const { file, line, column } = this.position;
    const where = [file, line, column].filter((part) => part !== undefined).join(':');
    return `${where}: ${this.message}`;
  }
}
