import type { Step } from '../../support/kernel-process.ts';
import { entryOf, linkOf, loginUid, mayWriteExe, otherThread } from './proc-facts.ts';
import { INIT, type Comparison, type Scenario } from './scenario.ts';
import {
  by,
  capabilitySets,
  COMM,
  EXE,
  family,
  identity,
  isOutside,
  layers,
  newFile,
  runningFile,
  standardTypes,
  usage,
  USER_OF,
  users,
} from './process-fields.ts';

/** So that a program that is run by the one above takes the steps as its own. */
const nested = (steps: readonly Step[]): Step[] =>
  steps.map((step) =>
    typeof step === 'number'
      ? step
      : step.replaceAll('%', '%25').replaceAll(/^[;[\]]$/g, (one) => {
          return `%${one.charCodeAt(0).toString(16)}`;
        }),
  );

/** What the process on that level of the chain does before it becomes its own program. */
const BEFORE: Readonly<Record<number, readonly Step[]>> = {
  3: ['setsid'],
  5: ['setpgid'],
  8: ['cd', '/tmp', 'sleep', 300],
};
const DEPTH = 8;

/** Each process of the chain starts the next under another name, and waits for it. */
function chain(level: number): Step[] {
  if (level === DEPTH) return ['pause', '--', 'one', 'two words'];
  const next = level + 1;
  const becomes = ['execve', `/bin/a${next}`, `arg0-${next}`, ...nested(chain(next)), ';'];
  return ['fork', '[', ...(BEFORE[next] ?? []), ...becomes, ']'];
}

const LAST = `a${DEPTH}`;
const started = (name: string): Pick<Comparison, 'event' | 'when'> => ({
  event: 'execve',
  when: `evt.rawres = 0 and proc.name = ${name}`,
});

export const PROCESS_SCENARIOS: readonly Scenario[] = [
  {
    name: 'chain',
    steps: chain(0),
    container: { Env: ['SECRET=of the test', 'http_proxy=http://203.0.113.9:1'] },
    comparisons: [
      { ...started(LAST), fields: identity(LAST) },
      {
        ...started(LAST),
        fields: family(LAST),
        conditions: [
          {
            field: 'proc.aname',
            holds: 'proc.aname = a2',
            fails: `proc.aname in (${LAST}, none)`,
            source: COMM,
            isTrue: (world) => world.nameAbove(LAST, DEPTH - 2) === 'a2',
          },
        ],
      },
      { ...started(LAST), fields: runningFile(LAST) },
      { ...started(LAST), fields: usage(LAST) },
      // Leaders of a session and of a group, which the last one is not.
      { ...started('a3'), fields: identity('a3') },
      { ...started('a5'), fields: identity('a5') },
      {
        ...started('a1'),
        fields: {
          'proc.is_from_outside': by('/proc/PID/ns/pid', 'a1', isOutside),
          // It was forked from this one.
          'proc.prev_exepath': by(EXE, 'a0', (pid) => linkOf(pid, 'exe')),
          ...capabilitySets('a1'),
        },
      },
    ],
  },
  {
    name: 'first',
    steps: ['pause', '--', 'one', 'two'],
    container: { Env: ['SECRET=another'], WorkingDir: '/' },
    comparisons: [
      {
        ...started('a0'),
        fields: {
          ...identity(INIT),
          'proc.is_from_outside': by('/proc/PID/ns/pid', INIT, isOutside),
        },
      },
    ],
  },
  {
    name: 'user',
    steps: ['loginuid', 1001, 'fork', '[', 'execve', '/bin/a1', 'a1', 'pause', ';', ']'],
    container: { User: '1000:1000' },
    comparisons: [
      {
        ...started('a1'),
        fields: {
          ...users('a1'),
          ...capabilitySets('a1'),
          'user.loginname': by(USER_OF, 'a1', (pid) => {
            return entryOf(pid, 'passwd', loginUid(pid))[0]!;
          }),
          'proc.is_exe_writable': by('stat(2)', 'a1', mayWriteExe),
        },
      },
    ],
  },
  {
    name: 'root',
    steps: ['fork', '[', 'execve', '/bin/a1', 'a1', 'pause', ';', ']'],
    container: { HostConfig: { CapAdd: ['NET_ADMIN', 'SYS_PTRACE'], CapDrop: ['CHOWN'] } },
    comparisons: [
      {
        ...started('a1'),
        fields: { ...users('a1'), ...capabilitySets('a1'), ...standardTypes('a1') },
      },
    ],
  },
  {
    name: 'terminal',
    // Two lines: the client parses a log that is one line of JSON.
    steps: ['ids', 'pause', '--', 'one', 'two'],
    container: { Tty: true, Env: ['SECRET=of a terminal'] },
    comparisons: [{ ...started('a0'), fields: identity(INIT) }],
  },
  {
    name: 'memory',
    steps: ['memfd', 'hidden', '/bin/a0', 'execveat', '@', '', 0x1000, 'a0', 'pause', ';'],
    comparisons: [{ event: 'execveat', when: 'evt.rawres = 0', fields: layers(INIT) }],
  },
  {
    name: 'dropped',
    steps: { command: ['/bin/sh', '-c', 'cp /bin/a0 /tmp/dropped; exec /tmp/dropped pause'] },
    comparisons: [
      {
        ...started('dropped'),
        fields: {
          ...layers(INIT),
          ...newFile(INIT),
          'proc.is_exe_writable': by('stat(2)', INIT, mayWriteExe),
        },
      },
    ],
  },
  {
    name: 'thread',
    steps: ['thread', '[', 'call', 'mkdir', 's:/tmp/by-thread', 0o755, ';', 'pause', ']'],
    comparisons: [
      {
        event: 'mkdir',
        when: 'evt.rawres = 0',
        fields: {
          'thread.tid': by('/proc/PID/task', INIT, otherThread),
          'thread.vtid': (world) => ({
            source: 'the program’s own gettid(2)',
            value: world.result('mkdir').tid,
          }),
          'thread.ismain': (world) => ({
            source: 'the program’s own gettid(2)',
            value: world.result('mkdir').tid === world.result('mkdir').pid,
          }),
        },
      },
    ],
  },
];
