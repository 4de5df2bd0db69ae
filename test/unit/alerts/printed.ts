// What the tests of the log platforms begin with: what is printed for some options.
import assert from 'node:assert/strict';

import { runCommand } from '../../support/run-command.ts';

/** Options of every kind, with values that mean something in the languages they go into. */
export const VARIANTS: readonly (readonly string[])[] = [
  [],
  ['-p', 'debug', '--webhook', 'https://hooks.example.org/x?a=1&b=$c#d'],
  ['--app', 'shop', '--space', 'prod'],
  ['--app', '4CD2B3C3-9f3c-4f8a-9a3e-1f0a4d3f6b70', '--rule', 'Sensitive file read'],
  ['--rule', 'Terminal shell (in) container | [x]+', '-r', 'Ünïcode ☃ rule', '--space', "a'b"],
];

/** Values that no language may take for its own: for platforms that can say all of them. */
export const HOSTILE: readonly (readonly string[])[] = [
  ['--app', 'x"y\\', '--space', "a'b`c$d%e{f}", '--rule', 'line\nfeed\r\t\u0000\u2028\u202e'],
  ['--source-type', 'A "b" \\ [c]', '--rule', '"); drop | where 1 == 1 //', '-r', '\\'],
];

/** Definitions for a platform, and what is said on stderr. */
export async function printed(
  platform: string,
  ...options: readonly string[]
): Promise<{ readonly out: string; readonly err: string }> {
  const { code, out, err } = await runCommand('alerts', platform, ...options);
  assert.equal(code, 0, err);
  assert.ok(out.endsWith('\n'));
  assert.doesNotMatch(out, /[^\n\P{Cc}]|[\p{Cf}\p{Zl}\p{Zp}]/u);
  return { out, err };
}

/** The requests in what is for the console of OpenSearch Dashboards or Kibana. */
export function requestsOf(text: string): (readonly [request: string, body: unknown])[] {
  return text
    .split('\n\n')
    .filter((part) => !part.startsWith('#'))
    .map((part) => {
      const [request = '', ...body] = part.split('\n');
      return [request, JSON.parse(body.join('\n')) as unknown] as const;
    });
}
