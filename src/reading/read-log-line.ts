import { readDetection } from './read-detection.ts';
import type { ReadDetection } from './read-detection.ts';

/** A line of a log, taken apart. */
export interface ReadLogLine {
  /**
   * Who wrote it, as the log system says and no app can change: `varvel`, by its source type; `other`; or `unknown` where
   * the log does not say (a container's own log), so that the app may have printed it.
   */
  readonly origin: 'varvel' | 'other' | 'unknown';
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

/**
 * Takes a line apart that came from `cf logs`, a syslog drain's file, a container engine or a pod. `sourceType` is what
 * the operator has the agent say (`streams.*.source_type`; VARVEL by default), in any case.
 */
export function readLogLine(line: string, sourceType = 'VARVEL'): ReadLogLine {
  const cf = CF_LINE.exec(line);
  if (cf !== null) {
    const [, time, label = '', text = ''] = cf;
    return attributed(time?.replace(',', '.'), label, text, sourceType);
  }
  const syslog = SYSLOG_LINE.exec(line);
  if (syslog !== null) {
    const [, time, procid = '', rest = ''] = syslog;
    const label = procid.replace(/^\[(.*)\]$/, '$1');
    return attributed(
      time === '-' ? undefined : time,
      label,
      withoutStructuredData(rest),
      sourceType,
    );
  }
  const prefix = CONTAINER_PREFIX.exec(line);
  const text = line.slice(prefix?.[0].length ?? 0);
  const label = prefix?.[1] ?? prefix?.[2];
  return { origin: 'unknown', label, time: prefix?.[3], text, detection: readDetection(text) };
}

function attributed(
  time: string | undefined,
  label: string,
  text: string,
  sourceType: string,
): ReadLogLine {
  const source = label.replace(/\/\d+$/, '').toUpperCase();
  const origin = source === sourceType.toUpperCase() ? 'varvel' : 'other';
  return { origin, label, time, text, detection: readDetection(text) };
}

/** What follows the structured data, whose values are in quotes (RFC 5424, 6.3.3); not all escape `]` in them. */
function withoutStructuredData(rest: string): string {
  const after = /^(?:-|(?:\[[^ \]="]+(?: [^ \]="]+="(?:[^"\\]|\\.)*")*\])+)(?: |$)/s.exec(rest);
  return after === null ? rest : rest.slice(after[0].length).replace(/^\ufeff/, '');
}
