// What an operator is told of a receiver that is down, and of lines that wait when its url is changed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { E2eAgent, until, type DetectionLine } from '../../support/e2e-agent.ts';

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

test('lines that wait when a url is changed go to the new one, or are dropped: as configured, and told', async () => {
  const posted: DetectionLine[] = [];
  let answer = 200;
  const web = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      if (answer === 200) posted.push(JSON.parse(body) as DetectionLine);
      response.writeHead(answer).end();
    });
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(web.address() as AddressInfo).port}`;
  const group = `${PARENT}-url`;
  const cgroup = join(mountPoint, group, 'app');
  mkdirSync(cgroup, { recursive: true });
  const nobody = 'http: {url: "http://127.0.0.1:9/"}';
  await using agent = await E2eAgent.start({
    streams: [nobody],
    cgroupApps: `[{pattern: "/${group}/*", app: shop}]`,
    config: ['mode: always'],
  });
  let stream = nobody;
  const restartWith = async (changed: string): Promise<void> => {
    assert.equal((await agent.end()).code, 0);
    const config = readFileSync(agent.configFile, 'utf8');
    writeFileSync(agent.configFile, config.replace(stream, changed));
    stream = changed;
    await agent.run();
  };
  const waits = (lines: number): Promise<unknown> =>
    until(`${lines} lines wait`, async () => {
      const counters = (await agent.snapshot()).streams['http'];
      return counters !== undefined && 'spool' in counters && counters.spool.waiting === lines;
    });
  const attack = async (): Promise<void> => {
    const script = `echo 0 > ${cgroup}/cgroup.procs; exec cat /etc/shadow`;
    assert.equal(spawnSync('sh', ['-c', script]).status, 0);
    await waits(1);
  };
  try {
    await attack();
    await restartWith(`http: {url: "http://${host}/hook?key=s3cret"}`);
    // Beside it there is what the agent says of itself.
    const detected = (): string[] => posted.filter(({ seq }) => seq > 0).map(({ id }) => id);
    await until('the line is posted', () => detected().length > 0);
    assert.deepEqual(
      detected(),
      agent.detections('Sensitive file read').map(({ id }) => id),
    );
    const before = detected();
    assert.match(
      agent.varvel('status').stdout,
      /^spool http: 1 lines that waited for http:\/\/127\.0\.0\.1:9 go to the new url \(on_url_change: keep\)$/m,
    );
    await agent.logged(/1 of them waited for http:..127\.0\.0\.1:9\. They go to the new one/);

    await waits(0);
    answer = 503;
    await attack();
    await restartWith(`http: {url: "http://${host}/other", on_url_change: drop}`);
    const { code, stdout } = agent.varvel('status');
    assert.equal(code, 1, stdout);
    const where = `another path of http://${host}`;
    const says = `spool http: 1 lines that waited for ${where} LOST: the url has changed (on_url_change: drop)`;
    assert.ok(stdout.split('\n').includes(says), stdout);
    assert.match(stdout, /; http: \d+ spooled, \d+ sent, 0 refused, 0 failed, 1 dropped$/m);
    assert.match(await agent.metrics(), /^varvel_spool_given_up_lines_total\{stream="http"\} 1$/m);
    answer = 200;
    const told = await until('its app is told', () =>
      posted.find(({ rule }) => rule === 'Varvel: lines lost'),
    );
    assert.deepEqual([told.app?.['name'], told.output_fields['lost.count']], ['shop', 1]);
    assert.deepEqual(detected(), before);
    assert.doesNotMatch(agent.log() + stdout, /s3cret/);
  } finally {
    web.closeAllConnections();
    web.close();
    spawnSync('rmdir', [cgroup, join(mountPoint, group)]);
  }
});
