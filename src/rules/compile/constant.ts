import type { Operator } from '../language/ast.ts';
import type { FieldType, Value, ValueKind } from '../fields/field.ts';
import { formatIp, parseIp, parseNet } from '../fields/ip.ts';
import { servicePort } from '../fields/services.ts';
import { byteLength, bytesOf } from './bytes.ts';

/** Falco rejects longer constants (E7). */
export const MAX_CONSTANT_BYTES = 255;

/** A typed constant, or what is wrong with it as a sentence. */
export type Constant = { readonly value: Value } | { readonly problem: string };

const wrong = (problem: string): Constant => ({ problem });

/** Reads the right side's text as a value of the left side's kind (C3). */
export function parseConstant(
  kind: ValueKind,
  type: FieldType,
  operator: Operator,
  text: string,
): Constant {
  if (kind === 'bytes') return parseBytes(operator, text);
  if (text.includes('\0')) return wrong('a value may not hold a NUL byte');
  if (byteLength(text) > MAX_CONSTANT_BYTES) return tooLong();
  switch (kind) {
    case 'text':
      return { value: text };
    case 'bool':
      if (text !== 'true' && text !== 'false') return wrong(`'${text}' is not true or false`);
      return { value: text === 'true' };
    case 'number':
    case 'wide':
      return parseNumber(kind, type, text);
    case 'ip': {
      const address = parseIp(text);
      return address === undefined
        ? wrong(`'${text}' is not an IP address`)
        : { value: formatIp(address) };
    }
    case 'net':
      return parseNet(text) === undefined
        ? wrong(`'${text}' is not an IP network such as 10.0.0.0/8`)
        : { value: text };
    case 'opaque':
      return wrong('it cannot be compared');
  }
}

function tooLong(): Constant {
  return wrong(`filter parameter too long: the value has more than ${MAX_CONSTANT_BYTES} bytes`);
}

function parseBytes(operator: Operator, text: string): Constant {
  let value = bytesOf(text);
  if (operator === 'bcontains' || operator === 'bstartswith') {
    if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) {
      return wrong(`'${text}' is not an even number of hexadecimal digits`);
    }
    value = Buffer.from(text, 'hex').toString('latin1');
  }
  return value.length > MAX_CONSTANT_BYTES ? tooLong() : { value };
}

const MAX_INT = 2 ** 31 - 1;

/** Nothing is port 0; what no port can be is taken, and is none (S6). */
function parsePort(text: string): Constant {
  const port = /^\d*$/.test(text) ? Number(text) : servicePort(text);
  return port === undefined || port > MAX_INT
    ? wrong(`'${text}' is not a port or the name of a service`)
    : { value: port };
}

/** Bits of the unsigned types: a negative number is its two's complement there, as in C (S6). */
const UNSIGNED_BITS: Readonly<Partial<Record<FieldType, number>>> = {
  UINT8: 8,
  UINT16: 16,
  UINT32: 32,
  UINT64: 64,
};

function parseNumber(kind: 'number' | 'wide', type: FieldType, text: string): Constant {
  if (type === 'PORT') return parsePort(text);
  // As scanf(3) reads it: blanks may stand before it.
  const digits = /^[ \t\n\v\f\r]*\+?(-?\d+)$/.exec(text)?.[1];
  if (digits === undefined || text.includes('+-')) return wrong(`'${text}' is not a whole number`);
  const exact = BigInt(digits);
  if (kind === 'wide') return { value: exact < 0n ? BigInt.asUintN(64, exact) : exact };
  const bits = UNSIGNED_BITS[type];
  return { value: Number(exact < 0n && bits !== undefined ? BigInt.asUintN(bits, exact) : exact) };
}
