// An app team's way from an app that nobody watches to a page that arrived, by what the README has them do; timed for its table.
// The platform's parts in it are played: staging calls the packaged buildpack, and a container of Docker is the app.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { Pager } from '../support/alerts-pager.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, settled, until } from '../support/e2e-agent.ts';
import { execInContainer, logLines } from '../support/e2e-docker.ts';
import { freeTcpPort } from '../support/rsyslog.ts';

const POLICY = 'variables:\n  secret_paths: [/app/key]\n';
const ATTACK = 'read -r a < /etc/shadow';

let folder: string;
let buildpack: string;
let engine: TestDockerd;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-first-page-'));
  // The operator's part, once for all apps.
  const packed = join(folder, 'packed');
  execFileSync(process.execPath, ['buildpack/package.mjs', '--out', packed], { stdio: 'ignore' });
  const zip = readdirSync(packed).find((name) => name.endsWith('.zip')) ?? '';
  buildpack = join(folder, 'buildpack');
  execFileSync('unzip', ['-q', join(packed, zip), '-d', buildpack]);
  engine = await startDockerd();
  await engine.importBusybox();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** The app named shop, as the platform runs it, with what staging left in `deps`. */
async function startApp(deps: string): Promise<Docker.Container> {
  const container = await engine.docker.createContainer({
    name: 'shop',
    Image: await engine.importBusybox(),
    Cmd: ['sh', '-c', 'exec sleep 600'],
    Labels: { 'varvel.app': 'shop' },
    HostConfig: { NetworkMode: 'none' },
  });
  const to = ['--transform', 's,^\\.,home/vcap/deps,'];
  const droplet = execFileSync('tar', ['-C', deps, ...to, '-c', '.']);
  await container.putArchive(droplet, { path: '/' });
  await container.start();
  return container;
}

async function varvel(...argv: readonly string[]): Promise<{ code: number; out: string }> {
  const child = spawn(process.execPath, ['dist/main.js', ...argv], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let out = '';
  child.stdout.on('data', (text) => (out += String(text)));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out };
}

const says = async (app: Docker.Container, what: string): Promise<boolean> =>
  (await logLines(engine, app)).some((line) => line.includes(what));

test('from an app that nobody watches to a page, step by step', async (t) => {
  const steps: string[] = [];
  const step = async <T>(name: string, action: () => Promise<T>): Promise<T> => {
    const startedMs = performance.now();
    const result = await action();
    steps.push(`${name}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    return result;
  };
  const port = await freeTcpPort();
  const hook = `http://127.0.0.1:${port}/hook`;
  const pager = await step('varvel alerts rsyslog, and the log platform loads it', () =>
    Pager.start(600, '--app', 'shop', '--webhook', hook),
  );
  await using agent = await E2eAgent.start({
    dockerd: engine,
    // For tenants, as manifests/docs/alerts.md has it for Docker and Kubernetes.
    streams: [
      `syslog: {url: 'syslog+tcp://127.0.0.1:${pager.rsyslog.ports.tcp}', audience: tenant}`,
    ],
  });
  try {
    const [app, cache, deps] = ['app', 'cache', 'deps'].map((name) => join(folder, name)) as [
      ...[string, string, string],
    ];
    for (const path of [app, cache, join(deps, '0')]) mkdirSync(path, { recursive: true });
    const unwatched = await startApp(deps);
    await until('it is decided', async () => {
      return (await agent.containerStatus(unwatched.id))?.state === 'excluded';
    });
    await execInContainer(unwatched, ATTACK);
    await settled(agent);
    assert.deepEqual(await logLines(engine, unwatched), [], 'nobody watches it');

    writeFileSync(join(app, 'varvel.yml'), POLICY);
    await step('varvel policy', async () => {
      const { code, out } = await varvel('policy', join(app, 'varvel.yml'));
      assert.deepEqual([code, /rules watch the app/.test(out)], [0, true]);
    });
    await step('staging by the buildpack', () => {
      const supply = join(buildpack, 'bin', 'supply');
      execFileSync(supply, [app, cache, deps, '0'], { stdio: 'ignore' });
      return Promise.resolve();
    });
    await unwatched.remove({ force: true });
    const shop = await step(
      'start of the new container, until its log says that it is watched',
      async () => {
        const started = await startApp(deps);
        await until('it is watched', () => says(started, '(varvel.yml, verified)'));
        return started;
      },
    );
    const outcome = await step('varvel drill, until the page is there', async () => {
      const docker = (command: string): string =>
        `docker -H unix://${engine.socketPath} ${command}`;
      const { code, out } = await varvel(
        'drill',
        '--run',
        docker('exec shop sh -c'),
        '--logs',
        docker('logs shop'),
        '--listen',
        String(port),
        '-c',
        agent.configFile,
        '--timeout',
        '60s',
      );
      assert.equal(code, 0, out);
      return out;
    });
    await execInContainer(shop, ATTACK);
    await until('a real one is in the log', () => says(shop, 'Sensitive file read'));
    for (const line of [...steps, ...outcome.trimEnd().split('\n')]) t.diagnostic(line);
  } finally {
    await pager.stop();
  }
});
