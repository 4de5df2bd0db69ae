import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { killProcess, type LoaderError } from 'ebpf-loader-napi';

const startOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[19]);
const codeOf = (pid: number, startTicks: number): string => {
  try {
    killProcess(pid, startTicks);
    return 'killed';
  } catch (error) {
    return (error as LoaderError).code;
  }
};

test('the process that began then is killed, whatever its name; another with its pid never', async () => {
  // A name that looks like the end of a name.
  const child = spawn('bash', ['-c', 'exec -a x sleep 600'], { stdio: 'ignore' });
  const named = spawn('bash', ['-c', "printf ') R 1 1 (' > /proc/self/comm; echo here; read line"]);
  await Promise.all([once(child, 'spawn'), once(named.stdout, 'data')]);
  const descriptors = readdirSync('/proc/self/fd').length;
  for (const one of [child, named]) {
    const pid = one.pid!;
    const start = startOf(pid);
    assert.equal(codeOf(pid, start + 1), 'ESRCH');
    assert.equal(codeOf(pid, 0), 'ESRCH');
    assert.equal(one.exitCode ?? one.signalCode, null);
    const ended = once(one, 'exit');
    assert.equal(codeOf(pid, start), 'killed');
    assert.deepEqual(await ended, [null, 'SIGKILL']);
    assert.equal(codeOf(pid, start), 'ESRCH');
  }
  assert.ok(readdirSync('/proc/self/fd').length <= descriptors, 'no descriptor is left');
});

test('the first process, no process, and without the right to', () => {
  assert.equal(codeOf(1, startOf(1)), 'EINVAL');
  assert.equal(codeOf(0, 0), 'EINVAL');
  assert.equal(codeOf(2 ** 22 + 1, 5), 'ESRCH');
  for (const wrong of [-1, 1.5, NaN, '5' as unknown as number])
    assert.throws(() => killProcess(wrong, 5), TypeError);
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  const script = `try { require('ebpf-loader-napi').killProcess(${child.pid}, ${startOf(child.pid!)}); } catch (error) { console.log(error.code) }`;
  const other = ['--reuid', '65534', '--clear-groups', '--', process.execPath, '-e', script];
  const { stdout } = spawnSync('setpriv', other, { encoding: 'utf8' });
  assert.equal(stdout, 'EPERM\n');
  child.kill('SIGKILL');
});
