// The agent with a real rsyslogd (TLS) and a real HTTP server on the other side, at once.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { SpooledCounters } from '../../src/streams/spool/spooled-stream.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { buildApp, E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';
import { recordsIn } from '../support/otlp-proto.ts';
import { OtlpGrpcServer } from '../support/otlp-server.ts';
import { Rsyslog } from '../support/rsyslog.ts';

const RULES = `
- rule: Data file opened
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and fd.name = /data/file
  output: opened by %proc.cmdline
  priority: ERROR
`;

let engine: TestDockerd;
let rsyslog: Rsyslog;
let web: Server;
let folder: string;
let appMount: string;
const posted: DetectionLine[] = [];
/** What the web server answers: its failures are not the other stream's. */
let answer = 200;

before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
  rsyslog = await Rsyslog.start();
  folder = mkdtempSync(join(tmpdir(), 'varvel-receivers-'));
  appMount = buildApp(folder);
  web = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      if (answer === 200) posted.push(JSON.parse(body) as DetectionLine);
      response.writeHead(answer).end();
    });
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
});

after(async () => {
  await engine[Symbol.asyncDispose]();
  await rsyslog.stop();
  web.closeAllConnections();
  web.close();
  rmSync(folder, { recursive: true, force: true });
});

/** `varvel_id` of each message, in the order in which they arrived. */
const syslogIds = (): string[] =>
  rsyslog.received().map(({ sd }) => /varvel_id="([^"]*)"/.exec(sd)?.[1] ?? '');

test('each stream gets every line, in order, though one fails and the other’s receiver is killed meanwhile', async (t) => {
  const { port } = web.address() as AddressInfo;
  const { ca } = rsyslog.authority;
  const { cert, key } = rsyslog.client;
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['limits: {enabled: false}'],
    streams: [
      'container: {enabled: false}',
      `syslog: {url: 'syslog+tls://127.0.0.1:${rsyslog.ports.tls}', ca: ${ca}, cert: ${cert}, key: ${key}, server_name: logs.test}`,
      `http: {url: 'http://127.0.0.1:${port}/falco'}`,
    ],
  });
  const app = await runContainer(engine, 'mkdir /data; echo x > /data/file; exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': 'shop', 'varvel.app-guid': 'a-guid' },
    hostConfig: { Binds: [appMount] },
  });
  try {
    await until('it is watched', async () => {
      return (await agent.containerStatus(app.id))?.state === 'included';
    });
    await until('its file is there', () => agent.detections().length > 0);
    answer = 503;
    assert.equal(await execInContainer(app, '/app storm 500 /data/file'), 0);
    await until('syslog goes on', () => syslogIds().length >= 500);
    assert.ok(posted.length <= 1, 'nothing is posted meanwhile');
    await rsyslog.kill('SIGKILL');
    assert.equal(await execInContainer(app, '/app storm 500 /data/file'), 0);
    answer = 200;
    // Of the storms, and of the shell that made the file.
    const total = 1001;
    await until('all are detected', () => agent.detections().length >= total);
    await until('the posts arrive', () => posted.length >= total, 120_000);
    await rsyslog.run();
    await until('the messages arrive', () => new Set(syslogIds()).size >= total, 120_000);

    const operators = agent.detections();
    assert.ok(operators.length >= 1000);
    assert.deepEqual(
      posted.map(({ id, rule, output_fields: fields }) => [id, rule, fields['proc.cmdline']]),
      operators.map(({ id, rule, output_fields: fields }) => [id, rule, fields['proc.cmdline']]),
    );
    const once = [...new Set(syslogIds())];
    assert.deepEqual(
      once,
      operators.map(({ id }) => id),
    );
    const first = rsyslog.received()[0];
    assert.deepEqual([first?.pri, first?.app, first?.proc], ['11', 'a-guid', '[VARVEL]']);
    const message = JSON.parse(first?.msg ?? '') as DetectionLine;
    assert.deepEqual([message.id, message.app?.['name']], [operators[0]?.id, 'shop']);
    const { delivery } = await agent.snapshot();
    for (const name of ['syslog', 'http']) {
      const { spooled, sent, refused, failed, dropped } = delivery.streams[name]!;
      assert.deepEqual([refused, failed, dropped], [0, 0, 0]);
      assert.deepEqual([spooled, sent], [total, total], name);
    }
    t.diagnostic(
      `${operators.length} lines; ${syslogIds().length - once.length} came twice by syslog`,
    );
  } finally {
    answer = 200;
    await app.remove({ force: true });
  }
});

test('an app that fills the spool while its receiver is down takes no line from another', async (t) => {
  posted.length = 0;
  answer = 503;
  const { port } = web.address() as AddressInfo;
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['limits: {enabled: false}', 'spool: {max_bytes: 1MiB}'],
    streams: ['container: {enabled: false}', `http: {url: 'http://127.0.0.1:${port}/falco'}`],
  });
  const run = (app: string): ReturnType<typeof runContainer> =>
    runContainer(engine, 'mkdir /data; echo x > /data/file; exec sleep 600', {
      labels: { 'varvel.enable': 'true', 'varvel.app': app },
      hostConfig: { Binds: [appMount] },
    });
  const flood = await run('flood');
  const quiet = await run('quiet');
  const of = (lines: readonly DetectionLine[], app: string): DetectionLine[] =>
    lines.filter((line) => line.app?.['name'] === app && line.seq > 0);
  const detected = (app: string): number => of(agent.detections(), app).length;
  try {
    // Of the shell that made the file.
    for (const app of ['flood', 'quiet'])
      await until(`the file of ${app} is there`, () => detected(app) === 1);
    assert.equal(await execInContainer(flood, '/app storm 3000 /data/file'), 0);
    await until('the flood is detected', () => detected('flood') === 3001);
    assert.equal(await execInContainer(quiet, '/app storm 20 /data/file'), 0);
    await until('so is the quiet app', () => detected('quiet') === 21);
    const counters = async (): Promise<SpooledCounters> =>
      (await agent.snapshot()).streams['http'] as SpooledCounters;
    // The lines in the agent's log may be ahead of those for the receiver.
    const { spool } = await until('the spool was full for both', async () => {
      const now = await counters();
      return now.spool.dropped > 0 && now.spool.refused > 0 && now;
    });
    assert.ok(spool.bytes <= 1 << 20);
    t.diagnostic(`${spool.refused} found no room, ${spool.dropped} made room for the quiet app`);
    // After ten seconds: one that is slow for a moment takes nothing, too.
    await until('its status says who takes nothing, and why', () => {
      const { code, stdout } = agent.varvel('status');
      return code === 1 && /^RECEIVER TAKES NOTHING: stream http since .*503/m.test(stdout);
    });
    answer = 200;
    await until('the quiet app’s lines arrive', () => of(posted, 'quiet').length === 21, 120_000);
    const told = (): number =>
      posted
        .filter(({ rule, app }) => rule === 'Varvel: lines lost' && app?.['name'] === 'flood')
        .reduce((sum, line) => sum + Number(line.output_fields['lost.count']), 0);
    await until(
      'each line of the flood is there or told as lost',
      () => of(posted, 'flood').length + told() === 3001,
      120_000,
    );
    assert.deepEqual(
      of(posted, 'quiet').map(({ seq }) => seq),
      Array.from({ length: 21 }, (_, nth) => nth + 1),
    );
    assert.ok(told() > 0);
    assert.ok(
      !posted.some(({ rule, app }) => rule === 'Varvel: lines lost' && app?.['name'] === 'quiet'),
    );
  } finally {
    answer = 200;
    for (const app of [flood, quiet]) await app.remove({ force: true });
  }
});

test('detections and coverage lines arrive as OpenTelemetry log records by mutual TLS, after the collector was down', async () => {
  const { ca } = rsyslog.authority;
  const collector = new OtlpGrpcServer({ ...rsyslog.authority.issue('collector.test'), ca });
  await collector.start();
  collector.stop();
  const { cert, key } = rsyslog.client;
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['limits: {enabled: false}', 'coverage: {interval: 5s}'],
    streams: [
      'container: {enabled: false}',
      `otlp: {url: 'https://127.0.0.1:${collector.port}', protocol: grpc, compression: gzip, audience: tenant, ca: ${ca}, cert: ${cert}, key: ${key}, server_name: collector.test}`,
    ],
  });
  const app = await runContainer(engine, 'mkdir /data; echo x > /data/file; exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': 'shop', 'varvel.app-guid': 'a-guid' },
    hostConfig: { Binds: [appMount] },
  });
  try {
    await until('its file is there', () => agent.detections().length > 0);
    assert.equal(await execInContainer(app, '/app storm 300 /data/file'), 0);
    const detected = (): DetectionLine[] => agent.detections().filter(({ seq }) => seq > 0);
    await until('all are detected', () => detected().length === 301);
    await until('they wait', async () => {
      const { otlp } = (await agent.snapshot()).streams as { otlp?: SpooledCounters };
      return otlp?.down !== undefined && otlp.spool.waiting >= 301;
    });
    await collector.start();
    const records = () => collector.requests.flatMap(recordsIn);
    const ofRules = () => records().filter(({ record }) => record.eventName === 'varvel.detection');
    await until('they arrive', () => ofRules().length === 301, 120_000);
    await until('a coverage line arrives', () =>
      records().some(({ attributes }) => attributes['security_rule.name'] === 'Varvel: coverage'),
    );
    assert.deepEqual(
      ofRules().map(({ attributes }) => [
        attributes['log.record.uid'],
        Number(attributes['varvel.seq']),
        attributes['falco.proc.cmdline'],
      ]),
      detected().map(({ id, seq, output_fields: fields }) => [id, seq, fields['proc.cmdline']]),
    );
    const [first] = ofRules();
    assert.deepEqual([first?.record.severityText, first?.record.severityNumber], ['Error', 17]);
    assert.equal(first?.resource['service.name'], 'shop');
    assert.equal(first.resource['varvel.app.guid'], 'a-guid');
    assert.equal(first.resource['container.id'], app.id);
    assert.match(String(first.record.body.stringValue), /^opened by /);
    const { otlp } = (await agent.snapshot()).streams as { otlp?: SpooledCounters };
    assert.deepEqual([otlp?.refused, otlp?.spool.dropped], [0, 0]);
  } finally {
    await app.remove({ force: true });
    collector.stop();
  }
});
