// Events as the probe writes them, the same in every run: for benchmarks of what is done with them.
import { FILE_FLAGS, RECORD_FLAGS } from '../../src/events/table.gen.ts';
import { buildRecord } from '../unit/events/record-builder.ts';
import { makeProcess } from '../support/rules-subject.ts';

/** How many a stream has. */
export const EVENTS = 20_000;

/** The same sequence in every run. */
export function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
}

/** The records of a stream: 90 opens, 5 connects and 5 execs in a hundred. */
export function records(path: (index: number) => string): Buffer[] {
  const next = sequence(1);
  const made: Buffer[] = [];
  for (let index = 0; index < EVENTS; index++) {
    const header = {
      ts: 1_000_000 + index,
      cgroup: 77,
      pid: 100 + next(50),
      start: 1000,
      ret: 3,
      euid: next(4) === 0 ? 0 : 1000,
      comm: Buffer.from(NAMES[next(NAMES.length)]!.padEnd(16, '\0')),
    };
    const kind = next(100);
    if (kind < 90) {
      const name = Buffer.from(path(index));
      const fixed = {
        file_ino: 7,
        file_dev: 8,
        file_flags: FILE_FLAGS.FILE_KNOWN | FILE_FLAGS.FILE_LOWER_LAYER,
        file_mode: 0o100644,
        dirfd: 0xffffff9c,
        open_flags: next(10) === 0 ? 0o1101 : 0,
      };
      made.push(buildRecord('open', 'openat', header, fixed, { path: name, raw: name }));
    } else if (kind < 95) {
      made.push(
        buildRecord(
          'call',
          'connect',
          { ...header, ret: 0 },
          {
            fd: 3,
            family: 2,
            protocol: 6,
            socket_type: 1,
            rport: next(2) === 0 ? 443 : next(65_536),
            laddr: Buffer.from([10, 0, 0, 5]),
            raddr: Buffer.from([93, 184, next(256), next(256)]),
            flags: RECORD_FLAGS.TUPLE_KNOWN | RECORD_FLAGS.CONNECTED,
          },
        ),
      );
    } else {
      made.push(
        buildRecord(
          'exec',
          'execve',
          { ...header, ret: 0 },
          {},
          { argv: Buffer.from('sh\0-c\0id\0') },
        ),
      );
    }
  }
  return made;
}

const NAMES = ['nginx', 'node', 'python3', 'sh', 'postgres', 'java', 'redis-server', 'curl'];
export const FOLDERS = [
  '/usr/lib/x86_64-linux-gnu/libfoo-',
  '/app/node_modules/pkg',
  '/var/lib/postgresql/data/base/1',
  '/proc/self/task/',
  '/etc/ssl/certs/',
  '/srv/cache/',
];
export const HOT = [
  ...Array.from({ length: 600 }, (_, i) => `${FOLDERS[i % 6]}${i}${i % 3 === 0 ? '.js' : '.so'}`),
  '/etc/shadow',
  '/root/.ssh/id_rsa',
  '/etc/ld.so.cache',
  '/dev/null',
];

export const median = (values: number[]): number =>
  values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** Those in which the events happen. */
export const PROCESSES = NAMES.map((name, index) =>
  makeProcess({
    pid: 100 + index,
    image: { name, exe: name, exePath: `/usr/bin/${name}`, args: ['-c', `conf${index}`] },
    parent: makeProcess({ pid: 50, image: { name: 'containerd-shim' }, inScope: false }),
  }),
);
