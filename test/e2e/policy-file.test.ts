// Policies that apps bring as files: in the droplet, in a layer, in their own image. Real containers, the real agent.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, settled, until, type DetectionLine } from '../support/e2e-agent.ts';
import {
  execInContainer,
  imageMadeBy,
  logLines,
  restartContainer,
  runContainer,
} from '../support/e2e-docker.ts';

const RULES = `
- macro: reading
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true
- rule: Shadow read
  desc: A test's own.
  condition: reading and fd.name = /etc/shadow
  output: shadow read
  priority: WARNING
- rule: Passwd read
  desc: A test's own.
  condition: reading and fd.name = /etc/passwd
  exceptions:
    - {name: programs, fields: proc.exepath, comps: in, values: [/nowhere]}
  output: passwd read
  priority: ERROR
- rule: Hosts read
  desc: A test's own.
  condition: reading and fd.name = /etc/hosts
  output: hosts read
  priority: NOTICE
`;
const POLICY = `
minimum_priority: warning
custom_rules:
  - rule: Passwd read
    exceptions: [{name: programs, values: [/bin/busybox]}]
    override: {exceptions: append}
  - rule: Group read
    desc: The shop's own.
    condition: reading and fd.name = /etc/group
    output: group read
    priority: CRITICAL
`;
const DO = 'for file in hosts shadow passwd group; do read -r a < /etc/$file; done';
/** What the three files come to by that policy, and without any. */
const BY_POLICY = ['Shadow read', 'Group read'];
const BY_OPERATOR = ['Hosts read', 'Shadow read', 'Passwd read'];
/** An unverified one adds; it takes nothing away. */
const BY_BOTH = ['Hosts read', 'Shadow read', 'Passwd read', 'Group read'];

const DROPLET = '/home/vcap/deps/1/varvel/policy.json';
const PLAIN = '/etc/varvel/varvel.yml';
const staged = (policy: string): string => JSON.stringify({ format: 1, varvel: '0.1.0', policy });

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
});
after(() => engine[Symbol.asyncDispose]());

const startAgent = (): Promise<E2eAgent> =>
  E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['rule_matching: all'],
  });

const put = (path: string): string =>
  `mkdir -p "$(dirname ${path})" && printf %s "$TEXT" > ${path} && chmod 644 ${path}`;
const imageWith = (name: string, path: string, text: string): Promise<string> =>
  imageMadeBy(engine, name, put(path), { TEXT: text });

/** A container of the image; without a label it is the file that asks. */
const run = (image: string, command = 'exec sleep 600'): Promise<Docker.Container> =>
  runContainer(engine, command, { image });

async function linesOf(app: Docker.Container): Promise<DetectionLine[]> {
  return (await logLines(engine, app))
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as DetectionLine);
}
const newsOf = async (app: Docker.Container): Promise<string[]> =>
  (await linesOf(app)).filter(({ rule }) => rule === 'Varvel: policy').map(({ output }) => output);

const told = (app: Docker.Container, count = 1): Promise<string> =>
  until('the policy is told', async () => (await newsOf(app))[count - 1]);

const rulesOf = async (app: Docker.Container): Promise<string[]> =>
  (await linesOf(app)).map(({ rule }) => rule).filter((rule) => !rule.startsWith('Varvel: '));

/** Those after the first ones, once the engine has written as many lines as are expected, and there is nothing more to come. */
async function rulesSince(
  agent: E2eAgent,
  app: Docker.Container,
  before: number,
  expected: readonly string[],
): Promise<string[]> {
  await until(`${expected.length} more lines in its log`, async () => {
    return (await rulesOf(app)).length >= before + expected.length;
  });
  await settled(agent);
  return (await rulesOf(app)).slice(before);
}

/** These rules are what the four files come to now. */
async function assertRules(
  agent: E2eAgent,
  app: Docker.Container,
  expected: readonly string[],
  name?: string,
): Promise<void> {
  const before = (await rulesOf(app)).length;
  assert.equal(await execInContainer(app, DO), 0);
  assert.deepEqual(await rulesSince(agent, app, before, expected), expected, name);
}

const scopeOf = (agent: E2eAgent, app: Docker.Container) =>
  until('it is decided', async () => {
    const status = await agent.containerStatus(app.id);
    return status?.state === 'pending' ? undefined : status;
  });

test('a file asks to be watched and is the policy from the first event on; an edit changes nothing, whatever restarts', async () => {
  const image = await imageWith('droplet', DROPLET, staged(POLICY));
  await using agent = await startAgent();
  const app = await run(image, `${DO}; exec sleep 600`);
  const other = await runContainer(engine, 'exec sleep 600');
  try {
    assert.match(
      await told(app),
      / The policy \(varvel\.yml, verified\) of this app is in force: 3 rules from Warning up, 1 of its own, 1 with exceptions of its own, 1 off$/,
    );
    assert.deepEqual(await rulesSince(agent, app, 0, BY_POLICY), BY_POLICY);
    const status = await scopeOf(agent, app);
    assert.deepEqual(
      [status.state, status.reason],
      ['included', 'It has a policy file (the varvel buildpack’s, or its own).'],
    );
    assert.equal((await scopeOf(agent, other)).state, 'excluded');

    const edit = `printf '%s' '${staged('rules: [{disable: {rule: "*"}}]')}' > ${DROPLET}`;
    assert.equal(await execInContainer(app, edit), 0);
    await assertRules(agent, app, BY_POLICY);
    await agent.end('SIGTERM');
    await agent.run();
    assert.match(
      await told(app, 2),
      /\(varvel\.yml, verified\) of this app is in force: .*But: \/home\/vcap\/deps\/1\/varvel\/policy\.json is another now than when the app started, which changes nothing$/,
    );
    await assertRules(agent, app, BY_POLICY);
    const before = (await rulesOf(app)).length;
    await restartContainer(app);
    assert.deepEqual(await rulesSince(agent, app, before, BY_POLICY), BY_POLICY);
    await assertRules(agent, app, BY_POLICY);
    await agent.end('SIGTERM');
    await restartContainer(app);
    await agent.run();
    await assertRules(agent, app, BY_POLICY);
  } finally {
    for (const one of [app, other]) await one.remove({ force: true });
  }
  const kept = join(agent.folder, 'state/policies');
  await until('that of a container that is gone is gone', () => readdirSync(kept).length === 0);
  await agent.end('SIGTERM');
  const { stdout } = agent.varvel('uninstall');
  assert.doesNotMatch(stdout, /policies\/[0-9a-f]/, 'that of a container that is gone is gone');
});

test('of a container that ran before the agent, what has not changed since is verified; what the app wrote only adds', async () => {
  const image = await imageWith('own', PLAIN, POLICY);
  const old = await run(image);
  const written = await runContainer(engine, `${put(PLAIN)}; exec sleep 600`, {
    env: { TEXT: POLICY },
  });
  // It edits its image's file, and is started again: what a run of before left behind is not the tenant's word.
  const again = await run(image);
  assert.equal(await execInContainer(again, `echo '# edited' >> ${PLAIN}`), 0);
  await restartContainer(again);
  await using agent = await startAgent();
  try {
    assert.match(
      await told(old),
      /\(\/etc\/varvel\/varvel\.yml, verified\) of this app is in force/,
    );
    await assertRules(agent, old, BY_POLICY);
    for (const app of [written, again]) {
      assert.match(
        await told(app),
        /\(\/etc\/varvel\/varvel\.yml, unverified\) of this app is in force: 4 rules from Debug up, 1 of its own, 0 with exceptions of its own, 0 off\. But: .*it cannot be told that this file is older than the app's start/,
      );
      await assertRules(agent, app, BY_BOTH);
    }
  } finally {
    for (const app of [old, written, again]) await app.remove({ force: true });
  }
});

test('of a container that was set up while the agent stood still, what has not changed since its first program is verified', async () => {
  const image = await imageWith('missed', PLAIN, POLICY);
  await using agent = await startAgent();
  // What Docker makes for a volume changes the root after the container's first process has begun.
  const hostConfig = { Binds: [`${agent.folder}:/made/for/a/volume`] };
  agent.kill('SIGSTOP');
  const untouched = await runContainer(engine, 'echo begun; exec sleep 600', { image, hostConfig });
  const edited = await runContainer(
    engine,
    `echo '# edited' >> ${PLAIN}; echo begun; exec sleep 600`,
    { image, hostConfig },
  );
  try {
    for (const app of [untouched, edited])
      await until('its program runs', async () => (await logLines(engine, app)).includes('begun'));
    agent.kill('SIGCONT');
    assert.match(await told(untouched), /\(\/etc\/varvel\/varvel\.yml, verified\) of this app/);
    await assertRules(agent, untouched, BY_POLICY);
    assert.match(await told(edited), /\(\/etc\/varvel\/varvel\.yml, unverified\) of this app/);
    await assertRules(agent, edited, BY_BOTH);
  } finally {
    agent.kill('SIGCONT');
    for (const app of [untouched, edited]) await app.remove({ force: true });
  }
});

const HOSTILE: Readonly<Record<string, readonly [make: string, says: RegExp]>> = {
  'a link to a secret of the host': [
    `mkdir -p /etc/varvel && ln -s /etc/shadow ${PLAIN}`,
    /\/etc\/varvel\/varvel\.yml: it is a link, or reached by one/,
  ],
  'a link on the way': [
    `mkdir -p /data/varvel && echo 'rules: []' > /data/varvel/varvel.yml && ln -s /data/varvel /etc/varvel`,
    /it is a link, or reached by one/,
  ],
  'a FIFO': [`mkdir -p /etc/varvel && mkfifo ${PLAIN}`, /it is not a regular file/],
  'a folder': [`mkdir -p ${PLAIN}`, /it is not a regular file/],
  '2 GB of nothing': [
    `mkdir -p /etc/varvel && truncate -s 2G ${PLAIN}`,
    /it is larger than 64 KiB/,
  ],
  'no JSON': [put(DROPLET), /policy\.json: it is not what the buildpack writes/],
  'another app’s guid': [
    `${put(PLAIN)} && echo 'app_guid: 5d8a' > ${PLAIN}`,
    /varvel\.yml:1:1: error: .*unknown key 'app_guid'/,
  ],
  'ten thousand rules': [
    `mkdir -p /etc/varvel && { echo 'custom_rules:'; i=0; while [ $i -lt 500 ]; do echo "  - {rule: r$i, desc: d, output: x, priority: NOTICE, condition: evt.type = execve}"; i=$((i+1)); done; } > ${PLAIN}`,
    /at most 100 items are taken of each kind/,
  ],
};

test('a hostile file is refused in the app’s own log in one line, and the operator’s rules hold', async () => {
  await using agent = await startAgent();
  const names = Object.keys(HOSTILE);
  const apps = await Promise.all(
    names.map(async (name, at) => {
      const [make] = HOSTILE[name]!;
      return run(await imageMadeBy(engine, `hostile-${at}`, make, { TEXT: '{"format": ' }));
    }),
  );
  try {
    for (const [at, name] of names.entries()) {
      const app = apps[at]!;
      const line = await told(app);
      assert.match(line, / The policy \(.*\) of this app is refused, /, name);
      assert.match(line, HOSTILE[name]![1], name);
      assert.doesNotMatch(line, /root:|\n/, name);
      assert.deepEqual((await newsOf(app)).length, 1, name);
      await assertRules(agent, app, BY_OPERATOR, name);
    }
    assert.ok(agent.running);
  } finally {
    for (const app of apps) await app.remove({ force: true });
  }
});
