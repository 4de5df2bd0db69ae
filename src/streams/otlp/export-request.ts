import type { OutgoingLine } from '../receiver.ts';
import type { ExportRequest, LogRecord, Resource } from './api.ts';
import { logRecordOf } from './log-record.ts';
import { resourceOf } from './resource.ts';

/** The lines as one request, in their order by app instance: records of the same resource stand together. */
export function exportRequestOf(lines: readonly OutgoingLine[]): ExportRequest {
  const groups = new Map<string, { readonly resource: Resource; readonly records: LogRecord[] }>();
  for (const line of lines) {
    const resource = resourceOf(line);
    const key = JSON.stringify(resource);
    const group = groups.get(key) ?? { resource, records: [] };
    group.records.push(logRecordOf(line));
    groups.set(key, group);
  }
  return {
    resourceLogs: [...groups.values()].map(({ resource, records }) => ({
      resource,
      scopeLogs: [{ scope: { name: 'varvel' }, logRecords: records }],
    })),
  };
}
