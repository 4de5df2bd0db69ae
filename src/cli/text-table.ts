/** Wider first cells stand on a line of their own. */
const FIRST_CELL_MAX = 26;
/** A text narrower than this is left to the terminal to break. */
const TEXT_MIN = 24;

/** A row of a table for people: cells in columns, then a text that is wrapped beside them. */
export interface TextRow {
  readonly cells: readonly string[];
  readonly text: string;
}

/** Lines of the rows, indented by two, no wider than `columns` where words allow it. */
export function textTable(rows: readonly TextRow[], columns: number): string[] {
  const widths: number[] = [];
  for (const { cells } of rows) {
    for (const [at, cell] of cells.entries()) {
      const width = at === 0 && cell.length > FIRST_CELL_MAX ? 0 : cell.length;
      widths[at] = Math.max(widths[at] ?? 0, width);
    }
  }
  const indent = widths.reduce((sum, width) => sum + width + 2, 2);
  return rows.flatMap(({ cells, text }) => {
    const [first = '', ...rest] = cells;
    const padded = rest.map((cell, at) => cell.padEnd((widths[at + 1] ?? 0) + 2)).join('');
    const lines = wrap(text, columns - indent);
    const [firstWidth = 0] = widths;
    const start =
      first.length > firstWidth
        ? [`  ${first}`, `  ${' '.repeat(firstWidth + 2)}${padded}${lines[0] ?? ''}`]
        : [`  ${first.padEnd(firstWidth + 2)}${padded}${lines[0] ?? ''}`];
    return [...start, ...lines.slice(1).map((line) => `${' '.repeat(indent)}${line}`)].map((line) =>
      line.trimEnd(),
    );
  });
}

/** Breaks a text at blanks. */
export function wrap(text: string, width: number): string[] {
  if (width < TEXT_MIN) return [text];
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}
