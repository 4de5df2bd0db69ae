// Lines of the agent in a log, and what `varvel pretty` makes of them.
import { Pretty } from '../../../src/reading/pretty.ts';
import type { PrettyOptions } from '../../../src/reading/pretty.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { containerOf, deliveryOf } from '../streams/delivery-fixture.ts';

export const TIME_NS = BigInt(Date.UTC(2026, 0, 31, 8, 15, 4, 123)) * 1_000_000n;
export const container = containerOf({}, { instance: '0' });

export function json(seq: number, detection: Partial<Detection> = {}, id = `id-${seq}`): string {
  const whole = { container, timeNs: TIME_NS, tags: ['shell', 'T1059'], ...detection };
  return formatLine(deliveryOf(whole, { id, seq }), { format: 'json' });
}
export const cf = (text: string, source = 'VARVEL/0'): string =>
  `   2026-01-31T08:15:04.12+0000 [${source}] ERR ${text}`;

export function pretty(lines: readonly string[], options: Partial<PrettyOptions> = {}): string {
  const it = new Pretty({
    columns: 80,
    colour: false,
    minimum: 'Debug',
    only: false,
    sourceType: 'VARVEL',
    from: 'cf',
    ...options,
  });
  return lines.map((line) => it.line(line)).join('') + it.end();
}
