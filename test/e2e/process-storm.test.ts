// A container that makes processes without end, and an agent under the memory limit that it is shipped with.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { buildApp, E2eAgent, settled, until } from '../support/e2e-agent.ts';
import { logLines, runContainer } from '../support/e2e-docker.ts';
import { MemoryCgroup } from '../support/memory-cgroup.ts';

/** MemoryMax of manifests/systemd/varvel.service. */
const LIMIT_BYTES = 512 * 1024 * 1024;
const MOST_MIB = 300;
const PROCESSES = 8000;
const EXECS = 4000;
/** Only a hang takes as long. */
const MOST_MS = 300_000;
const ENABLED = { 'varvel.enable': 'true' };

const RULES = `
- rule: Critical command
  desc: A test's own.
  condition: evt.type in (execve, execveat) and proc.args startswith critical-
  output: ran %proc.args
  priority: CRITICAL
`;

let engine: TestDockerd;
let folder: string;
let appMount: string;

before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
  folder = mkdtempSync(join(tmpdir(), 'varvel-process-storm-'));
  appMount = buildApp(folder);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a critical command twice a second until `shared`/stop is there; prints how many it ran. */
const QUIET = `n=0
until [ -e /shared/stop ]; do n=$((n+1)); /bin/true critical-$n; sleep 0.5; done
echo ran $n`;

test('thousands of processes with large environments and a storm of execs with large arguments end nobody', async (t) => {
  await using memory = new MemoryCgroup(LIMIT_BYTES);
  await using agent = await E2eAgent.start({
    dockerd: engine,
    memory,
    rules: { 'own.yaml': RULES },
    config: ['limits: {enabled: false}'],
  });
  const { pid } = agent;
  const startMib = agent.rssMib();
  let highestMib = 0;
  const timer = setInterval(() => {
    if (agent.running) highestMib = Math.max(highestMib, agent.rssMib());
  }, 100);
  const shared = join(folder, 'shared');
  mkdirSync(shared);
  const containers: Docker.Container[] = [];
  const run = async (command: string, mounts: readonly string[]): Promise<Docker.Container> => {
    const container = await runContainer(engine, command, {
      labels: ENABLED,
      hostConfig: { Binds: [...mounts] },
    });
    containers.push(container);
    return container;
  };
  try {
    const quiet = await run(QUIET, [`${shared}:/shared:ro`]);
    const seen = (): number => agent.detections('Critical command').length;
    await until('the quiet container is watched', () => seen() > 1);

    const crowd = await run(`exec /app crowd ${PROCESSES} 8100`, [appMount]);
    await until(
      'the crowd is there',
      async () => (await logLines(engine, crowd)).includes(String(PROCESSES)),
      MOST_MS,
    );
    const storm = await run(`exec /app execs ${EXECS} 16200`, [appMount]);
    await until(
      'the storm is over',
      async () => (await logLines(engine, storm)).includes(String(EXECS)),
      MOST_MS,
    );
    const before = seen();
    await until('detections keep arriving', () => seen() > before + 1);
    const { processes } = await agent.snapshot();
    assert.ok(processes.imagesCut > 0, 'there was more than may be kept');
    await agent.logged(/more programs with large arguments and environments than there is room/);
    assert.ok(processes.processes > PROCESSES / 2, String(processes.processes));

    await crowd.remove({ force: true });
    containers.splice(containers.indexOf(crowd), 1);
    writeFileSync(join(shared, 'stop'), '');
    const ran = await until('the quiet container is through', async () => {
      const line = (await logLines(engine, quiet)).find((text) => text.startsWith('ran '));
      return line === undefined ? undefined : Number(line.slice(4));
    });
    await settled(agent, MOST_MS);
    assert.deepEqual(
      agent
        .detections('Critical command')
        .map(({ output }) => output.slice(output.indexOf('ran '))),
      Array.from({ length: ran }, (_, index) => `ran critical-${index + 1}`),
      'each one, once, in order',
    );
    const status = await agent.containerStatus(quiet.id);
    assert.equal(status?.dropped, 0);
    assert.deepEqual([agent.running, agent.pid, memory.oomKills()], [true, pid, 0]);
    assert.ok(highestMib < MOST_MIB, `${highestMib} MiB`);
    await until(
      () => `memory comes back: ${startMib} MiB at the start, ${agent.rssMib()} now`,
      () => agent.rssMib() < 1.5 * startMib,
      MOST_MS,
    );
    t.diagnostic(
      `MiB: ${startMib.toFixed(0)} at the start, ${highestMib.toFixed(0)} at most, ${agent.rssMib().toFixed(0)} afterwards; ${processes.imagesCut} programs gave up their words`,
    );
  } finally {
    clearInterval(timer);
    for (const container of containers) await container.remove({ force: true });
  }
});
