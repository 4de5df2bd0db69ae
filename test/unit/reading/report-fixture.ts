import { IncidentCollector } from '../../../src/reading/report/collector.ts';
import type { IncidentOptions } from '../../../src/reading/report/collector.ts';
import type { Incident } from '../../../src/reading/report/incident.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { formatLine } from '../../../src/streams/format.ts';
import type { LineFormat } from '../../../src/streams/format.ts';
import { containerOf, deliveryOf } from '../streams/delivery-fixture.ts';

export const START_MS = Date.UTC(2026, 0, 31, 8, 15, 4);
export const container = containerOf({}, { instance: '0', guid: 'g-1' });

/** A line of the agent, `seconds` after START_MS; with seq 0 it is of what the agent says of itself. */
export function line(
  seq: number,
  seconds: number,
  detection: Partial<Detection> = {},
  format: LineFormat = 'json',
): string {
  const timeNs = BigInt(START_MS + Math.round(seconds * 1000)) * 1_000_000n;
  const id = `id-${seq}-${seconds}`;
  return formatLine(deliveryOf({ container, ...detection, timeNs }, { id, seq }), { format });
}

export const cf = (text: string, source = 'VARVEL/0', clock = '08:15:04.12'): string =>
  `   2026-01-31T${clock}+0000 [${source}] ERR ${text}`;

export function collect(
  lines: readonly string[],
  options: Partial<IncidentOptions> = {},
): Incident | undefined {
  const collector = new IncidentCollector({
    sinceMs: undefined,
    untilMs: undefined,
    app: undefined,
    id: undefined,
    from: undefined,
    sourceType: 'VARVEL',
    knownRules: new Set<string>(),
    ...options,
  });
  for (const one of lines) collector.line(one);
  return collector.end();
}

/** The same for a log that has what was asked for. */
export function incidentOf(
  lines: readonly string[],
  options: Partial<IncidentOptions> = {},
): Incident {
  const incident = collect(lines, options);
  if (incident === undefined) throw new Error('there is no such detection');
  return incident;
}
