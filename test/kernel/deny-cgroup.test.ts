// Binds and device nodes that a rule denies are refused by hooks of cgroup v2, where the kernel lets no program change what it returns.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { bytes, call, callFd, ipv4, text } from '../support/kernel-calls.ts';
import { findHierarchy, missingHierarchy } from '../support/kernel-cgroups.ts';
import { runsIn } from '../support/kernel-container.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { verdictTable } from '../support/verdict-table.ts';

const TABLE = 1;
const EPERM = -1;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const AT_FDCWD = -100;
const S_IFIFO = 0o10000;
const S_IFCHR = 0o20000;
const S_IFBLK = 0o60000;
/** 1:3, /dev/null */
const DEVICE = 0x103;
const MANY = 200;

for (const kind of ['v2', 'v1-pids'] as const)
  describe(
    `calls denied by hooks of cgroup v2, with ${kind}`,
    { skip: missingHierarchy(kind) || missingHierarchy('v2') },
    () => {
      let probe: KernelProbe;
      let dir: string;
      let cgroup: TestCgroup;
      before(() => {
        probe = new KernelProbe({
          hierarchy: kind,
          attach: [...STANDARD_PROGRAMS, 'sys_bind', 'sys_mknod', 'sys_mknodat'],
        });
        cgroup = probe.mkdir('judged');
        probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
        dir = mkdtempSync(join(realpathSync(tmpdir()), 'varvel-deny-cgroup-'));
        copyFileSync(stepsProgram(), join(dir, 'good'));
        load();
      });
      after(async () => {
        await probe.close();
        rmSync(dir, { recursive: true, force: true });
      });

      const load = (): void => probe.probe.denyCalls('cgroup', findHierarchy('v2').mount);
      const at = (name: string): string => join(dir, name);
      const deny = (condition: string): void => {
        const rules = ruleSetOf(ruleFile(condition));
        const { bytes: table, denied } = verdictTable(rules, 'docker', new Set(['r']));
        assert.deepEqual(denied, ['r'], condition);
        probe.probe.setVerdicts(TABLE, table);
      };

      /** The results of its binds and mknods, at most 0, and what was reported of them. */
      async function calls(
        steps: Step[],
        how: (of: TestCgroup, ...steps: Step[]) => Step[] = (of, ...args) =>
          runsIn(of, at('good'), ...args),
      ): Promise<[results: number[], events: readonly WireEvent[]]> {
        const before = probe.events.length;
        const running = await probe.run(undefined, how(cgroup, ...steps));
        const made = running.results.filter(
          (one) => 'name' in one && /^(bind|mknod)/.test(String(one.name)),
        );
        const events = probe.events.slice(before).filter(({ call: one }) => one !== undefined);
        return [made.map(({ ret }) => Math.min(ret, 0)), events];
      }
      const told = (events: readonly WireEvent[]): string[] =>
        events.filter(({ denied }) => denied).map(({ type }) => type);

      const bind = (family: number, type: number, address: Buffer): Step[] => [
        ...callFd('socket', family, type, 0),
        ...call('bind', '@', bytes(address), address.length),
      ];
      const anyPort = (type = SOCK_STREAM): Step[] => bind(AF_INET, type, ipv4('127.0.0.1', 0));
      const anyPort6 = (): Step[] => bind(AF_INET6, SOCK_STREAM, ipv6());
      const mknod = (name: string, mode: number, dev: number): Step[] =>
        call('mknod', text(at(name)), mode, dev);

      test('binds to IP addresses are refused, each with one complete record', async () => {
        deny(`evt.type = bind and proc.exepath = ${at('good')}`);
        const { deniedDropped } = probe.probe.stats();
        const [results, events] = await calls([
          ...anyPort(),
          ...anyPort(SOCK_DGRAM),
          ...anyPort6(),
          // Another hook's affair.
          ...bind(AF_UNIX, SOCK_STREAM, Buffer.from('\x01\0\0varvel-bound')),
        ]);
        assert.deepEqual(results, [EPERM, EPERM, EPERM, 0]);
        assert.deepEqual(told(events), ['bind', 'bind', 'bind']);
        const [first] = events;
        assert.ok(first?.call !== undefined);
        assert.deepEqual(
          [first.result, first.judged?.result, first.ruleMatches, first.comm, first.vpid],
          [EPERM, 0, true, 'good', 1],
        );
        assert.ok(first.call.fd >= 0);
        assert.deepEqual(first.call.address, {
          family: AF_INET,
          ip: '127.0.0.1',
          port: 0,
          unixPath: '',
        });
        assert.equal(probe.probe.stats().deniedDropped, deniedDropped);
      });

      test('devices are not made, and other files are', async () => {
        deny('evt.type in (mknod, mknodat) and evt.rawarg.dev != 0');
        const [results, events] = await calls([
          ...mknod('1', S_IFCHR | 0o644, DEVICE),
          ...mknod('2', S_IFBLK, DEVICE),
          ...call('mknodat', AT_FDCWD, text(at('3')), S_IFCHR, DEVICE),
          ...mknod('4', S_IFIFO | 0o644, 0),
          ...mknod('5', 0o644, 0),
          // A whiteout of an overlay.
          ...mknod('6', S_IFCHR, 0),
        ]);
        assert.deepEqual(results, [EPERM, EPERM, EPERM, 0, 0, 0]);
        assert.deepEqual(told(events), ['mknod', 'mknod', 'mknodat']);
        assert.deepEqual(readdirSync(dir).sort(), ['4', '5', '6', 'good']);
        for (const made of ['4', '5', '6']) rmSync(at(made));
        deny('evt.type = mknod and evt.rawarg.mode >= 24576 and evt.rawarg.mode < 32768');
        const [ofBlocks] = await calls([
          ...mknod('1', S_IFCHR | 0o644, DEVICE),
          ...mknod('2', S_IFBLK, DEVICE),
        ]);
        assert.deepEqual(ofBlocks, [0, EPERM]);
        rmSync(at('1'));
      });

      test('by none where the rule is about another program, container or process', async () => {
        deny(`evt.type = bind and not proc.exepath = ${at('good')}`);
        assert.deepEqual((await calls(anyPort()))[0], [0]);
        const [ofOther] = await calls(anyPort(), (of, ...args) =>
          runsIn(of, stepsProgram(), ...args),
        );
        assert.deepEqual(ofOther, [EPERM]);
        deny('evt.type = bind');
        const other = probe.mkdir('other');
        const [elsewhere] = await calls(anyPort(), (_, ...args) =>
          runsIn(other, at('good'), ...args),
        );
        assert.deepEqual(elsewhere, [0]);
        const [entered] = await calls(anyPort(), ({ dir: of }, ...args) => [
          ...['fork', '[', 'enter', of],
          ...args,
          ...['exit', 0, ']'],
        ]);
        assert.deepEqual(entered, [0]);
        probe.probe.allowCalls('cgroup');
        assert.deepEqual((await calls(anyPort()))[0], [0]);
        load();
        assert.deepEqual((await calls(anyPort()))[0], [EPERM]);
      });

      test(`${MANY} of ${MANY} processes are refused`, async () => {
        deny(
          '(evt.type = bind or (evt.type = mknod and evt.rawarg.dev != 0)) and thread.name = good',
        );
        const untold = probe.countUntold();
        const one = ['fork', '[', ...anyPort(), ...anyPort6(), ...mknod('no', S_IFCHR, DEVICE)];
        const [results, events] = await calls(
          Array.from({ length: MANY }, () => [...one, 'exit', 0, ']']).flat(),
        );
        assert.deepEqual(results, Array(3 * MANY).fill(EPERM));
        assert.equal(told(events).length + untold(), 3 * MANY);
      });
    },
  );

/** ::1, any port. */
function ipv6(): Buffer {
  const address = Buffer.alloc(28);
  address.writeUInt16LE(AF_INET6, 0);
  address[23] = 1;
  return address;
}
