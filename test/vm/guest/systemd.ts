// The service under the systemd of a guest, as PID 1: installed, hardened, watched over, removed.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bpfHolders } from '../../support/bpf-holders.ts';
import { until } from '../../support/e2e-agent.ts';
import { must, said, shown, watching, write } from '../../support/systemd-service.ts';

const MANIFESTS = 'manifests/systemd';
const APP = '/sys/fs/cgroup/my-apps/shop';
const APP_LOG = '/var/log/my-apps/shop.log';
const OPERATOR_LOG = '/var/log/varvel/detections.log';
/** CAP_DAC_OVERRIDE 1, CAP_SYS_PTRACE 19, CAP_PERFMON 38, CAP_BPF 39. */
const CAPABILITIES = [1, 19, 38, 39].reduce((bits, bit) => bits | (1n << BigInt(bit)), 0n);

const PLACES = [
  '/opt/varvel',
  '/usr/local/bin/varvel',
  '/usr/local/share/man/man1/varvel.1',
  '/etc/varvel',
  '/run/varvel',
  '/var/lib/varvel',
  '/var/log/varvel',
  '/etc/systemd/system/varvel.service',
  '/etc/systemd/system/varvel.service.d',
  '/etc/systemd/system/multi-user.target.wants/varvel.service',
];

const lines = (file: string): number =>
  existsSync(file) ? (readFileSync(file, 'utf8').match(/"Sensitive file read"/g)?.length ?? 0) : 0;

/** The app does what a rule looks for; resolves when it is in both logs. */
async function attack(): Promise<void> {
  const before = [lines(APP_LOG), lines(OPERATOR_LOG)] as const;
  must('sh', '-c', `echo 0 > ${join(APP, 'cgroup.procs')} && exec cat /etc/shadow > /dev/null`);
  await until(
    'it is told',
    () => lines(APP_LOG) > before[0] && lines(OPERATOR_LOG) > before[1],
    60_000,
  );
}

test('the service: confined, started again when it is killed, gone without a trace', async (t) => {
  assert.equal(readFileSync('/proc/1/comm', 'utf8'), 'systemd\n');
  assert.deepEqual(PLACES.filter(existsSync), []);
  const nothing = said('bash', join(MANIFESTS, 'install.sh'), '/nowhere');
  assert.equal(nothing.code, 1);
  assert.match(nothing.text, /\/nowhere is no bundle/);
  must('bash', join(MANIFESTS, 'install.sh'), process.env['VARVEL_BUNDLE'] ?? '');

  // As the unit says: an app's own log needs its folder to be writable.
  const app = '{pattern: "/my-apps/*", app: "{handle}", log_file: "/var/log/my-apps/{handle}.log"}';
  write(
    '/etc/varvel/varvel.yaml',
    `${readFileSync('/etc/varvel/varvel.yaml', 'utf8')}runtimes: {cgroup: {apps: [${app}]}}\n`,
  );
  write(APP_LOG, '');
  write(
    '/etc/systemd/system/varvel.service.d/override.conf',
    '[Service]\nReadWritePaths=/var/log/my-apps\n',
  );
  mkdirSync(APP, { recursive: true });
  must('systemctl', 'daemon-reload');
  must('systemctl', 'enable', '--now', 'varvel');
  await watching();
  await attack();

  const pid = shown('MainPID');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  for (const set of ['CapBnd', 'CapEff', 'CapPrm'])
    assert.equal(
      BigInt(`0x${new RegExp(`^${set}:\\s+(\\w+)`, 'm').exec(status)?.[1]}`),
      CAPABILITIES,
    );
  assert.match(status, /^NoNewPrivs:\s+1$/m);
  assert.match(status, /^Seccomp:\s+2$/m);
  const group = join('/sys/fs/cgroup', shown('ControlGroup'));
  const limit = (name: string): string => readFileSync(join(group, name), 'utf8').trim();
  assert.equal(limit('memory.max'), String(512 * 1024 * 1024));
  assert.equal(limit('cpu.max'), '15000 10000');

  // An upgrade, while the app trips a rule all the time.
  const told = lines(OPERATOR_LOG);
  const asked = said('bash', join(MANIFESTS, 'install.sh'), process.env['VARVEL_BUNDLE'] ?? '');
  assert.equal(asked.code, 0, asked.text);
  assert.match(asked.text, /the new version has taken over, without a gap/);
  const next = shown('MainPID');
  assert.notEqual(next, pid);
  assert.equal(existsSync(`/proc/${pid}`), false);
  assert.deepEqual([shown('ActiveState'), shown('NRestarts')], ['active', '0']);
  assert.match(readFileSync(`/proc/${next}/cgroup`, 'utf8'), /\/varvel\.service$/m);
  await attack();
  assert.equal(lines(OPERATOR_LOG), told + 1);

  // systemd looks after that one as well.
  must('systemctl', 'kill', '--signal=KILL', 'varvel');
  await until('it is started again', () => shown('NRestarts') === '1', 60_000);
  await watching();
  await attack();
  const memory = Number(limit('memory.peak')) / 1024 / 1024;
  t.diagnostic(`Linux with systemd: memory.peak ${memory.toFixed(0)} MiB`);

  must('bash', '/opt/varvel/systemd/uninstall.sh');
  assert.deepEqual(PLACES.filter(existsSync), []);
  assert.equal(bpfHolders().has(Number(pid)), false);
  assert.notEqual(said('systemctl', 'cat', 'varvel').code, 0);
  rmdirSync(APP);
});
