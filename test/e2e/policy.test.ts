// Apps with policies of their own, as a label of their containers: each app has its own rules, and no other's.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, settled, until, type DetectionLine } from '../support/e2e-agent.ts';
import { execInContainer, logLines, runContainer } from '../support/e2e-docker.ts';

const RULES = `
- macro: reading
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true
- rule: Shadow read
  desc: A test's own.
  condition: reading and fd.name = /etc/shadow
  exceptions:
    - {name: programs, fields: proc.exepath, comps: in, values: [/nowhere]}
  output: shadow read
  priority: NOTICE
- rule: Passwd read
  desc: A test's own.
  condition: reading and fd.name = /etc/passwd
  output: passwd read
  priority: ERROR
  tags: [kept]
`;
const POLICY = `
minimum_priority: warning
rules: [{disable: {rule: Passwd read}}]
custom_rules:
  - rule: Group read
    desc: The shop's own.
    condition: reading and fd.name = /etc/group
    output: group read by %proc.exepath
    priority: CRITICAL
  - rule: Folder of the shop
    desc: An event that no other rule asks for.
    condition: evt.type in (mkdir, mkdirat) and evt.arg.path startswith /tmp/own
    output: made %evt.arg.path
    priority: WARNING
`;
const EXCEPTED = `
custom_rules:
  - rule: Shadow read
    exceptions: [{name: programs, values: [/bin/busybox]}]
    override: {exceptions: append}
`;
/** A shell that reads all three, and makes a folder. */
const DO =
  'read -r a < /etc/shadow; read -r a < /etc/passwd; read -r a < /etc/group; mkdir /tmp/own.$$';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

function runApp(name: string, policy?: string): Promise<Docker.Container> {
  return runContainer(engine, 'exec sleep 600', {
    labels: {
      'varvel.enable': 'true',
      'varvel.app': name,
      ...(policy === undefined ? {} : { 'varvel.policy': policy }),
    },
  });
}

/** Lines of a container's own log, of rules alone or of the agent itself. */
async function linesOf(app: Docker.Container, own: boolean): Promise<DetectionLine[]> {
  return (await logLines(engine, app))
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as DetectionLine)
    .filter(({ rule }) => rule.startsWith('Varvel: ') === own);
}
const rulesOf = async (app: Docker.Container): Promise<string[]> =>
  (await linesOf(app, false)).map(({ rule }) => rule);

/** All rules that have told something in its log, once the engine has written so many lines of it. */
const rulesTold = (app: Docker.Container, count: number): Promise<string[]> =>
  until(`${count} lines in its log`, async () => {
    const found = await rulesOf(app);
    return found.length >= count && found;
  });

test('each app has the rules of its own policy, from its first event on; a wrong one is refused in its log', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['rule_matching: first'],
  });
  const plain = await runApp('plain');
  const shop = await runApp('shop', POLICY);
  const excepted = await runApp('excepted', EXCEPTED);
  const wrong = await runApp('wrong', POLICY.replace('reading and', 'raeding and'));
  const all = [plain, shop, excepted, wrong];
  try {
    for (const app of [shop, excepted, wrong]) {
      await until('the policy is told', async () => (await linesOf(app, true)).length > 0);
    }
    assert.deepEqual(await linesOf(plain, true), []);
    const [refused] = await linesOf(wrong, true);
    assert.ok(refused);
    assert.deepEqual([refused.rule, refused.priority], ['Varvel: policy', 'Warning']);
    assert.match(
      refused.output,
      /The policy \(varvel\.policy\) of this app is refused, .*varvel\.policy:7:\d+: error: .*Undefined macro 'raeding'.*Did you mean 'reading'/,
    );
    const [inForce] = await linesOf(shop, true);
    assert.match(
      inForce?.output ?? '',
      /is in force: 2 rules from Warning up, 2 of its own, 0 with exceptions of its own, 2 off/,
    );
    for (const app of all) assert.equal(await execInContainer(app, DO), 0);
    await settled(agent);
    for (const [app, rules] of [
      [plain, ['Shadow read', 'Passwd read']],
      [shop, ['Group read', 'Folder of the shop']],
      [excepted, ['Passwd read']],
      [wrong, ['Shadow read', 'Passwd read']],
    ] as const)
      assert.deepEqual(await rulesTold(app, rules.length), rules);
    const [line] = await linesOf(shop, false);
    assert.ok(line);
    assert.deepEqual([line.priority, line.app?.['name'], line.seq], ['Critical', 'shop', 1]);
    assert.match(line.output, /group read by \/bin\/busybox$/);
  } finally {
    for (const app of all) await app.remove({ force: true });
  }
});

test('a policy in a label alone asks to be watched; "varvel.enable: false" refuses; without policies its log says so', async () => {
  const start = (policies: string) =>
    E2eAgent.start({
      dockerd: engine,
      noDefaultRules: true,
      rules: { 'own.yaml': RULES },
      config: ['rule_matching: first', `policies: {enabled: ${policies}}`],
    });
  const runWith = (labels: Readonly<Record<string, string>>): Promise<Docker.Container> =>
    runContainer(engine, 'exec sleep 600', { labels });
  const asking = await runWith({ 'varvel.policy': POLICY, 'varvel.app': 'asking' });
  const wrong = await runWith({ 'varvel.policy': 'rulez: []' });
  const refusing = await runWith({ 'varvel.policy': POLICY, 'varvel.enable': 'false' });
  const silent = await runWith({ 'varvel.app': 'silent' });
  const all = [asking, wrong, refusing, silent];
  const policyLines = async (app: Docker.Container): Promise<string[]> =>
    (await linesOf(app, true)).map(({ output }) => output);
  try {
    {
      await using agent = await start('true');
      for (const app of [asking, wrong])
        await until('the policy is told', async () => (await policyLines(app)).length > 0);
      assert.match((await policyLines(asking))[0] ?? '', /is in force: 2 rules/);
      assert.match((await policyLines(wrong))[0] ?? '', /is refused, .*rulez/);
      for (const app of all) assert.equal(await execInContainer(app, DO), 0);
      await settled(agent);
      assert.deepEqual(await rulesTold(asking, 2), ['Group read', 'Folder of the shop']);
      assert.deepEqual(await rulesTold(wrong, 2), ['Shadow read', 'Passwd read']);
    }
    {
      await using agent = await start('false');
      await until('it is told', async () => (await policyLines(asking)).length > 1);
      assert.match(
        (await policyLines(asking))[1] ?? '',
        / Warning The policy \(varvel\.policy\) of this app is refused, .*apps have no policies/,
      );
      assert.equal(await execInContainer(asking, DO), 0);
      await settled(agent);
      assert.deepEqual((await rulesTold(asking, 4)).slice(2), ['Shadow read', 'Passwd read']);
    }
    for (const app of [refusing, silent]) assert.deepEqual(await logLines(engine, app), []);
  } finally {
    for (const app of all) await app.remove({ force: true });
  }
});

test('what the operator pins stays, also from a reload on; without policies all apps have the same rules', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['rule_matching: all', 'policies: {pinned: [{tag: none}]}'],
  });
  const shop = await runApp('shop', POLICY);
  const attack = async (last: string): Promise<string[]> => {
    const before = (await rulesOf(shop)).length;
    assert.equal(await execInContainer(shop, DO), 0);
    await until('it is told', async () => (await rulesOf(shop)).slice(before).includes(last));
    await settled(agent);
    return (await rulesOf(shop)).slice(before);
  };
  const reload = async (policies: string): Promise<void> => {
    const changed = readFileSync(agent.configFile, 'utf8').replace(
      /^policies: .*$/m,
      `policies: ${policies}`,
    );
    writeFileSync(agent.configFile, changed);
    await agent.reload();
  };
  try {
    await until('the policy is told', async () => (await linesOf(shop, true)).length > 0);
    assert.deepEqual(await attack('Folder of the shop'), ['Group read', 'Folder of the shop']);
    await reload('{pinned: [{tag: kept}]}');
    assert.deepEqual(await attack('Folder of the shop'), [
      'Passwd read',
      'Group read',
      'Folder of the shop',
    ]);
    await reload('{enabled: false}');
    assert.deepEqual(await attack('Passwd read'), ['Shadow read', 'Passwd read']);
  } finally {
    await shop.remove({ force: true });
  }
});

test('a coverage line says how many rules watch the app, and of its policy', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['coverage: {enabled: true}'],
  });
  const [shop, plain] = [await runApp('shop', POLICY), await runApp('plain')];
  try {
    const coverageOf = async (app: Docker.Container): Promise<DetectionLine | undefined> =>
      (await linesOf(app, true)).find(({ rule }) => rule === 'Varvel: coverage');
    const own = await until('coverage of the shop', () => coverageOf(shop));
    assert.equal(own.output_fields['coverage.policy'], 'in force');
    assert.equal(own.output_fields['coverage.rules'], 2);
    assert.match(own.output, /with 2 rules \(its own policy is in force\): /);
    const other = await until('coverage of the other', () => coverageOf(plain));
    assert.equal(other.output_fields['coverage.policy'], 'none');
    assert.equal(other.output_fields['coverage.rules'], 2);
    assert.ok(agent.running);
  } finally {
    for (const app of [shop, plain]) await app.remove({ force: true });
  }
});

test('a process is ended where the app asks for it and the operator allows it; the app goes on', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['policies: {responses: [kill]}'],
  });
  const killing = 'responses: [{kill: {rule: Shadow read}}]';
  const [shop, plain] = [await runApp('shop', killing), await runApp('plain')];
  // In between it waits by itself for what never comes: a sleep would be a process that outlives the shell.
  const wait =
    'mkfifo /tmp/never; exec 3<>/tmp/never; read -r a < /etc/shadow; read -r -t 60 a <&3';
  const read = `${wait}; read -r a < /etc/passwd`;
  try {
    await until('the policy is told', async () => (await linesOf(shop, true)).length > 0);
    assert.match(
      (await linesOf(shop, true))[0]?.output ?? '',
      /is in force: .* 0 off, 1 that end the process$/,
    );
    assert.equal(await execInContainer(shop, read), 137, 'SIGKILL, before it came further');
    assert.equal(await execInContainer(plain, 'read -r a < /etc/shadow'), 0);
    await settled(agent);
    for (const app of [plain, shop]) await rulesTold(app, 1);
    const lines = await linesOf(shop, false);
    assert.deepEqual(
      lines.map(({ rule }) => rule),
      ['Shadow read'],
    );
    assert.match(lines[0]?.output ?? '', / \| process killed, after this had happened$/);
    assert.deepEqual(
      ['', '.outcome', '.guarantee'].map((key) => lines[0]?.output_fields[`varvel.response${key}`]),
      ['kill', 'done', 'after the effect'],
    );
    assert.doesNotMatch((await linesOf(plain, false))[0]?.output ?? '', /killed/);
    assert.equal((await shop.inspect()).State.Running, true);
  } finally {
    for (const app of [shop, plain]) await app.remove({ force: true });
  }
});
