import { replaceControls } from '../shared/text.ts';

/**
 * Lines of a table, a heading over each column; numbers (columns named in `right`) are aligned by their last digit. Names in it
 * may be a tenant's: nothing in them can steer the operator's terminal.
 */
export function columns(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): string[] {
  const shown = [headings, ...rows].map((row) => row.map(replaceControls));
  const widths = headings.map((_, column) =>
    Math.max(...shown.map((row) => (row[column] ?? '').length)),
  );
  return shown.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        if (right.includes(headings[column] ?? '')) return cell.padStart(width);
        return cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}
