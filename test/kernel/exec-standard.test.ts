import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { call, callFd } from '../support/kernel-calls.ts';
import { runIntoExec, standardOf } from '../support/kernel-exec.ts';
import { listening, STREAM } from '../support/kernel-messages.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;

/** The process's TCP socket at the descriptor, as /proc/PID/net has it: ends in hexadecimal, host order in words, and its state. */
function tcpSocket(pid: number, fd: number, file: 'tcp' | 'tcp6'): string[] {
  const inode = /\d+/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[0];
  const rows = readFileSync(`/proc/${pid}/net/${file}`, 'utf8').split('\n');
  const row = rows.map((line) => line.trim().split(/\s+/)).find((parts) => parts[9] === inode);
  assert.ok(row, `no ${file} socket ${inode}`);
  return row.slice(1, 4);
}

describe('what descriptors 0, 1 and 2 are to a program that starts', () => {
  let probe: KernelProbe;
  let dir: string;
  let program: string;
  before(() => {
    probe = new KernelProbe();
    dir = mkdtempSync(join(tmpdir(), 'varvel-standard-'));
    program = join(dir, 'program');
    copyFileSync(stepsProgram(), program);
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test('closed, of files, of sockets', async () => {
    // 0 is where the program pauses, 1 is where it reports.
    const error: readonly (readonly [what: string, steps: readonly Step[]])[] = [
      ['closed', call('close', 2)],
      ['a file', [...callFd('open', 's:/etc/hostname', 0), ...call('dup2', '@', 2)]],
      ['a device', [...callFd('open', 's:/dev/null', 0), ...call('dup2', '@', 2)]],
      ['a directory', [...callFd('open', 's:/etc', 0), ...call('dup2', '@', 2)]],
      ['no file at all', [...callFd('epoll_create1', 0), ...call('dup2', '@', 2)]],
    ];
    for (const [what, steps] of error) {
      const run = [...steps, 'execve', program, 'p', 'pause', ';'];
      await runIntoExec(probe, probe.mkdir('standard'), run, (event) => {
        assert.deepEqual(event.exec?.standard, standardOf(event.pid), what);
      });
    }
    const become = [...call('dup2', '@', 2), 'execve', program, 'p', 'pause', ';'];
    const connecting = [...STREAM, ...call('connect', '@', 'a:1', 16)];
    const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
    const unix = { type: 'unix', tuple: undefined, connected: false };
    const ip = { family: AF_INET, protocol: 6, socketType: SOCK_STREAM, unixPath: '' };
    await runIntoExec(
      probe,
      probe.mkdir('connection'),
      [...listening(8), ...connecting, ...become],
      ({ pid, exec }) => {
        const [, , found] = exec?.standard ?? [];
        const { localPort = 0, remotePort = 0 } = found?.tuple ?? {};
        assert.ok(localPort > 0 && remotePort > 0);
        assert.deepEqual(tcpSocket(pid, 2, 'tcp'), [
          ...[`0100007F:${hex(localPort)}`, `0100007F:${hex(remotePort)}`, '01'],
        ]);
        const ends = { localIp: '127.0.0.1', localPort, remoteIp: '127.0.0.1', remotePort };
        assert.deepEqual(exec?.standard, [
          ...[unix, unix, { type: 'ipv4', tuple: { ...ip, ...ends }, connected: true }],
        ]);
      },
    );
    const listening6 = [...callFd('socket', AF_INET6, SOCK_STREAM, 0), ...call('listen', '@', 8)];
    await runIntoExec(
      probe,
      probe.mkdir('listener'),
      [...listening6, ...become],
      ({ pid, exec }) => {
        const [, , found] = exec?.standard ?? [];
        const { localPort = 0 } = found?.tuple ?? {};
        const none = '0'.repeat(32);
        assert.deepEqual(tcpSocket(pid, 2, 'tcp6'), [
          ...[`${none}:${hex(localPort)}`, `${none}:0000`, '0A'],
        ]);
        const ends = { localIp: '::', localPort, remoteIp: '::', remotePort: 0 };
        assert.deepEqual(found, {
          type: 'ipv6',
          tuple: { ...ip, family: AF_INET6, ...ends },
          connected: false,
        });
      },
    );
  });
});
