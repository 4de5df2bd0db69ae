// What is lifted of pinned programs by an app, by rules, and by both; and which records of them are believed.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  denyingIn,
  DeniedRecords,
  digestOfTable,
  type DeniedRecord,
} from '../../../src/agent/denied-record.ts';
import { liftPinned } from '../../../src/agent/pinned-lift.ts';
import { StoredLifts } from '../../../src/agent/stored-lifts.ts';
import type { PinnedMaps } from '../../../src/host/pinned-programs.ts';
import { eachKind } from '../../../src/plan/verdicts/call-kinds.ts';
import { TABLE } from '../../../src/plan/verdicts/layout.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { verdictTable } from '../../support/verdict-table.ts';

/** A table in which each of these rules denies a program. */
function tableOf(...names: string[]) {
  const file = names.map((name) =>
    ruleFile(`evt.type = execve and proc.exepath = /${name}`).replace('rule: r', `rule: ${name}`),
  );
  const { bytes, places } = verdictTable(ruleSetOf(file.join('\n')), 'docker', new Set(names));
  return { bytes: bytes!, rules: places };
}

/** The kernel's maps: shop and blog have one table, mail has another, and in 40 nothing is denied. */
function world() {
  const [common, own] = [tableOf('curl', 'wget', 'nc'), tableOf('curl')];
  const tables = new Map([
    [1, common],
    [2, own],
  ]);
  const told = new Map([
    [10, 1],
    [11, 1],
    [20, 1],
    [30, 2],
    [40, 0],
  ]);
  const apps: [cgroupId: number, app: string | null][] = [
    [10, 'shop'],
    [11, 'shop'],
    [20, 'blog'],
    [30, 'mail'],
  ];
  const record: DeniedRecord = {
    tables: [...tables].map(([number, { bytes, rules }]) => ({
      number,
      sha256: digestOfTable(bytes),
      rules,
    })),
    containers: apps.map(([cgroupId, app]) => ({ cgroupId, level: 3, app })),
  };
  const maps: PinnedMaps = {
    containers: () => [...told].map(([cgroupId, table]) => ({ cgroupId, table })),
    allow: (cgroupId, level) => {
      assert.equal(level, 3);
      told.set(cgroupId, 0);
    },
    table: (number) => tables.get(number)?.bytes,
    allowRules: (number, rules) => {
      const { bytes } = tables.get(number)!;
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      for (const [kind] of eachKind()) {
        const at = TABLE.denying + 4 * kind;
        view.setUint32(at, view.getUint32(at, true) & ~rules, true);
      }
    },
  };
  /** Which rules deny in a container. */
  const denies = (cgroupId: number): readonly string[] => {
    const table = tables.get(told.get(cgroupId)!);
    if (table === undefined) return [];
    const bits = denyingIn(table.bytes);
    return table.rules.filter((_, bit) => ((bits >>> bit) & 1) === 1).sort();
  };
  return { maps, record, denies, told, tables };
}
const ALL = ['curl', 'nc', 'wget'];

test('of an app: its containers have no table any more, and the others keep theirs', () => {
  const { maps, record, denies } = world();
  assert.deepEqual(liftPinned(maps, record, { app: 'shop' }), {
    containers: 2,
    rules: [],
    unknown: 0,
    shared: 0,
  });
  assert.deepEqual([10, 11, 20, 30].map(denies), [[], [], ALL, ['curl']]);
  // Again: nothing is left.
  assert.equal(liftPinned(maps, record, { app: 'shop' }).containers, 0);
  assert.equal(liftPinned(maps, record, { app: 'sho' }).containers, 0);
});

test('of rules: in each table that has them, by names with wildcards', () => {
  const { maps, record, denies } = world();
  const lifted = liftPinned(maps, record, { rule: 'cu*' });
  assert.deepEqual(lifted, { containers: 4, rules: ['curl'], unknown: 0, shared: 0 });
  assert.deepEqual([10, 20, 30].map(denies), [['nc', 'wget'], ['nc', 'wget'], []]);
  // What a table still says is known of it after a lift, too.
  const second = liftPinned(maps, record, { rule: '?get' });
  assert.deepEqual(second, { containers: 3, rules: ['wget'], unknown: 0, shared: 0 });
  assert.deepEqual(liftPinned(maps, record, { rule: 'curl' }).rules, []);
});

test('of rules in an app: only where no other app has the table', () => {
  const { maps, record, denies } = world();
  const mail = liftPinned(maps, record, { app: 'mail', rule: 'curl' });
  assert.deepEqual(mail, { containers: 1, rules: ['curl'], unknown: 0, shared: 0 });
  const shop = liftPinned(maps, record, { app: 'shop', rule: 'curl' });
  assert.deepEqual(shop, { containers: 0, rules: [], unknown: 0, shared: 2 });
  assert.deepEqual([10, 20, 30].map(denies), [ALL, ALL, []]);
});

test('what is not known is not touched, and is counted', () => {
  const { maps, record, denies, told, tables } = world();
  // A container that got its table after the record was written.
  told.set(12, 1);
  assert.deepEqual(liftPinned(maps, record, { app: 'shop' }), {
    containers: 2,
    rules: [],
    unknown: 1,
    shared: 0,
  });
  // Another table has the number by now: by the record wget would be curl's bit.
  tables.set(2, tableOf('wget'));
  assert.deepEqual(liftPinned(maps, record, { rule: 'curl' }), {
    containers: 2,
    rules: ['curl'],
    unknown: 1,
    shared: 0,
  });
  assert.deepEqual(denies(30), ['wget']);
  const none = liftPinned(maps, undefined, { app: 'blog' });
  assert.deepEqual(none, { containers: 0, rules: [], unknown: 3, shared: 0 });
});

const folderOf = (t: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-state-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};
const DIRECTORY = '/sys/fs/bpf/varvel/0123456789abcdef-1-1';

test('a record is read as it was kept, with names of any kind', (t) => {
  const stateDir = folderOf(t);
  const kept: DeniedRecord = {
    tables: [{ number: 1, sha256: 'a', rules: ['"\n\u001B[2J', ''] }],
    containers: [
      { cgroupId: 2 ** 50, level: 3, app: '../../etc/passwd\n' },
      { cgroupId: 2, level: 0, app: null },
    ],
  };
  const records = new DeniedRecords(stateDir);
  assert.equal(records.read(DIRECTORY), undefined);
  records.keep(DIRECTORY, kept);
  assert.deepEqual(new DeniedRecords(stateDir).read(DIRECTORY), { format: 1, ...kept });
  assert.deepEqual(readdirSync(join(stateDir, 'denied')), ['0123456789abcdef-1-1']);
  records.removeOthers(`${DIRECTORY}2`);
  assert.equal(records.read(DIRECTORY), undefined);
});

test('a record that others can change, or that is none, is not believed', (t) => {
  const stateDir = folderOf(t);
  const records = new DeniedRecords(stateDir);
  const path = join(stateDir, 'denied', '0123456789abcdef-1-1');
  const whole = { tables: [], containers: [] };
  const refused = (says: RegExp, change: () => void): void => {
    rmSync(join(stateDir, 'denied'), { recursive: true, force: true });
    new DeniedRecords(stateDir).keep(DIRECTORY, whole);
    change();
    assert.throws(() => records.read(DIRECTORY), says);
  };
  refused(/others may write/, () => chmodSync(path, 0o666));
  refused(/others may write/, () => chmodSync(join(stateDir, 'denied'), 0o777));
  refused(/ELOOP/, () => {
    rmSync(path);
    writeFileSync(join(stateDir, 'other'), JSON.stringify({ format: 1, ...whole }));
    symlinkSync(join(stateDir, 'other'), path);
  });
  refused(/JSON/, () => writeFileSync(path, '{'));
  for (const text of [
    'null',
    '[]',
    '{"format":2,"tables":[],"containers":[]}',
    '{"format":1,"tables":[{"number":-1,"sha256":"","rules":[]}],"containers":[]}',
    '{"format":1,"tables":[{"number":1,"sha256":"","rules":[7]}],"containers":[]}',
    '{"format":1,"tables":[],"containers":[{"cgroupId":1,"level":1}]}',
  ])
    refused(/^Error: it is damaged/, () => writeFileSync(path, text));
  refused(/more than 16777216 bytes/, () => writeFileSync(path, ' '.repeat((16 << 20) + 1)));
});

test('a lift with an end outlives agents until then, whatever the clock does', (t) => {
  const stateDir = folderOf(t);
  const clock = { nowMs: 1_000_000 };
  const lifts = new StoredLifts(stateDir, () => clock.nowMs);
  assert.deepEqual(lifts.all(), []);
  assert.ok(lifts.add({ app: 'shop' }, 60_000));
  assert.ok(lifts.add({ rule: 'New*' }, 10_000));
  assert.ok(lifts.add({ app: 'shop' }, 30_000));
  const left = (): unknown => lifts.all().map(({ app, rule, leftMs }) => [app ?? rule, leftMs]);
  clock.nowMs += 5000;
  assert.deepEqual(left(), [
    ['New*', 5000],
    ['shop', 25_000],
  ]);
  clock.nowMs -= 900_000;
  assert.deepEqual(left(), [
    ['New*', 10_000],
    ['shop', 30_000],
  ]);
  clock.nowMs += 900_000 + 5000;
  assert.deepEqual(left(), [['shop', 20_000]]);
  assert.equal(lifts.end({ app: 'blog' }), 0);
  assert.equal(lifts.end({}), 1);
  assert.deepEqual([left(), readdirSync(stateDir)], [[], []]);
  for (let at = 0; at < 64; at++) assert.ok(lifts.add({ app: `app ${at}` }, 60_000));
  assert.equal(lifts.add({ app: 'one more' }, 60_000), false);
  writeFileSync(join(stateDir, 'lifts'), '{"format":1,"lifts":[{"app":7}]}');
  assert.throws(() => lifts.all(), /it is damaged/);
});

test('a rule that has two places in the table is lifted at both', () => {
  const [src, dst] = ['source', 'target'].map((path) => `fs.path.${path} startswith /srv/`);
  const file = ruleFile(`evt.type = rename and (${src} or ${dst})`);
  const both = verdictTable(ruleSetOf(file), 'docker', new Set(['r']));
  assert.deepEqual(both.places, ['r', 'r']);
  const bytes = both.bytes!;
  const allowed: number[] = [];
  const record: DeniedRecord = {
    tables: [{ number: 1, sha256: digestOfTable(bytes), rules: both.places }],
    containers: [{ cgroupId: 10, level: 3, app: 'shop' }],
  };
  const maps: PinnedMaps = {
    containers: () => [{ cgroupId: 10, table: 1 }],
    allow: () => assert.fail('it keeps its table'),
    table: () => bytes,
    allowRules: (_, rules) => void allowed.push(rules),
  };
  assert.deepEqual(liftPinned(maps, record, { rule: 'r' }).rules, ['r']);
  assert.deepEqual(allowed, [0b11]);
});
