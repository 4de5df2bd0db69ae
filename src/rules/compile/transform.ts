import type { TransformerName } from '../language/ast.ts';
import type { SingleReader, Value, ValueKind } from '../fields/field.ts';
import { fileNameOf } from '../fields/path.ts';
import { lowerAscii, upperAscii } from './pattern.ts';

type Transformed = { readonly kind: ValueKind; readonly reader: SingleReader };

/** A reader that transforms what another reads (C5). Absent stays absent. */
export function transform(
  name: TransformerName,
  kind: ValueKind,
  inner: SingleReader,
): Transformed | 'not yet' | 'wrong type' {
  const change = CHANGES[name];
  if (change === undefined) return 'not yet';
  if (kind !== 'text') return 'wrong type';
  return {
    kind: name === 'len' ? 'number' : 'text',
    reader: {
      shape: 'single',
      read(view) {
        const value = inner.read(view);
        return value === undefined ? undefined : change(String(value));
      },
    },
  };
}

const CHANGES: Readonly<Partial<Record<TransformerName, (text: string) => Value>>> = {
  tolower: lowerAscii,
  toupper: upperAscii,
  basename: fileNameOf,
  len: (text) => Buffer.byteLength(text),
};
