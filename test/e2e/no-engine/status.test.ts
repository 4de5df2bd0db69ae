// What an operator is told of a receiver that is down.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { E2eAgent, until } from '../../support/e2e-agent.ts';

const { mountPoint } = detectHierarchy();
const PARENT = `varvel-status-${process.pid}`;

test('status and metrics say what waits on the disk for a receiver, since when, and how much may', async () => {
  await using agent = await E2eAgent.start({
    streams: ['http: {url: "http://127.0.0.1:9/"}'],
    cgroupApps: `[{pattern: "/${PARENT}/*", app: shop}]`,
    config: ['mode: always', 'spool: {max_bytes: 2MiB}'],
  });
  const cgroup = join(mountPoint, PARENT, 'app');
  mkdirSync(cgroup, { recursive: true });
  try {
    assert.match(agent.varvel('status').stdout, /^spool http: 0 lines wait for the receiver \(/m);
    const script = `echo 0 > ${cgroup}/cgroup.procs; exec cat /etc/shadow`;
    const startedMs = Date.now();
    assert.equal(spawnSync('sh', ['-c', script]).status, 0);
    await until('its line waits', () => /^spool http: [1-9]/m.test(agent.varvel('status').stdout));
    const { stdout } = agent.varvel('status');
    // That its spool has it is not that its receiver has it.
    assert.match(stdout, /; http: 1 spooled, 0 sent, 0 refused, 0 failed, 0 dropped$/m);
    const [, since = ''] =
      /^spool http: 1 lines wait for the receiver \(0\.0 of 2\.0 MiB on the disk, the oldest of (\S+)\)$/m.exec(
        stdout,
      ) ?? assert.fail(stdout);
    assert.ok(Math.abs(Date.parse(since) - startedMs) < 10_000, since);
    const metrics = await until('the receiver was tried', async () => {
      const text = await agent.metrics();
      return /^varvel_stream_retries_total\{stream="http"\} [1-9]/m.test(text) && text;
    });
    const results = [...metrics.matchAll(/^varvel_stream_deliveries_total(\{stream="http".*)$/gm)];
    assert.deepEqual(
      results.map(([, rest]) => rest),
      [
        '{stream="http",result="spooled"} 1',
        '{stream="http",result="sent"} 0',
        '{stream="http",result="refused"} 0',
        '{stream="http",result="failed"} 0',
        '{stream="http",result="dropped"} 0',
      ],
    );
    assert.match(metrics, /^varvel_spool_lines\{stream="http"\} 1$/m);
    assert.match(metrics, /^varvel_spool_max_bytes\{stream="http"\} 2097152$/m);
    const [, oldest] =
      /^varvel_spool_oldest_timestamp_seconds\{stream="http"\} (\S+)$/m.exec(metrics) ?? [];
    assert.ok(Math.abs(Number(oldest) * 1000 - startedMs) < 10_000, metrics);
  } finally {
    spawnSync('rmdir', [cgroup, join(mountPoint, PARENT)]);
  }
});
