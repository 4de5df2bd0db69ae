'use strict';
// Everything that the addon can do, a few times, with good and bad input: run by asan.sh, with the native part's directory and
// the bytes of a table of verdicts.
const assert = require('node:assert/strict');
const {
  closeSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  statSync,
  existsSync,
} = require('node:fs');
const { tmpdir } = require('node:os');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');

const loader = require(path.resolve(process.argv[2], 'index.cjs'));
const mount = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup';
const parent = `varvel-asan-${process.pid}`;
const pattern = { leafPrefix: '', leafSuffix: '', handle: 'any', deep: false };
const options = {
  hierarchy: { kind: 'v2', id: 0 },
  patterns: [{ ...pattern, prefix: `/${parent}/` }],
  execRingBytes: 65536,
  bulkRingBytes: 65536,
  withVerdictRun: true,
};
const judged = (path, program) => ({ kind: 0, directory: false, layer: 0, path, program });
const TABLE_BYTES = Number(process.argv[3]);

function refuses(operation, code) {
  assert.throws(operation, (error) => error.code === code || error instanceof TypeError);
}

/** Keeps what denies in a BPF file system of its own, and takes it back. */
function pinned(probe, number) {
  const bpffs = mkdtempSync(path.join(tmpdir(), 'varvel-asan-'));
  execFileSync('mount', ['-t', 'bpf', 'none', bpffs]);
  try {
    const directory = path.join(bpffs, `n${number}`);
    for (let i = 0; i < 2; i++) probe.pin(directory);
    for (const ms of [0, 1000]) probe.noteSeen(ms);
    assert.deepEqual(loader.unseenDenials(directory), []);
    for (const { cgroupId } of loader.pinnedScope(directory))
      loader.allowPinned(directory, cgroupId, 1);
    for (let table = 1; table < 32; table++)
      if (loader.pinnedTable(directory, table) !== undefined)
        loader.allowPinnedRules(directory, table, 0xffffffff);
    refuses(() => loader.allowPinned(directory, 1, 1), 'ENOENT');
    refuses(() => loader.allowPinnedRules(directory, 31, 1), 'ESRCH');
    if (number !== 1) probe.unpin();
  } finally {
    execFileSync('umount', [bpffs]);
    rmdirSync(bpffs);
  }
}

/** Works, or is refused by this kernel. */
function mayRefuse(operation, code) {
  try {
    operation();
  } catch (error) {
    assert.equal(error.code, code);
  }
}

/** Cuts the cgroup off from the network, in every way that works and that does not. */
function cutOff(directory, id, number) {
  const isolation = new loader.Isolation({ servers: ['192.0.2.1', '2001:db8::1'] });
  refuses(() => loader.testIsolation(directory), 'EIO');
  isolation.isolate(id, directory, number % 2 === 0 ? [] : ['198.51.100.1', '::ffff:1.2.3.4']);
  isolation.isolate(id, directory);
  loader.testIsolation(directory);
  assert.deepEqual(isolation.isolated(), [id]);
  assert.ok(isolation.counts().connects > 0);
  refuses(() => isolation.isolate(id + 1, directory), 'ESRCH');
  refuses(() => isolation.isolate(id + 1, '/nonexistent'), 'ENOENT');
  refuses(() => isolation.isolate('x', directory), 'EINVAL');
  isolation.lift(id + 1);
  if (number < 2) isolation.lift(id);
  if (number !== 1) isolation.close();
}

async function round(number) {
  const probe = number % 2 === 0 ? new loader.Probe(options) : await loader.Probe.load(options);
  const directory = path.join(mount, parent, `app${number}`);
  mkdirSync(directory, { recursive: true });
  const id = statSync(directory).ino;
  let bytes = 0;
  let batches = 0;
  const buffer = new ArrayBuffer(131072);
  for (const name of probe.programs()) probe.attach(name);
  probe.attach('sys_openat');
  refuses(() => probe.attach('nosuch'), 'ENOENT');
  refuses(() => probe.attach(7), 'EINVAL');
  refuses(() => probe.start(new ArrayBuffer(8), () => undefined), 'EINVAL');
  probe.setMasks({
    opens: { read: true, write: true, failed: true },
    messages: { newPeer: true, other: true },
    dups: { network: true, other: true },
    sockets: { ordinary: true, local: true, other: true },
    env: true,
  });
  probe.start(
    buffer,
    (size) => {
      bytes += size;
      batches++;
      // closing from within a batch is allowed
      if (number === 2 && batches === 3) probe.close();
    },
    { tickMs: 1, safetyMs: 20 },
  );
  refuses(() => probe.start(buffer, () => undefined), 'EBUSY');
  // Of no clause: it says of every open that no rule can match.
  for (let i = 0; i < 3; i++) probe.setVerdicts(1, new Uint8Array(TABLE_BYTES));
  refuses(() => probe.setVerdicts(1, new Uint8Array(TABLE_BYTES - 1)), 'EINVAL');
  assert.equal(probe.runVerdict(1, judged(Buffer.from('/etc/hostname'))).passes, 0);
  assert.equal(probe.runVerdict(1, judged(Buffer.alloc(100_000, 0x2f))).passes, 0);
  const program = { path: Buffer.alloc(100_000, 0x2f), layer: 1 };
  assert.equal(probe.runVerdict(1, judged(Buffer.from('/x'), program)).passes, 0);
  probe.setVerdicts(2, new Uint8Array(TABLE_BYTES));
  probe.allowRules(2, 2 ** 32 - 1);
  refuses(() => probe.allowRules(9, 1), 'ENOENT');
  probe.stopFiltering(2);
  probe.stopFiltering();
  probe.suspendVerdicts();
  assert.equal(probe.runVerdict(2, judged(Buffer.from('/etc/hostname'))).passes, -1);
  const text = Buffer.alloc(100_000, 0x2f);
  for (const parent of [undefined, 'out of scope', { pid: 1, startNs: 2n ** 64n - 1n }])
    probe.adoptProcess({ pid: 2 ** 32 - 1, startNs: 2n ** 63n, name: text, path: text, parent });
  probe.setVerdicts(2, new Uint8Array(TABLE_BYTES));
  probe.setVerdicts(1, undefined);
  probe.suspendVerdicts();
  probe.setVerdicts(2, new Uint8Array(TABLE_BYTES));
  assert.equal(probe.runVerdict(1, judged(Buffer.from('/etc/hostname'))).passes, -1);
  probe.scopeSet(id, 'included', 1, 2);
  refuses(() => probe.scopeSet(-1, 'included', 0), 'EINVAL');
  for (let i = 0; i < 2000; i++) probe.scopeSet(1_000_000 + i, 'excluded', 2);
  assert.ok(probe.scopeEntries().length >= 2001);
  for (let i = 0; i < 2000; i++) probe.scopeDelete(1_000_000 + i);
  loader.selfTest(directory, '/etc/hostname');
  assert.equal(loader.runFirstProcess(directory, process.execPath, 'process.exit(7)'), 7);
  refuses(() => probe.denyConnects('/nonexistent'), 'ENOENT');
  refuses(() => probe.denyConnects(mount, '/nonexistent'), 'ENOENT');
  refuses(() => probe.denyConnects(1), 'EINVAL');
  for (let i = 0; i < 2; i++) probe.denyConnects(mount);
  probe.allowConnects();
  probe.allowConnects();
  if (number !== 1) probe.denyConnects(mount);
  refuses(() => probe.denyFiles('/nonexistent'), 'ENOENT');
  refuses(() => probe.denyFiles(1), 'EINVAL');
  for (let i = 0; i < 2; i++) mayRefuse(() => probe.denyFiles(), 'EPERM');
  refuses(() => probe.denyCalls('/nonexistent'), 'ENOENT');
  refuses(() => probe.denyCalls(1), 'EINVAL');
  for (let i = 0; i < 2; i++) mayRefuse(() => probe.denyCalls(), 'EPERM');
  probe.allowFiles();
  refuses(() => probe.pin('/nonexistent/x'), 'ENOENT');
  refuses(() => probe.pin(1), 'EINVAL');
  refuses(() => loader.unseenDenials('/nonexistent'), 'ENOENT');
  refuses(() => loader.pinnedScope('/nonexistent'), 'ENOENT');
  refuses(() => loader.pinnedTable('/nonexistent', 1), 'ENOENT');
  pinned(probe, number);
  cutOff(directory, id, number);
  // more than the small rings hold: drops, and records of every size
  const flood = `echo 0 > ${directory}/cgroup.procs; i=0; while [ $i -lt 300 ]; do cat /etc/hostname; i=$((i+1)); done`;
  execFileSync('/bin/sh', ['-c', flood], { stdio: 'ignore' });
  if (number !== 2) probe.drain();
  await delay(100);
  if (number !== 2) {
    assert.ok(probe.stats().emitted > 0);
    assert.ok(
      probe.filtered().some((count) => count > 0),
      'the table has ended opens',
    );
    probe.nextLossInterval();
    for (const name of probe.attached()) probe.detach(name);
    probe.close();
  }
  assert.ok(bytes > 0, 'records came');
  probe.close();
  refuses(() => probe.stats(), 'EBADF');
}

async function main() {
  refuses(() => new loader.Probe({ ...options, objectPath: '/nonexistent' }), 'ENOENT');
  refuses(() => new loader.Probe({ ...options, objectPath: __filename }), 'ELIBBPF');
  refuses(
    () => new loader.Probe({ ...options, patterns: [{ ...pattern, prefix: 'x'.repeat(64) }] }),
  );
  await assert.rejects(loader.Probe.load({ ...options, objectPath: '/nonexistent' }), {
    code: 'ENOENT',
  });
  refuses(() => loader.selfTest('/nonexistent', '/etc/hostname'), 'EIO');
  refuses(() => loader.runFirstProcess('/nonexistent', process.execPath, ''), 'EIO');
  refuses(() => loader.testIsolation('/nonexistent'), 'EIO');
  refuses(() => new loader.Isolation({ objectPath: '/nonexistent' }), 'ENOENT');
  refuses(() => new loader.Isolation({ objectPath: '/etc/hostname' }), 'ELIBBPF');
  refuses(() => new loader.Isolation({ servers: Array(9).fill('192.0.2.1') }), 'EINVAL');
  refuses(() => loader.readInRoot('/nonexistent', '/etc/hostname', 10), 'ENOENT');
  refuses(() => loader.readInRoot('/', '/etc', 10), 'EINVAL');
  assert.equal(loader.readInRoot('/', '/etc/hostname', 3).length, 3);
  const start = Number(readFileSync('/proc/self/stat', 'latin1').split(') ').at(-1).split(' ')[19]);
  refuses(() => loader.socketsOf(process.pid, start + 1, []), 'ESRCH');
  refuses(() => loader.socketsOf(process.pid, start, [-1]));
  mayRefuse(() => loader.socketsOf(process.pid, start, [0, 1, 2, 4000]), 'EBUSY');
  closeSync(loader.openMemoryFile());
  assert.ok(loader.bootTimeNs() > 0n);
  assert.ok(loader.threadCpuMs() > 0);
  assert.equal(typeof loader.trimHeap(), 'boolean');
  try {
    for (let number = 0; number < 4; number++) await round(number);
  } finally {
    for (const name of ['app0', 'app1', 'app2', 'app3', '']) {
      const directory = path.join(mount, parent, name);
      if (existsSync(directory)) rmdirSync(directory);
    }
  }
  console.log('the addon ran under the sanitizers without a finding');
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
