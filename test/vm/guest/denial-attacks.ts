// What an intruder does to files, where the default rules deny: the attack suite's own actions, in containers of their own. Here, and
// not in e2e, since it needs a kernel that lets programs change what its functions return.
import assert from 'node:assert/strict';
import { release } from 'node:os';
import { test } from 'node:test';
import { ATTACK_ROWS } from '../../e2e/attacks/rows.ts';
import { runDenied } from '../../e2e/attacks/run-denied.ts';

const REFUSED = [
  'add key to authorized_keys',
  'release_agent',
  'write /bin',
  'write /etc',
  'write /lib',
  'crontab',
  'preload list by a link',
  'key by a link',
  'directory of keys moved there',
  'shadow moved away',
  'shadow changes places',
  'preload list by the working directory',
  'device under another name',
];

test('changes of files by an intruder are refused, which other kernels answer by killing', async () => {
  const rows = ATTACK_ROWS.filter(({ action }) => REFUSED.includes(action));
  assert.equal(rows.length, REFUSED.length);
  const { rows: found, problems } = await runDenied(rows, release(), 'error');
  assert.deepEqual(problems, []);
  assert.deepEqual(
    found.filter(({ denial }) => denial !== 'refused').map((one) => JSON.stringify(one)),
    [],
  );
});
