// Connects that no rule can match end in the kernel, by address, port and name: as in TypeScript, of made-up and of real ones.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { kindIndex } from '../../src/plan/verdicts/call-kinds.ts';
import { LAYERS, PROGRAM_LAYERS } from '../../src/plan/verdicts/form-tests.ts';
import { ALL_FAILING, verdictOf } from '../../src/plan/verdicts/verdict.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { ruleFiles, ruleSetOf } from '../support/rules-load.ts';
import { connectCall, connectCondition, knownConnect } from '../support/verdict-connect-cases.ts';
import { verdictTable } from '../support/verdict-table.ts';

const TABLE = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 2048;
/** Addresses that lead nowhere but to this host. */
const HERE = '127.0.0.1';

const tableOf = (...conditions: readonly string[]): Uint8Array => denying(conditions, []);

const denying = (conditions: readonly string[], denied: readonly string[]): Uint8Array =>
  verdictTable(ruleSetOf(ruleFiles(conditions)), 'docker', new Set(denied)).bytes ??
  assert.fail('the table does not fit');

async function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => undefined));
  server.listen(path);
  await once(server, 'listening');
  return server;
}

describe('verdicts of connects', () => {
  let probe: KernelProbe;
  let dir: string;
  let cgroup: TestCgroup;
  const servers: Server[] = [];
  before(async () => {
    probe = new KernelProbe({
      attach: [...STANDARD_PROGRAMS, 'sys_connect', 'tcp_connect'],
      withVerdictRun: true,
    });
    cgroup = probe.mkdir('judged');
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    dir = mkdtempSync(join(tmpdir(), 'varvel-connects-'));
    for (const name of ['wanted.sock', 'other.sock']) servers.push(await listen(join(dir, name)));
  });
  after(async () => {
    for (const server of servers) server.close();
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const judge = (bytes: Uint8Array | undefined): void => probe.probe.setVerdicts(TABLE, bytes);

  test('the kernel says of each connect what TypeScript does', () => {
    const counts = [0, 0];
    let certain = 0;
    let denied = 0;
    fc.assert(
      fc.property(
        fc.array(connectCondition, { minLength: 1, maxLength: 3 }),
        fc.array(connectCall, { minLength: 8, maxLength: 16 }),
        (conditions, calls) => {
          const bytes = denying(
            conditions.map((text) => `evt.type = connect and (${text})`),
            ['r0', 'r2'],
          );
          judge(bytes);
          for (const call of calls) {
            const known = knownConnect(call);
            const { passes, failing, denies } = verdictOf(bytes, known);
            const { layer, path = Buffer.alloc(0), program } = known;
            const { address, port } = 'address' in known ? known : {};
            const found = probe.probe.runVerdict(TABLE, {
              kind: kindIndex(known),
              directory: false,
              layer: LAYERS.indexOf(layer),
              path,
              program: program && { ...program, layer: PROGRAM_LAYERS.indexOf(program.layer) },
              thread: known.thread,
              address,
              port,
            });
            const is = `${conditions.join(' | ')}: ${JSON.stringify(call)}`;
            assert.deepEqual(found, { passes: passes ? 1 : 0, failing, denies }, is);
            counts[found.passes] = (counts[found.passes] ?? 0) + 1;
            if (failing !== ALL_FAILING) certain++;
            if (denies !== 0) denied++;
          }
        },
      ),
      { numRuns: 60 },
    );
    assert.ok(
      Math.min(...counts, certain, denied) > 30,
      `${counts.join()}, ${certain} certain, ${denied} denied`,
    );
  });

  /** Makes these connects; says which were reported, by the order of their calls, and that the others were counted. One of
   * the others may be the first to its end.
   */
  async function reported(
    connects: readonly (readonly [steps: Step[], isWanted: boolean])[],
    how: { readonly certain?: boolean } = {},
  ): Promise<void> {
    const count = probe.entry(cgroup).prefiltered;
    const seen: boolean[] = [];
    let milestones = 0;
    for (const [steps] of connects) {
      const running = await probe.run(cgroup, steps);
      const events = probe.eventsOf(running.pid, 'connect');
      assert.ok(events.length <= 1);
      const wanted = events.filter(({ call }) => call!.size === 0);
      milestones += events.length - wanted.length;
      seen.push(wanted.length === 1);
      for (const { ruleMatches } of wanted) assert.equal(ruleMatches, how.certain ?? false);
    }
    const kept = probe.entry(cgroup).prefiltered - count;
    const is = (index: number): string => connects[index]![0].join(' ');
    assert.deepEqual(
      seen.map((was, index) => [is(index), was]),
      connects.map(([, isWanted], index) => [is(index), isWanted]),
    );
    assert.equal(kept, seen.filter((was) => !was).length - milestones);
  }
  const tcp = (ip: string, port: number, type = SOCK_STREAM): Step[] => [
    ip.includes(':') ? 'connect6' : 'connect4',
    type,
    ip,
    port,
  ];
  const udp = (ip: string, port: number): Step[] => tcp(ip, port, SOCK_DGRAM);

  test('by address, of either version, with and without a connection that goes on', async () => {
    judge(
      tableOf(
        'evt.type = connect and fd.sip in ("127.0.0.9", "::1", "127.0.0.7")',
        'evt.type = connect and fd.snet = "127.1.0.0/20"',
      ),
    );
    await reported(
      [
        [udp('127.0.0.9', 9), true],
        [udp('127.0.0.8', 9), false],
        [udp('127.1.15.255', 9), true],
        [udp('127.1.16.0', 9), false],
        [udp('::1', 9), true],
        [udp('::ffff:127.0.0.9', 9), true],
        [udp('::ffff:127.0.0.8', 9), false],
        // The kernel answers only when the call has ended: until then it goes on.
        [tcp('127.0.0.7', 9, SOCK_STREAM | SOCK_NONBLOCK), true],
      ],
      { certain: true },
    );
  });

  test('by port and protocol', async () => {
    judge(tableOf('evt.type = connect and fd.rport in (53, 3333) and fd.l4proto = udp'));
    await reported(
      [
        [udp(HERE, 53), true],
        [udp(HERE, 54), false],
        [udp(HERE, 3333), true],
        // What is refused at once has no end.
        [tcp(HERE, 3333), false],
      ],
      { certain: true },
    );
    judge(tableOf('evt.type = connect and fd.sport >= 1024 and fd.connected = true'));
    await reported(
      [
        [udp(HERE, 1023), false],
        [udp(HERE, 1024), true],
        [udp(HERE, 65_535), true],
      ],
      { certain: true },
    );
  });

  test('a failed connect is no connect to anywhere', async () => {
    judge(tableOf('evt.type = connect and evt.failed = true and not fd.sip = 127.0.0.1'));
    await reported(
      [
        [tcp(HERE, 1), true],
        [udp(HERE, 1), false],
      ],
      { certain: true },
    );
  });

  test('by the path of a unix socket', async () => {
    judge(tableOf('evt.type = connect and fd.type = unix and basename(fd.name) = wanted.sock'));
    const wanted = join(dir, 'wanted.sock');
    const other = join(dir, 'other.sock');
    await reported(
      [
        [['connectun', SOCK_STREAM, wanted], true],
        [['connectun', SOCK_STREAM, other], false],
        [udp(HERE, 9), false],
      ],
      { certain: true },
    );
    // Whoever is bound counts, however it was called: a name without a path is not judged.
    await reported([[['connectun', SOCK_STREAM, '@nobody'], false]]);
  });

  test('by the name that the process has since its exec, and by that of the thread', async () => {
    copyFileSync(stepsProgram(), join(dir, 'tool'));
    /** Of a program whose exec the kernel has seen: its words are decoded once more than those of this process. */
    const named = (name: string): Step[] => [
      ...['execve', join(dir, 'tool'), 'tool'],
      ...['comm', name, ...udp(HERE, 9)].map((step) =>
        String(step).replace(/[%;]/g, (one) => `%${one.charCodeAt(0).toString(16)}`),
      ),
      ';',
    ];
    const byThread = 'evt.type = connect and thread.name startswith kworker/';
    judge(tableOf(`${byThread} and not proc.name = shop`));
    await reported(
      [
        [named('kworker/0:1'), true],
        [named('kworker'), false],
      ],
      { certain: true },
    );
    judge(tableOf(`${byThread} and proc.name in (shop, tool)`));
    await reported([[named('kworker/0:1'), true]], { certain: true });
    judge(tableOf(`${byThread} and proc.name = shop`));
    await reported([
      [named('kworker/0:1'), false],
      // What ran before the probe was there may have any name.
      [['comm', 'kworker/0:1', ...udp(HERE, 9)], true],
    ]);
  });

  test('the first to an end, and those at which their number has doubled, are reported with it', async () => {
    judge(tableOf('evt.type = connect and fd.sport = 1'));
    const again = (times: number, step: Step[]): Step[] =>
      Array.from({ length: times }, () => step).flat();
    const sizes = async (steps: Step[]): Promise<[port: number, size: number][]> => {
      const running = await probe.run(cgroup, steps);
      return probe
        .eventsOf(running.pid, 'connect')
        .map(({ call }) => [call!.socket!.tuple!.remotePort, call!.size]);
    };
    const { prefiltered } = probe.entry(cgroup);
    assert.deepEqual(await sizes(again(9, udp(HERE, 7001))), [
      [7001, 1],
      [7001, 2],
      [7001, 4],
      [7001, 8],
    ]);
    assert.deepEqual(await sizes([...udp(HERE, 7001), ...udp(HERE, 7002), ...udp('::1', 7001)]), [
      [7002, 1],
      [7001, 1],
    ]);
    // In another container they count anew.
    const other = probe.mkdir('other');
    probe.probe.scopeSet(other.id, 'included', other.level, TABLE);
    const running = await probe.run(other, udp(HERE, 7001));
    assert.deepEqual(
      probe.eventsOf(running.pid, 'connect').map(({ call }) => call!.size),
      [1],
    );
    assert.equal(probe.entry(cgroup).prefiltered - prefiltered, 6);
  });

  test('where rules are about no connect at all, and where there is no table', async () => {
    judge(tableOf('evt.type = openat and fd.name = /nothing'));
    await reported([[udp(HERE, 9), false]]);
    judge(undefined);
    await reported([[udp(HERE, 9), true]]);
  });
});
