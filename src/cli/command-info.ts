/** An option of a command, as `node:util`'s parseArgs and the help need it. */
export interface CommandOption {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: boolean;
  /** What stands for the value in the help. */
  readonly value?: string;
  readonly help: string;
}

/** A command as its help describes it. */
export interface CommandInfo {
  /** Completes "varvel NAME: …". */
  readonly summary: string;
  /** What may follow the options; '' for nothing. */
  readonly operands: string;
  /** Paragraphs. */
  readonly description: readonly string[];
  readonly options: Readonly<Record<string, CommandOption>>;
  readonly examples: readonly (readonly [command: string, what: string])[];
  readonly exitCodes: readonly (readonly [code: number, meaning: string])[];
}
