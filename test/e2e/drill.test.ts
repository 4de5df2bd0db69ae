// `varvel drill` as a user runs it: a real agent and container, a real rsyslogd with what `varvel alerts rsyslog` prints as the
// way to the page, and the drill as the webhook. Then the way is cut at one place after the other.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MAX_BEGUN } from '../../src/evaluation/incidents.ts';
import type { StreamCounters } from '../../src/streams/stream.ts';

import { Pager } from '../support/alerts-pager.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { dockerLogs, runContainer } from '../support/e2e-docker.ts';
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

/** Long enough for what comes, on a busy machine. */
const PATIENCE_MS = 60_000;
const PATIENT = ['--timeout', '60s'];
/** What is cut off does not come in so long, once what is before the cut is there; */
const CUT_MS = 4000;
/** or there is nothing behind it. */
const ALL_CUT_MS = 2000;

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

/** The command with these words behind it, for a shell; it adds a line to the file when it is done. */
function noting(file: string, command: string, words: string): string {
  const script = `${file}.sh`;
  writeFileSync(script, `${command} "$@"; code=$?; echo >> ${file}; exit $code\n`);
  return `sh ${script} ${words}`;
}

const countOf = (file: string): number => (existsSync(file) ? statSync(file).size : 0);

/** A drill under way in a container, with the container's log and the webhook. */
class RunningDrill {
  readonly #marks = mkdtempSync(join(pager.folder, 'drill-'));
  readonly #acted = join(this.#marks, 'acted');
  readonly #read = join(this.#marks, 'read');
  readonly #child: ChildProcess;
  readonly #ended: Promise<[code: number]>;
  #out = '';
  #err = '';

  /** `logOf`: another container, whose log is asked. */
  constructor(name: string, { priority = 'warning', logOf = name }: DrillOptions = {}) {
    const argv = [
      'drill',
      '--run',
      noting(this.#acted, docker('exec'), `${name} sh -c`),
      '--logs',
      noting(this.#read, docker('logs'), logOf),
      '--listen',
      String(port),
      '-c',
      agent.configFile,
      '--json',
      '--priority',
      priority,
      ...PATIENT,
    ];
    const child = spawn(process.execPath, ['dist/main.js', ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (text) => (this.#out += String(text)));
    child.stderr.on('data', (text) => (this.#err += String(text)));
    this.#child = child;
    this.#ended = once(child, 'close') as Promise<[number]>;
  }

  /** What it says, with its exit code. */
  async outcome(): Promise<Outcome> {
    const [code] = await this.#ended;
    assert.notEqual(this.#out, '', this.#err);
    const outcome = JSON.parse(this.#out) as Outcome;
    assert.equal(code, outcome.broken === null ? 0 : 1, this.#out);
    return outcome;
  }

  /** What it says when it is ended after the time, and not before it has seen all that `isThere` says has come. */
  async outcomeAfter(ms: number, isThere: () => boolean | Promise<boolean>): Promise<Outcome> {
    const patience = delay(ms);
    await until('the action is over', () => countOf(this.#acted) > 0, PATIENCE_MS);
    await until('what is before the cut has come', isThere, PATIENCE_MS);
    const reads = countOf(this.#read);
    // One may be under way, the next has all, and what that one read has been taken when there is one more.
    await until('the log is read', () => countOf(this.#read) >= reads + 3, PATIENCE_MS);
    await patience;
    this.#child.kill('SIGINT');
    return await this.outcome();
  }
}

interface DrillOptions {
  readonly priority?: 'warning' | 'critical';
  readonly logOf?: string;
}

const drill = (name: string, options?: DrillOptions): Promise<Outcome> =>
  new RunningDrill(name, options).outcome();

/** Whether the agent has reported so many drills of the app, and each is in the container's log. */
async function isReported(app: string, rule: string, count = 1): Promise<boolean> {
  const lines = agent.detections(rule).filter(({ app: of }) => of?.['name'] === app);
  const log = (await dockerLogs(engine, engine.docker.getContainer(app))).toString('utf8');
  return lines.length >= count && lines.every(({ id }) => log.includes(id));
}

/** Lines that wait for the drain's receiver. */
async function waitingLines(): Promise<number> {
  const { streams } = await agent.snapshot();
  const counters = streams['syslog'] as StreamCounters & { spool?: { waiting: number } };
  return counters.spool?.waiting ?? assert.fail('the syslog stream has no spool');
}

const states = ({ hops }: Outcome): string[] => hops.map(({ hop, state }) => `${hop} ${state}`);
const said = ({ advice }: Outcome): string => advice.join('\n');

describe('a path that works', () => {
  test('is whole from the action to the webhook, and timed', async () => {
    const outcome = await drill('shop');
    assert.deepEqual(
      states(outcome),
      ['action', 'agent', 'streams', 'log', 'alert'].map((hop) => `${hop} ok`),
      JSON.stringify(outcome),
    );
    const after = new Map(outcome.hops.map(({ hop, after_ms: ms }) => [hop, ms ?? NaN]));
    for (const later of ['log', 'alert'])
      assert.ok((after.get('agent') ?? NaN) <= (after.get(later) ?? NaN), JSON.stringify(outcome));
    assert.match(outcome.notes.join('\n'), /but the agent counted a drill as well/);
    const lines = await until('the operator’s file has it too', () => {
      const found = agent.detections('Varvel drill');
      return found.length > 0 && found;
    });
    const told = lines.map(({ app, output_fields: f }) => [app?.['name'], f['fd.filename']]);
    assert.deepEqual(told, [['shop', outcome.token]]);
  });

  test('each drill pages, until there are too many; one of the other priority does', async () => {
    const beganBefore = 1;
    for (let n = beganBefore; n <= MAX_BEGUN; n++)
      assert.equal((await drill('shop')).broken, null, `drill ${n + 1}`);
    const again = await new RunningDrill('shop').outcomeAfter(CUT_MS, async () => {
      return (
        (await isReported('shop', 'Varvel drill', MAX_BEGUN + 2)) && (await waitingLines()) === 0
      );
    });
    assert.equal(again.broken, 'alert');
    assert.match(said(again), /is the same incident, of which there is one page/);
    const critical = await drill('shop', { priority: 'critical' });
    assert.equal(critical.broken, null, JSON.stringify(critical));
    assert.equal(agent.detections('Varvel drill critical')[0]?.priority, 'Critical');
  });

  test('by hand: what is printed is run, and the drain’s own lines say whose they are', async () => {
    const file = join(pager.folder, 'raw');
    const raw = `node -e 'for (const l of require("fs").readFileSync("${pager.rsyslog.folder}/received", "utf8").split("\\n").slice(0, -1)) console.log(JSON.parse(l).raw)'`;
    const waiting = spawn(
      process.execPath,
      [
        'dist/main.js',
        'drill',
        '-a',
        'mail',
        '--logs',
        raw,
        '--from',
        'syslog',
        '--json',
        ...PATIENT,
      ],
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
    // It may be over before what was run has ended.
    const over = once(waiting, 'close');
    const [ran] = (await once(spawn(file), 'close')) as [number];
    assert.equal(ran, 0);
    const [code] = (await over) as [number];
    assert.equal(code, 0, out);
    const { hops, notes } = JSON.parse(out) as Outcome & { hops: { said: string }[] };
    assert.equal(hops[3]?.said, 'the line, from the agent as the log says');
    assert.doesNotMatch(notes.join('\n'), /does not say who wrote/);
  });
});

describe('the hop that is cut is named', () => {
  test('the action: no such container', async () => {
    const outcome = await new RunningDrill('nobody').outcomeAfter(ALL_CUT_MS, () => true);
    assert.equal(outcome.broken, 'action');
    assert.match(said(outcome), /No such container: nobody/);
  });

  test('the agent: the container is not watched', async () => {
    const outcome = await new RunningDrill('stranger').outcomeAfter(ALL_CUT_MS, () => true);
    assert.equal(outcome.broken, 'agent');
    assert.match(said(outcome), /does not watch the container stranger: .*varvel\.enable/);
  });

  test('the alert: the pager behind the drain cannot page', async () => {
    const page = join(pager.folder, 'on-incident');
    const whole = readFileSync(page);
    writeFileSync(page, '#!/bin/sh\nexit 0\n');
    const outcome = await new RunningDrill('desk').outcomeAfter(CUT_MS, async () => {
      return (await isReported('desk', 'Varvel drill')) && (await waitingLines()) === 0;
    });
    writeFileSync(page, whole);
    assert.deepEqual(states(outcome).slice(2), ['streams ok', 'log ok', 'alert broken']);
    assert.match(said(outcome), /No request came to http:\/\/127\.0\.0\.1:\d+\/ in \d+ s/);
  });

  test('the log: no stream of the agent writes into it', async () => {
    const running = new RunningDrill('blog', { priority: 'critical', logOf: 'stranger' });
    const outcome = await running.outcomeAfter(CUT_MS, async () => {
      return (await isReported('blog', 'Varvel drill critical')) && (await waitingLines()) === 0;
    });
    assert.deepEqual(states(outcome).slice(1, 4), ['agent ok', 'streams ok', 'log broken']);
    assert.match(said(outcome), /its streams \(.*\bsyslog\b.*\) have nothing that waits/);
  });

  // Nearly the last: after it, what waited for the receiver would go out only some seconds after that is back.
  test('the stream: the drain’s receiver is down', async () => {
    await pager.rsyslog.kill('SIGKILL');
    const outcome = await new RunningDrill('blog').outcomeAfter(CUT_MS, async () => {
      return (await isReported('blog', 'Varvel drill')) && (await waitingLines()) > 0;
    });
    assert.equal(outcome.broken, 'streams', JSON.stringify(outcome));
    assert.match(said(outcome), /stream "syslog" has \d+ lines? that the receiver did not take/);
  });

  test('the agent: it was killed', async () => {
    await agent.end('SIGKILL');
    const running = new RunningDrill('desk', { priority: 'critical' });
    const outcome = await running.outcomeAfter(ALL_CUT_MS, () => true);
    assert.equal(outcome.broken, 'agent');
    assert.match(said(outcome), /has ended unexpectedly.*Start the agent/s);
  });
});
