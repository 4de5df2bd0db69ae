// The commands of README.md, as they are there.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

export const README = readFileSync('README.md', 'utf8');

/** What follows this beginning of a line of the README, without a comment. */
export function readme(start: string): string {
  const line = README.split('\n').find((one) => one.startsWith(start));
  assert.ok(line, start);
  return line.slice(start.length).replace(/\s+#.*$/, '');
}

/** The app that the README starts with Docker: how it asks to be watched, and what runs in it. */
export function readmeApp(): {
  readonly labels: Readonly<Record<string, string>>;
  readonly command: readonly string[];
} {
  const started = readme('docker run -d --name shop ');
  const labels = [...started.matchAll(/--label (\S+?)=(\S+)/g)].map(([, key, value]) => [
    key,
    value,
  ]);
  return {
    labels: Object.fromEntries(labels) as Record<string, string>,
    command: started.split(' busybox ')[1]?.split(' ') ?? [],
  };
}
