import {
  CHANGE_WAYS,
  CONNECT_WAYS,
  OPEN_WAYS,
  PROGRAM_WAYS,
  type Outcome,
} from '../../test/support/ways-around.ts';

// The table of ways around a denial, from what the tests assert.

const COLUMNS: readonly (readonly [heading: string, ways: Readonly<Record<string, Outcome>>])[] = [
  ['open', OPEN_WAYS],
  ['change', CHANGE_WAYS],
  ['connect', CONNECT_WAYS],
  ['program', PROGRAM_WAYS],
];
const MARKS = /(?<=^<!-- ways: npm run generate -->\n\n)[^]*(?=\n\n<!-- end of ways -->$)/m;

const wordsOf = (outcome: Outcome | undefined): string =>
  outcome === undefined
    ? ''
    : typeof outcome === 'string'
      ? outcome
      : `reported: ${outcome.reportedBy}`;

/** As Prettier has it, which formats the page. */
function alignedTable(rows: readonly (readonly string[])[]): string {
  const [heading = [], ...others] = rows;
  const widths = heading.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[], fill = ' '): string =>
    `| ${widths.map((width, at) => (cells[at] ?? '').padEnd(width, fill)).join(' | ')} |`;
  return [line(heading), line([], '-'), ...others.map((row) => line(row))].join('\n');
}

/** The page, with its table as the tests are now. Throws if it has no place for that. */
export function withWays(page: string): string {
  if (!MARKS.test(page)) throw new Error('responses.md has no place for the ways around a denial');
  const names = [...new Set(COLUMNS.flatMap(([, ways]) => Object.keys(ways)))];
  const rows = names.map((name) => [name, ...COLUMNS.map(([, ways]) => wordsOf(ways[name]))]);
  const table = alignedTable([['way', ...COLUMNS.map(([heading]) => heading)], ...rows]);
  return page.replace(MARKS, () => table);
}
