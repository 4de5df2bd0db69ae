import type { AppIdentity } from '../../apps/identity.ts';
import { PRIORITIES } from '../../rules/detection.ts';
import type { OutgoingLine } from '../receiver.ts';

/** A line as a spool's payload. */
export function encodeLine(line: OutgoingLine): Buffer {
  return Buffer.from(JSON.stringify({ ...line, timeNs: String(line.timeNs) }));
}

/** The line in such a payload; undefined for one that another version wrote in another shape. */
export function decodeLine(payload: Buffer): OutgoingLine | undefined {
  try {
    const value: unknown = JSON.parse(payload.toString());
    return isLine(value) ? { ...value, timeNs: BigInt(value.timeNs) } : undefined;
  } catch {
    return undefined;
  }
}

/** All that receivers read: the file is the agent's own, but an older or newer one's perhaps. */
function isLine(value: unknown): value is Omit<OutgoingLine, 'timeNs'> & { timeNs: string } {
  if (!isRecord(value)) return false;
  const { id, seq, timeNs, priority, rule, hostname, text, app, incident, facts } = value;
  return (
    [id, rule, hostname, text].every((one) => typeof one === 'string') &&
    typeof seq === 'number' &&
    typeof timeNs === 'string' &&
    /^\d{1,20}$/.test(timeNs) &&
    PRIORITIES.some((one) => one === priority) &&
    (incident === undefined || typeof incident === 'string') &&
    (app === undefined || isApp(app)) &&
    (facts === undefined || isTexts(facts))
  );
}

function isApp(value: unknown): value is AppIdentity {
  if (!isRecord(value)) return false;
  const { name, tags, ...optional } = value;
  return (
    typeof name === 'string' &&
    Object.values(optional).every((one) => one === undefined || typeof one === 'string') &&
    (tags === undefined || isTexts(tags))
  );
}

const isTexts = (value: unknown): boolean =>
  isRecord(value) && Object.values(value).every((one) => typeof one === 'string');

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
