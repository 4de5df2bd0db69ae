// Which capability Debian's kernel asks for besides those of the unit, and when.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { until } from '../../support/e2e-agent.ts';
import { must, said, watching, write } from '../../support/systemd-service.ts';

const CONFIG = '/etc/varvel/varvel.yaml';

test('perf events for administrators only: enough as it is, too little with a tracepoint for each call', async () => {
  must('bash', 'manifests/systemd/install.sh', process.env['VARVEL_BUNDLE'] ?? '');
  assert.equal(must('sysctl', '-n', 'kernel.perf_event_paranoid').trim(), '3');
  must('systemctl', 'start', 'varvel');
  await watching();

  const text = readFileSync(CONFIG, 'utf8');
  write(CONFIG, `${text}\nprobe: {compat_calls: false}\n`);
  must('systemctl', 'restart', 'varvel');
  const log = (): string => said('journalctl', '-u', 'varvel', '--no-pager').text;
  // An emulated guest on a busy machine takes minutes to start it.
  await until(
    () => `it is refused: ${log()}`,
    () => /EACCES.*CAP_SYS_ADMIN where kernel\.perf_event_paranoid is 3/.test(log()),
    300_000,
  );
  must('sysctl', '-w', 'kernel.perf_event_paranoid=2');
  await watching();
  write(CONFIG, text);
});
