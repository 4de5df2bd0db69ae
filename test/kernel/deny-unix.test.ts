// Connections to unix sockets that a rule denies are refused before they are made.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, linkSync, renameSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, type TestContext } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { bytes, call, callFd } from '../support/kernel-calls.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { escaped, runsIn } from '../support/kernel-container.ts';
import { DeniedConnects } from '../support/kernel-denied-connects.ts';
import { type KernelProbe } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { refuseCalls, refusingTest } from '../support/kernel-refused-files.ts';
import { forbidden } from '../support/kernel-uring.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { makeProcess, makeSubject } from '../support/rules-subject.ts';
import { until } from '../support/until.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const EPERM = -1;
const ENOENT = -2;
const ECONNREFUSED = -111;
const MANY = 200;
/** In no file system. Of the longest names all agree where they end. */
const ABSTRACT = '\0varvel-free'.padEnd(108, '.');

for (const kind of ['v2', 'v1-pids'] as const)
  describe(
    `denied connections to unix sockets, with ${kind}`,
    { skip: missingHierarchy(kind) },
    () => {
      let denying: DeniedConnects;
      let probe: KernelProbe;
      let dir: string;
      let why: string | undefined;
      const servers: Server[] = [];
      let accepted = 0;
      before(async () => {
        denying = new DeniedConnects(kind, (made) => (why = refuseCalls(made)));
        ({ probe, dir } = denying);
        for (const name of [at('runtime.sock'), at('free.sock'), ABSTRACT]) {
          const server = createServer((socket) => {
            accepted++;
            socket.on('error', () => undefined);
          });
          servers.push(server);
          server.listen(name);
          await once(server, 'listening');
        }
        linkSync(at('runtime.sock'), at('hard'));
        symlinkSync('runtime.sock', at('soft'));
      });
      after(async () => {
        for (const server of servers) server.close();
        await denying.close();
      });

      const at = (name: string): string => join(dir, name);
      const refusing = (name: string, run: (t: TestContext) => Promise<void>): void => {
        refusingTest(name, () => why, run);
      };
      const address = (name: string): Buffer => Buffer.from(`\x01\0${name}\0`);
      const socket = (type = SOCK_STREAM): Step[] => callFd('socket', AF_UNIX, type, 0);
      const to = (name: string, type = SOCK_STREAM): Step[] => [
        ...socket(type),
        ...call('connect', '@', bytes(address(name)), address(name).length),
      ];
      const rule = (): string =>
        `evt.type = connect and fd.type = unix and basename(fd.name) = runtime.sock`;

      /** The results of its connects, and what was reported of them. */
      async function connects(
        ...[steps, how]: Parameters<DeniedConnects['connects']>
      ): Promise<[results: number[], events: readonly WireEvent[]]> {
        const [running, , events] = await denying.connects(steps, how);
        const made = running.results.filter((one) => 'name' in one && one.name === 'connect');
        return [made.map(({ ret }) => ret), events];
      }

      refusing(
        'by the name that the socket is bound to, however it is named, with one record',
        async () => {
          denying.deny(rule());
          const { deniedDropped } = probe.probe.stats();
          const [results, events] = await connects([
            ...to(at('runtime.sock')),
            ...to(at('free.sock')),
            ...to(at('hard')),
            ...to(at('soft')),
            ...to(`/proc/self/root${at('runtime.sock')}`),
            'cd',
            dir,
            ...to('runtime.sock'),
            ...to(at('none.sock')),
            ...to(at('good')),
            ...to(ABSTRACT.slice(0, 20)).slice(0, -1),
            ';',
          ]);
          const refused = Array<number>(3).fill(EPERM);
          const last = results.pop();
          assert.deepEqual(results, [EPERM, 0, ...refused, EPERM, ENOENT, ECONNREFUSED]);
          // With the NUL at its end that is another name, which nobody has.
          assert.equal(last, ECONNREFUSED);
          await until('the free one is accepted', () => accepted > 0);
          assert.equal(accepted, 1);
          const denied = events.filter((event) => event.denied);
          assert.equal(denied.length, 5);
          const engine = new RuleEngine(ruleSetOf(ruleFile(`${rule()} and evt.rawres = 0`)));
          for (const event of denied) {
            const { fd = -1, socket: found } = event.call ?? {};
            assert.deepEqual(
              [event.result, event.judged?.result, event.ruleMatches, event.comm, event.vpid],
              [EPERM, 0, true, 'good', 1],
            );
            assert.deepEqual(
              [found?.family, found?.socketType, found?.tuple?.unixPath, fd >= 0],
              [AF_UNIX, SOCK_STREAM, at('runtime.sock'), true],
            );
            assert.equal(
              engine.evaluate(makeSubject(event, { process: makeProcess() }), 'all').length,
              1,
            );
          }
          // What was passed is told, too.
          assert.equal(denied[1]?.call?.address?.unixPath, at('hard'));
          assert.equal(probe.probe.stats().deniedDropped, deniedDropped);
        },
      );

      refusing('by none where the rule is about another program or container', async () => {
        const before = accepted;
        denying.deny(`${rule()} and not proc.exepath = ${at('good')}`);
        assert.deepEqual((await connects(to(at('runtime.sock'))))[0], [0]);
        const [ofOther, events] = await connects(to(at('runtime.sock')), (of, ...steps) =>
          runsIn(of, stepsProgram(), ...steps),
        );
        assert.deepEqual(ofOther, [EPERM]);
        assert.deepEqual(events.filter(({ denied }) => denied).length, 1);
        const other = probe.mkdir('other');
        const elsewhere = await connects(to(at('runtime.sock')), (_, ...steps) =>
          denying.inContainer(other, ...steps),
        );
        assert.deepEqual([elsewhere[0], elsewhere[1].map(({ denied }) => denied)], [[0], [false]]);
        // By what came from outside.
        const [entered] = await connects(to(at('runtime.sock')), ({ dir: of }, ...steps) => [
          ...['fork', '[', 'enter', of],
          ...steps,
          ...['exit', 0, ']'],
        ]);
        assert.deepEqual(entered, [0]);
        probe.probe.allowCalls('unix');
        denying.deny(rule());
        assert.deepEqual((await connects(to(at('runtime.sock'))))[0], [0]);
        probe.probe.denyCalls('unix');
        assert.deepEqual((await connects(to(at('runtime.sock'))))[0], [EPERM]);
        await until('the others are accepted', () => accepted >= before + 4);
        assert.equal(accepted, before + 4);
      });

      refusing('by what has started the program', async () => {
        denying.deny(`${rule()} and proc.pname = good and proc.aname[2] = pm`);
        copyFileSync(at('good'), at('pm'));
        const run = (program: string, ...steps: Step[]): Step[] => [
          ...['fork', '[', 'execve', at(program), program, ...steps.map(escaped), ';', ']'],
        ];
        const by = async (...programs: string[]): Promise<number[]> =>
          (
            await connects(
              programs.reduceRight<Step[]>(
                (inner, program) => run(program, ...inner),
                to(at('runtime.sock')),
              ),
            )
          )[0];
        const before = accepted;
        assert.deepEqual(await by('pm', 'good', 'good'), [EPERM]);
        assert.deepEqual(await by('pm', 'good', 'pm'), [EPERM]);
        assert.deepEqual(await by('pm', 'pm', 'good'), [0]);
        assert.deepEqual(await by('good', 'good', 'good'), [0]);
        await until('the others are accepted', () => accepted >= before + 2);
        assert.equal(accepted, before + 2);
      });

      refusing('wherever its file is moved, and from another root', async () => {
        denying.deny(rule());
        renameSync(at('runtime.sock'), at('moved.sock'));
        try {
          const [results] = await connects([
            ...to(at('moved.sock')),
            ...['chroot', dir],
            ...to('/moved.sock'),
          ]);
          assert.deepEqual(results, [EPERM, EPERM]);
        } finally {
          renameSync(at('moved.sock'), at('runtime.sock'));
        }
      });

      refusing('but by no name that is no path, and of no datagrams', async () => {
        denying.deny('evt.type = connect and fd.type = unix');
        const named = Buffer.from(`\x01\0${ABSTRACT}`);
        const [results] = await connects([
          ...socket(),
          ...call('connect', '@', bytes(named), named.length),
          ...to('/dev/log-of-nobody', SOCK_DGRAM),
          ...to(at('free.sock')),
        ]);
        assert.deepEqual(results, [0, ENOENT, EPERM]);
      });

      refusing('by io_uring, also by a worker', async (t) => {
        if (forbidden() || !probe.probe.programs().includes('io_uring')) {
          t.skip('nobody may use it here, or no tracepoints fit');
          return;
        }
        probe.probe.attach('io_uring');
        denying.deny(rule());
        const { deniedDropped } = probe.probe.stats();
        const request = (name: string, ...words: Step[]): Step[] => [
          ...words,
          ...['connectunix', SOCK_STREAM, at(name), ';'],
        ];
        const [results, events] = await denying.calls(
          'uring-calls.c',
          ...['plain', ...request('runtime.sock'), ...request('free.sock')],
          ...request('soft', 'async'),
        );
        probe.probe.detach('io_uring');
        assert.deepEqual(results, [EPERM, 0, EPERM]);
        const denied = events.filter((event) => event.denied);
        assert.deepEqual(
          denied.map(({ result, call: made }) => [result, made?.socket?.tuple?.unixPath]),
          Array(2).fill([EPERM, at('runtime.sock')]),
        );
        assert.equal(probe.probe.stats().deniedDropped, deniedDropped);
      });

      refusing(`${MANY} of ${MANY} processes are refused`, async () => {
        denying.deny(rule());
        const before = accepted;
        const untold = probe.countUntold();
        const one = [
          'fork',
          '[',
          ...to(at('runtime.sock')),
          ...to(at('free.sock')),
          'exit',
          0,
          ']',
        ];
        const [results, events] = await connects(Array.from({ length: MANY }, () => one).flat());
        assert.deepEqual(results, Array.from({ length: MANY }, () => [EPERM, 0]).flat());
        assert.equal(events.filter(({ denied }) => denied).length + untold(), MANY);
        await until('the others are accepted', () => accepted >= before + MANY);
        assert.equal(accepted, before + MANY);
      });

      // The last one: where compat_exit reports all calls, there is nothing else to report them after it.
      refusing('by int 0x80, and by its socketcall()', async () => {
        denying.deny(rule());
        probe.probe.attach('compat_exit');
        const passed = address(at('runtime.sock'));
        const name = `b:${passed.toString('hex')}`;
        const [results, events] = await denying.calls(
          'compat-calls.c',
          ...[
            'ia32',
            359,
            AF_UNIX,
            SOCK_STREAM,
            0,
            ';',
            'ia32',
            362,
            '@0',
            name,
            passed.length,
            ';',
          ],
          ...['ia32', 102, 3, '[', '@0', name, passed.length, ']', ';'],
        );
        probe.probe.detach('compat_exit');
        assert.deepEqual(results, [0, EPERM, EPERM]);
        assert.equal(events.filter(({ denied }) => denied).length, 2);
      });
    },
  );
