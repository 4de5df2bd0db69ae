import type { TransformerName } from '../language/ast.ts';
import type { FieldType, ListReader, SingleReader, Value } from '../fields/field.ts';
import type { ValueBound } from '../cost/value-bounds.ts';
import { fileNameOf } from '../../shared/path.ts';
import { decodeText } from '../../shared/text.ts';
import { byteLength } from './bytes.ts';
import { getopt, getoptValue, parseOptionString } from './getopt.ts';
import { lowerAscii, upperAscii } from './letters.ts';

/** What a transformer is given: a field, a string, a list of those, or another transformer's result. */
export interface Operand {
  /** As it is written, for messages. */
  readonly key: string;
  readonly type: FieldType;
  readonly reader: SingleReader | ListReader;
  readonly bound: ValueBound;
}

/** What a transformer makes of its operands, or what is wrong with them: the rest of its sentence. */
export type Transformed =
  | { readonly type: FieldType; readonly reader: SingleReader | ListReader }
  | { readonly problem: string };

/** Applies a transformer (C5). What is absent stays absent. `argument` is getopt's option in brackets. */
export function transform(
  name: TransformerName,
  operands: readonly Operand[],
  argument: string | undefined,
): Transformed {
  switch (name) {
    case 'join':
      return join(operands);
    case 'concat':
      return concat(operands);
    case 'getopt':
      return getoptOf(operands, argument);
    default: {
      const [operand] = operands;
      if (operand === undefined || operands.length !== 1) return { problem: 'takes one operand' };
      return name === 'len' ? length(operand) : each(name, operand);
    }
  }
}

const isList = (operand: Operand): boolean => operand.reader.shape === 'list';
const isText = (operand: Operand): boolean =>
  operand.type === 'CHARBUF' || operand.type === 'LIST(CHARBUF)';

function length(operand: Operand): Transformed {
  const { reader } = operand;
  if (reader.shape === 'list') return single('UINT64', (view) => reader.read(view)?.length);
  if (operand.type !== 'CHARBUF' && operand.type !== 'BYTEBUF') {
    return { problem: `takes a string, bytes or a list, not ${operand.key}` };
  }
  const bytes = operand.type === 'BYTEBUF';
  return single('UINT64', (view) => {
    const value = reader.read(view);
    if (value === undefined) return undefined;
    return bytes ? String(value).length : byteLength(String(value));
  });
}

const CHANGES: Readonly<Record<'tolower' | 'toupper' | 'basename', (text: string) => string>> = {
  tolower: lowerAscii,
  toupper: upperAscii,
  basename: fileNameOf,
};

function each(name: keyof typeof CHANGES | 'b64', operand: Operand): Transformed {
  const bytes = operand.type === 'BYTEBUF';
  if (!isText(operand) && !(bytes && name === 'b64')) {
    return { problem: `takes a string, not ${operand.key}` };
  }
  const change: (text: string) => string | undefined =
    name === 'b64' ? (text) => decodeBase64(text, bytes) : CHANGES[name];
  return mapped(operand.type, operand.reader, (value) => change(String(value)));
}

function mapped(
  type: FieldType,
  reader: SingleReader | ListReader,
  change: (value: Value) => Value | undefined,
): Transformed {
  if (reader.shape === 'single') {
    return single(type, (view) => {
      const value = reader.read(view);
      return value === undefined ? undefined : change(value);
    });
  }
  const read: ListReader['read'] = (view) => {
    const values = reader.read(view)?.map(change);
    return values?.every((value) => value !== undefined) === true ? values : undefined;
  };
  return { type, reader: { shape: 'list', read } };
}

function single(type: FieldType, read: SingleReader['read']): Transformed {
  return { type, reader: { shape: 'single', read } };
}

/**
 * Standard base64, padded or not; undefined when it is none.
 */
function decodeBase64(text: string, bytes: boolean): string | undefined {
  const bare = text.replace(/={1,2}$/, '');
  if (!/^[A-Za-z0-9+/]*$/.test(bare) || bare.length % 4 === 1) return undefined;
  if (bare === '' && text !== '') return undefined;
  const decoded = Buffer.from(bare, 'base64');
  // Bits that belong to no byte must be zero.
  if (decoded.toString('base64').replace(/=+$/, '') !== bare) return undefined;
  return bytes ? decoded.toString('latin1') : decodeText(decoded);
}

/**
 * What join and concat make has at most so many UTF-16 units: a longer text is absent. A string of the engine's has room for
 * 2^29, and to make one that is longer throws.
 */
export const MAX_TRANSFORMED = 4 * 1024 * 1024;

function join(operands: readonly Operand[]): Transformed {
  const [separator, list] = operands;
  if (separator === undefined || list === undefined || operands.length !== 2) {
    return { problem: 'takes a separator and a list' };
  }
  if (isList(separator) || !isText(separator)) {
    return { problem: `takes a string as separator, not ${separator.key}` };
  }
  const { reader } = list;
  if (reader.shape !== 'list') {
    return { problem: `takes a list such as (fd.name, "x"), not ${list.key}` };
  }
  return single('CHARBUF', (view) => {
    const between = separator.reader.read(view);
    const values = reader.read(view);
    if (between === undefined || values === undefined) return undefined;
    const texts = values.map(String);
    const separators = String(between).length * Math.max(0, texts.length - 1);
    const length = texts.reduce((sum, text) => sum + text.length, separators);
    return length > MAX_TRANSFORMED ? undefined : texts.join(String(between));
  });
}

function concat(operands: readonly Operand[]): Transformed {
  if (operands.length < 2) return { problem: 'takes at least two strings' };
  const wrong = operands.find((operand) => isList(operand) || !isText(operand));
  if (wrong !== undefined) return { problem: `takes strings, not ${wrong.key}` };
  return single('CHARBUF', (view) => {
    let text = '';
    for (const { reader } of operands) {
      const value = reader.read(view);
      if (value === undefined) return undefined;
      text += String(value);
      if (text.length > MAX_TRANSFORMED) return undefined;
    }
    return text;
  });
}

function getoptOf(operands: readonly Operand[], argument: string | undefined): Transformed {
  const [words, string] = operands;
  if (words === undefined || string === undefined || operands.length !== 2) {
    return { problem: 'takes a list and a string of options such as "nt:"' };
  }
  const { reader } = words;
  if (reader.shape !== 'list' || !isText(words)) {
    return { problem: `takes a list of strings, not ${words.key}` };
  }
  if (isList(string) || !isText(string)) {
    return { problem: `takes a string of options, not ${string.key}` };
  }
  if (argument !== undefined && Buffer.byteLength(argument) !== 1) {
    return { problem: `takes one option's character in brackets, not [${argument}]` };
  }
  const read: ListReader['read'] = (view) => {
    const values = reader.read(view);
    const options = string.reader.read(view);
    if (values === undefined || options === undefined) return undefined;
    return getopt(values.map(String), parseOptionString(String(options)));
  };
  if (argument === undefined) return { type: 'LIST(CHARBUF)', reader: { shape: 'list', read } };
  return single('CHARBUF', (view) => {
    const values = reader.read(view);
    const options = string.reader.read(view);
    if (values === undefined || options === undefined) return undefined;
    return getoptValue(values.map(String), parseOptionString(String(options)), argument);
  });
}

/** A list written in a condition: every item must be there. */
export function listOf(items: readonly Operand[]): Transformed {
  const wrong = items.find(isList);
  if (wrong !== undefined) return { problem: `cannot have the list ${wrong.key} in a list` };
  const read: ListReader['read'] = (view) => {
    const values: Value[] = [];
    for (const { reader } of items) {
      const value = reader.read(view);
      if (value === undefined) return undefined;
      values.push(String(value));
    }
    return values;
  };
  return { type: 'LIST(CHARBUF)', reader: { shape: 'list', read } };
}
