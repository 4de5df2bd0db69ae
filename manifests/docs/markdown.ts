/** Escapes text so that it cannot end the cell. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** A Markdown table: the first row is its heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const [heading = [], ...others] = rows;
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [line(heading), line(heading.map(() => '---')), ...others.map(line)].join('\n');
}

/** Text as code, whatever backticks it contains. */
export function code(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = longest > 0 ? ' ' : '';
  return `${fence}${space}${text.replaceAll('\n', ' ')}${space}${fence}`;
}

/** GitHub's anchor of a heading, for links within and between pages. */
export const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

/**
 * Fills generated text into a page: `{{name}}` alone on a line stands for it. Throws for a name without a text, and for a text
 * without a place in the page.
 */
export function fill(page: string, texts: Readonly<Record<string, string>>): string {
  const used = new Set<string>();
  const filled = page.replaceAll(/^\{\{(.+)\}\}$/gm, (_, name: string) => {
    const text = texts[name];
    if (text === undefined) throw new Error(`nothing is generated for {{${name}}}`);
    used.add(name);
    return text;
  });
  const missing = Object.keys(texts).find((name) => !used.has(name));
  if (missing !== undefined) throw new Error(`the page has no line {{${missing}}}`);
  return filled;
}
