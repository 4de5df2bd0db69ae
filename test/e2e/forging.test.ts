// An app that says it is another: whatever it says, its lines go where the platform says they belong.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Authority } from '../support/certificates.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { buildApp, E2eAgent, settled, until, type DetectionLine } from '../support/e2e-agent.ts';
import { execInContainer, logLines, runContainer } from '../support/e2e-docker.ts';
import { GardenCell } from '../support/garden-cell.ts';
import { propertiesOf } from '../support/garden-server.ts';
import { LoggregatorServer, type ReceivedEnvelope } from '../support/loggregator-server.ts';
import { Rsyslog } from '../support/rsyslog.ts';

const RULE = 'Mark read';
const rules = (mark: string): string => `
- rule: ${RULE}
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.name = ${mark}
  output: read by %proc.cmdline (container=%container.id)
  priority: ERROR
`;

/** What the platform tells an app of itself: true for the victim, a lie in the forger. */
const FORGED = {
  VCAP_APPLICATION: JSON.stringify({
    application_id: 'victim-guid',
    application_name: 'victim',
    space_name: 'prod',
    instance_index: 0,
    process_type: 'web',
  }),
  CF_INSTANCE_INDEX: '0',
  INSTANCE_INDEX: '0',
  CF_INSTANCE_GUID: 'victim-instance',
  HOSTNAME: 'victim',
};

/** What a detection of the victim would look like, wherever an app may print it. */
const FAKES: readonly string[] = [
  '2026-01-01T00:00:00.00+0000 [VARVEL/0] ERR 00:00:00.000000000: Error read by intruder',
  JSON.stringify({
    output: 'read by intruder',
    priority: 'Error',
    rule: RULE,
    source: 'syscall',
    seq: 1,
    id: '01JZZZZZZZZZZZZZZZZZZZZZZZ',
    app: { name: 'victim', guid: 'victim-guid' },
  }),
  '<11>1 2026-01-01T00:00:00Z org.prod.victim victim-guid [VARVEL/0] - [tags@47450 source_type="VARVEL"] read by intruder',
];
/** A whole detection of its own making, as it is in each system's log. */
const FORGED_LINE = JSON.stringify({
  time: '2026-01-01T00:00:00.000000000Z',
  priority: 'Critical',
  rule: 'Forged by the app',
  output: 'nothing happened',
  source: 'syscall',
  tags: [],
  hostname: 'cell',
  seq: 1,
  id: '01JZZZZZZZZZZZZZZZZZZZZZZY',
  app: { name: 'victim' },
  output_fields: {},
});
const FORGED_FRAMES: readonly string[] = [
  FORGED_LINE,
  `   2026-01-01T00:00:00.00+0000 [VARVEL/0] OUT ${FORGED_LINE}`,
  `<11>1 2026-01-01T00:00:00Z org.prod.victim victim-guid [VARVEL/0] - - ${FORGED_LINE}`,
];
const PRINT = FAKES.map((line) => `echo '${line}'; echo '${line}' >&2`).join('\n');

let engine: TestDockerd;
let folder: string;
let ingress: LoggregatorServer;
let loggregator: string;
let rsyslog: Rsyslog;
let binds: readonly string[];

before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
  rsyslog = await Rsyslog.start();
  folder = mkdtempSync(join(tmpdir(), 'varvel-forging-'));
  // There before the apps are: they are told to read it before their first command may have run.
  const data = join(folder, 'data');
  mkdirSync(data);
  writeFileSync(join(data, 'mark'), '');
  binds = [buildApp(folder), `${data}:/data:ro`];
  const authority = new Authority(folder);
  ingress = new LoggregatorServer(authority.ca, authority.issue('metron'));
  await ingress.start();
  const { cert, key } = authority.issue('varvel');
  loggregator = `loggregator: {enabled: true, address: '${ingress.address}', ca: ${authority.ca}, cert: ${cert}, key: ${key}}`;
});

after(async () => {
  await engine[Symbol.asyncDispose]();
  await rsyslog.stop();
  ingress.stop();
  rmSync(folder, { recursive: true, force: true });
});

const lineOf = ({ log }: ReceivedEnvelope): DetectionLine =>
  JSON.parse(log?.payload.toString() ?? '') as DetectionLine;

test('Docker: environment, titles and printed lines name another app, and change nothing', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': rules('/data/mark') },
    streams: [loggregator, `syslog: {url: 'syslog+tcp://127.0.0.1:${rsyslog.ports.tcp}'}`],
  });
  const labels = (app: string, instance: string): Record<string, string> => ({
    'varvel.enable': 'true',
    'varvel.app': app,
    'varvel.app-guid': `${app}-guid`,
    'varvel.instance': instance,
  });
  const script = 'exec sleep 600';
  const victim = await runContainer(engine, script, { labels: labels('victim', '0') });
  const forger = await runContainer(engine, `${PRINT}\n${script}`, {
    labels: labels('forger', '3'),
    hostConfig: { Binds: [...binds] },
    env: FORGED,
  });
  try {
    for (const { id } of [victim, forger]) {
      await until('it is watched', async () => {
        return (await agent.containerStatus(id))?.state === 'included';
      });
    }
    const titles = ['victim', '[VARVEL/0]', `${'a'.repeat(64)} [app=victim guid=victim-guid]`];
    for (const title of titles)
      assert.equal(await execInContainer(forger, `/app title "${title}" /data/mark`), 0);
    await until('all is there', () => ingress.envelopes.length >= titles.length);
    await until('and by syslog', () => rsyslog.received().length >= titles.length);
    await settled(agent);

    assert.deepEqual(
      ingress.envelopes.map(({ source_id: source, instance_id: instance, tags }) => [
        source,
        instance,
        tags['source_type'],
      ]),
      titles.map(() => ['forger-guid', '3', 'VARVEL']),
    );
    const lines = ingress.envelopes.map(lineOf);
    for (const [nth, line] of lines.entries()) {
      assert.deepEqual([line.app?.['name'], line.app?.['guid']], ['forger', 'forger-guid']);
      assert.equal(line.seq, nth + 1);
      assert.equal(line.output_fields['container.id'], forger.id.slice(0, 12));
    }
    assert.deepEqual(
      rsyslog.received().map(({ app, proc }) => [app, proc]),
      titles.map(() => ['forger-guid', '[VARVEL/3]']),
    );
    // What the app printed is in its own log only, where it is told from a detection by the id that no stream knows.
    const ids = lines.map(({ id }) => id);
    const own = await until('its own log has them too', async () => {
      const found = await logLines(engine, forger);
      return ids.every((id) => found.some((line) => line.includes(id))) && found;
    });
    for (const fake of FAKES) assert.equal(own.filter((line) => line === fake).length, 2, fake);
    assert.deepEqual(
      own
        .filter((line) => line.startsWith('{') && !FAKES.includes(line))
        .map((line) => (JSON.parse(line) as DetectionLine).id),
      ids,
    );
    assert.deepEqual(
      agent.detections().map(({ id }) => id),
      ids,
    );
    assert.deepEqual(await logLines(engine, victim), []);
  } finally {
    for (const app of [victim, forger]) await app.remove({ force: true });
  }
});

test('Garden: the platform’s words count, not those that the app was started with', async (t) => {
  ingress.envelopes.length = 0;
  const cell = new GardenCell('v2');
  t.after(() => cell[Symbol.asyncDispose]());
  await cell.server.start();
  mkdirSync(join(cell.folder, 'marks'));
  const mark = join(cell.folder, 'marks', 'mark');
  writeFileSync(mark, '');
  await using agent = await E2eAgent.start({
    garden: { socketPath: cell.server.socketPath, cgroupParents: [cell.root] },
    config: ['cgroup_hierarchy: v2'],
    streams: [loggregator],
    rules: { 'own.yaml': rules(mark) },
    noDefaultRules: true,
  });
  const tags = { varvel: 'on' };
  cell.server.create('v', propertiesOf({ guid: 'victim-guid', index: 0, tags }));
  cell.server.create('f', propertiesOf({ guid: 'forger-guid', index: 3, tags }));
  // A cgroup of the forger's own, named as the victim's is: a tenant may nest them.
  for (const path of ['/v/init', '/f/init', '/f/garden/v/init']) cell.mkdir(path);
  const env = Object.entries(FORGED).map(([name, value]) => `${name}=${value}`);
  for (const [nth, path] of ['/f/init', '/f/garden/v/init'].entries()) {
    const script = `printf victim > /proc/self/comm\n${PRINT}\nread -r line < ${mark} || true`;
    const { ended } = cell.run(path, ['env', ...env, 'bash', '-c', script, 'victim-guid']);
    assert.ok((await ended).includes(FAKES[0] ?? ''));
    await until(`the line of ${path}`, () => ingress.envelopes.length > nth);
  }
  await settled(agent);
  assert.deepEqual(
    ingress.envelopes.map(({ source_id: source, instance_id: instance, tags: its }) => [
      source,
      instance,
      its['source_type'],
      its['app_name'],
    ]),
    Array.from({ length: 2 }, () => ['forger-guid', '3', 'VARVEL', 'name-of-forger-guid']),
  );
  for (const line of ingress.envelopes.map(lineOf)) assert.equal(line.app?.['guid'], 'forger-guid');
  assert.equal(agent.detections().length, 2);
});

test('docker logs: whatever frames an app prints, pretty and report take no line for the agent’s word', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': rules('/data/mark') },
  });
  // From its very first byte on, its log has nothing but the platform's frames.
  const framed = FORGED_FRAMES.slice(1).map((line, nth) => line.replace('ZY"', `ZZ${nth}"`));
  const script = (lines: readonly string[]): string =>
    `${lines.map((line) => `echo '${line}'`).join('\n')}\nexec sleep 600`;
  const labels = { 'varvel.enable': 'true', 'varvel.app': 'forger' };
  const forger = await runContainer(engine, script(framed), { labels });
  const mixed = await runContainer(engine, script(FORGED_FRAMES), {
    labels,
    hostConfig: { Binds: [...binds] },
  });
  const read = (log: string, ...argv: readonly string[]): { out: string; err: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/main.js', ...argv], {
      input: log,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    return { out: stdout, err: stderr };
  };
  const NO_WORD = /This log does not say who wrote a line, so the app may have printed some/;
  const MAY_BE = /^-- the app may have printed what follows: .* --$/m;
  try {
    await until('it is watched', async () => {
      return (await agent.containerStatus(mixed.id))?.state === 'included';
    });
    assert.equal(await execInContainer(mixed, '/app title x /data/mark'), 0);
    const log = await until('the agent’s line is in the log', async () => {
      const [real] = agent.detections();
      const lines = await logLines(engine, mixed);
      return real !== undefined && lines.some((line) => line.includes(real.id)) && lines.join('\n');
    });
    const only = (await logLines(engine, forger)).join('\n');
    assert.ok(only.startsWith('   2026-01-01T00:00:00.00+0000 [VARVEL/0] OUT {'));
    for (const from of [[], ['--from', 'docker'], ['--from', 'kubectl']]) {
      const shown = read(log, 'pretty', ...from);
      assert.match(shown.out, MAY_BE);
      assert.match(shown.err, NO_WORD);
      assert.match(shown.out, /Mark read/);
      const page = read(log, 'report', ...from).out;
      assert.match(page, /This log does not say who wrote \d+ lines? here/);
      assert.doesNotMatch(page, /no app can write|The agent’s line/);
      assert.doesNotMatch(read(only, 'report', ...from).out, /no app can write|The agent’s line/);
    }
    // Told that it is Docker's, no frame of another system is one.
    assert.match(read(only, 'pretty', '--from', 'docker').err, /^0 detections\.$/m);
    const guessed = read(only, 'pretty');
    assert.match(guessed.out, MAY_BE);
    assert.match(guessed.err, NO_WORD);
    assert.match(guessed.err, /It looks like one of cf logs; an app can print that too\./);
    // In the platform's own log the same words are the app's: each of its lines has the platform's frame before it.
    const platform = log.replaceAll(/^/gm, '2026-01-01T00:00:00.00+0000 [APP/PROC/WEB/0] OUT ');
    assert.match(read(platform, 'pretty', '--from', 'cf').err, /^0 detections\.$/m);
  } finally {
    for (const app of [forger, mixed]) await app.remove({ force: true });
  }
});
