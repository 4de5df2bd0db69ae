import type { Process } from '../../context/process.ts';
import { field } from './field.ts';
import type { FieldDefinition, View } from './field.ts';

/** A moment of CLOCK_BOOTTIME as Unix nanoseconds, by the clocks of the view's event. */
export function unixOf({ event }: View, bootNs: bigint): bigint {
  return event.timeNs - (event.bootNs - bootNs);
}

/** 0 where the kernel did not tell. */
const known = (ns: bigint): bigint | undefined => (ns === 0n ? undefined : ns);

/** From one moment to a later one; undefined when they come the other way round. */
const between = (from: bigint | undefined, to: bigint | undefined): bigint | undefined =>
  from === undefined || to === undefined || to < from ? undefined : to - from;

const changed = (process: Process): bigint | undefined => known(process.image.exeCtimeNs);

const namespaceStart = (view: View): bigint | undefined => {
  const boot = view.process.pidNamespaceStartBootNs;
  return boot === 0n ? undefined : unixOf(view, boot);
};

export const EXE_TIME_FIELDS: readonly FieldDefinition[] = [
  field(
    'proc.exe_ino.ctime',
    'ABSTIME',
    "The running file's last status change, Unix nanoseconds.",
    (v) => changed(v.process),
  ),
  field(
    'proc.exe_ino.mtime',
    'ABSTIME',
    "The running file's last modification, Unix nanoseconds.",
    (v) => known(v.process.image.exeMtimeNs),
  ),
  field(
    'proc.exe_ino.ctime_duration_proc_start',
    'ABSTIME',
    "Nanoseconds from the running file's last status change to the start of the process.",
    (v) => between(changed(v.process), unixOf(v, v.process.startBootNs)),
  ),
  field(
    'proc.exe_ino.ctime_duration_pidns_start',
    'ABSTIME',
    "Nanoseconds from the start of the pid namespace to the running file's last status change.",
    (v) => between(namespaceStart(v), changed(v.process)),
  ),
  field(
    'proc.pidns_init_start_ts',
    'UINT64',
    'When the first process of the pid namespace started, Unix nanoseconds.',
    (v) => {
      const start = namespaceStart(v);
      return start === undefined ? undefined : Number(start);
    },
  ),
];
