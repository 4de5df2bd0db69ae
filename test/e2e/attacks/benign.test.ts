import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBenign, isQuiet } from './benign-report.ts';
import { whyNoDebianImage } from './debian-image.ts';
import { DEFAULT_UPSTREAM, upstreamFolder } from './rows.ts';
import { runBenign } from './run-benign.ts';
import { WORKLOADS } from './workloads.ts';

test('ordinary apps have no detection at NOTICE or above', async (t) => {
  const noDebian = whyNoDebianImage();
  if (noDebian !== undefined) t.diagnostic(`without the apps of a Debian image: ${noDebian}`);
  const workloads = WORKLOADS.filter(({ image }) => image !== 'debian' || noDebian === undefined);
  const run = await runBenign(workloads, upstreamFolder(DEFAULT_UPSTREAM));
  const table = formatBenign(run, { colour: false });
  assert.ok(isQuiet(run), table);
  t.diagnostic(table.trimEnd().split('\n').slice(-2).join('; '));
});
