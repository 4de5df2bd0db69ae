import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ProcFs } from '../../../src/context/proc-fs.ts';
import { ProcessTree } from '../../../src/context/process-tree.ts';
import type { Process } from '../../../src/context/process.ts';
import { cpuMs } from '../../support/cpu-time.ts';
import { FixtureProc } from './fixture-proc.ts';
import { chdirEvent, cloneEvent, execEvent, exitEvent, kernelEvent } from './kernel-events.ts';

const NO_PROC = new ProcFs('/nonexistent');
const SECOND = 1_000_000_000n;
const T = 1000n * SECOND;
const at = (ms: number): bigint => T + BigInt(ms) * 1_000_000n;

const newTree = (
  options: Partial<ConstructorParameters<typeof ProcessTree>[0]> = {},
): ProcessTree => new ProcessTree({ reader: NO_PROC, ...options });

const names = (process: Process): string[] => {
  const found: string[] = [];
  for (let p: Process | undefined = process; p !== undefined; p = p.parent)
    found.push(p.image.name);
  return found;
};

test('exec replaces the image; a failed one does not', () => {
  const tree = newTree();
  const sh = { pid: 10, start: at(0), comm: 'sh', vpid: 1 };
  const process = tree.onEvent(
    execEvent(sh, at(1), {
      argv: ['/bin/sh', '-c', 'x'],
      file: { path: '/usr/bin/dash', upperLayer: true, devMajor: 0, devMinor: 55, ino: 99 },
    }),
  );
  assert.equal(process.origin, 'probe');
  assert.equal(process.vpid, 1);
  assert.deepEqual([process.pgid, process.vpgid, process.sid, process.vsid], [11, 12, 13, 14]);
  const expected = {
    name: 'sh',
    exe: '/bin/sh',
    exePath: '/usr/bin/dash',
    args: ['-c', 'x'],
    argsTruncated: false,
    cwd: '/srv',
    exeDevMajor: 0,
    exeDevMinor: 55,
    exeIno: 99,
    exeUpperLayer: true,
    exeLowerLayer: false,
    exeMemfd: false,
    exeWritable: false,
    exeCtimeNs: 0n,
    exeMtimeNs: 0n,
    standard: [],
    env: undefined,
  };
  const image = Object.fromEntries(
    Object.keys(expected).map((key) => [key, process.image[key as keyof typeof expected]]),
  );
  assert.deepEqual(image, expected);
  const before = process.image;
  assert.equal(tree.onEvent(execEvent(sh, at(2), { argv: ['/none'], result: -2 })), process);
  assert.equal(process.image, before);
});

test('a process that goes elsewhere runs what it ran, and nothing is kept of that when it has ended', () => {
  const tree = newTree();
  const parent = { pid: 10, start: at(0), comm: 'sh' };
  const sh = tree.onEvent(execEvent(parent, at(1), { argv: ['sh'] }));
  const { imageBytes } = tree.counters();
  for (const pid of [11, 12]) {
    const child = { pid, start: at(pid), comm: 'sh' };
    tree.onEvent(cloneEvent(parent, at(pid), child));
    tree.onEvent(execEvent(child, at(pid + 5), { argv: ['sh'] }));
    const moved = tree.onEvent(chdirEvent(child, at(pid + 10), '/tmp'));
    assert.deepEqual([moved.image.exe, moved.image.cwd, sh.image.cwd], ['sh', '/tmp', '/srv']);
    tree.onEvent(cloneEvent(child, at(pid + 20), { pid: pid + 10, start: at(pid + 20) }));
    assert.equal(tree.find(pid + 10)?.image.cwd, '/tmp');
    tree.onEvent(exitEvent({ pid: pid + 10, start: at(pid + 20) }, at(60)));
    tree.onEvent(exitEvent(child, at(60)));
  }
  tree.tick(at(60_000));
  assert.deepEqual([tree.counters().processes, tree.counters().imageBytes], [1, imageBytes]);
});

test('a child inherits the image, the ids, and its creator as parent', () => {
  const tree = newTree();
  const parent = { pid: 10, start: at(0), comm: 'sh' };
  const sh = tree.onEvent(execEvent(parent, at(1), { argv: ['sh'] }));
  tree.onEvent(cloneEvent(parent, at(2), { pid: 11, start: at(2), vpid: 5 }));
  const child = tree.find(11, at(2))!;
  assert.equal(child.parent, sh);
  assert.equal(child.image, sh.image);
  assert.equal(child.vpid, 5);
  assert.equal(child.pgid, 11);
  assert.equal(child.origin, 'probe');
});

test('a thread that calls exec is its process', () => {
  const tree = newTree();
  const actor = { pid: 10, start: at(0), comm: 'java' };
  const process = tree.onEvent(execEvent(actor, at(1), { argv: ['java'] }));
  assert.equal(tree.counters().processes, 1);
  const event = { ...execEvent({ ...actor, comm: 'sh' }, at(3), { argv: ['sh'] }), tid: 12 };
  assert.equal(tree.onEvent(event), process);
  assert.equal(process.image.name, 'sh');
  assert.equal(tree.counters().processes, 1);
});

test('vfork: the child runs and execs; the record of its birth comes late', () => {
  const tree = newTree();
  const parent = { pid: 10, start: at(0), comm: 'make' };
  const make = tree.onEvent(execEvent(parent, at(1), { argv: ['make'] }));
  const child = { pid: 11, start: at(2), comm: 'make', ppid: 10, parentStart: at(0) };
  const early = tree.onEvent(kernelEvent(child, at(3)));
  assert.equal(early.image, make.image, 'its image is the parent’s at the fork');
  assert.equal(early.parent, make);
  tree.onEvent(execEvent({ ...child, comm: 'cc' }, at(4), { argv: ['cc'] }));
  tree.onEvent(cloneEvent(parent, at(5), { pid: 11, start: at(2) }, { flags: 0x4111n }));
  assert.equal(tree.find(11), early);
  assert.deepEqual(names(early), ['cc', 'make']);
});

test('a late fork record does not give the child what the parent ran afterwards', () => {
  const tree = newTree();
  const parent = { pid: 10, start: at(0), comm: 'sh' };
  tree.onEvent(execEvent(parent, at(1), { argv: ['sh'] }));
  tree.onEvent(execEvent({ ...parent, comm: 'nginx' }, at(5), { argv: ['nginx'] }));
  tree.onEvent(cloneEvent(parent, at(6), { pid: 11, start: at(3) }));
  assert.equal(tree.find(11)!.image.name, 'sh');
});

test('CLONE_PARENT makes a sibling; CLONE_NEWPID has no groups from outside', () => {
  const tree = newTree();
  const top = { pid: 10, start: at(0), comm: 'top' };
  const grand = tree.onEvent(execEvent(top, at(1), { argv: ['top'] }));
  tree.onEvent(cloneEvent(top, at(2), { pid: 11, start: at(2) }));
  const middle = { pid: 11, start: at(2), comm: 'top', ppid: 10, parentStart: at(0) };
  tree.onEvent(
    cloneEvent(middle, at(3), { pid: 12, start: at(3), vpid: 1 }, { flags: 0x8000n | 0x20000000n }),
  );
  const sibling = tree.find(12)!;
  assert.equal(sibling.parent, grand);
  assert.deepEqual([sibling.vpid, sibling.vpgid, sibling.vsid, sibling.pgid], [1, 0, 0, 11]);
});

test('a double fork does not wash off who did it', () => {
  const tree = newTree();
  const init = { pid: 9, startBootNs: at(0), comm: 'init', inScope: true };
  const sh = { pid: 10, start: at(1), comm: 'sh' };
  tree.onEvent(execEvent(sh, at(1), { argv: ['sh'], ancestors: [init] }));
  tree.onEvent(cloneEvent(sh, at(2), { pid: 11, start: at(2) }));
  tree.onEvent(exitEvent(sh, at(3)));
  tree.tick(at(60_000));
  const nc = { pid: 11, start: at(2), comm: 'nc', ppid: 9, parentStart: at(0) };
  const process = tree.onEvent(execEvent(nc, at(60_001), { argv: ['nc'], ancestors: [init] }));
  assert.deepEqual(names(process), ['nc', 'sh', 'init']);
});

test('an exited process is found for late records, then reaped; its ancestors go with the last child', () => {
  const tree = newTree();
  const shim = { pid: 5, startBootNs: at(0), comm: 'shim', inScope: false };
  const app = { pid: 10, start: at(1), comm: 'app' };
  const process = tree.onEvent(execEvent(app, at(1), { argv: ['app'], ancestors: [shim] }));
  tree.onEvent(exitEvent(app, at(2)));
  tree.tick(at(4000));
  assert.equal(tree.onEvent(kernelEvent(app, at(1))), process, 'a record of before its end');
  assert.equal(tree.find(5)?.inScope, false);
  tree.tick(at(5003));
  assert.equal(tree.find(10), undefined);
  assert.equal(tree.find(5), undefined, 'nobody needs the shim now');
  assert.deepEqual(names(process), ['app', 'shim'], 'who holds the process keeps its lineage');
  assert.equal(tree.counters().processes, 0);
});

test('a reused pid is another process', () => {
  const tree = newTree();
  const old = tree.onEvent(execEvent({ pid: 10, start: at(0) }, at(1), { argv: ['old'] }));
  tree.onEvent(cloneEvent({ pid: 10, start: at(0) }, at(2), { pid: 20, start: at(2) }));
  const young = tree.onEvent(
    execEvent({ pid: 10, start: at(50), comm: 'young' }, at(51), { argv: ['young'] }),
  );
  assert.notEqual(young, old);
  assert.equal(tree.find(20)!.parent, old);
  assert.equal(tree.find(10), young);
  assert.equal(tree.find(10, at(0)), old);
  assert.equal(
    tree.onEvent(kernelEvent({ pid: 10, start: at(0) }, at(3))),
    old,
    'a late record of the first',
  );
  tree.onEvent(exitEvent({ pid: 20, start: at(2) }, at(60)));
  tree.tick(at(20_000));
  assert.equal(tree.find(10, at(0)), undefined, 'the first has ended, though no record said so');
  assert.equal(tree.find(10), young);
});

test('ancestors are placed in the tree, and read from /proc only when looked at', () => {
  using fixture = new FixtureProc();
  fixture.put({
    pid: 5,
    comm: 'shim',
    startTicks: 10,
    cmdline: 'shim\0-id\0x\0',
    exe: '/bin/shim',
  });
  fixture.put({ pid: 4, comm: 'other', startTicks: 11, cmdline: 'other\0', exe: '/bin/other' });
  const tree = newTree({ reader: new ProcFs(fixture.root) });
  const process = tree.onEvent(
    execEvent({ pid: 10, start: at(1) }, at(1), {
      ancestors: [
        { pid: 5, startBootNs: 105_000_000n, comm: 'shim', inScope: false },
        { pid: 4, startBootNs: 100_000_000n, comm: 'systemd', inScope: false },
      ],
    }),
  );
  const shim = process.parent!;
  assert.equal(shim.origin, 'ancestor');
  assert.equal(shim.image.exePath, '/bin/shim');
  assert.deepEqual(shim.image.args, ['-id', 'x']);
  const systemd = shim.parent!;
  assert.equal(systemd.image.name, 'systemd');
  assert.equal(systemd.image.exePath, '', 'pid 4 started at another time: another process');
});

test('a process never heard of is completed from /proc, and linked to what is known there', () => {
  using fixture = new FixtureProc();
  fixture.put({ pid: 1, comm: 'init', ppid: 0, startTicks: 1 });
  fixture.put({ pid: 8, comm: 'shim', ppid: 1, startTicks: 5000 });
  fixture.put({ pid: 9, comm: 'app', ppid: 8, startTicks: 9000, cmdline: 'app\0', exe: '/app' });
  const tree = newTree({ reader: new ProcFs(fixture.root), isInScope: (pid) => pid === 9 });
  const process = tree.onEvent(
    kernelEvent(
      {
        pid: 9,
        start: 90_001_000_000n,
        comm: 'app',
        ppid: 8,
        parentStart: 50_004_000_000n,
        vpid: 7,
      },
      at(0),
    ),
  );
  assert.equal(process.origin, 'proc');
  assert.equal(process.image.exePath, '/app');
  assert.equal(process.setup, false);
  assert.deepEqual(names(process), ['app', 'shim', 'init']);
  assert.equal(process.parent!.inScope, false);
  assert.equal(process.parent!.startBootNs, 50_004_000_000n);
});

test('what /proc shows late, when records of it still wait, is not what a process ran before its exec', () => {
  using fixture = new FixtureProc();
  const startTicks = Number(at(0) / 10_000_000n);
  fixture.put({ pid: 10, comm: 'sh', startTicks, cmdline: 'sh\0', exe: '/bin/busybox' });
  const runc = { pid: 10, start: at(0), comm: 'runc:[2:INIT]' };
  const previous = (readAt: bigint, execAt: bigint): (string | undefined)[] => {
    const tree = newTree({ reader: new ProcFs(fixture.root, () => readAt) });
    tree.onEvent(chdirEvent(runc, at(1), '/srv'));
    tree.onEvent(cloneEvent(runc, at(2), { pid: 11, start: at(2) }));
    const { previousImage } = tree.onEvent(
      execEvent({ ...runc, comm: 'sh' }, execAt, { argv: ['sh'], file: { path: '/bin/busybox' } }),
    );
    return [previousImage?.name, previousImage?.exePath];
  };
  assert.deepEqual(previous(at(5), at(3)), ['runc:[2:INIT]', '']);
  assert.deepEqual(previous(at(5), at(5)), ['runc:[2:INIT]', '']);
  assert.deepEqual(previous(at(5), at(6)), ['sh', '/bin/busybox']);
});

test('of an ancestor that is not looked at before its exec, /proc is not asked afterwards', () => {
  using fixture = new FixtureProc();
  const startTicks = Number(at(0) / 10_000_000n);
  fixture.put({ pid: 9, comm: 'sh', startTicks, exe: '/usr/bin/bash' });
  const tree = newTree({ reader: new ProcFs(fixture.root) });
  const ancestors = [{ pid: 9, startBootNs: at(0), comm: 'sh', inScope: true }];
  tree.onEvent(execEvent({ pid: 10, start: at(1) }, at(2), { argv: ['id'], ancestors }));
  const shell = { pid: 9, start: at(0), comm: 'sh' };
  const file = { path: '/usr/bin/bash' };
  const { previousImage } = tree.onEvent(execEvent(shell, at(3), { argv: ['sh'], file }));
  assert.deepEqual([previousImage?.name, previousImage?.exePath], ['sh', '']);
});

test('a process that has another start in /proc is not taken from there', () => {
  using fixture = new FixtureProc();
  fixture.put({ pid: 9, comm: 'app', startTicks: 9000, cmdline: 'stranger\0', exe: '/stranger' });
  const tree = newTree({ reader: new ProcFs(fixture.root) });
  const process = tree.onEvent(kernelEvent({ pid: 9, start: 89_990_000_000n, comm: 'app' }, at(0)));
  assert.equal(process.origin, 'ancestor');
  assert.equal(process.image.name, 'app');
  assert.equal(process.image.exePath, '');
});

test('reads of /proc between two ticks are bounded', () => {
  const tree = newTree();
  for (let pid = 100; pid < 2100; pid++)
    tree.onEvent(kernelEvent({ pid, start: at(pid), ppid: 0 }, at(pid)));
  const { procReads, procReadsRefused } = tree.counters();
  assert.equal(procReads, 500);
  assert.equal(procReadsRefused, 1500);
});

test('exits that no record told are found by looking', () => {
  using fixture = new FixtureProc();
  const tree = newTree({ reader: new ProcFs(fixture.root) });
  fixture.put({ pid: 9, comm: 'app', startTicks: 9000 });
  tree.onEvent(execEvent({ pid: 9, start: 90_000_000_000n }, at(0)));
  tree.tick(at(1000));
  assert.equal(tree.counters().missedExits, 0);
  fixture.put({ pid: 9, comm: 'app', startTicks: 9001 });
  tree.tick(at(2000));
  assert.equal(tree.counters().missedExits, 1);
  tree.tick(at(9000));
  assert.equal(tree.find(9), undefined);
});

test('a fork storm stays within the bound and leaves the rest alone', () => {
  const tree = newTree({ maxProcesses: 100, maxExited: 40 });
  const init = { pid: 1000, start: at(0), comm: 'init' };
  const first = tree.onEvent(execEvent(init, at(0), { argv: ['init'] }));
  for (let i = 1; i <= 5000; i++) {
    tree.onEvent(cloneEvent(init, at(i), { pid: 1000 + i, start: at(i) }));
    assert.ok(tree.counters().processes <= 100);
  }
  assert.ok(tree.counters().evicted > 4000);
  assert.equal(tree.find(1000), first, 'who acts and has children stays');
});

test('daemons that fork for ever keep a short line of dead parents', () => {
  using fixture = new FixtureProc();
  fixture.put({ pid: 1, comm: 'init', startTicks: 0 });
  const tree = newTree({ maxProcesses: 1000, reader: new ProcFs(fixture.root) });
  let actor = { pid: 2, start: at(0), comm: 'first' };
  const init = { pid: 1, startBootNs: 1n, comm: 'init', inScope: true };
  tree.onEvent(execEvent(actor, at(0), { argv: ['first'], ancestors: [init] }));
  for (let i = 1; i <= 3000; i++) {
    const next = { pid: 2 + i, start: at(i * 10), comm: 'first' };
    tree.onEvent(cloneEvent(actor, at(i * 10), next));
    tree.onEvent(exitEvent(actor, at(i * 10 + 1)));
    tree.tick(at(i * 10 + 2));
    actor = next;
  }
  tree.tick(at(60_000));
  assert.ok(tree.counters().processes <= 11, String(tree.counters().processes));
  const lineage = names(tree.find(actor.pid)!);
  assert.ok(lineage.length >= 9 && lineage.length <= 11, String(lineage));
  assert.equal(lineage.at(-1), 'init', 'the living one at the top is not lost');
});

test('a dead parent stays for a child that has it near, however many dead ones follow it elsewhere', () => {
  const tree = newTree();
  const root = { pid: 2, start: at(0), comm: 'root' };
  const dead = { pid: 3, start: at(1), comm: 'dead' };
  const waiting = { pid: 4, start: at(2), comm: 'waiting' };
  tree.onEvent(execEvent(root, at(0), { argv: ['root'] }));
  tree.onEvent(cloneEvent(root, at(1), dead));
  tree.onEvent(cloneEvent(dead, at(2), waiting));
  let actor = dead;
  for (let i = 1; i <= 20; i++) {
    const next = { pid: 10 + i, start: at(i * 10), comm: 'dead' };
    tree.onEvent(cloneEvent(actor, at(i * 10), next));
    tree.onEvent(exitEvent(actor, at(i * 10 + 1)));
    actor = next;
  }
  tree.tick(at(60_000));
  assert.ok(tree.counters().spliced > 0, 'others go');
  assert.equal(tree.find(waiting.pid)?.parent?.pid, dead.pid);
});

test('a fork chain thousands deep costs no more per fork', () => {
  const tree = newTree();
  let actor = { pid: 2, start: at(0), comm: 'a' };
  const tookMs = cpuMs(() => {
    for (let i = 1; i <= 20_000; i++) {
      const next = { pid: 2 + i, start: at(i), comm: 'a' };
      tree.onEvent(cloneEvent(actor, at(i), next));
      actor = next;
    }
  });
  assert.ok(tookMs < 2000, `${tookMs} ms`);
});
