import { constants } from 'node:os';
import { call, callFd, text, type CallResult } from '../../support/kernel-calls.ts';
import { entryOf } from './proc-facts.ts';
import { INIT, type Comparison, type Line, type Scenario, type World } from './scenario.ts';

type Fields = Comparison['fields'];

const OWN = 'the program’s own report';
const CLONE_NEWUTS = 0x04000000;
const BPF_PROG_LOAD = 5;
const PTRACE_TRACEME = 0;

const argument =
  (value: string | number): Fields[string] =>
  () => ({ source: OWN, value });

/** A call of which the container makes one, and what it returned. */
function only(event: string, fields: Fields): Comparison {
  const result = (world: World): CallResult => world.result(event);
  return {
    event,
    when: 'evt.type != execve',
    fields: {
      'evt.type': (world) => ({ source: OWN, value: result(world).name }),
      'evt.rawres': (world) => ({ source: OWN, value: result(world).ret }),
      'evt.res': (world) => ({ source: OWN, value: errorOf(result(world)) }),
      ...fields,
    },
  };
}

function errorOf({ ret }: CallResult): string {
  if (ret >= 0) return 'SUCCESS';
  return Object.entries(constants.errno).find(([, number]) => number === -ret)![0];
}

const MADE = ['first', 'second', 'third'];

export const CALL_SCENARIOS: readonly Scenario[] = [
  {
    name: 'calls',
    steps: [
      ...callFd('openat', -100, text('/proc/self/ns/uts'), 0, 0),
      ...call('setns', '@', 0),
      ...call('unshare', CLONE_NEWUTS),
      ...call('bpf', BPF_PROG_LOAD, 'o:128', 128),
      ...call('ptrace', PTRACE_TRACEME, 0, 'n', 'n'),
      ...call('setuid', 1000),
      'pause',
    ],
    container: { HostConfig: { CapAdd: ['SYS_ADMIN'], SecurityOpt: ['seccomp=unconfined'] } },
    comparisons: [
      only('setns', {
        'evt.arg.fd': (world) => ({ source: OWN, value: String(world.result('openat').ret) }),
        'fd.num': (world) => ({ source: OWN, value: world.result('openat').ret }),
      }),
      only('unshare', { 'evt.arg.flags': argument('CLONE_NEWUTS') }),
      only('bpf', { 'evt.arg.cmd': argument('BPF_PROG_LOAD') }),
      only('ptrace', { 'evt.arg.request': argument('PTRACE_TRACEME') }),
      only('setuid', {
        'evt.arg.uid': (world) => ({
          source: 'the container’s passwd',
          value: entryOf(world.pid(INIT), 'passwd', 1000)[0]!,
        }),
        'evt.args': (world) => ({
          source: OWN,
          value: `res=${world.result('setuid').ret} uid=1000(app)`,
        }),
      }),
    ],
  },
  {
    name: 'order',
    steps: [...MADE.flatMap((name) => call('mkdir', text(`/tmp/${name}`), 0o755)), 'pause'],
    comparisons: MADE.map((name) => ({
      event: 'mkdir',
      when: `evt.arg.path = /tmp/${name}`,
      fields: {
        'evt.num': ({ lines }: World, line: Line) => ({
          source: 'the order of the program’s calls',
          value: isAscending(lines) ? line['evt.num']! : null,
        }),
      },
    })),
  },
];

const isAscending = (lines: readonly Line[]): boolean =>
  lines.every((line, nth) => nth === 0 || line['evt.num']! > lines[nth - 1]!['evt.num']!);
