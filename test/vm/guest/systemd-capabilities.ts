// Which capability of the unit Debian's kernel asks for, and when not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../support/e2e-agent.ts';
import { must, said, watching, write } from '../../support/systemd-service.ts';

test('without CAP_SYS_ADMIN: refused while perf events are for administrators, enough when they are not', async () => {
  must('bash', 'manifests/systemd/install.sh', process.env['VARVEL_BUNDLE'] ?? '');
  write(
    '/etc/systemd/system/varvel.service.d/override.conf',
    '[Service]\nCapabilityBoundingSet=~CAP_SYS_ADMIN\n',
  );
  must('systemctl', 'daemon-reload');
  assert.equal(must('sysctl', '-n', 'kernel.perf_event_paranoid').trim(), '3');
  must('systemctl', 'start', 'varvel');
  const log = (): string => said('journalctl', '-u', 'varvel', '--no-pager').text;
  // An emulated guest on a busy machine takes minutes to start it.
  await until(
    () => `it is refused: ${log()}`,
    () => log().includes('EACCES'),
    300_000,
  );
  must('sysctl', '-w', 'kernel.perf_event_paranoid=2');
  await watching();
});
