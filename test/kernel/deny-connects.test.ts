// Connections that a rule denies are refused before they are made.
import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { bytes, call, callFd, ipv4 } from '../support/kernel-calls.ts';
import { runsIn } from '../support/kernel-container.ts';
import { BAD, DENIED, DeniedConnects, FREE, TABLE } from '../support/kernel-denied-connects.ts';
import { header, message, MSG_FASTOPEN } from '../support/kernel-messages.ts';
import { programOf } from '../support/kernel-program.ts';
import { forbidden } from '../support/kernel-uring.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import type { Step } from '../support/kernel-process.ts';
import { findHierarchy, missingHierarchy } from '../support/kernel-cgroups.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { until } from '../support/until.ts';
import { verdictTable } from '../support/verdict-table.ts';

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 2048;
const EPERM = -1;
const ECONNREFUSED = -111;
const EINPROGRESS = -115;
const MANY = 200;
const MARK = '127.0.0.7';

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`denied connections, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let denying: DeniedConnects;
    let probe: KernelProbe;
    let dir: string;
    let cgroup: TestCgroup;
    let server: Server;
    let port = 0;
    const accepted: string[] = [];
    before(async () => {
      denying = new DeniedConnects(kind);
      ({ probe, dir, cgroup } = denying);
      server = createServer((socket) => {
        accepted.push(socket.localAddress ?? '');
        socket.on('error', () => undefined);
      });
      server.listen(0, '0.0.0.0');
      await once(server, 'listening');
      ({ port } = server.address() as AddressInfo);
    });
    /** The server has accepted so many connections since the last look, in turn: whatever came before them too. */
    const onlyFree = async (count: number): Promise<void> => {
      await until('they are accepted', () => accepted.length >= count);
      assert.deepEqual(
        accepted.splice(0),
        Array.from({ length: count }, () => FREE),
      );
    };
    after(async () => {
      server.close();
      await denying.close();
    });

    const deny = (condition: string): void => denying.deny(condition);
    const inContainer = (at: TestCgroup, ...steps: Step[]): Step[] =>
      denying.inContainer(at, ...steps);
    const tcp = (ip: string, type = SOCK_STREAM, to = port): Step[] => [
      ip.includes(':') ? 'connect6' : 'connect4',
      ...[type, ip, to],
    ];
    const udp = (ip: string): Step[] => tcp(ip, SOCK_DGRAM, 9);

    const connects = async (
      ...args: Parameters<DeniedConnects['connects']>
    ): ReturnType<DeniedConnects['connects']> => denying.connects(...args);

    test('TCP and UDP connections, by IPv4 and IPv6, are refused, each with one complete record', async () => {
      deny(BAD);
      const [, results, events] = await connects([
        ...tcp(DENIED),
        ...tcp(FREE),
        ...tcp(DENIED, SOCK_STREAM | SOCK_NONBLOCK),
        ...udp(DENIED),
        ...udp(FREE),
        ...udp('::1'),
        ...tcp(`::ffff:${DENIED}`),
        ...tcp(FREE, SOCK_STREAM, 1),
      ]);
      assert.deepEqual(results, [EPERM, 0, EPERM, EPERM, 0, EPERM, EPERM, ECONNREFUSED]);
      await onlyFree(1);
      const ends = events.map(({ denied, result, judged, call: made }) => {
        const { remoteIp, remotePort } = made?.socket?.tuple ?? {};
        return [
          denied,
          result,
          judged?.result,
          `${remoteIp}:${remotePort}`,
          made?.socket?.protocol,
        ];
      });
      const refused = (end: string, protocol: number): unknown[] => [true, -1, 0, end, protocol];
      assert.deepEqual(
        ends.filter(([denied]) => denied),
        [
          refused(`${DENIED}:${port}`, 6),
          refused(`${DENIED}:${port}`, 6),
          refused(`${DENIED}:9`, 17),
          refused('::1:9', 17),
          refused(`::ffff:${DENIED}:${port}`, 6),
        ],
      );
      // The others that were reported are the first to their end.
      assert.deepEqual(
        ends.filter(([denied]) => denied === false).map(([, , , end]) => end),
        [`${FREE}:${port}`, `${FREE}:9`, 'undefined:undefined'].slice(0, ends.length - 5),
      );
      const [first] = events;
      assert.ok(first?.call !== undefined);
      assert.deepEqual(
        [first.tid, first.comm, first.vpid, first.ruleMatches, first.call.int(1)],
        [first.pid, 'good', 1, true, first.call.fd],
      );
      assert.ok(first.call.fd >= 0);
      assert.deepEqual(first.call.address, { family: AF_INET, ip: DENIED, port, unixPath: '' });
      assert.equal(first.judged?.call?.socket?.tuple?.remotePort, port);
    });

    test(`${MANY} of ${MANY} processes are refused, and their allowed connections are made`, async () => {
      deny(BAD);
      const untold = probe.countUntold();
      const steps = Array.from({ length: MANY }, () => [
        ...['fork', '[', ...tcp(DENIED), ...udp(DENIED), ...tcp(FREE), 'exit', 0, ']'],
      ]).flat();
      const [, results, events] = await connects(steps);
      assert.deepEqual(results, Array.from({ length: MANY }, () => [EPERM, EPERM, 0]).flat());
      assert.equal(events.filter(({ denied }) => denied).length + untold(), 2 * MANY);
      await onlyFree(MANY);
    });

    test('not in another container, nor of a process from outside, nor without a table', async () => {
      deny(BAD);
      const other = probe.mkdir('other');
      const [, ofOther] = await connects(tcp(DENIED), (_, ...steps) =>
        inContainer(other, ...steps),
      );
      assert.deepEqual(ofOther, [0]);
      const [, moved] = await connects(tcp(DENIED), ({ dir: at }, ...steps) => [
        ...['enter', at],
        ...steps,
      ]);
      assert.deepEqual(moved, [0]);
      probe.probe.setVerdicts(TABLE, undefined);
      assert.deepEqual((await connects(tcp(DENIED)))[1], [0]);
      // Nor once that is ended, and again when it begins anew.
      deny(BAD);
      probe.probe.allowConnects();
      assert.deepEqual((await connects(tcp(DENIED)))[1], [0]);
      probe.probe.denyConnects(findHierarchy('v2').mount);
      assert.deepEqual((await connects(tcp(DENIED)))[1], [EPERM]);
    });

    test('a rule that excludes networks; a rule that asks for the result refuses nothing', async () => {
      deny(`evt.type = connect and fd.l4proto = tcp and not fd.snet = "${FREE}/32"`);
      const [, results] = await connects([...tcp(DENIED), ...tcp(FREE), ...udp(DENIED)]);
      assert.deepEqual(results, [EPERM, 0, 0]);
      const rules = ruleSetOf(ruleFile(`${BAD} and evt.rawres = 0`));
      const { bytes: table, denied } = verdictTable(rules, 'docker', new Set(['r']));
      assert.deepEqual(denied, [], 'a connection that goes on would not match');
      probe.probe.setVerdicts(TABLE, table);
      const [, later] = await connects([
        ...tcp(DENIED, SOCK_STREAM | SOCK_NONBLOCK),
        ...tcp(DENIED),
      ]);
      assert.deepEqual(later, [EINPROGRESS, 0]);
    });

    test('by the program and by its name', async () => {
      deny(`${BAD} and proc.exepath = ${join(dir, 'good')} and proc.name = good`);
      assert.deepEqual((await connects(tcp(DENIED)))[1], [EPERM]);
      deny(`${BAD} and not proc.exepath = ${join(dir, 'good')}`);
      assert.deepEqual((await connects(tcp(DENIED)))[1], [0]);
    });

    test('a message that connects (MSG_FASTOPEN)', async () => {
      deny(BAD);
      // What the tests before have made was accepted before this.
      await connects(tcp(MARK));
      await until('they are accepted', () => accepted.splice(0).includes(MARK));
      const address = bytes(ipv4(DENIED, port));
      const stream = callFd('socket', AF_INET, SOCK_STREAM, 0);
      const to = [bytes('x'), 1];
      const [running, , events] = await connects([
        ...[...stream, ...call('sendto', '@', ...to, MSG_FASTOPEN, address, 16)],
        ...[...stream, ...call('sendmsg', '@', ...header([address, 16], to), MSG_FASTOPEN)],
        ...[
          ...stream,
          ...call('sendmmsg', '@', '{', ...message([address, 16], to), '}', 1, MSG_FASTOPEN),
        ],
      ]);
      const rets = running.results.filter(({ step }) => step === 'call').map(({ ret }) => ret);
      const fds = rets.filter((_, nth) => nth % 2 === 0);
      assert.deepEqual(
        rets,
        fds.flatMap((fd) => [fd, EPERM]),
      );
      await connects(tcp(FREE));
      await onlyFree(1);
      assert.ok(fds.length === 3 && fds.every((fd) => fd >= 0));
      assert.deepEqual(
        events.map(({ denied, call: made }) => [denied, made?.fd, made?.socket?.tuple?.remoteIp]),
        fds.map((fd) => [true, fd, DENIED]),
      );
      for (const { call: made } of events) assert.equal(made?.address?.ip, DENIED);
    });

    test('refused connections whose record is dropped are counted', async () => {
      const small = new KernelProbe({
        hierarchy: kind,
        attach: STANDARD_PROGRAMS,
        bulkRingBytes: 64 << 10,
        // What comes between two looks has no room.
        tickMs: 3000,
      });
      try {
        const { bytes: table } = verdictTable(ruleSetOf(ruleFile(BAD)), 'docker', new Set(['r']));
        small.probe.setVerdicts(TABLE, table);
        small.probe.denyConnects(findHierarchy('v2').mount);
        const judged = small.mkdir('judged');
        small.probe.scopeSet(judged.id, 'included', judged.level, TABLE);
        const steps = Array.from({ length: 3 * MANY }, () => udp(DENIED)).flat();
        const running = await small.run(undefined, inContainer(judged, ...steps));
        const refused = running.results.filter(({ ret }) => ret === EPERM).length;
        const told = small.events.filter(({ denied }) => denied).length;
        const { deniedDropped } = small.probe.stats();
        assert.ok(deniedDropped > 0, 'the ring was full');
        assert.deepEqual([refused, told + deniedDropped], [3 * MANY, 3 * MANY]);
      } finally {
        await small.close();
      }
    });

    test('addresses that are not specified, and those of another family, are left to the kernel', async () => {
      deny('evt.type = connect and not fd.sip = 192.0.2.1');
      const [, results] = await connects([
        ...tcp('0.0.0.0'),
        ...tcp('::'),
        ...tcp('::ffff:0.0.0.0'),
      ]);
      assert.ok(!results.includes(EPERM), results.join());
      // An IPv6 address on an IPv4 socket.
      const [running] = await connects([
        ...callFd('socket', AF_INET, SOCK_DGRAM, 0),
        ...call(
          'connect',
          '@',
          bytes(Buffer.from([10, 0, 0, 9, ...Array<number>(24).fill(1)])),
          28,
        ),
      ]);
      assert.notEqual(running.result('call', 1).ret, EPERM);
    });

    /** What another test program printed that makes calls in the cgroup, and its events. */
    const calls = (source: string, ...args: Step[]): ReturnType<DeniedConnects['calls']> =>
      denying.calls(source, ...args);

    test('tables that take each other’s place all the time refuse all the same', async () => {
      deny(BAD);
      const { bytes: table } = verdictTable(ruleSetOf(ruleFile(BAD)), 'docker', new Set(['r']));
      const { id, level } = cgroup;
      const count = 20 * MANY;
      const program = [programOf('name-races.c'), cgroup.dir, dir, DENIED, count] as const;
      const swapped = new AbortController();
      const all = (async () => {
        while (!swapped.signal.aborted) {
          const [{ results }] = await connects([], (at) => runsIn(at, ...program));
          const said = results.find((one) => 'refused' in one);
          assert.deepEqual(said, { refused: count, others: 0 });
        }
      })();
      for (let swaps = 0; swaps < 50; swaps++) {
        const [next, former] = swaps % 2 === 0 ? [TABLE + 1, TABLE] : [TABLE, TABLE + 1];
        probe.probe.setVerdicts(next, table);
        probe.probe.scopeSet(id, 'included', level, next);
        probe.probe.setVerdicts(former, undefined);
        await setImmediate();
      }
      swapped.abort();
      await all;
    });

    test('a thread whose name another one changes all the time is refused', async () => {
      deny(`${BAD} and not thread.name in (x, y) and not proc.name = z`);
      const count = 20 * MANY;
      const program = [programOf('name-races.c'), cgroup.dir, dir, DENIED, count] as const;
      const untold = probe.countUntold();
      const [{ results }, , events] = await connects([], (at) => runsIn(at, ...program));
      const said = results.find((one) => 'refused' in one);
      assert.deepEqual(said, { refused: count, others: 0 });
      assert.equal(events.filter(({ denied }) => denied).length + untold(), count);
    });

    test(
      'by io_uring, also by a worker',
      { skip: forbidden() && 'nobody may use it here' },
      async (t) => {
        if (!probe.probe.programs().includes('io_uring')) {
          t.skip('no tracepoints that fit');
          return;
        }
        probe.probe.attach('io_uring');
        deny(BAD);
        const to = (ip: string, ...words: Step[]): Step[] => [
          ...words,
          'connect',
          SOCK_DGRAM,
          ip,
          9,
          ';',
        ];
        const [results, events] = await calls(
          'uring-calls.c',
          ...['plain', ...to(DENIED), ...to(FREE), ...to(DENIED, 'async')],
        );
        assert.deepEqual(results, [EPERM, 0, EPERM]);
        assert.equal(events.filter(({ denied }) => denied).length, 2);
        assert.ok(events.every(({ call: made }) => (made?.fd ?? -1) >= 0));
        // Where the program that reports them is not run, they are counted once they are old.
        probe.probe.detach('io_uring');
        const before = probe.probe.stats().deniedDropped;
        const [unseen, none] = await calls('uring-calls.c', 'plain', ...to(DENIED));
        assert.deepEqual([unseen, none], [[EPERM], []]);
        const forgotten = [60_000, 0, 0].map((olderMs) => probe.probe.forgetRefusals(olderMs));
        assert.deepEqual(forgotten, [0, 1, 0]);
        assert.equal(probe.probe.stats().deniedDropped, before + 1);
        probe.probe.attach('io_uring');
        // Messages by io_uring are not reported: their denials are counted.
        const { deniedDropped } = probe.probe.stats();
        const [sent, told] = await calls(
          'uring-calls.c',
          ...['plain', 'sendmsg', DENIED, 9, ';', 'sendmsg', FREE, 9, ';'],
          ...['async', 'sendmsg', DENIED, 9, ';'],
        );
        assert.deepEqual(sent, [EPERM, 0, EPERM]);
        assert.deepEqual([told.length, probe.probe.stats().deniedDropped], [0, deniedDropped + 2]);
        probe.probe.detach('io_uring');
      },
    );

    test('by int 0x80, and by its socketcall()', async () => {
      deny(BAD);
      probe.probe.attach('compat_exit');
      const address = `b:${ipv4(DENIED, 9).toString('hex')}`;
      const [results, events] = await calls(
        'compat-calls.c',
        ...['ia32', 359, AF_INET, SOCK_DGRAM, 0, ';', 'ia32', 362, '@0', address, 16, ';'],
        ...['ia32', 102, 3, '[', '@0', address, 16, ']', ';'],
        // sendto
        ...['ia32', 369, '@0', 'b:78', 1, 0, address, 16, ';'],
      );
      probe.probe.detach('compat_exit');
      // Nobody sees the end of such a call now.
      const { deniedDropped } = probe.probe.stats();
      const [unseen] = await calls(
        'compat-calls.c',
        ...['ia32', 359, AF_INET, SOCK_DGRAM, 0, ';', 'ia32', 362, '@0', address, 16, ';'],
      );
      assert.deepEqual(
        [unseen.at(-1), probe.probe.stats().deniedDropped],
        [EPERM, deniedDropped + 1],
      );
      assert.deepEqual(results, [0, EPERM, EPERM, EPERM]);
      assert.deepEqual(
        events.map(({ denied, call: made }) => [denied, made?.fd === -1]),
        [
          [true, false],
          [true, false],
          [true, false],
        ],
      );
    });

    test('verdicts on opens on the same CPUs do not change verdicts on connects', async () => {
      deny(`${BAD} and proc.name = good`);
      const opens = Array.from({ length: 4 }, () =>
        probe.spawn(undefined, inContainer(cgroup, 'loop', 5000, 0, '/etc/hosts')),
      );
      const pairs = Array.from({ length: 2 * MANY }, () => [...udp(DENIED), ...udp(FREE)]).flat();
      const [, results] = await connects(pairs);
      await Promise.all(opens.map((running) => running.ended()));
      assert.deepEqual(results, Array.from({ length: 2 * MANY }, () => [EPERM, 0]).flat());
    });
  });
