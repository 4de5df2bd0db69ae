// What the drop-in for responses gives the service. It goes on where systemd-capabilities.ts ends: installed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AgentSnapshot } from '../../../src/agent/snapshot.ts';
import { until } from '../../support/e2e-agent.ts';
import { must, shown, watching, write } from '../../support/systemd-service.ts';

const APP = '/sys/fs/cgroup/my-apps/shop';
const PINS = '/sys/fs/bpf/varvel';
/** CAP_DAC_OVERRIDE 1, CAP_KILL 5, CAP_NET_ADMIN 12, CAP_SYS_PTRACE 19, CAP_PERFMON 38, CAP_BPF 39. */
const CAPABILITIES = [1, 5, 12, 19, 38, 39].reduce((bits, bit) => bits | (1n << BigInt(bit)), 0n);

test('with enforce.conf: it denies programs, connections, opens and other calls, and they stay denied without it', async () => {
  write(
    '/etc/varvel/varvel.yaml',
    `${readFileSync('/etc/varvel/varvel.yaml', 'utf8')}
probe: {deny_without_agent: 1h}
runtimes: {cgroup: {apps: [{pattern: "/my-apps/*", app: "{handle}"}]}}
responses: [{match: {priority: error}, do: deny, mode: enforce}]
`,
  );
  const dropIn = '/etc/systemd/system/varvel.service.d/enforce.conf';
  must('install', '-D', '-m', '644', '/opt/varvel/systemd/enforce.conf', dropIn);
  must('systemctl', 'daemon-reload');
  must('systemctl', 'restart', 'varvel');
  await watching();
  const status = readFileSync(`/proc/${shown('MainPID')}/status`, 'utf8');
  const mounts = readFileSync(`/proc/${shown('MainPID')}/mountinfo`, 'utf8');
  assert.match(mounts, / \/sys ro,/);
  assert.match(mounts, / \/proc\/sys ro,/);
  assert.equal(BigInt(`0x${/^CapEff:\s+(\w+)/m.exec(status)?.[1]}`), CAPABILITIES);

  const kernel = (): AgentSnapshot['kernel'] =>
    (JSON.parse(must('varvel', 'status', '--json')) as AgentSnapshot).kernel;
  const { denialTest, refusalsUnavailable } = kernel();
  const denied = { program: 'denied', connection: 'denied', file: 'denied', call: 'denied' };
  assert.deepEqual([denialTest, refusalsUnavailable], [denied, {}]);
  // Only what denies something in a container has names.
  mkdirSync(APP, { recursive: true });
  const enter = `echo 0 > ${join(APP, 'cgroup.procs')} && exec sleep 600`;
  const apart = ['--pid', '--mount', '--fork', '--kill-child', 'sh', '-c', enter];
  spawn('unshare', apart, { stdio: 'ignore' }).unref();
  await until(
    () => {
      const { pinned, verdicts } = kernel();
      return `it has names: ${JSON.stringify([pinned, verdicts])}\n${mounts}`;
    },
    () => existsSync(PINS) && readdirSync(PINS).length > 0,
    60_000,
  );

  must('bash', '/opt/varvel/systemd/uninstall.sh');
  assert.deepEqual([existsSync(PINS), existsSync(dropIn)], [false, false]);
});
