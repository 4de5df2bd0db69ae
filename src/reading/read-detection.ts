import { PRIORITIES } from '../rules/detection.ts';
import type { Priority } from '../rules/detection.ts';
import { MAX_LINEAGE_ANCESTORS, ORIGINS } from '../rules/lineage.ts';
import type { Lineage, Origin } from '../rules/lineage.ts';
import { wholeOutput } from '../streams/brief-output.ts';

/** A process as a line names it; `start` is undefined in a text line. */
export interface ReadProcess {
  readonly pid: number;
  readonly start: number | undefined;
  readonly name: string;
}

/** See `rules/lineage.ts`. */
export interface ReadLineage {
  readonly processes: readonly ReadProcess[];
  readonly above: Lineage['above'];
  readonly origin?: Origin;
}

/** A detection as one of the agent's JSON lines tells it: what `streams/format-json.ts` wrote. */
export interface ReadDetection {
  /** ISO 8601, UTC, nanoseconds. */
  readonly time: string;
  readonly rule: string;
  readonly priority: Priority;
  /** `varvel`: what the agent says of itself. */
  readonly source: string;
  readonly hostname: string;
  /** Not escaped: it holds text that attackers choose. */
  readonly output: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly tags: readonly string[];
  readonly app: Readonly<Record<string, string>> | undefined;
  /** The process, then its ancestors; undefined where the line does not tell them. */
  readonly lineage: ReadLineage | undefined;
  /** Of its incident; undefined where the line has none. */
  readonly incident: string | undefined;
  readonly id: string;
  /** Number within the app instance; 0 for what the agent says of itself. */
  readonly seq: number;
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

/** The detection that a JSON text is; undefined for any other text. Never throws. */
export function readDetection(text: string): ReadDetection | undefined {
  const value = recordOf(text);
  if (value === undefined) return undefined;
  const { id, seq } = value;
  if (typeof id !== 'string') return undefined;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) return undefined;
  return detectionOf(value, id, seq);
}

/** The same for a line of Falco's own JSON output, which has no `id` and no `seq`: '' and 0. */
export function readFalcoDetection(text: string): ReadDetection | undefined {
  const value = recordOf(text);
  if (value === undefined || 'id' in value || 'seq' in value) return undefined;
  return detectionOf(value, '', 0);
}

function recordOf(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith('{') || !text.endsWith('}')) return undefined;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function detectionOf(
  value: Record<string, unknown>,
  id: string,
  seq: number,
): ReadDetection | undefined {
  const { time, rule, priority, source, hostname, output, tags, app, lineage, incident } = value;
  const { output_fields } = value;
  const known = PRIORITIES.find((name) => name === priority);
  if (typeof time !== 'string' || !TIME.test(time) || known === undefined) return undefined;
  if (typeof rule !== 'string' || typeof output !== 'string') return undefined;
  const fields = isRecord(output_fields) ? output_fields : {};
  return {
    time,
    rule,
    priority: known,
    output: wholeOutput(output, fields),
    id,
    seq,
    source: typeof source === 'string' ? source : '',
    hostname: typeof hostname === 'string' ? hostname : '',
    fields,
    tags: Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [],
    app: isRecord(app) ? textsOf(app) : undefined,
    lineage: lineageOf(lineage),
    incident: typeof incident === 'string' ? incident : undefined,
  };
}

/** What has another shape was not written by `streams/lineage.ts`: nothing is known then. */
function lineageOf(value: unknown): ReadLineage | undefined {
  if (!isRecord(value) || !Array.isArray(value['processes'])) return undefined;
  const { above: told = 'outside' } = value;
  const above = (['outside', 'more', 'unknown'] as const).find((word) => word === told);
  const processes = value['processes'].slice(0, MAX_LINEAGE_ANCESTORS + 1).flatMap((one) => {
    if (!isRecord(one)) return [];
    const { pid, start, name } = one;
    if (!isNumber(pid) || !isNumber(start) || typeof name !== 'string') return [];
    return [{ pid, start, name }];
  });
  if (above === undefined || processes.length === 0) return undefined;
  const origin = ORIGINS.find((word) => word === value['origin']);
  return processes.length === value['processes'].length
    ? { processes, above, ...(origin && { origin }) }
    : undefined;
}

const isNumber = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textsOf(value: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    ),
  );
}
