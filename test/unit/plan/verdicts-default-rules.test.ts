import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  EXEC_KINDS,
  IP_KINDS,
  kindsOfEvents,
  NO_KINDS,
  OPEN_EVENTS,
  UNIX_KINDS,
  WORKED_PATHS,
} from '../../../src/plan/verdicts/call-kinds.ts';
import type { Container } from '../../../src/apps/identity.ts';
import { TEXT_MAX } from '../../../src/plan/verdicts/path-tests.ts';
import {
  canDeny,
  deniedKindsOf,
  digestOf,
  ruleClausesOf,
} from '../../../src/plan/verdicts/rule-clauses.ts';
import type { KnownCall } from '../../../src/plan/verdicts/known-call.ts';
import { passes, verdictOf } from '../../../src/plan/verdicts/verdict.ts';
import { PRIORITIES } from '../../../src/rules/detection.ts';
import type { LoadedRule } from '../../../src/rules/rule-set.ts';
import { loadRules, readRuleFile } from '../../../src/rules/loader/load.ts';
import { atOnce } from '../../../src/shared/turns.ts';
import { CONTAINER } from '../../support/rules-subject.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { verdictTable } from '../../support/verdict-table.ts';

const { ruleSet } = loadRules([readRuleFile('manifests/rules/varvel_rules.yaml')]);
assert.ok(ruleSet);
const bytesFor = (type: string): Uint8Array => {
  const { bytes, widened, leftOut } = verdictTable(ruleSet, type);
  assert.deepEqual([widened, leftOut], [[], []]);
  return bytes ?? assert.fail('no room');
};
const TABLES = { docker: bytesFor('docker'), garden: bytesFor('garden') };

/** A read of a file that the container has written, or a droplet has brought. */
const readOf = (path: string): KnownCall => ({
  event: 'openat',
  reads: true,
  writes: false,
  failed: false,
  directory: false,
  path: Buffer.from(path),
  layer: 'upper',
});

test('an app on Cloud Foundry reads its droplet, and nothing of that leaves the kernel', () => {
  for (const path of ['/home/vcap/app/server.js', '/home/vcap/deps/0/node_modules/x/index.js']) {
    assert.equal(passes(TABLES.garden, readOf(path)), false, path);
    // Elsewhere a file in the writable layer is one that was put there: it may be a library that LD_PRELOAD names.
    assert.equal(passes(TABLES.docker, readOf(path)), true, path);
  }
});

test('what rules are about passes on every platform', () => {
  for (const [type, table] of Object.entries(TABLES))
    for (const path of ['/etc/shadow', '/home/vcap/.ssh/id_rsa', '/opt/x/evil.so'])
      assert.equal(passes(table, readOf(path)), true, `${type}: ${path}`);
});

test('a comparison with more text than there is room for is left to the agent, before anything is made of it', () => {
  const paths = (count: number): string =>
    Array.from({ length: count }, (_, n) => `/${String(n).padStart(63, 'x')}`).join(', ');
  const clausesWith = (count: number) => {
    const rules = ruleSetOf(ruleFile(`evt.type = open and fd.name in (${paths(count)})`));
    return atOnce(ruleClausesOf(rules.rules, undefined)).clauses;
  };
  assert.equal(clausesWith(TEXT_MAX / 64)[0]?.literals.length, 1);
  assert.deepEqual(clausesWith(TEXT_MAX / 64 + 1)[0]?.literals, []);
});

test('rules that compare the same of a file and of a program never share a table', () => {
  const digestOfRule = (condition: string): string =>
    digestOf(atOnce(ruleClausesOf(ruleSetOf(ruleFile(condition)).rules, undefined)));
  const pairs = [
    ['fd.name startswith /data/', 'proc.exepath startswith /data/'],
    ['fd.is_upper_layer = true', 'proc.is_exe_upper_layer = true'],
    [
      'fd.name startswith /a/ and proc.exepath startswith /b/',
      'fd.name startswith /b/ and proc.exepath startswith /a/',
    ],
  ];
  for (const [one, other] of pairs)
    assert.notEqual(
      digestOfRule(`evt.type = open and ${one}`),
      digestOfRule(`evt.type = open and ${other}`),
      one,
    );
  // Of another field that is the same path they may.
  assert.equal(
    digestOfRule('evt.type = unlink and evt.rawres = 0 and evt.arg.path = /x'),
    digestOfRule('evt.type = unlink and evt.rawres = 0 and fs.path.name = /x'),
  );
});

test('the default rules that can deny a program, a connection, an open or a change are those that the page names', () => {
  const page = readFileSync('manifests/docs/responses.md', 'utf8');
  for (const [heading, kinds] of [
    [/\*\*Default rules that can deny\*\*[^]*?\n- /, EXEC_KINDS],
    [/\*\*Default rules that can refuse connections\*\*[^]*?\n- /, IP_KINDS],
    [/\*\*Default rules that can refuse connections to unix sockets:\*\*[^]*?\n- /, UNIX_KINDS],
    [/\*\*Default rules that can refuse opens:\*\*[^]*?\n- /, kindsOfEvents(OPEN_EVENTS)],
    [/\*\*Default rules that can refuse changes:\*\*[^]*?\n- /, WORKED_PATHS],
  ] as const) {
    const able: readonly LoadedRule[] = ruleSet.rules.filter(
      (rule) =>
        rule.enabled &&
        (deniedKindsOf(rule) & kinds) !== NO_KINDS &&
        // Of changes it is about spellings, which the kernel has resolved before it asks.
        !(kinds === WORKED_PATHS && rule.name === 'Name changed by a detour'),
    );
    const [named = ''] = heading.exec(page) ?? [];
    assert.deepEqual(
      able.map(({ name }) => name).sort(),
      [...named.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name.replace(/\s+/g, ' ')).sort(),
    );
  }
});

test('what an old process starts in an old container is denied by rules that let start scripts be', () => {
  const container = { ...CONTAINER, startedAtMs: 0 };
  const { denied, bytes } = verdictTable(ruleSet, container, new Set(['Attack tool run']), {
    ageNs: 71_000_000_000n,
  });
  assert.ok(bytes);
  const deniedAt = (parentAge: bigint | undefined, name: string): readonly string[] => {
    const program = {
      path: Buffer.from(`/usr/bin/${name}`),
      layer: 'lower',
      name: Buffer.from(name),
      age: 1_000_000_000n,
      parentAge,
      fromOutside: parentAge === undefined ? undefined : false,
    } as const;
    const run = { event: 'execve', directory: false, layer: 'none', path: undefined } as const;
    const { failing } = verdictOf(bytes, { ...run, program, thread: Buffer.from(name) });
    return denied.filter((_, rule) => ((failing >>> rule) & 1) === 0);
  };
  assert.deepEqual(deniedAt(61_000_000_000n, 'nmap'), ['Attack tool run']);
  assert.deepEqual(deniedAt(59_000_000_000n, 'nmap'), []);
  assert.deepEqual(deniedAt(undefined, 'nmap'), [], 'nobody knows how old its parent is');
  assert.deepEqual(deniedAt(61_000_000_000n, 'node'), []);
});

test('a young parent denies nothing the less where it is not the first process, nor does a container that tells no start', () => {
  const seconds = (count: number): bigint => BigInt(count) * 1_000_000_000n;
  const above = { path: Buffer.from('/app/server'), name: Buffer.from('server'), loads: false };
  const deniedIn = (
    container: Container,
    ageNs: bigint,
    ages: readonly number[],
    parentVpid: bigint | undefined,
  ): readonly string[] => {
    const { denied, bytes } = verdictTable(ruleSet, container, new Set(['Attack tool run']), {
      ageNs,
    });
    assert.ok(bytes);
    const program = {
      path: Buffer.from('/usr/bin/nmap'),
      layer: 'lower',
      name: Buffer.from('nmap'),
      age: 0n,
      parentAge: seconds(1),
      insideAge: seconds(1),
      fromOutside: false,
      vpid: 30n,
      parentVpid,
      ancestors: ages.map((age) => ({ ...above, age: seconds(age) })),
    } as const;
    const run = { event: 'execve', directory: false, layer: 'none', path: undefined } as const;
    const { failing } = verdictOf(bytes, { ...run, program, thread: Buffer.from('nmap') });
    return denied.filter((_, rule) => ((failing >>> rule) & 1) === 0);
  };
  const docker = { ...CONTAINER, startedAtMs: 0 };
  assert.deepEqual(deniedIn(docker, seconds(71), [1], 5n), ['Attack tool run']);
  assert.deepEqual(deniedIn(docker, seconds(71), [1], 1n), [], 'it is the first process');
  assert.deepEqual(deniedIn(docker, seconds(71), [1], undefined), [], 'it may be');
  assert.deepEqual(deniedIn(docker, 0n, [1, 61], 5n), [], 'the engine tells the start');
  for (const runtime of ['garden', 'cgroup'] as const) {
    const container = { ...CONTAINER, runtime, startedAtMs: undefined };
    assert.deepEqual(deniedIn(container, 0n, [1, 61], 5n), ['Attack tool run'], runtime);
    assert.deepEqual(deniedIn(container, 0n, [1, 59], 5n), [], runtime);
    assert.deepEqual(deniedIn(container, 0n, [1], 5n), [], `${runtime}: it may be young`);
  }
});

test('where more rules are to deny than fit, the most severe ones do', () => {
  const all = new Set(ruleSet.rules.map(({ name }) => name));
  const { denied } = verdictTable(ruleSet, CONTAINER, all, { ageNs: 7_200_000_000_000n });
  const severity = ({ priority }: LoadedRule): number => PRIORITIES.indexOf(priority);
  const deniable = ruleSet.rules.filter((rule) => rule.enabled && canDeny(rule));
  const [kept, left] = [true, false].map((isKept) =>
    deniable.filter(({ name }) => denied.includes(name) === isKept).map(severity),
  );
  assert.ok(kept !== undefined && left !== undefined && kept.length > 10 && left.length > 10);
  // All of ERROR and above have room.
  const ERROR = PRIORITIES.indexOf('Error');
  assert.ok(left.every((one) => one > ERROR));
});
