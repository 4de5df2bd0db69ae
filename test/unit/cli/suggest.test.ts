// `varvel suggest`, against the endpoint as the agent has it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AppProfiles, ownNames } from '../../../src/agent/app-profiles.ts';
import { answerSuggest, type SuggestAnswer } from '../../../src/agent/suggest-request.ts';
import type { Container } from '../../../src/apps/identity.ts';
import type { EventName } from '../../../src/events/table.gen.ts';
import { Endpoint } from '../../../src/metrics/endpoint.ts';
import { AgentMetrics } from '../../../src/metrics/metrics.ts';
import { checkPolicy, operatorRulesOf } from '../../../src/policy/check-policy.ts';
import { readPolicy } from '../../../src/policy/policy-document.ts';
import { readRuleFile } from '../../../src/rules/loader/load.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { runCommand } from '../../support/run-command.ts';
import {
  CONTAINER,
  makeConnect,
  makeEvent,
  makeExec,
  makeFile,
  makeOpen,
  makeProcess,
  makeSubject,
} from '../../support/rules-subject.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-suggest-'));
const path = join(folder, 'metrics.sock');
const SINCE_MS = Date.UTC(2026, 10, 29, 18);

/** What the agent knows, for each test anew. */
let profiles: AppProfiles;
let needs: Set<EventName>;
let endpoint: Endpoint;
before(async () => {
  endpoint = await Endpoint.open({
    listen: { kind: 'unix', path },
    metrics: new AgentMetrics('9'),
    status: () => ({}),
    suggest: (query) => answerSuggest(query, { profiles, hostname: 'host-7', needs }),
    logger: SILENT_LOGGER,
  });
});
after(async () => {
  await endpoint.close();
  rmSync(folder, { recursive: true, force: true });
});

/** As the agent looked them up; the app's own policy has some. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  '203.0.113.1': ['api.example.org'],
  '203.0.113.2': ['of-another-app.example.org', 'api.example.org'],
  '203.0.113.3': ['bad.example.org'],
  '203.0.113.4': ['bad.example.org'],
  '203.0.113.5': ['of-another-app.example.org'],
};
const OWN_NAMES = new Set(['api.example.org', 'bad.example.org']);

function anew(): void {
  profiles = new AppProfiles({
    nowMs: () => SINCE_MS,
    namesOf: (address) => ownNames(NAMES[address] ?? [], () => ({ domainNames: OWN_NAMES })),
  });
  needs = new Set(['execve', 'connect', 'openat']);
}

const appNamed = (name: string, space?: string, org?: string, fullId = 'c1'): Container => ({
  ...CONTAINER,
  fullId,
  app: { ...CONTAINER.app!, name, space, org },
});
const ORDERS = appNamed('orders');

function run(exePath: string, times = 1, container = ORDERS): void {
  const event = makeEvent('execve', { exec: makeExec({ file: makeFile(exePath) }) });
  const process = makeProcess({ image: { exePath } });
  for (let n = 0; n < times; n++) profiles.evaluated(event, process, container);
}

function connect(remoteIp: string, remotePort: number, times = 1): void {
  const event = makeEvent('connect', { call: makeConnect({ remoteIp, remotePort }) });
  for (let n = 0; n < times; n++) profiles.evaluated(event, makeProcess(), ORDERS);
}

function write(path: string, times = 1): void {
  const event = makeEvent('openat', { open: makeOpen(path, { forWrite: true }) });
  for (let n = 0; n < times; n++) profiles.evaluated(event, makeProcess(), ORDERS);
}

const detect = (rule: string, exePath: string, event = makeEvent('openat')): void =>
  profiles.matched(
    rule,
    makeSubject(event, { process: makeProcess({ image: { exePath } }), container: ORDERS }),
  );

const suggest = (...args: string[]) =>
  runCommand('suggest', '-s', `metrics.listen=unix:${path}`, ...args);

test('a policy of what it did, and what is left out', async () => {
  anew();
  run('/usr/bin/node', 12);
  run('/opt/my tools/resize', 1, { ...ORDERS, fullId: 'c2' });
  run('/tmp/x');
  run('/a\nb: "c"');
  connect('10.0.0.7', 5432, 31);
  connect('2001:db8::7', 443, 2);
  connect('2001:db8::7', 80);
  connect('192.0.2.66', 4444);
  detect('New program dropped and run', '/tmp/x');
  detect(
    'Evil\n# contacted',
    '/tmp/x',
    makeEvent('connect', { call: makeConnect({ remoteIp: '192.0.2.66', remotePort: 4444 }) }),
  );
  const { code, out, err } = await suggest('orders');
  assert.deepEqual([code, err], [0, '']);
  assert.equal(
    out,
    `# Suggested by varvel from what app "orders" did on host-7 in 2 containers since 2026-11-29T18:00:00Z. Read it before you commit it.
variables:
  # Programs that it ran, with how often. Rules about shells, tools and new programs leave these out:
  # remove what the app does not need.
  expected_executables:
    - /usr/bin/node          # 12
    - "/opt/my tools/resize" # 1
  # Addresses that it connected to, and the minimum number of connections; a domain name is better where there is one.
  # Connections to any other host are reported.
  outbound_hosts:
    - 10.0.0.7      # 31, port 5432
    - "2001:db8::7" # 3, ports 443, 80
# Without the # in the next line nothing else may be run or reached, where the operator allows that
# (policies.responses). What is left out below would be denied, too.
# enforce: [expected_executables, outbound_hosts]
# Left out. A detection says what was done, not that it is bad: a shell of the app’s own is reported, too.
# What the app does by design can be added above.
# - /tmp/x, as detections were about it: New program dropped and run
# - 192.0.2.66, port 4444, as detections were about it: Evil\ufffd# contacted
# - 1 more program, which cannot be in a policy: its file has no path (deleted, or only in memory), or it is over 255 bytes or has unusual characters
`,
  );
  const operator = operatorRulesOf([readRuleFile('manifests/rules/varvel_rules.yaml')]);
  for (const text of [out, out.replace('# enforce', 'enforce')]) {
    const { policy, errors, warnings } = checkPolicy({ name: 'varvel.yml', text }, operator);
    assert.deepEqual([errors, warnings], [[], []]);
    assert.equal(policy?.summary.denying.length, text === out ? 0 : 2);
  }
});

test('hosts by the names that the app’s own policy has for them', async () => {
  anew();
  connect('203.0.113.1', 443, 3);
  connect('203.0.113.2', 8443, 2);
  connect('203.0.113.3', 443);
  connect('203.0.113.4', 443);
  connect('203.0.113.5', 443, 4);
  detect('R', '/x', makeEvent('connect', { call: makeConnect({ remoteIp: '203.0.113.4' }) }));
  const { out } = await suggest('orders');
  assert.match(
    out,
    /\n {2}outbound_hosts:\n {4}- "api\.example\.org" # 5, ports 443, 8443, at 203\.0\.113\.1 203\.0\.113\.2\n {4}- 203\.0\.113\.5 {7}# 4, port 443\n {4}- 203\.0\.113\.3 {7}# 1, port 443\n#/,
  );
  assert.match(
    out,
    /\n# - 203\.0\.113\.4, ports 443, as detections were about it: R\n|\n# - 203\.0\.113\.4, port 443, as detections were about it: R\n/,
  );
  assert.match(out, /\n# The list has domain names: connections to others are not refused/);
  const operator = operatorRulesOf([readRuleFile('manifests/rules/varvel_rules.yaml')]);
  const { policy, errors } = checkPolicy({ name: 'varvel.yml', text: out }, operator);
  assert.deepEqual(errors, []);
  assert.deepEqual([...(policy?.domainNames ?? [])], ['api.example.org']);
});

test('directories that it wrote to are comments, bounded and counted', async () => {
  anew();
  write('/srv/data/a', 2);
  write('/srv/data/b');
  write('/srv/up\nloads/b');
  write('/dev/null');
  write('/proc/self/oom_score_adj');
  profiles.evaluated(makeEvent('openat', { open: makeOpen('/etc/passwd') }), makeProcess(), ORDERS);
  write('/app/x');
  detect(
    'Web shell',
    '/bin/sh',
    makeEvent('openat', { open: makeOpen('/app/x', { forWrite: true }) }),
  );
  const { out } = await suggest('orders');
  assert.match(
    out,
    /\n {2}# Directories in which it opened files for writing, .*\n {2}# writing\. .*\n {2}# - \/srv\/data # 3\n#/,
  );
  assert.match(out, /\n# - \/app, as detections were about it: Web shell\n/);
  assert.match(out, /\n# - 1 more directory, which cannot be in a policy/);
  assert.doesNotMatch(out, /passwd|\/dev|\/proc/);
  assert.deepEqual(readPolicy({ name: 'varvel.yml', text: out }).errors, []);
  for (let n = 0; n < 300; n++) write(`/srv/${'d'.repeat(200)}${n}/x`);
  const much = (await suggest('orders')).out;
  assert.match(much, /\n# - \d+ more directories, as at most 4 KiB of them are listed\n/);
  assert.match(much, /\n# - 10[0-9] more directories, as at most 200 are remembered\n/);
  needs.delete('openat');
  assert.doesNotMatch((await suggest('orders')).out, /Directories|\/srv/);
});

test('nothing but being watched, and no rule that asks for connections', async () => {
  anew();
  needs.delete('connect');
  profiles.follow({
    listen: (listener) => listener.onResolved?.(1),
    resolve: () => ({ state: 'included', container: appNamed('quiet', 'prod', 'acme') }),
  });
  assert.equal(
    (await suggest('quiet')).out,
    `# Suggested by varvel from what app "quiet" of space "prod" of org "acme" did on host-7 in 1 container since 2026-11-29T18:00:00Z. Read it before you commit it.
variables:
  # Programs that it ran, with how often. Rules about shells, tools and new programs leave these out:
  # remove what the app does not need.
  expected_executables: []
  # Connections are not reported: no rule asks for them.
`,
  );
  needs.clear();
  const { out } = await suggest('quiet');
  assert.deepEqual(out.split('\n').slice(2), [
    '  # Programs are not reported: no rule asks for them.',
    '  # Connections are not reported: no rule asks for them.',
    '',
  ]);
  assert.deepEqual(readPolicy({ name: 'varvel.yml', text: out }).errors, []);
});

test('beyond the bounds it is counted', async () => {
  anew();
  for (let n = 0; n < 203; n++) run(`/bin/p${n}`);
  for (let n = 0; n < 1000; n++) connect(`10.0.${n >> 8}.${n & 255}`, 443);
  for (let n = 0; n < 1000; n++) run('/bin/x', 1, appNamed(`a${n}`));
  run('/bin/node');
  assert.match(
    (await suggest('orders')).out,
    /# enforce: \[expected_executables\]\n# Left out:\n# - perhaps what it did before that: 2 apps were forgotten, as at most 1,000 are remembered\n$/,
  );
  anew();
  for (let n = 0; n < 203; n++) run(`/bin/p${n}`);
  for (let n = 0; n < 1000; n++) connect(`10.0.${n >> 8}.${n & 255}`, 443);
  const { out } = await suggest('orders');
  assert.match(
    out,
    /\n# Left out:\n# - 3 more programs, as at most 200 are remembered\n# - 200 more addresses, as at most 200 are remembered \(or more than that\)\n$/,
  );
  assert.equal(out.match(/^ {4}- /gm)?.length, 400);
});

test('one of several of a name; an app that is not known', async () => {
  anew();
  assert.deepEqual(await suggest('orders'), {
    code: 1,
    out: '',
    err: 'No app "orders" is known here. None is, as nothing was watched yet.\n',
  });
  run('/a', 1, appNamed('orders', 'prod', 'acme'));
  run('/b', 1, appNamed('orders', 'dev', 'acme'));
  run('/c', 1, appNamed('orders'));
  run('/d', 1, { ...CONTAINER, name: 'lone', app: undefined });
  assert.equal(
    (await suggest('ordres')).err,
    'No app "ordres" is known here. Did you mean "orders"? Known are: "orders", "lone".\n',
  );
  const several = await suggest('orders');
  assert.deepEqual([several.code, several.out], [1, '']);
  assert.equal(
    several.err,
    'Several apps are named "orders" here: in space "prod" of org "acme", space "dev" of org "acme", no space. Say with --space and --org which.\n',
  );
  assert.match((await suggest('orders', '--space', 'dev')).out, /- \/b # 1\n/);
  assert.match((await suggest('orders', '--space', '', '--org', '')).out, /- \/c # 1\n/);
  assert.match((await suggest('lone')).out, /from what container "lone" did on/);
  assert.equal(
    (await suggest('orders', '--org', 'other')).err,
    'App "orders" is not known there. It is known in space "prod" of org "acme", space "dev" of org "acme", no space.\n',
  );
});

test('a name that would steer a terminal does not', async () => {
  anew();
  run('/a', 1, appNamed('\u001b[2J\u202e"'));
  const { err } = await suggest('x');
  assert.match(err, /Known are: "[^\u001b\n]*"\.\n$/);
  const { out } = await suggest('\u001b[2J\u202e"');
  assert.match(out, /^# Suggested by varvel from what app "\ufffd\[2J\ufffd"" did/);
});

test('as JSON: the data, and why there is none', async () => {
  anew();
  run('/usr/bin/node');
  run('/tmp/x');
  detect('R', '/tmp/x');
  connect('10.0.0.7', 5432);
  const { suggestion, refused } = JSON.parse(
    (await suggest('orders', '--json')).out,
  ) as SuggestAnswer;
  assert.equal(refused, undefined);
  assert.deepEqual(suggestion, {
    name: 'orders',
    kind: 'app',
    sinceMs: SINCE_MS,
    containers: 1,
    hostname: 'host-7',
    seesPrograms: true,
    seesConnections: true,
    seesWrites: true,
    forgottenApps: 0,
    programs: {
      values: [
        { value: '/tmp/x', count: 1, rule: 'R' },
        { value: '/usr/bin/node', count: 1 },
      ],
      notRemembered: 0,
      unfit: 0,
    },
    addresses: {
      values: [{ value: '10.0.0.7', count: 1, ports: [5432], hasMorePorts: false, names: [] }],
      notRemembered: 0,
      unfit: 0,
    },
    directories: { values: [], notRemembered: 0, unfit: 0 },
  });
  const none = await suggest('x', '--json');
  assert.deepEqual([none.code, none.err], [1, '']);
  assert.match((JSON.parse(none.out) as SuggestAnswer).refused ?? '', /^No app "x"/);
});

test('a query that is none is refused in words', () => {
  anew();
  const ask = (query: string): string | undefined =>
    answerSuggest(new URLSearchParams(query), { profiles, hostname: 'h', needs }).refused;
  assert.equal(ask(''), 'The name of an app is missing.');
  assert.equal(ask('app=x&sapce=y'), 'There is no "sapce": ask with app, space, org.');
  for (let n = 0; n < 60; n++) run('/a', 1, appNamed(`app-${n}`));
  assert.match(
    ask('app=zzzzz') ?? '',
    /^No app "zzzzz" is known here\. Known are: "app-0", .* and 10 more\.$/,
  );
});
