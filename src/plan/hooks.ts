import { EVENT_TABLE, MORE_HOOKS, type EventName } from '../events/table.gen.ts';

/** Programs behind the table's hooks that are not named sys_<hook>; [] when the hook stays attached anyway. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  // Success comes from sched_process_exec; only the failed ones need the calls' exits.
  exec: ['sys_execve', 'sys_execveat'],
  fork: [],
  exit: [],
};

/** What io_uring can do as well (native/schema/compat.mjs, IO_URING_CALLS): its hook is attached while one is wanted. */
const IO_URING_EVENTS: ReadonlySet<EventName> = new Set([
  'connect',
  'openat',
  'openat2',
  'renameat',
  'renameat2',
  'unlinkat',
  'mkdirat',
  'symlinkat',
  'linkat',
  'socket',
]);

/** The syscall programs to attach so that these events are reported. */
export function hooksFor(events: ReadonlySet<EventName>): readonly string[] {
  const programs = new Set<string>();
  for (const event of events) {
    const { hook } = EVENT_TABLE[event];
    for (const program of PROGRAMS[hook] ?? [`sys_${hook}`]) programs.add(program);
    const more = (MORE_HOOKS as Readonly<Record<string, string>>)[event];
    if (more !== undefined) programs.add(`sys_${more}`);
    if (IO_URING_EVENTS.has(event)) programs.add('io_uring');
  }
  return [...programs].sort();
}
