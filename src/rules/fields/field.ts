import type { OutputValue } from '../detection.ts';
import type { Subject } from '../subject.ts';

/** Falco's type names, as `varvel fields` prints them. */
export type FieldType =
  | 'CHARBUF'
  | 'BYTEBUF'
  | 'BOOL'
  | 'INT16'
  | 'INT32'
  | 'INT64'
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

/** What operators see of a type. `wide` is a bigint: nanoseconds do not fit a double. */
export type ValueKind = 'text' | 'number' | 'wide' | 'bool' | 'ip' | 'net';

/**
 * A field's value: a string for text and ip (canonical form), a bigint for wide. Undefined is absent: a
 * comparison with it is false whatever the operator (E1).
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

export type Reader = SingleReader | AnyReader;

/** What is wrong with a field's argument: the rest of a sentence that begins with the field. */
export interface ArgumentProblem {
  readonly problem: string;
  /** Falco can do it. */
  readonly notYet: boolean;
}

/** How a field takes what stands in its brackets. */
export type ArgumentKind = 'none' | 'optional' | 'required';

interface FieldBase {
  readonly name: string;
  readonly type: FieldType;
  readonly argument: ArgumentKind;
  /** One sentence, in `varvel fields`. */
  readonly description: string;
}

export interface AvailableField extends FieldBase {
  readonly status: 'available';
  /** The argument may also follow a dot: `evt.arg.flags`. */
  readonly dotArgument: boolean;
  /** May not stand in `val(…)` (C4). */
  readonly noVal: boolean;
  /** Read differently when `claimedPath` is set. */
  readonly pathDependent: boolean;
  /** A reader for one use of the field, or what is wrong with the argument. */
  reader(argument: string | undefined): Reader | ArgumentProblem;
}

/** Falco has it and we do not yet: using it is a load error that says so. */
export interface FutureField extends FieldBase {
  readonly status: 'not yet';
}

export type FieldDefinition = AvailableField | FutureField;

/** The fields that share what they describe: `proc`, `fd`, … One file each. */
export interface FieldClass {
  readonly name: string;
  readonly description: string;
  readonly fields: readonly FieldDefinition[];
}

interface FieldOptions {
  readonly argument?: ArgumentKind;
  readonly dotArgument?: boolean;
  readonly noVal?: boolean;
  readonly pathDependent?: boolean;
}

/** A field without argument that reads one value. */
export function field(
  name: string,
  type: FieldType,
  description: string,
  read: (view: View) => Value | undefined,
  options: FieldOptions & { exists?: (view: View) => boolean } = {},
): AvailableField {
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
): AvailableField {
  return {
    name,
    type,
    argument: options.argument ?? 'none',
    description,
    status: 'available',
    dotArgument: options.dotArgument ?? false,
    noVal: options.noVal ?? false,
    pathDependent: options.pathDependent ?? false,
    reader,
  };
}

/** Falco's field that is still to come: its place is here. */
export function future(
  name: string,
  type: FieldType,
  description: string,
  argument: ArgumentKind = 'none',
): FutureField {
  return { name, type, argument, description, status: 'not yet' };
}

/** What operators see of a type; undefined for types that no available field has. */
export function kindOf(type: FieldType): ValueKind | undefined {
  switch (type) {
    case 'CHARBUF':
      return 'text';
    case 'BOOL':
      return 'bool';
    case 'INT16':
    case 'INT32':
    case 'INT64':
    case 'UINT32':
    case 'UINT64':
    case 'PORT':
      return 'number';
    case 'RELTIME':
    case 'ABSTIME':
      return 'wide';
    case 'IPADDR':
      return 'ip';
    case 'IPNET':
      return 'net';
    case 'BYTEBUF':
    case 'DOUBLE':
    case 'DYNAMIC':
    case 'LIST(CHARBUF)':
      return undefined;
  }
}

/** A small index in brackets, as in `proc.aname[2]`. */
export function parseIndex(argument: string): number | ArgumentProblem {
  if (!/^\d{1,4}$/.test(argument)) {
    return { problem: `takes an index such as [2], not [${argument}]`, notYet: false };
  }
  return Number(argument);
}
