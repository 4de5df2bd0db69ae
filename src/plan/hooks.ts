import { EVENT_TABLE, IO_URING_EVENTS, MORE_HOOKS, type EventName } from '../events/table.gen.ts';

/** Programs of hooks that are not named sys_<hook>; [] if the hook always stays attached. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  // sched_process_exec reports success; only failed execs need the exits of these calls.
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
    // Reports the destination of the connection, whatever its descriptor refers to when the call ends.
    if (event === 'connect') programs.add('tcp_connect');
    if (IO_URING.has(event)) programs.add('io_uring');
  }
  return [...programs].sort();
}
