import { createHash } from 'node:crypto';
import { escapeHtml } from '../../streams/escape.ts';

/** HTML that was made here: markup from this source, with everything else in it escaped. */
export class Html {
  readonly text: string;

  /** @internal Only `html` makes it. */
  constructor(text: string) {
    this.text = text;
  }
}

/** What can stand in a template; undefined for nothing. */
export type HtmlValue = string | number | Html | readonly Html[] | undefined;

/**
 * A template of HTML: its literal parts are markup, every value in it is text, escaped, unless it was made by this function.
 * Attributes in a template are in double quotes. Nothing else makes HTML of a text.
 */
export function html(literals: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let text = literals[0] ?? '';
  for (const [index, value] of values.entries()) {
    text += textOf(value) + (literals[index + 1] ?? '');
  }
  return new Html(text);
}

function textOf(value: HtmlValue): string {
  if (value === undefined) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map(({ text }) => text).join('');
  return escapeHtml(String(value));
}

/** A document that may load nothing, run nothing and send nothing: its one style sheet is in it, by its hash. */
export function documentOf(title: string, css: string, body: Html): string {
  if (css.includes('<')) throw new RangeError('a style sheet cannot have markup in it');
  const hash = createHash('sha256').update(css).digest('base64');
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  const head = html`<meta charset="utf-8" /><meta
      http-equiv="Content-Security-Policy"
      content="${policy}"
    /><meta name="viewport" content="width=device-width, initial-scale=1" /><meta
      name="color-scheme"
      content="light dark"
    /><meta name="referrer" content="no-referrer" /><title>${title}</title>`;
  return `<!DOCTYPE html>\n<html lang="en"><head>${head.text}<style>${css}</style></head>\n<body>\n${body.text}\n</body></html>\n`;
}
