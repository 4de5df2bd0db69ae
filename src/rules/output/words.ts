import type { OutputValue } from '../detection.ts';

/**
 * Words are the `name=%field` of an output's details, which follow a `|`. Short outputs leave out a word that says nothing: its
 * field is absent or empty, or its value stands in the line already (O5). Then the field is not among `output_fields` either.
 */

/** Reads a field of the event that the output is about; undefined when absent. */
export type ReadField = (name: string) => OutputValue | undefined;

interface Repeated {
  /** Fields of which the same output must have words. */
  readonly beside: readonly string[];
  /** All fields that are read to find out. */
  readonly reads: readonly string[];
  isRepeated(value: OutputValue, read: ReadField): boolean;
}

/** A text line begins with it, and in JSON it stands among `output_fields`. */
const OF_LINE: Repeated = { beside: [], reads: [], isRepeated: () => true };

const sameAs = (other: string): Repeated => ({
  beside: [other],
  reads: [other],
  isRepeated: (value, read) => value === read(other),
});

/** Programs of container runtimes, by the 15 bytes of a process's name. */
const RUNTIME = /^(?:runc|crun|youki|runsc|conmon(?:rs)?|containerd-shim|docker-init|dadoo)$/;

/** Where a runtime started the process, `lineage` says how. The name and command of the runtime would tell nothing more. */
const OF_RUNTIME: Repeated = {
  beside: [],
  reads: ['proc.is_from_outside', 'proc.origin', 'proc.pname'],
  isRepeated: (_, read) =>
    read('proc.is_from_outside') === true &&
    typeof read('proc.origin') === 'string' &&
    RUNTIME.test(String(read('proc.pname'))),
};

/** As Falco, these fields say so in words. */
const NO_NAME: Repeated = { beside: [], reads: [], isRepeated: (value) => value === '<NA>' };

/** There is none. */
const NO_TERMINAL: Repeated = { beside: [], reads: [], isRepeated: (value) => Number(value) === 0 };

/** All arguments of a call, its result the first of them. */
const OF_ARGUMENTS: Repeated = {
  beside: ['evt.args'],
  reads: ['evt.args'],
  isRepeated: (_, read) => /^res=(?!<NA>)/.test(String(read('evt.args'))),
};

const REPEATED: Readonly<Record<string, readonly Repeated[]>> = {
  'container.id': [OF_LINE],
  'container.name': [{ ...sameAs('app.name'), beside: [] }],
  'fd.nameraw': [sameAs('fd.name')],
  'fs.path.nameraw': [sameAs('fs.path.name')],
  'fs.path.sourceraw': [sameAs('fs.path.source')],
  'fs.path.targetraw': [sameAs('fs.path.target')],
  // Of other calls, such as chmod, it is what the call is about.
  'evt.arg.filename': [
    {
      beside: ['proc.exepath'],
      reads: ['proc.exepath', 'evt.type'],
      isRepeated: (value, read) =>
        value === read('proc.exepath') && String(read('evt.type')).startsWith('exec'),
    },
  ],
  'evt.res': [OF_ARGUMENTS],
  'evt.rawres': [OF_ARGUMENTS],
  'proc.pname': [
    OF_RUNTIME,
    {
      beside: ['proc.pcmdline'],
      reads: ['proc.pcmdline'],
      isRepeated: (value, read) =>
        `${String(read('proc.pcmdline'))} `.startsWith(`${String(value)} `),
    },
  ],
  // A child that has not run another program has its parent's.
  'proc.pcmdline': [OF_RUNTIME, sameAs('proc.cmdline')],
  'proc.pexe': [OF_RUNTIME],
  'proc.pexepath': [OF_RUNTIME, sameAs('proc.exepath')],
  'proc.tty': [NO_TERMINAL],
  'user.name': [NO_NAME],
  'user.loginname': [NO_NAME],
  'group.name': [NO_NAME],
  'user.uid': [
    {
      beside: ['user.name'],
      reads: ['user.name'],
      // The container's own file has the names: only this one has one number everywhere.
      isRepeated: (value, read) => Number(value) === 0 && read('user.name') === 'root',
    },
  ],
};

/** Decides whether a word is left out. */
export class Word {
  /** Blanks, name and `=`: the end of the literal before the field. */
  readonly label: string;
  readonly #repeated: readonly Repeated[];
  /** A line of JSON has its value nowhere else, so that the field stays where the word does not. */
  readonly isOnlyAmongFields: boolean;

  /** `key` names the field, `others` all fields of the output. */
  constructor(label: string, key: string, others: ReadonlySet<string>) {
    this.label = label;
    this.isOnlyAmongFields = key === 'container.id';
    const repeated = Object.hasOwn(REPEATED, key) ? (REPEATED[key] ?? []) : [];
    this.#repeated = repeated.filter(({ beside }) => beside.every((other) => others.has(other)));
  }

  /** Names of the fields that are read to decide. */
  get reads(): readonly string[] {
    return this.#repeated.flatMap(({ reads }) => reads);
  }

  saysNothing(value: OutputValue | undefined, read: ReadField): boolean {
    if (value === undefined || value === null || value === '') return true;
    return this.#repeated.some((one) => one.isRepeated(value, read));
  }
}

/** The label with which the text before a field ends, if label and field are a word of the details. */
export function labelOf(before: string, after: string): string | undefined {
  return /^(?:\s|$)/.test(after) ? /(?<!\s)\s+[A-Za-z_][\w.-]*=$/.exec(before)?.[0] : undefined;
}
