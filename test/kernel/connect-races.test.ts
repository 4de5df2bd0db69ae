// A connect whose descriptor another thread takes while the call waits: the record says where the connection went.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { KernelProbe, missingHierarchy } from '../support/kernel-probe.ts';

const SOURCE = new URL('../support/connect-races.c', import.meta.url).pathname;
const [AF_INET, SOCK_STREAM, SOCK_DGRAM, TCP] = [2, 1, 2, 6];

interface Said {
  readonly result: number;
  readonly fd: number;
  readonly port: number;
  readonly otherPort: number;
}

describe('a connect whose socket is taken from its descriptor', () => {
  let dir: string;
  let program: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'varvel-connect-races-'));
    program = join(dir, 'races');
    execFileSync('gcc', [
      ...['-static', '-O1', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', program, SOURCE],
    ]);
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  for (const kind of ['v2', 'v1-pids'] as const) {
    test(`swapped, closed, untouched, on ${kind}`, { skip: missingHierarchy(kind) }, async () => {
      const probe = new KernelProbe({ hierarchy: kind });
      try {
        for (const mode of ['swap', 'close', 'none']) {
          const cgroup = probe.mkdir(mode);
          const said = JSON.parse(
            execFileSync(program, [cgroup.dir, mode], { encoding: 'utf8' }),
          ) as Said;
          await probe.settle();
          const connects = probe.events.filter(({ type }) => type === 'connect');
          assert.equal(connects.length, 2, mode);
          const [tcp, udp] = connects;
          assert.equal(tcp?.result, 0);
          assert.equal(tcp.call?.fd, said.fd);
          assert.equal(tcp.call.socket?.connected, true, mode);
          const { tuple } = tcp.call.socket;
          assert.deepEqual(
            { ...tuple, localPort: 0 },
            {
              ...{ family: AF_INET, protocol: TCP, socketType: SOCK_STREAM },
              ...{ localIp: '127.0.0.1', localPort: 0, unixPath: '' },
              ...{ remoteIp: '127.0.0.1', remotePort: said.port },
            },
            mode,
          );
          assert.equal(tuple?.localPort !== 0, mode === 'none', 'the own port comes later');
          assert.equal(udp?.call?.socket?.tuple?.socketType, SOCK_DGRAM);
          assert.equal(udp.call.socket.tuple.remotePort, said.otherPort);
          probe.events.length = 0;
        }
      } finally {
        await probe.close();
      }
    });
  }
});
