// `varvel drill` as a user runs it: a real agent and container, a real rsyslogd with what `varvel alerts rsyslog` prints as the
// way to the page, and the drill as the webhook. Then the way is cut at one place after the other.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Pager } from '../support/alerts-pager.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { runContainer } from '../support/e2e-docker.ts';
import { freeTcpPort } from '../support/rsyslog.ts';

interface Outcome {
  readonly token: string;
  readonly broken: string | null;
  readonly advice: readonly string[];
  readonly notes: readonly string[];
  readonly hops: readonly {
    readonly hop: string;
    readonly state: string;
    readonly after_ms: number | null;
    readonly took_ms: number | null;
  }[];
}

/** Long enough for a path that works, on a busy machine. */
const PATIENT = ['--timeout', '60s'];
/** What is cut does not come later; what is before it does by then, */
const SHORT = ['--timeout', '4s'];
/** or there is nothing. */
const SHORTEST = ['--timeout', '2s'];

let engine: TestDockerd;
let pager: Pager;
let agent: E2eAgent;
let port: number;

before(async () => {
  engine = await startDockerd();
  port = await freeTcpPort();
  pager = await Pager.start(600, '-w', `http://127.0.0.1:${port}/hook`);
  agent = await E2eAgent.start({
    dockerd: engine,
    config: ['coverage: {interval: 5s}'],
    streams: [`syslog: {url: 'syslog+tcp://127.0.0.1:${pager.rsyslog.ports.tcp}'}`],
  });
  for (const name of ['shop', 'blog', 'desk', 'mail'])
    await runContainer(engine, 'exec sleep 600', {
      name,
      labels: { 'varvel.enable': 'true', 'varvel.app': name },
    });
  await runContainer(engine, 'exec sleep 600', { name: 'stranger' });
});

after(async () => {
  await agent[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
  await pager.stop();
});

const docker = (command: string): string => `docker -H unix://${engine.socketPath} ${command}`;

/** A drill in a container, with the container's log and the webhook; what it says, and its exit code. */
async function drill(name: string, ...more: readonly string[]): Promise<Outcome> {
  const run = ['--run', docker(`exec ${name} sh -c`), '--logs', docker(`logs ${name}`)];
  const { code, out, err } = await varvel(
    ...['drill', ...run, '--listen', String(port), '-c', agent.configFile, '--json', ...more],
  );
  assert.notEqual(out, '', err);
  const outcome = JSON.parse(out) as Outcome;
  assert.equal(code, outcome.broken === null ? 0 : 1, out);
  return outcome;
}

async function varvel(
  ...argv: readonly string[]
): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, ['dist/main.js', ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (text) => (out += String(text)));
  child.stderr.on('data', (text) => (err += String(text)));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

const states = ({ hops }: Outcome): string[] => hops.map(({ hop, state }) => `${hop} ${state}`);
const said = ({ advice }: Outcome): string => advice.join('\n');

describe('a path that works', () => {
  test('is whole from the action to the webhook, and timed', async () => {
    const outcome = await drill('shop', ...PATIENT);
    assert.deepEqual(
      states(outcome),
      ['action', 'agent', 'streams', 'log', 'alert'].map((hop) => `${hop} ok`),
      JSON.stringify(outcome),
    );
    const after = new Map(outcome.hops.map(({ hop, after_ms: ms }) => [hop, ms ?? NaN]));
    for (const later of ['log', 'alert'])
      assert.ok((after.get('agent') ?? NaN) <= (after.get(later) ?? NaN), JSON.stringify(outcome));
    assert.match(outcome.notes.join('\n'), /but the agent counted a drill as well/);
    const lines = agent.detections('Varvel drill');
    const told = lines.map(({ app, output_fields: f }) => [app?.['name'], f['fd.filename']]);
    assert.deepEqual(told, [['shop', outcome.token]]);
  });

  test('a second drill of the app is the same incident; one of the other priority is another', async () => {
    const again = await drill('shop', ...SHORT);
    assert.equal(again.broken, 'alert');
    assert.match(said(again), /is the same incident, of which there is one page/);
    const critical = await drill('shop', '--priority', 'critical', ...PATIENT);
    assert.equal(critical.broken, null, JSON.stringify(critical));
    assert.equal(agent.detections('Varvel drill critical')[0]?.priority, 'Critical');
  });

  test('by hand: what is printed is run, and the drain’s own lines say whose they are', async () => {
    const file = join(pager.folder, 'raw');
    const raw = `node -e 'for (const l of require("fs").readFileSync("${pager.rsyslog.folder}/received", "utf8").split("\\n").slice(0, -1)) console.log(JSON.parse(l).raw)'`;
    const waiting = spawn(
      process.execPath,
      [...['dist/main.js', 'drill', '-a', 'mail', '--logs', raw, '--json'], ...PATIENT],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let [out, err] = ['', ''];
    waiting.stdout.on('data', (text) => (out += String(text)));
    waiting.stderr.on('data', (text) => (err += String(text)));
    const command = await until('it says what to run', () =>
      err.includes('Waiting at most')
        ? /^ +Docker +docker (exec mail .*)$/m.exec(err)?.[1]
        : undefined,
    );
    writeFileSync(file, `#!/bin/sh\n${docker(command)}\n`);
    chmodSync(file, 0o755);
    const [ran] = (await once(spawn(file), 'close')) as [number];
    assert.equal(ran, 0);
    const [code] = (await once(waiting, 'close')) as [number];
    assert.equal(code, 0, out);
    const { hops, notes } = JSON.parse(out) as Outcome & { hops: { said: string }[] };
    assert.equal(hops[3]?.said, 'the line, from the agent as the log says');
    assert.doesNotMatch(notes.join('\n'), /does not say who wrote/);
  });
});

describe('the hop that is cut is named', () => {
  test('the action: no such container', async () => {
    const outcome = await drill('nobody', ...SHORTEST);
    assert.equal(outcome.broken, 'action');
    assert.match(said(outcome), /No such container: nobody/);
  });

  test('the agent: the container is not watched', async () => {
    const outcome = await drill('stranger', ...SHORTEST);
    assert.equal(outcome.broken, 'agent');
    assert.match(said(outcome), /does not watch the container stranger: .*varvel\.enable/);
  });

  test('the alert: the pager behind the drain cannot page', async () => {
    const page = join(pager.folder, 'on-incident');
    const whole = readFileSync(page);
    writeFileSync(page, '#!/bin/sh\nexit 0\n');
    const outcome = await drill('desk', ...SHORT);
    writeFileSync(page, whole);
    assert.deepEqual(states(outcome).slice(2), ['streams ok', 'log ok', 'alert broken']);
    assert.match(said(outcome), /No request came to http:\/\/127\.0\.0\.1:\d+\/ in \d s/);
  });

  test('the stream: the drain’s receiver is down', async () => {
    await pager.rsyslog.kill('SIGKILL');
    const outcome = await drill('blog', ...SHORT);
    assert.equal(outcome.broken, 'streams', JSON.stringify(outcome));
    assert.match(said(outcome), /stream "syslog" has \d+ lines? that the receiver did not take/);
    await pager.rsyslog.run();
  });

  test('the log: no stream of the agent writes into it', async () => {
    const others = ['--logs', docker('logs stranger')];
    const outcome = await drill('blog', '--priority', 'critical', ...others, ...SHORT);
    assert.deepEqual(states(outcome).slice(1, 4), ['agent ok', 'streams ok', 'log broken']);
    assert.match(said(outcome), /its streams \(.*\bsyslog\b.*\) have nothing that waits/);
  });

  test('the agent: it was killed', async () => {
    await agent.end('SIGKILL');
    const outcome = await drill('desk', '--priority', 'critical', ...SHORTEST);
    assert.equal(outcome.broken, 'agent');
    assert.match(said(outcome), /has ended without a word.*Start the agent/s);
  });
});
