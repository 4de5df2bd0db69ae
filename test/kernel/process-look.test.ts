// What a running process has open, as /proc and the kernel's own copies of its sockets show it.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { socketsOf } from 'ebpf-loader-napi';
import { DESCRIPTORS_MAX, LOOK_CPU_MS, lookAtProcess } from '../../src/context/process-look.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';

const startOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[19]);

/** Runs it with Python or bash until the test ends; it says `ready` when all is open. */
async function running(
  t: test.TestContext,
  command: string,
  args: readonly string[],
): Promise<ChildProcess> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  assert.equal(String(said).trim(), 'ready');
  return child;
}

const SOCKETS = `
import socket, sys
port = int(sys.argv[1])
tcp = socket.create_connection(('127.0.0.1', port))
listening = socket.socket(socket.AF_INET6); listening.bind(('::1', 0)); listening.listen()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.connect(('127.0.0.1', 53))
named = socket.socket(socket.AF_UNIX); named.bind('\\0name\\n\\x1b[31m'); named.listen()
fresh = socket.socket()
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
print('ready', flush=True)
sys.stdin.read()
`;

test('files with their descriptors, and sockets with both ends and their states', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const file = join(temporaryFolder('varvel-look-'), 'secret\n\x1b[2J');
  writeFileSync(file, '');
  const child = await running(t, 'bash', [
    '-c',
    'exec 7<"$1"; exec python3 -c "$2" "$3"',
    'bash',
    file,
    SOCKETS,
    String(port),
  ]);
  const look = lookAtProcess(child.pid!, startOf(child.pid!));
  for (const fd of [look.program, look.mounts]) closeSync(fd!);
  assert.ok(look.files.includes(`7 ${file}`), String(look.files));
  assert.equal(look.isThere, true);
  assert.deepEqual(look.missing, []);
  assert.equal(look.open, readdirSync(`/proc/${child.pid}/fd`).length);
  const found = look.sockets.map((one) =>
    one.replace(/^\d+ /, '').replace(/127\.0\.0\.1:\d+->/, 'HERE->'),
  );
  assert.ok(found.includes(`tcp HERE->127.0.0.1:${port} established`), String(found));
  assert.ok(
    found.some((one) => /^tcp ::1:\d+ listening$/.test(one)),
    String(found),
  );
  assert.ok(found.includes('udp HERE->127.0.0.1:53'), String(found));
  assert.ok(found.includes('unix @name\n\x1b[31m listening'), String(found));
  assert.ok(found.includes('tcp 0.0.0.0:0 unconnected'), String(found));
  assert.ok(
    found.some((one) => one.startsWith('netlink')),
    String(found),
  );
});

test('of the process that began then alone; the program that it runs, by its descriptor', async (t) => {
  const descriptors = readdirSync('/proc/self/fd').length;
  const child = await running(t, 'bash', ['-c', 'echo ready; read -r line']);
  const start = startOf(child.pid!);
  assert.equal(lookAtProcess(child.pid!, start + 1).isThere, false);
  const look = lookAtProcess(child.pid!, start);
  assert.match(readlinkSync(`/proc/self/fd/${look.program}`), /bash$/);
  for (const fd of [look.program, look.mounts]) closeSync(fd!);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.deepEqual(lookAtProcess(child.pid!, start), {
    ...look,
    isThere: false,
    open: undefined,
    files: [],
    sockets: [],
    program: undefined,
    mounts: undefined,
  });
  assert.throws(() => socketsOf(child.pid!, start, [0]), { code: 'ESRCH' });
  await until(
    'all copies of sockets are closed',
    () => readdirSync('/proc/self/fd').length <= descriptors,
  );
});

test('what has too many descriptors, or takes too long, is looked at in part, and it says so', async (t) => {
  const many = await running(t, 'python3', [
    '-c',
    `import os, sys; kept = [os.dup(0) for n in range(${DESCRIPTORS_MAX})]; print('ready', flush=True); sys.stdin.read()`,
  ]);
  const start = startOf(many.pid!);
  const look = lookAtProcess(many.pid!, start, () => 0);
  assert.deepEqual(
    [look.open, look.missing],
    [undefined, [`open files: more than ${DESCRIPTORS_MAX}`, 'sockets: more than 32']],
  );
  let ms = 0;
  const late = lookAtProcess(many.pid!, start, () => (ms += LOOK_CPU_MS / 4));
  assert.match(late.missing.join(), /open files: no time after \d+/);
  for (const fd of [look.program, look.mounts, late.program, late.mounts]) closeSync(fd!);
});
