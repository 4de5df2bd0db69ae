// With the README and a released archive, no clone: from unpacking it to a detection in the app's own log, to a receiver that
// breaks and is told of, to the story that is read.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { askAgent } from '../../src/metrics/endpoint-client.ts';
import { unpack } from '../support/bare-tree.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { dockerLogs, execInContainer, logLines, runContainer } from '../support/e2e-docker.ts';
import { HttpService } from '../support/http-receiver.ts';
import { prometheusSums } from '../support/prometheus.ts';
import { promtool, type Input } from '../support/promtool.ts';
import { readmeApp } from '../support/readme.ts';
import { cloneWorkTree, release } from '../support/release.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';

const VERSION = '7.8.9';
/** Only a hang takes as long. */
const START_TIMEOUT_MS = 300_000;
const RULE = 'Sensitive file read';
const CLONE = resolve('.');
/** In a mount namespace of its own the clone is an empty folder; what others mount is still seen, as by an agent of the host. */
const WITHOUT_CLONE = [
  ...['setpriv', '--pdeathsig', 'KILL', 'unshare', '--mount', '--propagation', 'slave'],
  ...['sh', '-euc', 'mount -t tmpfs none "$1"; test -z "$(ls -A "$1")"; shift; exec "$@"'],
  ...['sh', CLONE],
];

const folder = temporaryFolder('varvel-first-');
const home = join(folder, `varvel-${VERSION}`);
const config = join(folder, 'varvel.yaml');
const run = join(folder, 'run');
const ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder, LC_ALL: 'C.UTF-8' };

let archive: string;
let engine: TestDockerd;
let receiver: HttpService;
let agent: ChildProcess | undefined;
let said = '';

before(async () => {
  const [clone, out] = [join(folder, 'clone'), join(folder, 'release')];
  cloneWorkTree(clone, {});
  const made = await release(clone, ['--version', VERSION, '--out', out, '--only', 'bundle']);
  assert.equal(made.code, 0, made.stderr);
  rmSync(clone, { recursive: true });
  archive = join(out, `varvel-${VERSION}-linux-x64.tar.gz`);
  engine = await startDockerd();
  await engine.importBusybox();
  receiver = await HttpService.start();
});
after(async () => {
  if (agent?.exitCode === null && agent.signalCode === null) {
    agent.kill('SIGKILL');
    await once(agent, 'exit');
  }
  await receiver.stop();
  await engine[Symbol.asyncDispose]();
});

const command = (...args: readonly string[]): readonly [string, string[]] => {
  const [program, ...rest] = [...WITHOUT_CLONE, join(home, 'varvel/bin/varvel'), ...args];
  return [program!, rest];
};

/** The archive's own `varvel`, to its end. */
function varvel(
  args: readonly string[],
  input: string | Buffer = '',
): { readonly code: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync(...command(...args), {
    cwd: folder,
    env: ENV,
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  return { code: status, stdout, stderr };
}

/** The same that has to succeed. */
function ok(args: readonly string[], input: string | Buffer = ''): string {
  const { code, stdout, stderr } = varvel(args, input);
  assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

/** As the page on the agent's settings has them; the engine is the test's own, and so are the folders. */
function configure(): void {
  writeFileSync(
    config,
    [
      `run_dir: ${run}`,
      `state_dir: ${join(folder, 'state')}`,
      'runtimes:',
      `  docker: {socket: ${engine.socketPath}, exec_root: ${engine.execRoot}}`,
      'streams:',
      `  http: {url: 'http://127.0.0.1:${receiver.port}/'}`,
      '',
    ].join('\n'),
  );
}

async function startAgent(): Promise<number> {
  const [program, args] = command('agent', '-c', config);
  const child = spawn(program, args, {
    cwd: folder,
    env: ENV,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
  agent = child;
  await until(
    () => `the agent answers; it has said ${said}`,
    () => {
      assert.deepEqual([child.exitCode, child.signalCode], [null, null], said);
      return varvel(['status', '-c', config]).code === 0;
    },
    START_TIMEOUT_MS,
  );
  return child.pid!;
}

/** Files that the process has open or mapped, its program and its folder. */
function filesOf(pid: number): string[] {
  const links = ['exe', 'cwd', ...readdirSync(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`)];
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(/ (\/.*)$/gm);
  return [
    ...links.flatMap((name) => {
      try {
        return [readlinkSync(`/proc/${pid}/${name}`)];
      } catch {
        return []; // closed meanwhile
      }
    }),
    ...[...maps].map(([, path]) => path!),
  ];
}

const metrics = (): Promise<string> =>
  askAgent({ kind: 'unix', path: join(run, 'metrics.sock') }, '/metrics');

/** What Prometheus has when every scrape of 15 minutes is like this one. Its clock begins at 0, which is the time of the first. */
function scraped(text: string, atMs: number): Input[] {
  const host = 'instance="cell-1",job="varvel"';
  const found = [...text.matchAll(/^(varvel_\w+)(?:\{(.*)\})? (\S+)$/gm)].map(
    ([, name, labels, value]): Input => {
      const shown = name!.endsWith('_timestamp_seconds') ? Number(value) - atMs / 1000 : value!;
      return [`${name!}{${labels === undefined ? '' : `${labels},`}${host}}`, `${shown}x15`];
    },
  );
  assert.ok(found.length > 40, text);
  return [[`up{${host}}`, '1x15'], ...found];
}

/** These alerts of the archive's own rules fire at that time, and no other. */
function assertFiring(inputs: readonly Input[], at: string, alerts: readonly string[]): void {
  const rules = ['recording.yaml', 'alerts.yaml'].map((name) =>
    join(home, 'varvel/manifests/dashboards', name),
  );
  const firing = alerts.map((labels): [string, number] => [
    `ALERTS{alertstate="firing",${labels}}`,
    1,
  ]);
  assert.equal(promtool(inputs, [[at, 'ALERTS{alertstate="firing"}', firing]], rules), '');
}

test('from an archive: a detection in the app’s log, a receiver that breaks and is told of, the story', async (t) => {
  const started = performance.now();
  const seconds = (): string => ((performance.now() - started) / 1000).toFixed(1);
  unpack(archive, folder);
  configure();
  assert.match(ok(['doctor', '-c', config]), /^The agent can watch this host\.$/m);
  const pid = await startAgent();
  const files = filesOf(pid);
  assert.ok(files.includes(join(home, 'node/bin/node')), String(files));
  assert.deepEqual(
    files.filter((path) => `${path}/`.startsWith(`${CLONE}/`)),
    [],
  );
  const { labels, command: program } = readmeApp();
  const shop = await runContainer(engine, program, { name: 'shop', labels });
  t.after(() => shop.remove({ force: true }));
  await until('it is watched', () =>
    / shop +docker +in /.test(varvel(['status', '-c', config]).stdout),
  );
  const lines = await attacked(shop, 1);
  t.diagnostic(`${seconds()} s from unpacking to the line in the app’s log`);
  assert.match(lines[0]!, /"fd\.name":"\/etc\/shadow"/);

  await until('the receiver has it', () =>
    receiver.requests.some(({ body }) => body.includes(RULE)),
  );
  await until('all is well', () => varvel(['status', '-c', config]).code === 0);
  assertFiring(scraped(await metrics(), Date.now()), '15m', []);

  await receiver.stop();
  await attacked(shop, 2);
  // After ten seconds: one that is slow for a moment takes nothing, too.
  const status = await until('its status says who takes nothing, and why', () => {
    const { code, stdout } = varvel(['status', '-c', config]);
    return code === 1 && /^RECEIVER TAKES NOTHING/m.test(stdout) && stdout;
  });
  assert.match(status, /^RECEIVER TAKES NOTHING: stream http since \S.*ECONNREFUSED/m);
  assert.match(status, /^spool http: [1-9]\d* lines wait for the receiver /m);
  const scrape = await metrics();
  const now = Date.now();
  const count = (name: string, more: Readonly<Record<string, string>> = {}): number =>
    prometheusSums(scrape, name, { stream: 'http', ...more }) ?? Number.NaN;
  const deliveries = (result: string): number =>
    count('varvel_stream_deliveries_total', { result });
  assert.ok(deliveries('spooled') > deliveries('sent') && deliveries('sent') > 0, scrape);
  // Nobody answers, so nothing is refused or lost: it waits.
  assert.deepEqual(['refused', 'failed', 'dropped'].map(deliveries), [0, 0, 0]);
  assert.equal(count('varvel_spool_lines'), deliveries('spooled') - deliveries('sent'));
  const age = now / 1000 - count('varvel_spool_oldest_timestamp_seconds');
  assert.ok(age >= 9 && age < (performance.now() - started) / 1000, `${age}`);
  const inputs = scraped(scrape, now);
  assertFiring(inputs, '1m', []);
  assertFiring(inputs, '15m', [
    'alertname="VarvelLinesWait",instance="cell-1",stream="http",severity="warning"',
  ]);

  const log = await dockerLogs(engine, shop);
  const story = ok(['pretty', '--from', 'docker', '-o'], log);
  assert.match(story, new RegExp(`^.*WARNING +shop #1 +${RULE}`, 'm'));
  assert.match(story.replaceAll(/\s+/g, ' '), /file=\/etc\/shadow command=cat \/etc\/shadow /);
  const page = ok(['report', '--from', 'docker'], log);
  const fact = new RegExp(`<h3>${RULE}</h3>(?:(?!<h3>)[^])*?<p class="fact">([^]*?)</p>`).exec(
    page,
  );
  assert.match(fact?.[1] ?? '', /\/etc\/shadow/);
  assert.match(page, /What to do now/);
  t.diagnostic(`${seconds()} s to the end of the story`);

  const ended = once(agent!, 'exit');
  agent!.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null], said);
});

/** The attack is tried once more; the lines about it in the app's log, when there are so many. */
async function attacked(app: Docker.Container, count: number): Promise<string[]> {
  assert.equal(await execInContainer(app, ['cat', '/etc/shadow']), 0);
  return await until('it is in the app’s log', async () => {
    const found = (await logLines(engine, app)).filter((line) => line.includes(RULE));
    return found.length >= count && found;
  });
}
