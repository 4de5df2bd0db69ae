// A connect whose descriptor another thread takes while the call waits, or that a signal ends: the record says where the connection goes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import { runProgram } from '../support/kernel-program.ts';

const [AF_INET, SOCK_STREAM, SOCK_DGRAM, TCP, MPTCP] = [2, 1, 2, 6, 262];
/** What the kernel gives back inside, for a call that may begin anew (include/linux/errno.h). */
const ERESTARTSYS = -512;
const EINTR = -4;

interface Said {
  readonly result: number;
  readonly fd: number;
  readonly port: number;
  readonly otherPort: number;
  /** 0: the kernel chooses it. */
  readonly ownPort: number;
}

describe('a connect that is interfered with', () => {
  async function run(
    probe: KernelProbe,
    mode: string,
    protocol: number,
  ): Promise<{ readonly said: Said; readonly connects: readonly WireEvent[] }> {
    const cgroup = probe.mkdir(`${mode}-${protocol}`);
    const [said] = await runProgram<Said>(probe, 'connect-races.c', cgroup, [mode, protocol]);
    const all = probe.events.filter(({ type }) => type === 'connect');
    probe.events.length = 0;
    assert.ok(said !== undefined);
    // The last is of another socket: what was kept of the call before is gone.
    const last = all.pop()?.call?.socket?.tuple;
    assert.equal(last?.socketType, SOCK_DGRAM, mode);
    assert.equal(last.remotePort, said.otherPort);
    return { said, connects: all };
  }

  function assertPeer({ call }: WireEvent, said: Said, protocol: number, doing: string): void {
    assert.equal(call?.fd, said.fd, doing);
    const { tuple } = call.socket ?? {};
    assert.deepEqual(
      { ...tuple, localPort: 0 },
      {
        family: AF_INET,
        protocol,
        socketType: SOCK_STREAM,
        localIp: '127.0.0.1',
        localPort: 0,
        unixPath: '',
        remoteIp: '127.0.0.1',
        remotePort: said.port,
      },
      doing,
    );
  }

  for (const hierarchy of ['v2', 'v1-pids'] as const) {
    test(
      `its socket is swapped, closed, left alone, on ${hierarchy}`,
      { skip: missingHierarchy(hierarchy) },
      async () => {
        const probe = new KernelProbe({ hierarchy });
        try {
          for (const protocol of [TCP, MPTCP]) {
            for (const mode of ['swap', 'bound', 'close', 'none']) {
              const { said, connects } = await run(probe, mode, protocol);
              assert.equal(connects.length, 1);
              const [event] = connects as readonly [WireEvent];
              assert.equal(event.result, 0);
              assert.equal(event.call?.socket?.connected, true, mode);
              // Of a path of Multipath TCP, which is TCP, where the socket itself is no longer there.
              assertPeer(event, said, mode === 'none' ? protocol : TCP, `${mode} of ${protocol}`);
              const localPort = event.call.socket.tuple?.localPort ?? 0;
              if (mode === 'none') assert.ok(localPort > 0);
              else assert.equal(localPort, said.ownPort, 'what the kernel chooses comes later');
              if (mode === 'bound') assert.ok(said.ownPort > 0);
            }
          }
        } finally {
          await probe.close();
        }
      },
    );
  }

  test('a signal ends the call, and the connecting goes on', async () => {
    const probe = new KernelProbe();
    try {
      const { said, connects } = await run(probe, 'signal', TCP);
      assert.equal(said.result, EINTR);
      assert.deepEqual(
        connects.map(({ result }) => result),
        [ERESTARTSYS],
      );
      assertPeer(connects[0]!, said, TCP, 'signal');
    } finally {
      await probe.close();
    }
  });

  test('a signal makes the call begin anew: the peer has been reported, though its socket is swapped then', async () => {
    const probe = new KernelProbe();
    try {
      const { said, connects } = await run(probe, 'again', TCP);
      assert.equal(said.result, 0);
      assert.deepEqual(
        connects.map(({ result }) => result),
        [ERESTARTSYS, 0],
      );
      assertPeer(connects[0]!, said, TCP, 'again');
    } finally {
      await probe.close();
    }
  });
});
