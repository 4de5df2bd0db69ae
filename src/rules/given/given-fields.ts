import { nearestWord } from '../../shared/nearest.ts';
import { bytesOf } from '../compile/bytes.ts';
import type { FieldSource } from '../compile/read.ts';
import { FALCO_EVENT_NAMES, isFalcoEvent } from '../fields/falco-events.ts';
import { kindOf } from '../fields/field.ts';
import type { FieldDefinition, FieldType, Reader, Value } from '../fields/field.ts';
import { formatIp, parseIp } from '../fields/ip.ts';
import { FIELD_NAMES, findField } from '../fields/registry.ts';
import { DERIVED } from './derived-fields.ts';

/** A field's value as JSON or YAML has it; null is absent. */
export type Given = string | number | boolean | null | readonly (string | number | boolean)[];

/** What is wrong with given fields: the key and the rest of a sentence about it. */
export class GivenFieldError extends Error {
  override readonly name = 'GivenFieldError';
  readonly key: string;

  constructor(key: string, message: string) {
    super(message);
    this.key = key;
  }
}

/**
 * An event known only by field values that someone wrote: used to try conditions without a kernel. A field that is not given is
 * derived from the given ones (see DERIVED), else absent.
 */
export class GivenFields {
  /** By canonical key; undefined is absent. */
  readonly #values = new Map<string, readonly Value[] | undefined>();

  /** Reads from whichever fields were given last. */
  readonly source: FieldSource = (field, argument) => this.#reader(field, argument);

  /** Replaces all values. Throws GivenFieldError for a key that is no field and for a value of a wrong type. */
  give(fields: Readonly<Record<string, Given>>): void {
    this.#values.clear();
    for (const [key, given] of Object.entries(fields)) {
      const { field, argument } = resolve(key);
      const values = given === null ? undefined : toValues(key, field, argument, given);
      this.#values.set(keyOf(field.name, argument), values);
    }
  }

  /** The values of a field: several for a list and for fields that have several; undefined when absent. */
  read(name: string, argument?: string): readonly Value[] | undefined {
    return this.#read(name, argument, 0);
  }

  #read(name: string, argument: string | undefined, depth: number): readonly Value[] | undefined {
    const key = keyOf(name, argument);
    if (this.#values.has(key)) return this.#values.get(key);
    // A derivation may use a derived field; the depth limit stops circular ones.
    if (depth > 3) return undefined;
    const read = Object.assign((other: string, at?: string) => this.#read(other, at, depth + 1), {
      given: (other: string) => this.#values.get(other),
    });
    for (const derive of DERIVED) {
      const found = derive(name, argument, read);
      if (found !== undefined && found.length > 0) return found;
    }
    return undefined;
  }

  #reader(field: FieldDefinition, argument: string | undefined): ReturnType<FieldSource> {
    // What is wrong with an argument is wrong here too, and the shape is the field's own.
    const real = field.reader(argument);
    if ('problem' in real) return real;
    const read = (): readonly Value[] | undefined => this.#read(field.name, argument, 0);
    return shaped(real, read, () => this.#hasDescriptor());
  }

  /** Whether a descriptor exists, also without an address (S2): by its number, else by other given fields. */
  #hasDescriptor(): boolean {
    const number = this.read('fd.num')?.[0];
    if (number !== undefined) return Number(number) >= 0;
    return DESCRIBES.some((name) => (this.read(name)?.length ?? 0) > 0);
  }
}

const DESCRIBES = ['fd.ip', 'fd.port', 'fd.name', 'fd.type', 'fd.typechar'];

/** `hasDescriptor`: what fields with several values ask that exist without one. */
function shaped(
  real: Reader,
  read: () => readonly Value[] | undefined,
  hasDescriptor: () => boolean,
): Reader {
  switch (real.shape) {
    case 'single':
      return { shape: 'single', read: () => read()?.[0] };
    case 'list':
      return { shape: 'list', read };
    case 'any':
      return {
        shape: 'any',
        read: () => read() ?? [],
        notEqual: real.notEqual,
        ...(real.exists === undefined ? {} : { exists: hasDescriptor }),
        output: () => {
          const values = read();
          if (values === undefined || values.length === 0) return null;
          return values.length === 1 ? (values[0] ?? null) : values.map(String).join(' ');
        },
      };
  }
}

function keyOf(name: string, argument: string | undefined): string {
  return argument === undefined ? name : `${name}[${argument}]`;
}

function resolve(key: string): { field: FieldDefinition; argument: string | undefined } {
  const bracket = /^([^[\]]+)\[(.*)\]$/s.exec(key);
  const found = findField(bracket?.[1] ?? key);
  if (found === undefined) {
    const close = nearestWord(bracket?.[1] ?? key, FIELD_NAMES);
    const hint = close === undefined ? '' : `: did you mean ${close}?`;
    throw new GivenFieldError(key, `there is no field ${key}${hint}`);
  }
  const argument = bracket?.[2]?.replace(/^(["'])(.*)\1$/s, '$2') ?? found.dotArgument;
  const { field } = found;
  if (field.argument === 'none' && argument !== undefined) {
    throw new GivenFieldError(key, `${field.name} takes no argument`);
  }
  if (field.argument === 'required' && argument === undefined) {
    throw new GivenFieldError(key, `${field.name} needs an argument, such as ${field.name}[…]`);
  }
  const reader = field.reader(argument);
  if ('problem' in reader) throw new GivenFieldError(key, `${field.name} ${reader.problem}`);
  return { field, argument };
}

function toValues(
  key: string,
  field: FieldDefinition,
  argument: string | undefined,
  given: Exclude<Given, null>,
): readonly Value[] {
  const type = field.typeOf?.(argument) ?? field.type;
  const reader = field.reader(argument);
  const several = !('problem' in reader) && reader.shape !== 'single';
  if (typeof given === 'object' && !several) {
    throw new GivenFieldError(key, `${key} has one value, not a list`);
  }
  const items = typeof given === 'object' ? given : [given];
  return items.map((item) => {
    const value = toValue(type, item);
    if (typeof value === 'object') {
      throw new GivenFieldError(key, `${key} needs ${value.needed}, not ${JSON.stringify(item)}`);
    }
    if (field.name === 'evt.type') checkEventName(key, String(value));
    return value;
  });
}

function checkEventName(key: string, name: string): void {
  if (isFalcoEvent(name)) return;
  const close = nearestWord(name, FALCO_EVENT_NAMES);
  const hint = close === undefined ? '' : `: did you mean ${close}?`;
  throw new GivenFieldError(
    key,
    `${key} needs the name of an event, not ${JSON.stringify(name)}${hint}`,
  );
}

/** A value of the type, or what it takes in words. */
function toValue(
  type: FieldType,
  item: string | number | boolean,
): Value | { readonly needed: string } {
  const text = String(item);
  switch (kindOf(type)) {
    case 'text':
      return text;
    case 'bytes':
      return bytesOf(text);
    case 'bool':
      return text === 'true' || text === 'false' ? text === 'true' : { needed: 'true or false' };
    case 'number':
      return toNumber(type, text);
    case 'opaque':
      return text;
    case 'wide':
      if (!/^\+?\d{1,20}$/.test(text)) return { needed: 'a whole number of nanoseconds' };
      return BigInt(text.replace('+', ''));
    case 'ip':
    case 'net': {
      const address = parseIp(text);
      return address === undefined ? { needed: 'an IP address' } : formatIp(address);
    }
  }
}

function toNumber(type: FieldType, text: string): Value | { readonly needed: string } {
  if (type === 'DOUBLE') {
    return /^[+-]?\d+(\.\d+)?$/.test(text) ? Number(text) : { needed: 'a number' };
  }
  const whole = /^[+-]?\d{1,20}$/.test(text);
  const [least, most] = rangeOf(type);
  const exact = whole ? BigInt(text.replace('+', '')) : undefined;
  if (exact === undefined || exact < least || exact > most) {
    return { needed: `a whole number from ${least} to ${most}` };
  }
  return Number(exact);
}

function rangeOf(type: FieldType): readonly [least: bigint, most: bigint] {
  const bits = BigInt(/\d+$/.exec(type)?.[0] ?? 16);
  return type.startsWith('INT')
    ? [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]
    : [0n, 2n ** bits - 1n];
}
