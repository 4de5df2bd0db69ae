import type { OutputValue } from '../detection.ts';
import type { Subject } from '../subject.ts';

/** Falco's type names, as `varvel fields` prints them. */
export type FieldType =
  | 'CHARBUF'
  | 'BYTEBUF'
  | 'BOOL'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'DOUBLE'
  | 'PORT'
  | 'RELTIME'
  | 'ABSTIME'
  | 'IPADDR'
  | 'IPNET'
  | 'DYNAMIC'
  | 'LIST(CHARBUF)';

/**
 * What operators see of a type. `wide` is a bigint: nanoseconds do not fit a double. `opaque` can only be asked whether
 * it is there.
 */
export type ValueKind = 'text' | 'bytes' | 'number' | 'wide' | 'bool' | 'ip' | 'net' | 'opaque';

/**
 * A field's value: a string for text, for ip (canonical form) and for bytes (one character of 0 to 255 per
 * byte), a bigint for wide. Undefined is absent: a comparison with it is false whatever the operator (E1).
 */
export type Value = string | number | bigint | boolean;

/** What fields read from: set by the engine for each event, never kept. */
export interface View extends Subject {
  /** Read fd.name and its parts from the path that was passed, not from the kernel's file (`fd.raced`). */
  readonly claimedPath: boolean;
}

/** Reads one value. Must not throw and must not keep `view`. */
export interface SingleReader {
  readonly shape: 'single';
  readonly read: (view: View) => Value | undefined;
  /** Overrides "has a value" for `exists` (S2). */
  readonly exists?: (view: View) => boolean;
}

/**
 * Reads several values of which one has to satisfy the comparison: `proc.aname`, `fd.ip`. The array is
 * the reader's own and is overwritten at the next read.
 */
export interface AnyReader {
  readonly shape: 'any';
  readonly read: (view: View) => readonly Value[];
  /** Does `!=` hold when some value differs (ancestors, E6) or only when all do (both ends, E5)? */
  readonly notEqual: 'some' | 'all';
  readonly exists?: (view: View) => boolean;
  /** What the field is in output, where it has no comparison to choose by. */
  readonly output: (view: View) => OutputValue;
}

/** Reads a list, which is one value of its own (`fd.types`): `in` asks for all of it, `intersects` for any. */
export interface ListReader {
  readonly shape: 'list';
  /** The array is the reader's own and is overwritten at the next read. */
  readonly read: (view: View) => readonly Value[] | undefined;
}

export type Reader = SingleReader | AnyReader | ListReader;

/** What is wrong with a field's argument: the rest of a sentence that begins with the field. */
export interface ArgumentProblem {
  readonly problem: string;
}

/**
 * What a field can be in an event whose value of another field is known: all the values it may then have, undefined
 * among them if it may be absent.
 */
export interface Implied {
  readonly by: string;
  /** Each of the values is the beginning or the end of that field's text, `/` or absent. */
  readonly part: 'start' | 'end';
  readonly values: (value: Value | undefined) => readonly (Value | undefined)[];
}

/** How a field takes what stands in its brackets. */
export type ArgumentKind = 'none' | 'optional' | 'required';

/** A field that rules can use. */
export interface FieldDefinition {
  readonly name: string;
  readonly type: FieldType;
  readonly argument: ArgumentKind;
  /** One sentence, in `varvel fields`. */
  readonly description: string;
  /** 'not yet': Falco has it, rules that use it load, and it is absent in every event. */
  readonly status: 'available' | 'not yet';
  /** It has no value in any event that the agent can see. */
  readonly absent: boolean;
  /** The argument may also follow a dot: `evt.arg.flags`. */
  readonly dotArgument: boolean;
  /**
   * How much of what follows that dot in an output is the argument, which has no other end there; undefined:
   * letters, digits, `_`, and `-`, `/`, `.` between them.
   */
  readonly dotLength: ((text: string) => number) | undefined;
  /** Neither in `val(…)` nor compared with it (C4). */
  readonly noVal: boolean;
  /** Takes no transformer (C5). */
  readonly noTransformer: boolean;
  /** For conditions only: absent in outputs. */
  readonly filterOnly: boolean;
  /** Falco keeps it for old rules only. */
  readonly deprecated: boolean;
  /** Read differently when `claimedPath` is set. */
  readonly pathDependent: boolean;
  readonly implied: Implied | undefined;
  /** A reader for one use of the field, or what is wrong with the argument. */
  reader(argument: string | undefined): Reader | ArgumentProblem;
  /** The words of a command line, which getopt() takes in place of its text. */
  words?(argument: string | undefined): ListReader | undefined;
  /** The type of one use, where it depends on the argument (`evt.rawarg`); undefined: `type`. */
  typeOf?(argument: string | undefined): FieldType;
}

/** The fields that share what they describe: `proc`, `fd`, … One file each. */
export interface FieldClass {
  readonly name: string;
  readonly description: string;
  readonly fields: readonly FieldDefinition[];
}

/** What sets a field apart from the plain one. */
export interface FieldOptions {
  readonly argument?: ArgumentKind;
  readonly dotArgument?: boolean;
  readonly dotLength?: (text: string) => number;
  readonly noVal?: boolean;
  readonly noTransformer?: boolean;
  readonly filterOnly?: boolean;
  readonly deprecated?: boolean;
  readonly pathDependent?: boolean;
  readonly implied?: Implied;
}

/** A field without argument that reads one value. */
export function field(
  name: string,
  type: FieldType,
  description: string,
  read: (view: View) => Value | undefined,
  options: FieldOptions & { exists?: (view: View) => boolean } = {},
): FieldDefinition {
  const { exists } = options;
  const reader: SingleReader =
    exists === undefined ? { shape: 'single', read } : { shape: 'single', read, exists };
  return fieldWithReader(name, type, description, () => reader, options);
}

/** A field whose reader depends on the argument, or that reads several values. */
export function fieldWithReader(
  name: string,
  type: FieldType,
  description: string,
  reader: (argument: string | undefined) => Reader | ArgumentProblem,
  options: FieldOptions = {},
): FieldDefinition {
  return {
    name,
    type,
    argument: options.argument ?? 'none',
    description,
    status: 'available',
    absent: false,
    dotArgument: options.dotArgument ?? false,
    dotLength: options.dotLength,
    noVal: options.noVal ?? false,
    noTransformer: options.noTransformer ?? false,
    filterOnly: options.filterOnly ?? false,
    deprecated: options.deprecated ?? false,
    pathDependent: options.pathDependent ?? false,
    implied: options.implied,
    reader,
  };
}

const ABSENT: SingleReader = { shape: 'single', read: () => undefined };
const ABSENT_LIST: ListReader = { shape: 'list', read: () => undefined };

/**
 * Falco's field that the agent cannot produce yet: rules that use it load, and it is always absent. `problem`
 * says what is wrong with an argument.
 */
export function future(
  name: string,
  type: FieldType,
  description: string,
  options: FieldOptions & {
    problem?: (argument: string) => ArgumentProblem | undefined;
  } = {},
): FieldDefinition {
  const absent = type.startsWith('LIST(') ? ABSENT_LIST : ABSENT;
  const { problem } = options;
  const reader = (argument: string | undefined): Reader | ArgumentProblem =>
    (argument === undefined ? undefined : problem?.(argument)) ?? absent;
  return {
    ...fieldWithReader(name, type, description, reader, options),
    status: 'not yet',
    absent: true,
  };
}

/** A field that has no value in any event that the agent can see, as in Falco: always absent. */
export function absent(
  name: string,
  type: FieldType,
  description: string,
  options: FieldOptions = {},
): FieldDefinition {
  return { ...fieldWithReader(name, type, description, () => ABSENT, options), absent: true };
}

/** What operators see of a type; of its items for a list. */
export function kindOf(type: FieldType): ValueKind {
  switch (type) {
    case 'CHARBUF':
    case 'LIST(CHARBUF)':
      return 'text';
    case 'BYTEBUF':
      return 'bytes';
    case 'BOOL':
      return 'bool';
    case 'INT8':
    case 'INT16':
    case 'INT32':
    case 'INT64':
    case 'UINT8':
    case 'UINT16':
    case 'UINT32':
    case 'UINT64':
    case 'PORT':
    case 'DOUBLE':
      return 'number';
    case 'RELTIME':
    case 'ABSTIME':
      return 'wide';
    case 'IPADDR':
      return 'ip';
    case 'IPNET':
      return 'net';
    case 'DYNAMIC':
      return 'opaque';
  }
}

const MAX_INDEX = 2 ** 31 - 1;

/** An index in brackets, as in `proc.aname[2]`: 0 to 2^31-1. */
export function parseIndex(argument: string): number | ArgumentProblem {
  if (!/^\d{1,10}$/.test(argument) || Number(argument) > MAX_INDEX) {
    return { problem: `takes an index such as [2], not [${argument}]` };
  }
  return Number(argument);
}
