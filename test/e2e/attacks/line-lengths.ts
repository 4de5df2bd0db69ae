import { readFileSync } from 'node:fs';
import type { DetectionLine, E2eAgent } from '../../support/e2e-agent.ts';

/** Bytes of UTF-8 of lines, without their newlines. */
export interface Lengths {
  readonly median: number;
  readonly longest: number;
}

/** How long the lines of the default rules were, as an agent with its own settings writes them. */
export interface LineLengths {
  readonly lines: number;
  readonly text: Lengths;
  readonly json: Lengths;
}

/** Fields that only this suite adds to lines; `evt.type` is a word of some rules, too. */
const ADDED = ['container.full_id', 'app.name', 'evt.type'];

/** The agent must write JSON to stdout and text to its file. */
export function lineLengths(agent: E2eAgent, isOurs: (rule: string) => boolean): LineLengths {
  const json = agent.arrivals.map(({ line }) => line).filter(({ rule }) => isOurs(rule));
  const text = readFileSync(agent.operatorFile, 'utf8')
    .split('\n')
    .filter((line) => isOurs(/ rule="?(.*?)"? container=/.exec(line)?.[1] ?? ''));
  return { lines: json.length, text: lengthsOf(text), json: lengthsOf(json.map(withoutAdded)) };
}

function withoutAdded(line: DetectionLine): string {
  const fields = Object.entries(line.output_fields).filter(
    ([name]) => !ADDED.includes(name) || (name === 'evt.type' && line.output.includes(' call=')),
  );
  return JSON.stringify({ ...line, output_fields: Object.fromEntries(fields) });
}

function lengthsOf(lines: readonly string[]): Lengths {
  const bytes = lines.map((line) => Buffer.byteLength(line)).sort((one, other) => one - other);
  return { median: bytes[bytes.length >> 1] ?? 0, longest: bytes.at(-1) ?? 0 };
}

export function formatLengths({ lines, text, json }: LineLengths): string {
  const of = ({ median, longest }: Lengths): string => `median ${median}, longest ${longest} bytes`;
  return `lines of default rules: ${lines}; text: ${of(text)}; JSON: ${of(json)}`;
}
