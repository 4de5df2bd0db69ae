// What is denied goes on without an agent, if that is asked for, and is taken back by one command: with real processes in containers.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { agentLines, execInContainer, logLines } from '../support/e2e-docker.ts';
import { CUT_OFF, KILLED, NO_ROUTE, runApp } from './responses-fixture.ts';

let engine: TestDockerd;
let bpffs: string;
before(async () => {
  bpffs = mkdtempSync(join(tmpdir(), 'varvel-bpffs-'));
  execFileSync('mount', ['-t', 'bpf', 'none', bpffs]);
  engine = await startDockerd();
  await engine.importBusybox();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  execFileSync('umount', [bpffs]);
  rmSync(bpffs, { recursive: true });
});

const RULES = `
- rule: Elsewhere
  desc: A test's own.
  condition: evt.type = connect and fd.snet = "192.0.2.0/24"
  output: connection=%fd.name result=%evt.res
  priority: ERROR
- rule: New program run
  desc: A test's own.
  condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.exepath startswith /tmp/
  output: new program %proc.exepath
  priority: ERROR
`;
const UNSEEN = 'Varvel: denied without an agent';
const RUNS_NEW = 'cp /bin/busybox /tmp/busybox; /tmp/busybox true';

const start = (keeps = '1h', apps: readonly string[] = ['shop']): Promise<E2eAgent> =>
  E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [
      `responses: [${apps.map((app) => `{match: {rule: "*", app: ${app}}, do: deny, mode: enforce, fall_back: false}`).join(', ')}]`,
      `probe: {deny_without_agent: ${keeps}, bpf_filesystem: ${bpffs}}`,
    ],
  });
/** The directories in which something is pinned. */
const pinned = (): readonly string[] =>
  existsSync(join(bpffs, 'varvel')) ? readdirSync(join(bpffs, 'varvel')) : [];
const untilPinned = (agent: E2eAgent, containers = 1): Promise<unknown> =>
  until('it goes on without the agent', async () => {
    const { pinned: kept, verdicts } = (await agent.snapshot()).kernel;
    return (
      kept !== undefined && verdicts.denying.containers === containers && pinned().length === 1
    );
  });
async function assertDenied(shop: Docker.Container, blog: Docker.Container): Promise<void> {
  assert.equal(await execInContainer(shop, CUT_OFF), 0);
  assert.equal(await execInContainer(shop, RUNS_NEW), KILLED);
  assert.equal(await execInContainer(blog, NO_ROUTE), 0);
  assert.equal(await execInContainer(blog, RUNS_NEW), 0);
}
/** What else is said goes to the app's log. */
const CUT_OFF_OR_SAYS = `nc 192.0.2.1 9 >/tmp/said 2>&1 </dev/null; grep -q 'Operation not permitted' /tmp/said || { echo "nc: $(cat /tmp/said)" >/proc/1/fd/1; exit 1; }`;
/** Tries to connect again and again. What it returns ends that, and says how often it was refused; fails if it was not. */
function refusedAllTheTime(shop: Docker.Container): () => Promise<number> {
  const gap = new AbortController();
  const tries = (async () => {
    let count = 0;
    for (; !gap.signal.aborted; count++) {
      if ((await execInContainer(shop, CUT_OFF_OR_SAYS)) === 0) continue;
      const said = (await logLines(engine, shop)).at(-1);
      assert.fail(
        `try ${count + 1} was not refused: ${said ?? 'nothing was said'}; ${pinned().join(', ')}`,
      );
    }
    return count;
  })();
  return () => {
    gap.abort();
    return tries;
  };
}
async function assertAllowed(shop: Docker.Container): Promise<void> {
  assert.equal(await execInContainer(shop, NO_ROUTE), 0);
  assert.equal(await execInContainer(shop, RUNS_NEW), 0);
}

test('a killed agent leaves what it denies, and the next one takes it over without a gap', async () => {
  await using agent = await start();
  const [shop, blog] = [
    await runApp(engine, 'shop', 'production'),
    await runApp(engine, 'blog', 'production'),
  ];
  try {
    await untilPinned(agent);
    assert.match(
      agent.varvel('status').stdout,
      /^what is denied stays denied without the agent, for 1h/m,
    );
    await assertDenied(shop, blog);
    await agent.end('SIGKILL');
    const [left] = pinned();
    // The first three seconds are not counted.
    await delay(3500);
    await assertDenied(shop, blog);
    // Meanwhile the next one starts.
    const stop = refusedAllTheTime(shop);
    await agent.run();
    await untilPinned(agent);
    assert.notEqual(pinned()[0], left);
    await until('the app is told', async () =>
      (await agentLines(engine, shop)).some(({ rule }) => rule === UNSEEN),
    );
    assert.ok((await stop()) > 0);
    await assertDenied(shop, blog);
    assert.deepEqual(
      (await agentLines(engine, blog)).filter(({ rule }) => rule === UNSEEN),
      [],
    );

    // It ends in order: as asked for, this goes on too. One command takes it back without an agent.
    await agent.end();
    await assertDenied(shop, blog);
    const lifted = agent.varvel('lift');
    assert.equal(lifted.code, 0, lifted.stderr);
    assert.match(lifted.stdout, /^No agent runs\. What the last one left denied is allowed now\./);
    await until('nothing is denied', async () => (await execInContainer(shop, NO_ROUTE)) === 0);
    await assertAllowed(shop);
    assert.deepEqual(pinned(), []);
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

test('after kill -9 one app is given back, then one rule; the next agent takes on the time that was given', async () => {
  await using agent = await start('keep', ['shop', 'blog']);
  const [shop, blog] = [
    await runApp(engine, 'shop', 'production'),
    await runApp(engine, 'blog', 'production'),
  ];
  const lift = (...options: string[]): string => {
    const { code, stdout, stderr } = agent.varvel('lift', ...options);
    assert.equal(code, 0, stdout + stderr);
    return stdout;
  };
  const allDenied = async (app: Docker.Container): Promise<void> => {
    assert.equal(await execInContainer(app, CUT_OFF), 0);
    assert.equal(await execInContainer(app, RUNS_NEW), KILLED);
  };
  try {
    await untilPinned(agent, 2);
    await agent.end('SIGKILL');
    await allDenied(shop);
    const stop = refusedAllTheTime(blog);
    assert.match(
      lift('--app', 'nobody'),
      /^No agent runs\. It is known of nothing that it is denied in app nobody\.$/m,
    );
    await allDenied(shop);
    const said = lift('--app', 'shop', '--for', '1h');
    assert.match(
      said,
      /^No agent runs\. What the last one left denied in app shop is allowed now, in 1 container\.\nAn agent that starts before (\S+) enforces it again at \1\. /,
    );
    // At once.
    await assertAllowed(shop);
    const lifts = join(agent.folder, 'state', 'lifts');
    assert.ok(existsSync(lifts));
    assert.equal(await execInContainer(blog, RUNS_NEW), KILLED);
    const both = agent.varvel('lift', '--app', 'blog', '--rule', 'New program*');
    assert.equal(both.code, 0, 'its table is its own by now');
    assert.match(both.stdout, /denied in app blog by "New program run" is allowed now, in 1 /);
    assert.equal(await execInContainer(blog, RUNS_NEW), 0);
    assert.ok((await stop()) > 0, 'its connections stay refused');
    assert.match(lift('--rule', 'Else*'), /denied by "Elsewhere" is allowed now, in 1 container/);
    await assertAllowed(blog);

    await agent.run();
    await untilPinned(agent);
    await allDenied(blog);
    await assertAllowed(shop);
    assert.match(agent.varvel('status').stdout, /^LIFTED: .* in app shop, for [56]\d more/m);
    assert.match(lift('--end', '--app', 'shop'), /^Ended 1 lift: responses are enforced again\.$/m);
    await untilPinned(agent, 2);
    await allDenied(shop);
    assert.ok(!existsSync(lifts));
    await agent.end();
    lift();
    assert.deepEqual(pinned(), []);
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});

test('an uninstall after a crash leaves nothing, and a successor takes over: also where nothing else ends it', async () => {
  await using agent = await start('keep');
  const shop = await runApp(engine, 'shop', 'production');
  try {
    await untilPinned(agent);
    assert.match(
      agent.varvel('status').stdout,
      /^what is denied stays denied without the agent, until somebody ends it/m,
    );
    const [former] = pinned();
    const stop = refusedAllTheTime(shop);
    await agent.replace();
    await until('the successor denies', () => {
      const [now] = pinned();
      return pinned().length === 1 && now !== former;
    });
    assert.ok((await stop()) > 0);
    await agent.end('SIGKILL');
    const { code, stdout } = agent.varvel('uninstall');
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^removed ${bpffs}/varvel/`, 'm'));
    assert.ok(!existsSync(join(agent.folder, 'state')), 'its record goes with the folder');
    assert.deepEqual(pinned(), []);
    await until('nothing is denied', async () => (await execInContainer(shop, NO_ROUTE)) === 0);
    await assertAllowed(shop);
  } finally {
    await shop.remove({ force: true });
  }
});
