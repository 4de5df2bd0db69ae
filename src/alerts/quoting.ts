import { createHash } from 'node:crypto';
import { escapeHidden, escapeJson } from '../streams/escape.ts';
import type { AlertRequest } from './alert-request.ts';

// How a value of the user's becomes part of somebody else's language. Nothing here trusts it.

/**
 * A value as it stands in the tags of our syslog lines once they are read: hidden characters made visible
 * (`streams/syslog/rfc5424.ts`), everything else as it is.
 */
export function asTag(value: string): string {
  return escapeHidden(value);
}

/** A JSON document, without a character that cannot be seen. */
export function jsonDocument(value: unknown): string {
  const hidden = /[^\n\P{Cc}]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
  return JSON.stringify(value, undefined, 2).replace(hidden, (it) => escapeJson(it).slice(1, -1));
}

/** A double-quoted scalar of YAML: JSON is one (YAML 1.2, 1.2). */
export function yamlString(value: string): string {
  return escapeJson(value);
}

/**
 * A string of PromQL and LogQL, which are Go's: `\uXXXX` for what is hidden. A lone surrogate, which no UTF-8 has, is
 * U+FFFD.
 */
export function goString(value: string): string {
  const known = new Map([
    ['\\', '\\\\'],
    ['"', '\\"'],
    ['\n', '\\n'],
    ['\r', '\\r'],
    ['\t', '\\t'],
  ]);
  const special = /["\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
  const escaped = value.replace(special, (it) => {
    const code = /\p{Cs}/u.test(it) ? 0xfffd : (it.codePointAt(0) ?? 0);
    const short = code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`;
    return known.get(it) ?? short;
  });
  return `"${escaped}"`;
}

/** Text of a template of Go's, as annotations of rules are: it is printed as it is. */
export function goTemplate(value: string): string {
  return value.replaceAll('{{', '{{ "{{" }}');
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}

/** A regular expression of RE2 that matches just these texts where it is anchored, as labels' are. */
export function anyOf(values: readonly string[]): string {
  return values.map((value) => value.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&')).join('|');
}

/** Lower-case letters, digits and hyphens that tell this set of alerts from one of another app. */
export function suffixOf(request: AlertRequest): string {
  const { minimum, rules, app, space } = request;
  const what = JSON.stringify([rules, app?.value, space, rules.length === 0 ? '' : minimum]);
  if (rules.length === 0 && app === undefined && space === undefined) return '';
  const name = (app?.value ?? space ?? 'rules')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 30);
  const digest = createHash('sha256').update(what).digest('hex').slice(0, 6);
  return `${name === '' ? 'app' : name}-${digest}`;
}

/** Lines of a comment, none of which a value can end: hidden characters are made visible. */
export function comment(mark: string, lines: readonly string[]): string {
  return lines.map((line) => `${mark} ${escapeHidden(line)}`.trimEnd()).join('\n');
}
