import type { FieldType, Value, ValueKind } from '../fields/field.ts';
import { formatIp, parseIp, parseNet } from '../fields/ip.ts';

/** Falco rejects longer constants (E7). Bytes of UTF-8. */
const MAX_CONSTANT_BYTES = 255;

/** A typed constant, or what is wrong with it as a sentence. */
export type Constant =
  { readonly value: Value } | { readonly problem: string; readonly notYet: boolean };

const wrong = (problem: string): Constant => ({ problem, notYet: false });

/** Reads the right side's text as a value of the left side's kind (C3). */
export function parseConstant(
  kind: ValueKind,
  type: FieldType | undefined,
  text: string,
): Constant {
  if (text.includes('\0')) return wrong('a value may not hold a NUL byte');
  if (Buffer.byteLength(text) > MAX_CONSTANT_BYTES) {
    return wrong(`the value is longer than ${MAX_CONSTANT_BYTES} bytes`);
  }
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
  }
}

function parseNumber(kind: 'number' | 'wide', type: FieldType | undefined, text: string): Constant {
  if (!/^[+-]?\d+$/.test(text)) {
    if (type === 'PORT' && /^[a-z][a-z0-9-]*$/i.test(text)) {
      return { problem: `the name of a service ('${text}') in place of a port`, notYet: true };
    }
    return wrong(`'${text}' is not a whole number`);
  }
  const exact = BigInt(text.replace('+', ''));
  // Unsigned fields take a negative number for its two's complement, as C does (S6).
  if (kind === 'wide') return { value: exact < 0n ? BigInt.asUintN(64, exact) : exact };
  if (exact < 0n && type === 'UINT32') return { value: Number(BigInt.asUintN(32, exact)) };
  if (exact < 0n && type === 'UINT64') return { value: Number(BigInt.asUintN(64, exact)) };
  return { value: Number(exact) };
}
