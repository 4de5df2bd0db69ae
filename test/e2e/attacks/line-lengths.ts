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
const GOAL = { text: { median: 350 }, json: { median: 900, longest: 1500 } } as const;

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
  text.median <= GOAL.text.median &&
  json.median <= GOAL.json.median &&
  json.longest <= GOAL.json.longest;

export function formatLengths({ lines, text, json }: LineLengths): string {
  const of = ({ median, longest }: Lengths): string => `median ${median}, longest ${longest} bytes`;
  return `lines of default rules: ${lines}; text: ${of(text)}; JSON: ${of(json)}`;
}
