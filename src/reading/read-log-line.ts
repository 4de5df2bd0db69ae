import { readDetection } from './read-detection.ts';
import type { ReadDetection } from './read-detection.ts';

/** Log systems that the reader can name as the source of a log. */
export const LOG_SYSTEMS = ['cf', 'syslog', 'docker', 'kubectl'] as const;
export type LogSystem = (typeof LOG_SYSTEMS)[number];

/** A line of a log, taken apart. */
export interface ReadLogLine {
  /**
   * Who wrote it. `varvel`: the agent, by the source that the log system names, which no app can choose. `other`: somebody
   * else. `unknown`: perhaps the app, because the log system names no source, or the reader did not name the log system.
   */
  readonly origin: 'varvel' | 'other' | 'unknown';
  /** For an `unknown` line: the log system in which its frame would make it the agent's. */
  readonly looksLike: 'cf' | 'syslog' | undefined;
  /** What the log system says of its origin, such as `APP/PROC/WEB/0` or a container's name. */
  readonly label: string | undefined;
  /** When it was written, as the log system says (ISO 8601, with the zone); undefined where it does not. */
  readonly time: string | undefined;
  /** Without what the log system put before it. */
  readonly text: string;
  /** What the text is, if it has the shape: of whomever it is. */
  readonly detection: ReadDetection | undefined;
}

/** `cf logs`: time, `[SOURCE/INSTANCE]`, OUT or ERR, text. The source may hold slashes (`APP/PROC/WEB`). */
const CF_LINE = /^\s*(\d{4}-\d\d-\d\dT[\d:.,]+[+-]\d{4}) \[([^\]\s]+)\] +(?:OUT|ERR) ?(.*)$/s;

/** RFC 5424 as the platform's syslog drains have it, also with the octet count of RFC 6587 before it. */
const SYSLOG_LINE = /^(?:\d+ )?<\d{1,3}>1 (\S+) \S+ \S+ (\S+) \S+ (.*)$/s;

/** What `docker compose logs`, `docker service logs` and `kubectl logs --prefix` put before a line, and `--timestamps`. */
const CONTAINER_PREFIX =
  /^(?:(\S{1,128}) +\| |\[pod\/([^\]\s]{1,256})\] )?(?:(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) )?/;

/** What the log system put before a line's text. */
type Framed = Pick<ReadLogLine, 'label' | 'time' | 'text'>;

/**
 * Parses a line from `cf logs`, a syslog drain's file, a container engine or a pod. `sourceType` is the agent's configured
 * source type (`streams.*.source_type`; VARVEL by default), case-insensitive.
 *
 * A line counts as the agent's (`varvel`) only if `from` names a system that names sources. Otherwise such a frame proves
 * nothing, even on a whole log: in a container's log an app writes every byte. It may still show that a line is not the
 * agent's. With `from`, a line without that system's frame is never the agent's.
 */
export function readLogLine(
  line: string,
  from: LogSystem | undefined,
  sourceType = 'VARVEL',
): ReadLogLine {
  if (from === 'docker' || from === 'kubectl') return inContainerLog(line);
  const cf = from === 'syslog' ? undefined : inCfLogs(line);
  const framed = cf ?? (from === 'cf' ? undefined : inDrain(line));
  if (framed !== undefined) {
    const source = framed.label?.replace(/\/\d+$/, '').toUpperCase();
    const isOurs = source === sourceType.toUpperCase();
    const origin = !isOurs ? 'other' : from === undefined ? 'unknown' : 'varvel';
    const looksLike = origin !== 'unknown' ? undefined : cf === undefined ? 'syslog' : 'cf';
    return { origin, looksLike, ...framed, detection: readDetection(framed.text) };
  }
  const unframed = inContainerLog(line);
  return from === undefined ? unframed : { ...unframed, origin: 'other' };
}

function inCfLogs(line: string): Framed | undefined {
  const [, time, label, text = ''] = CF_LINE.exec(line) ?? [];
  return time === undefined ? undefined : { label, time: time.replace(',', '.'), text };
}

function inDrain(line: string): Framed | undefined {
  const [, time, procid = '', rest = ''] = SYSLOG_LINE.exec(line) ?? [];
  if (time === undefined) return undefined;
  const label = procid.replace(/^\[(.*)\]$/, '$1');
  return { label, time: time === '-' ? undefined : time, text: withoutStructuredData(rest) };
}

function inContainerLog(line: string): ReadLogLine {
  const prefix = CONTAINER_PREFIX.exec(line);
  const text = line.slice(prefix?.[0].length ?? 0);
  const label = prefix?.[1] ?? prefix?.[2];
  const unproven = { origin: 'unknown', looksLike: undefined } as const;
  return { ...unproven, label, time: prefix?.[3], text, detection: readDetection(text) };
}

/** What follows the structured data, whose values are in quotes (RFC 5424, 6.3.3); not all escape `]` in them. */
function withoutStructuredData(rest: string): string {
  const after = /^(?:-|(?:\[[^ \]="]+(?: [^ \]="]+="(?:[^"\\]|\\.)*")*\])+)(?: |$)/s.exec(rest);
  return after === null ? rest : rest.slice(after[0].length).replace(/^\ufeff/, '');
}
