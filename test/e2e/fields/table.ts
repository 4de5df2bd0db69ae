import type { Compared } from './compare.ts';

/** The file that holds what this comparison found; `npm run compare:fields` writes it, fields.test.ts reads it. */
export const TABLE = 'src/rules/fields/compared.gen.ts';

/** Its text: each field that was compared, and agreed every time, with the sources. */
export function tableText(compared: readonly Compared[]): string {
  const sources = new Map<string, Set<string>>();
  const wrong = new Set(
    compared.filter(({ problem }) => problem !== undefined).map((one) => one.field),
  );
  for (const { field, source } of compared) {
    if (wrong.has(field)) continue;
    sources.set(field, (sources.get(field) ?? new Set()).add(source));
  }
  const rows = [...sources]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([field, some]) => `  ${JSON.stringify(field)}: ${JSON.stringify([...some].sort())},`);
  return [
    '// Made by `npm run compare:fields` from a run of test/e2e/fields: not by hand. The end-to-end tests make it anew.',
    '',
    '/** Fields whose values another source than the agent has confirmed in real containers, and those sources. */',
    'export const COMPARED_FIELDS: Readonly<Record<string, readonly string[]>> = {',
    ...rows,
    '};',
    '',
  ].join('\n');
}
