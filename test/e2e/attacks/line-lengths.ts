import type { E2eAgent } from '../../support/e2e-agent.ts';

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

/** The most that lines may be; `test/bench/results/lines.json` has what they were. */
export const MOST = { text: { median: 350 }, json: { median: 900, longest: 1500 } } as const;

/** The agent must write JSON to stdout and text to its file, by the default rules alone. */
export function lineLengths(agent: E2eAgent): LineLengths {
  const json = agent.arrivals.map(({ text }) => text);
  return { lines: json.length, text: lengthsOf(agent.operatorLines()), json: lengthsOf(json) };
}

function lengthsOf(lines: readonly string[]): Lengths {
  const bytes = lines.map((line) => Buffer.byteLength(line)).sort((one, other) => one - other);
  return { median: bytes[bytes.length >> 1] ?? 0, longest: bytes.at(-1) ?? 0 };
}

/** Whether a person at night can read them. What an attack chooses (names, arguments) is part of them. */
export const areShort = ({ text, json }: LineLengths): boolean =>
  text.median <= MOST.text.median &&
  json.median <= MOST.json.median &&
  json.longest <= MOST.json.longest;

export function formatLengths(lengths: LineLengths): string {
  const { lines, text, json } = lengths;
  return [
    `lines of default rules: ${lines}`,
    `text: median ${text.median} (at most ${MOST.text.median}), longest ${text.longest} bytes`,
    `JSON: median ${json.median} (at most ${MOST.json.median}), longest ${json.longest} (at most ${MOST.json.longest}) bytes`,
    areShort(lengths) ? 'short enough' : 'TOO LONG',
  ].join('; ');
}
