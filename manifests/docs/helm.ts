import { isMap, isScalar, parseDocument, type YAMLMap } from 'yaml';
import { code, fill, table } from './markdown.ts';

// The table of a chart's values, from the comments in its values.yaml.

/** A value that a chart takes. */
export interface ChartValue {
  /** Such as `image.tag`. */
  readonly path: string;
  readonly byDefault: unknown;
  readonly comment: string;
}

/**
 * The values of a values.yaml, in its order. One with a comment before it is documented, with all that is in it; one without must be
 * a map, whose own values are. Throws for a value that nothing is said about.
 */
export function chartValues(text: string): readonly ChartValue[] {
  const { contents, errors } = parseDocument(text);
  if (errors[0] !== undefined) throw errors[0];
  if (!isMap(contents)) throw new Error('values.yaml is not a map');
  return valuesIn(contents, '');
}

function valuesIn(map: YAMLMap, prefix: string): ChartValue[] {
  return map.items.flatMap(({ key, value }, nth) => {
    if (!isScalar(key)) throw new Error(`values.yaml: a key below "${prefix}" is no text`);
    const path = `${prefix}${String(key.value)}`;
    // The comment before the first key of a map is the map's.
    const comment = key.commentBefore ?? (nth === 0 ? map.commentBefore : undefined);
    if (typeof comment === 'string')
      return [
        {
          path,
          byDefault: isMap(value) ? (value.toJSON() as unknown) : toValue(value),
          comment: comment.replaceAll(/\s+/g, ' ').trim(),
        },
      ];
    if (isMap(value)) return valuesIn(value, `${path}.`);
    throw new Error(`values.yaml: nothing is said about "${path}"`);
  });
}

const toValue = (node: unknown): unknown =>
  (node as { toJSON: () => unknown } | null)?.toJSON() ?? null;

/** What fits into a cell: longer ones are looked up in the file. */
const CELL_MAX = 60;

/** The chart's README: the page with the table of its values. */
export function chartReadme(page: string, valuesText: string): string {
  const rows = chartValues(valuesText).map(({ path, byDefault, comment }) => {
    const text = JSON.stringify(byDefault);
    return [
      code(path),
      text.length > CELL_MAX ? '[values.yaml](values.yaml)' : code(text),
      `${comment}.`,
    ];
  });
  return fill(page, { values: table([['value', 'default', 'what it is'], ...rows]) });
}
