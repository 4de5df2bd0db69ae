/** A cell's text cannot end the cell. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** A Markdown table: the first row is its heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const [heading = [], ...others] = rows;
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [line(heading), line(heading.map(() => '---')), ...others.map(line)].join('\n');
}

/** Text as code, whatever backticks are in it. */
export function code(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = longest > 0 ? ' ' : '';
  return `${fence}${space}${text.replaceAll('\n', ' ')}${space}${fence}`;
}

/** What GitHub makes of a heading, for links within a page and to another. */
export const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

/**
 * A page's text with what is generated filled in: `{{name}}` alone on a line stands for it. Throws for a name that has no
 * text, and for a text that the page does not have.
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
