import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { buildApp, E2eAgent, settled, until, type DetectionLine } from '../support/e2e-agent.ts';
import { execInContainer, logLines, runContainer } from '../support/e2e-docker.ts';

// Rules are replaced again and again while a container opens files without a pause.

const ENABLED = { 'varvel.enable': 'true' };
const STEPS_PER_SECOND = 400;
const RELOADS = 24;
const OPENS = 'evt.type in (open, openat, openat2)';

let engine: TestDockerd;

before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

/**
 * The rules of round n. All see the opens that fail; of the others, even rounds see those for reading and odd ones those
 * for writing, so that the kernel reports one kind or the other and hooks come and go. Padded, so that loading takes a
 * while.
 */
function rulesOf(round: number): string {
  const [yes, no] = round % 2 === 0 ? ['read', 'write'] : ['write', 'read'];
  const rule = (name: string, condition: string): string =>
    `- rule: ${name}\n  desc: A test's own.\n  condition: ${condition}\n  output: set=${round} file=%fd.name\n  priority: NOTICE\n`;
  const padding = Array.from({ length: 150 }, (_, index) =>
    rule(
      `Padding ${index}`,
      `evt.type = execve and proc.name = none${index} and (proc.cmdline contains "x${index}" or proc.pname in (a, b))`,
    ),
  );
  return [
    `# round ${round}\n`,
    rule('Both', `${OPENS} and evt.failed = true and fd.name startswith /steps/b.`),
    rule(
      'One',
      `${OPENS} and evt.failed = false and evt.is_open_${yes} = true and evt.is_open_${no} = false and fd.name startswith /steps/`,
    ),
    ...(round % 2 === 0 ? [] : [rule('Connects', 'evt.type = connect and fd.sport = 9')]),
    ...padding,
  ].join('');
}

interface Seen {
  readonly round: number;
  readonly kind: string;
  readonly step: number;
}

function seenIn(lines: readonly DetectionLine[]): Seen[] {
  return lines.map(({ output }) => {
    const match = / set=(\d+) file=\/steps\/(\w)\.(\d+)$/.exec(output);
    assert.ok(match, output);
    return { round: Number(match[1]), kind: match[2] ?? '', step: Number(match[3]) };
  });
}

/** Lines so far, though the agent may be at the next one. */
function linesOf(agent: E2eAgent): DetectionLine[] {
  const text = readFileSync(agent.operatorFile, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as DetectionLine);
}

const lastRound = (agent: E2eAgent): number => seenIn(linesOf(agent).slice(-1))[0]?.round ?? -1;

test('rules are replaced 24 times under a steady stream: every event is evaluated, by one whole set, in order', async (t) => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': rulesOf(0) },
    streams: ['container: {enabled: false}'],
    config: ['limits: {enabled: false}'],
  });
  const file = join(agent.folder, 'own.yaml');
  const app = await runContainer(engine, ['/app', 'steps', String(STEPS_PER_SECOND), '/steps'], {
    labels: ENABLED,
    hostConfig: { Binds: [buildApp(agent.folder)], Tmpfs: { '/steps': '' } },
  });
  try {
    await until('the first detection', () => lastRound(agent) === 0);
    let refused = 0;
    let rssMib = 0;
    for (let round = 1; round <= RELOADS; round++) {
      if (round % 6 === 0) {
        // What is broken changes nothing: it is reported, and the rules before go on.
        writeFileSync(`${file}.new`, rulesOf(round).replace('fd.name startswith', 'fd.nmae ='));
        renameSync(`${file}.new`, file);
        refused++;
        await until('the bad file is refused', async () => (await agent.snapshot()).rules.stale);
        assert.equal(lastRound(agent), round - 1);
      }
      if (round % 2 === 0) {
        writeFileSync(file, rulesOf(round));
        agent.kill('SIGHUP');
      } else {
        writeFileSync(`${file}.new`, rulesOf(round));
        renameSync(`${file}.new`, file);
      }
      // At a load of 20 it takes half a minute to read the rules.
      await until(`round ${round} is in force`, () => lastRound(agent) === round, 300_000);
      if (round === 4) rssMib = agent.rssMib();
    }
    const { rules } = await agent.snapshot();
    assert.equal(rules.digest, createHash('sha256').update(rulesOf(RELOADS)).digest('hex'));
    assert.equal(rules.stale, false);
    assert.equal(rules.reloads.failed, refused);
    assert.ok(rules.reloads.ok >= RELOADS, `${rules.reloads.ok} reloads`);

    assert.equal(await execInContainer(app, 'touch /steps/stop'), 0);
    await app.wait();
    const end = await settled(agent);
    assert.equal(end.kernel.dropped, 0);
    assert.ok(end.kernel.prefiltered > 0, 'the kernel kept back what no rule could match');
    // On a busy host the engine writes its last output after its end.
    const steps = await until(
      'it says how many steps it took',
      async () => Number((await logLines(engine, app)).at(-1)) || undefined,
    );
    const seen = seenIn(agent.detections());

    const both = seen.filter(({ kind }) => kind === 'b');
    assert.deepEqual(
      both.map(({ step }) => step),
      Array.from({ length: steps }, (_, index) => index + 1),
      'each once, in order',
    );
    for (const [index, { round }] of seen.entries()) {
      const before = seen[index - 1]?.round ?? 0;
      assert.ok(round === before || round === before + 1, `set ${round} after ${before}`);
    }
    // Of r.n and w.n each set sees one. A swap between the two may leave a step with both or none, never more than that.
    const counts = new Map<number, number>();
    for (const { kind, step, round } of seen) {
      if (kind === 'b') continue;
      assert.equal(kind, round % 2 === 0 ? 'r' : 'w');
      counts.set(step, (counts.get(step) ?? 0) + 1);
    }
    const roundAt = new Map(both.map(({ step, round }) => [step, round]));
    let odd = 0;
    for (let step = 1; step <= steps; step++) {
      if (counts.get(step) === 1) continue;
      odd++;
      const rounds = [step, step + 1].map((n) => roundAt.get(n) ?? RELOADS);
      assert.notEqual(rounds[0], rounds[1], `step ${step}: ${counts.get(step) ?? 0} seen, no swap`);
    }
    assert.ok(odd <= RELOADS);
    t.diagnostic(
      `${steps} steps, ${rules.reloads.ok} reloads, ${refused} refused; ${odd} swaps within a step; ` +
        `resident ${rssMib.toFixed(0)} MiB after 4 reloads, ${agent.rssMib().toFixed(0)} MiB at the end`,
    );
  } finally {
    await app.remove({ force: true }).catch(() => undefined);
  }
});

test('a large rule set is loaded beside a busy container: its events are taken meanwhile, none is lost', async (t) => {
  const rule = (name: string, condition: string): string =>
    `- {rule: ${name}, desc: d, priority: NOTICE, output: o, condition: '${condition}'}\n`;
  // One rule wants the opens; what takes long to load is about something else.
  const files = Object.fromEntries(
    Array.from({ length: 16 }, (_, file) => {
      const rules = Array.from({ length: 300 }, (__, index) => {
        const name = `none${file * 300 + index}`;
        return rule(
          `Rule ${name}`,
          `evt.type = execve and (proc.name = ${name} or proc.cmdline contains "${name}")`,
        );
      });
      return [`${file}.yaml`, rules.join('')];
    }),
  );
  // The kernel knows no parents: each open is evaluated.
  const opens = rule('Opens', `${OPENS} and proc.pname = none`);
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': opens, ...files },
  });
  const app = await runContainer(engine, ['/app', 'steps', '500', '/steps'], {
    labels: ENABLED,
    hostConfig: { Binds: [buildApp(agent.folder)], Tmpfs: { '/steps': '' } },
  });
  try {
    await until('opens come', async () => (await agent.snapshot()).engine.evaluated > 1000);
    for (let round = 1; round <= 3; round++) {
      writeFileSync(join(agent.folder, 'own.yaml'), `# ${round}\n${opens}`);
      agent.kill('SIGHUP');
      // What is evaluated grows from answer to answer; one that loads without a pause gives none before it is done.
      const evaluated = new Set<number>();
      await until(
        'a reload',
        async () => {
          const { engine: counts, rules } = await agent.snapshot();
          if (rules.reloads.ok === round) return true;
          evaluated.add(counts.evaluated);
          return false;
        },
        180_000,
      );
      assert.ok(evaluated.size > 5, `events are taken meanwhile: ${[...evaluated].join(', ')}`);
    }
    assert.equal(await execInContainer(app, 'touch /steps/stop'), 0);
    await app.wait();
    const { kernel, received } = await settled(agent);
    assert.equal(kernel.dropped, 0);
    assert.equal(received, kernel.emitted);
    const times = [...agent.log().matchAll(/"ms":(\d+),"msg":"rules reloaded"/g)];
    t.diagnostic(
      `${kernel.emitted} records, none lost; reloads took ${times.map(([, ms]) => `${ms} ms`).join(', ')}`,
    );
  } finally {
    await app.remove({ force: true }).catch(() => undefined);
  }
});

test('a refused reload is told by status, metrics and log; the configuration’s rule settings are reloaded too', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': rulesOf(0) },
  });
  const file = join(agent.folder, 'own.yaml');
  const config = readFileSync(agent.configFile, 'utf8');
  const ok = (await agent.snapshot()).rules.reloads.ok;
  assert.match(await agent.metrics(), /^varvel_rules_last_reload_successful 1$/m);

  writeFileSync(file, rulesOf(0).replace('fd.name startswith', 'fd.nmae ='));
  await until('it is refused', async () => (await agent.snapshot()).rules.stale);
  const { stdout } = agent.varvel('status');
  assert.match(stdout, /^RULES NOT RELOADED at \S+Z: the previous rules stay in force, because$/m);
  assert.match(stdout, /own\.yaml:4:\d+: error: .*fd\.nmae/);
  const metrics = await agent.metrics();
  assert.match(metrics, /^varvel_rules_reloads_total\{result="failed"\} 1$/m);
  assert.match(metrics, /^varvel_rules_last_reload_successful 0$/m);
  await agent.logged(/the rules were not reloaded: the previous rules stay in force/);

  writeFileSync(file, rulesOf(0));
  await until('it is in force again', async () => !(await agent.snapshot()).rules.stale);
  assert.doesNotMatch(agent.varvel('status').stdout, /NOT RELOADED/);

  const settings = 'rules: [{disable: {rule: "*"}}, {enable: {rule: One}}]\nhold_time: 1s\n';
  writeFileSync(agent.configFile, `${config}${settings}`);
  await until('one rule is left', async () => (await agent.snapshot()).rules.enabled === 1);
  await agent.logged(/"keys":\["hold_time"\].*take effect when the agent restarts/);

  writeFileSync(agent.configFile, `${config}minimum_priorty: notice\n`);
  await until('it is refused', async () => (await agent.snapshot()).rules.stale);
  const refused = await agent.snapshot();
  assert.match(refused.rules.lastFailure?.reason ?? '', /varvel\.yaml:\d+:1: There is no key/);
  assert.equal(refused.rules.enabled, 1);

  // Off: a change waits for the signal.
  writeFileSync(agent.configFile, `${config}watch_config_files: false\n`);
  await until('nothing is watched', async () => !(await agent.snapshot()).rules.watching);
  writeFileSync(file, rulesOf(1));
  await delay(600);
  const unchanged = await agent.snapshot();
  assert.equal(unchanged.rules.reloads.ok, ok + 3);
  agent.kill('SIGHUP');
  await until('the signal', async () => (await agent.snapshot()).rules.reloads.ok === ok + 4);
});
