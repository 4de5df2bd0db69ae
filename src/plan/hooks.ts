import { EVENT_TABLE, IO_URING_EVENTS, MORE_HOOKS, type EventName } from '../events/table.gen.ts';

/** Programs behind the table's hooks that are not named sys_<hook>; [] when the hook stays attached anyway. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  // Success comes from sched_process_exec; only the failed ones need the calls' exits.
  exec: ['sys_execve', 'sys_execveat'],
  fork: [],
  exit: [],
};

const IO_URING: ReadonlySet<EventName> = new Set(IO_URING_EVENTS);

/** The syscall programs to attach so that these events are reported. */
export function hooksFor(events: ReadonlySet<EventName>): readonly string[] {
  const programs = new Set<string>();
  for (const event of events) {
    const { hook } = EVENT_TABLE[event];
    for (const program of PROGRAMS[hook] ?? [`sys_${hook}`]) programs.add(program);
    const more = (MORE_HOOKS as Readonly<Record<string, string>>)[event];
    if (more !== undefined) programs.add(`sys_${more}`);
    // Where the connection goes, whatever its descriptor leads to when the call ends.
    if (event === 'connect') programs.add('tcp_connect');
    if (IO_URING.has(event)) programs.add('io_uring');
  }
  return [...programs].sort();
}
