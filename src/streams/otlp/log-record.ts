import type { Priority } from '../../rules/detection.ts';
import { wholeOutput } from '../brief-output.ts';
import { escapeHidden } from '../escape.ts';
import type { OutgoingLine } from '../receiver.ts';
import { outputStart } from '../format-json.ts';
import { anyValue, isObject, keyValues, parseJsonLine } from './any-value.ts';
import type { KeyValue, LogRecord } from './api.ts';

/** SeverityNumber by priority: those of syslog, which Falco's are (log data model, appendix B). */
export const SEVERITY: Readonly<Record<Priority, number>> = {
  Emergency: 21,
  Alert: 19,
  Critical: 18,
  Error: 17,
  Warning: 13,
  Notice: 10,
  Informational: 9,
  Debug: 5,
};

/**
 * A line as a log record. The body is its message, without the time and priority that it begins with elsewhere. Everything that
 * a rule's author or an app's owner names has a prefix, so that it cannot pass as something that we or the conventions say:
 * `falco.` for fields. A line that is no JSON is the body as it is.
 */
export function logRecordOf(line: OutgoingLine): LogRecord {
  const { id, incident, priority, rule, seq, text, timeNs } = line;
  const { output, output_fields, source, tags, lineage, truncated } = parseJsonLine(text) ?? {};
  const fields = isObject(output_fields) ? output_fields : {};
  const own = {
    'log.record.uid': id,
    'security_rule.name': rule,
    'varvel.seq': seq,
    'varvel.incident': incident,
    'varvel.source': source,
    'varvel.tags': tags,
    'varvel.lineage': lineage,
    'varvel.truncated': truncated,
  };
  const attributes: KeyValue[] = [...keyValues(own, ''), ...keyValues(fields, 'falco.')];
  return {
    timeUnixNano: String(timeNs),
    // The kernel's time of the event: that is when it was observed, too.
    observedTimeUnixNano: String(timeNs),
    severityNumber: SEVERITY[priority],
    severityText: priority,
    body:
      anyValue(typeof output === 'string' ? messageOf(wholeOutput(output, fields), line) : text) ??
      {},
    attributes,
    eventName: source === 'varvel' ? 'varvel.notice' : 'varvel.detection',
  };
}

function messageOf(output: string, line: OutgoingLine): string {
  const head = outputStart(line);
  return escapeHidden(output.startsWith(head) ? output.slice(head.length) : output);
}
