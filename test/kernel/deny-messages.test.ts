// UDP messages that name their receiver are refused where a connect to there is denied.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { bytes, call, callFd, ipv4 } from '../support/kernel-calls.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { runsIn } from '../support/kernel-container.ts';
import { BAD, DENIED, DeniedConnects, FREE, TABLE } from '../support/kernel-denied-connects.ts';
import { header, message } from '../support/kernel-messages.ts';
import type { Step } from '../support/kernel-process.ts';
import { programOf } from '../support/kernel-program.ts';
import { forbidden } from '../support/kernel-uring.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const EPERM = -1;
const ECONNREFUSED = -111;

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`denied messages, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let denying: DeniedConnects;
    before(() => {
      denying = new DeniedConnects(kind);
      denying.deny(BAD);
    });
    after(() => denying.close());

    /** Results of calls, of which every second one makes a socket, and what was told as refused. */
    async function sent(...steps: Step[]): Promise<{
      readonly fds: readonly number[];
      readonly rets: readonly number[];
      readonly refused: readonly (readonly [fd: number | undefined, ip: string | undefined])[];
    }> {
      const [running, , events] = await denying.connects(steps);
      const all = running.results.filter(({ step }) => step === 'call').map(({ ret }) => ret);
      const told = events.filter(({ denied }) => denied);
      return {
        fds: all.filter((_, nth) => nth % 2 === 0),
        rets: all.filter((_, nth) => nth % 2 === 1),
        refused: told.map(({ call: made }) => [made?.fd, made?.socket?.tuple?.remoteIp] as const),
      };
    }
    const datagrams = (family: number): Step[] => callFd('socket', family, SOCK_DGRAM, 0);

    test('UDP messages that name their receiver, on a connected socket too', async () => {
      const text = [bytes('x'), 1];
      const bad = [bytes(ipv4(DENIED, 9)), 16];
      const free = [bytes(ipv4(FREE, 9)), 16];
      const noFamily = Buffer.from(ipv4(DENIED, 9));
      noFamily.writeUInt16LE(0);
      const { fds, rets, refused } = await sent(
        ...[...datagrams(AF_INET), ...call('sendto', '@', ...text, 0, ...bad)],
        ...[...datagrams(AF_INET), ...call('sendto', '@', ...text, 0, ...free)],
        ...[...datagrams(AF_INET), ...call('sendto', '@', ...text, 0, bytes(noFamily), 16)],
        ...[...datagrams(AF_INET), ...call('sendmsg', '@', ...header(bad, text), 0)],
        ...[...datagrams(AF_INET), ...call('connect', '@', ...free)],
      );
      assert.deepEqual(rets, [EPERM, 1, EPERM, EPERM, 0]);
      assert.deepEqual(
        refused,
        [0, 2, 3].map((nth) => [fds[nth], DENIED]),
      );
      const [running, , events] = await denying.connects([
        ...[...datagrams(AF_INET), ...call('connect', '@', ...free)],
        ...call('sendto', '@', ...text, 0, ...bad),
        ...call('sendto', '@', ...text, 0, 'n', 0),
      ]);
      const [, , named, plain] = running.results.filter(({ step }) => step === 'call');
      // Nobody listens there, which the socket may have been told by then.
      assert.ok(named?.ret === EPERM && [1, ECONNREFUSED].includes(plain?.ret ?? 0));
      assert.equal(events.filter(({ denied }) => denied).length, 1);
    });

    test('UDP messages to IPv6, and to IPv4 by an IPv6 socket', async () => {
      const text = [bytes('x'), 1];
      const to = (address: readonly number[]): Step[] => [
        bytes(Buffer.from([AF_INET6, 0, 0, 9, 0, 0, 0, 0, ...address, 0, 0, 0, 0])),
        28,
      ];
      const zeros = Array<number>(10).fill(0);
      const mapped = (last: number): number[] => [...zeros, 255, 255, 127, 0, 0, last];
      const { fds, rets, refused } = await sent(
        ...[
          ...datagrams(AF_INET6),
          ...call('sendto', '@', ...text, 0, ...to([...zeros, 0, 0, 0, 0, 0, 1])),
        ],
        ...[...datagrams(AF_INET6), ...call('sendto', '@', ...text, 0, ...to(mapped(9)))],
        ...[...datagrams(AF_INET6), ...call('sendto', '@', ...text, 0, ...to(mapped(8)))],
        ...[...datagrams(AF_INET6), ...call('sendto', '@', ...text, 0, bytes(ipv4(DENIED, 9)), 16)],
      );
      assert.deepEqual(rets, [EPERM, EPERM, 1, EPERM]);
      assert.deepEqual(refused, [
        [fds[0], '::1'],
        [fds[1], DENIED],
        [fds[3], DENIED],
      ]);
    });

    test('sendmmsg: what comes before the refused message is sent, and the refused one is told of', async () => {
      const text = ['s:x', 1];
      const to = (ip: string): Step[] => message([bytes(ipv4(ip, 9)), 16], text);
      const all = (...ips: readonly string[]): Step[] => [
        '{',
        ...ips.flatMap(to),
        '}',
        ips.length,
        0,
      ];
      const { fds, rets, refused } = await sent(
        ...[...datagrams(AF_INET), ...call('sendmmsg', '@', ...all(DENIED, FREE))],
        ...[...datagrams(AF_INET), ...call('sendmmsg', '@', ...all(FREE, FREE, DENIED, FREE))],
        ...[...datagrams(AF_INET), ...call('sendmmsg', '@', ...all(FREE, FREE))],
        // More than are reported one by one.
        ...[
          ...datagrams(AF_INET),
          ...call('sendmmsg', '@', ...all(...Array<string>(9).fill(FREE), DENIED)),
        ],
      );
      assert.deepEqual(rets, [EPERM, 2, 2, 9]);
      assert.deepEqual(
        refused,
        [0, 1, 3].map((nth) => [fds[nth], DENIED]),
      );
    });

    test('a socket of IPv6 that was connected to an IPv4 address before goes on', async () => {
      const { probe, cgroup } = denying;
      probe.probe.setVerdicts(TABLE, undefined);
      const before = probe.events.length;
      const mapped = [...Array<number>(10).fill(0), 255, 255, 127, 0, 0, 9];
      const address = Buffer.from([AF_INET6, 0, 0, 9, 0, 0, 0, 0, ...mapped, 0, 0, 0, 0]);
      const running = probe.spawn(
        undefined,
        denying.inContainer(
          cgroup,
          ...[
            ...[...datagrams(AF_INET6), ...call('connect', '@', bytes(address), 28), 'pause'],
            ...call('sendto', '@', bytes('x'), 1, 0, 'n', 0),
            ...call('sendto', '@', bytes('x'), 1, 0, bytes(ipv4(FREE, 9)), 16),
            ...[...datagrams(AF_INET6), ...call('connect', '@', bytes(address), 28)],
          ],
        ),
      );
      await running.paused();
      denying.deny(BAD);
      running.resume();
      await running.ended();
      await probe.settle();
      const rets = running.results.filter(({ step }) => step === 'call').map(({ ret }) => ret);
      // Nobody listens there, which the socket may have been told by then.
      for (const ret of rets.slice(1, 4))
        assert.ok([0, 1, ECONNREFUSED].includes(ret), rets.join());
      assert.equal(rets.at(-1), EPERM);
      assert.equal(probe.events.slice(before).filter(({ denied }) => denied).length, 1);
    });

    test(
      'what was refused to a former program of the thread is counted, and told of no call of the next one',
      { skip: forbidden() && 'nobody may use io_uring here' },
      async () => {
        const { probe, cgroup, dir } = denying;
        const two = (ip: string): Step[] => message([bytes(ipv4(ip, 9)), 16], ['s:x', 1]);
        const { deniedDropped } = probe.probe.stats();
        const [running, , events] = await denying.connects([], (at) =>
          runsIn(
            at,
            ...[programOf('uring-calls.c'), cgroup.dir, dir, 'plain'],
            // Their ends are not awaited: nothing takes the refusals.
            ...['silent', 'connect', SOCK_DGRAM, DENIED, 9, ';'],
            ...['silent', 'connect', SOCK_DGRAM, DENIED, 9, ';'],
            ...['exec', join(dir, 'good'), ...datagrams(AF_INET)],
            ...call('sendmmsg', '@', '{', ...two(FREE), ...two(FREE), '}', 2, 0),
          ),
        );
        const rets = running.results.filter(({ step }) => step === 'call').map(({ ret }) => ret);
        assert.equal(rets.at(-1), 2);
        assert.deepEqual(
          [events.filter(({ denied }) => denied).length, probe.probe.stats().deniedDropped],
          [0, deniedDropped + 2],
        );
      },
    );

    test('messages of other containers and of processes from outside are sent', async () => {
      const other = denying.probe.mkdir('free');
      denying.probe.probe.scopeSet(other.id, 'included', other.level);
      const steps = [
        ...datagrams(AF_INET),
        ...call('sendto', '@', bytes('x'), 1, 0, bytes(ipv4(DENIED, 9)), 16),
      ];
      const ran = await denying.probe.run(undefined, denying.inContainer(other, ...steps));
      const entered = await denying.probe.run(denying.cgroup, steps);
      for (const { results } of [ran, entered])
        assert.equal(results.findLast(({ step }) => step === 'call')?.ret, 1);
    });
  });
