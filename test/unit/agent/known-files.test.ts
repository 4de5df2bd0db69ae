import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { findInRoot } from 'ebpf-loader-napi';
import { FILES_MAX, KnownFiles } from '../../../src/agent/known-files.ts';
import { ALL_LOOKS_MAX, MEANT_MAX, NamedFilesSearch } from '../../../src/agent/named-files.ts';
import { namedPathsOf } from '../../../src/plan/named-paths.ts';
import type { LoadedRule } from '../../../src/rules/rule-set.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { atOnce } from '../../../src/shared/turns.ts';
import { ruleFiles, ruleSetOf } from '../../support/rules-load.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const CGROUP = 7;
const PID = 70;

const denying = (...conditions: string[]): readonly LoadedRule[] =>
  ruleSetOf(ruleFiles(conditions.map((one) => `evt.type = openat and ${one}`))).rules;

/** A container's root, and what the kernel was told. */
let root: string;
let known: Map<string, string>;
let nowMs: number;
let warnings: number;
let canRefuse: boolean;
let room: number;
let pid: number | undefined;
let closed: number;
let failing = false;
let files: KnownFiles;

beforeEach(() => {
  root = temporaryFolder('varvel-known-files-');
  known = new Map();
  nowMs = 0;
  warnings = 0;
  canRefuse = true;
  room = Infinity;
  pid = PID;
  closed = 0;
  files = new KnownFiles({
    probe: {
      knowFile(cgroupId, fd, path) {
        const key = `${cgroupId} ${fstatSync(fd).ino}`;
        if (known.size >= room && !known.has(key)) throw new Error('E2BIG');
        if (!known.has(key)) known.set(key, path);
        return key;
      },
      forgetFile(key) {
        assert.ok(known.delete(key), `${key} was known`);
      },
    },
    reader: { hasContainerRoot: (of) => of === PID },
    lookInto: () => ({
      kindOf(path) {
        const stat = lstatSync(join(root, path), { throwIfNoEntry: false });
        if (stat === undefined) return undefined;
        return stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : 'other';
      },
      find(path) {
        try {
          return findInRoot(root, path);
        } catch {
          return undefined;
        }
      },
      namesIn(path, max) {
        try {
          return readdirSync(join(root, path)).sort().slice(0, max);
        } catch {
          return [];
        }
      },
      close: () => closed++,
    }),
    processesOf() {
      if (failing) throw new Error('unexpected');
      return pid === undefined ? [] : [pid];
    },
    canRefuse: () => canRefuse,
    logger: { ...SILENT_LOGGER, warn: () => warnings++ },
    nowMs: () => nowMs,
  });
});

function write(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), path);
  }
}
const numbered = (count: number, folder: string): string[] =>
  Array.from({ length: count }, (_, at) => `${folder}/${String(at).padStart(4, '0')}`);
const look = (rules: readonly LoadedRule[]): Promise<void> =>
  files.onTick(new Map([[CGROUP, rules]]));
const paths = (): string[] => [...known.values()].sort();

test('files that rules name are known, and no others', async () => {
  write('/etc/shadow', '/etc/passwd', '/secrets/a', '/secrets/deep/b', '/home/one/.ssh/id_rsa');
  write('/home/one/.ssh/config', '/srv/x');
  await look(
    denying(
      'fd.name in (/etc/shadow, /etc/gone)',
      'fd.name startswith /secrets/',
      'fd.name glob "/home/*/.ssh/id_*"',
      'fd.directory = /srv',
    ),
  );
  assert.deepEqual(paths(), [
    '/etc/shadow',
    '/home/one/.ssh/id_rsa',
    '/secrets/a',
    '/secrets/deep/b',
    '/srv/x',
  ]);
  assert.deepEqual(files.status(), { files: 5, partial: 0, leftOut: [] });
});

test('a rule that denies no opens names no files', async () => {
  write('/etc/shadow');
  const { rules } = ruleSetOf(ruleFiles(['evt.type = unlink and fs.path.name = /etc/shadow']));
  await look(rules);
  assert.deepEqual(paths(), []);
});

test('links, devices and pipes are not opened', async () => {
  write('/etc/real');
  symlinkSync('real', join(root, 'etc/link'));
  symlinkSync('etc', join(root, 'other'));
  assert.equal(spawnSync('mkfifo', [join(root, 'etc/pipe')]).status, 0);
  await look(denying('fd.name in (/etc/link, /other/real, /etc/pipe)', 'fd.name pmatch (/etc)'));
  assert.deepEqual(paths(), ['/etc/real']);
});

test('a file that comes later is known a minute after, and one that is moved stays known', async () => {
  const rules = denying('fd.name startswith /secrets/');
  write('/secrets/a');
  await look(rules);
  renameSync(join(root, 'secrets'), join(root, 'elsewhere'));
  write('/secrets/b');
  await look(rules);
  assert.deepEqual(paths(), ['/secrets/a']);
  nowMs = 60_000;
  await look(rules);
  assert.deepEqual(paths(), ['/secrets/a', '/secrets/b']);
  assert.equal(closed, 2, 'nothing stays open');
});

test('other rules are looked for at once', async () => {
  write('/a', '/b');
  await look(denying('fd.name = /a'));
  await look(denying('fd.name = /b'));
  assert.deepEqual(paths(), ['/a', '/b']);
});

test('where nothing is denied any more, nothing is known', async () => {
  write('/a');
  await look(denying('fd.name = /a'));
  await look([]);
  assert.deepEqual(paths(), []);
  await look(denying('fd.name = /a'));
  await files.onTick(new Map());
  assert.deepEqual(paths(), []);
  assert.deepEqual(files.status(), { files: 0, partial: 0, leftOut: [] });
});

test('a container that ends while it is looked through leaves nothing', async () => {
  write(...numbered(MEANT_MAX, '/d'));
  const looking = look(denying('fd.name startswith /d/'));
  assert.equal(files.isSettled(), false);
  await files.onTick(new Map());
  await looking;
  assert.deepEqual(paths(), []);
  assert.equal(files.isSettled(), true);
});

test('a look that fails ends nothing', async () => {
  write('/a');
  const rules = denying('fd.name = /a');
  failing = true;
  await look(rules);
  assert.equal(warnings, 1);
  failing = false;
  nowMs = 60_000;
  await look(rules);
  assert.deepEqual(paths(), ['/a']);
});

test('what cannot be refused is not looked for', async () => {
  write('/a');
  canRefuse = false;
  await look(denying('fd.name = /a'));
  assert.deepEqual(paths(), []);
});

test('a container that is not there yet is looked through as soon as it is', async () => {
  write('/a');
  pid = undefined;
  await look(denying('fd.name = /a'));
  // Of a runtime that sets it up.
  pid = PID + 1;
  nowMs = 1000;
  await look(denying('fd.name = /a'));
  assert.deepEqual(paths(), []);
  pid = PID;
  nowMs = 2000;
  await look(denying('fd.name = /a'));
  assert.deepEqual(paths(), ['/a']);
});

test('a tree with too many files is left out, which is said once; others are not', async () => {
  write(...numbered(MEANT_MAX + 1, '/many'), ...numbered(MEANT_MAX, '/some'), '/etc/shadow');
  const rules = denying(
    'fd.name startswith /many/',
    'fd.name startswith /some/',
    'fd.name = /etc/shadow',
  );
  await look(rules);
  assert.deepEqual(paths(), ['/etc/shadow', ...numbered(MEANT_MAX, '/some')]);
  assert.deepEqual(files.status(), { files: MEANT_MAX + 1, partial: 1, leftOut: ['/many/'] });
  nowMs = 60_000;
  await look(rules);
  assert.equal(warnings, 1);
});

test('also one with too many directories, or whose files are in several', async () => {
  for (const nth of numbered(MEANT_MAX, '/a')) write(...numbered(2, nth));
  write(`/d${'/x'.repeat(20)}/a`, '/d/b', '/z');
  const rules = ['/a/', '/d/'].map((tree) => `fd.name startswith ${tree}`);
  await look(denying(...rules, 'fd.name = /z'));
  assert.deepEqual(paths(), ['/z']);
  assert.deepEqual(files.status().leftOut, ['/a/', '/d/']);
});

test('one name of a large directory is found', async () => {
  write(...numbered(1000, '/many'));
  await look(denying('fd.name glob "/many/000*"'));
  assert.deepEqual(paths(), numbered(10, '/many'));
});

test('single files come before trees, whatever comes first in the rules', async () => {
  const trees = numbered(5, '/d');
  write(...trees.flatMap((tree) => numbered(MEANT_MAX, tree)), '/z');
  await look(denying(...trees.map((tree) => `fd.name startswith ${tree}/`), 'fd.name = /z'));
  assert.equal(known.size, FILES_MAX);
  assert.ok(paths().includes('/z'));
  // The fourth is begun, and not whole.
  assert.deepEqual(files.status(), {
    files: FILES_MAX,
    partial: 1,
    leftOut: ['/d/0003/', '/d/0004/'],
  });
});

test('what was not seen last makes room, which is said', async () => {
  const trees = numbered(4, '/d');
  const rules = denying('fd.name = /old', ...trees.map((tree) => `fd.name startswith ${tree}/`));
  write('/old');
  await look(rules);
  renameSync(join(root, 'old'), join(root, 'elsewhere'));
  write(...trees.flatMap((tree) => numbered(MEANT_MAX, tree)));
  nowMs = 60_000;
  await look(rules);
  assert.equal(known.size, FILES_MAX);
  assert.deepEqual(files.status(), { files: FILES_MAX, partial: 1, leftOut: ['/old'] });
});

test('a search is bounded, however many directories a pattern leads through', () => {
  const looked: string[] = [];
  const search = new NamedFilesSearch(
    {
      kindOf: () => 'directory',
      find: () => undefined,
      namesIn(path) {
        looked.push(path);
        return numbered(MEANT_MAX, '').map((name) => name.slice(1));
      },
    },
    () => true,
  );
  const named = Array.from({ length: 20 }, (_, nth) => `fd.name pmatch ("/${nth}/*/*/*/x*")`);
  const left = atOnce(search.find(namedPathsOf(denying(...named))));
  assert.equal(left.length, 20);
  assert.ok(looked.length <= ALL_LOOKS_MAX, `${looked.length}`);
});

test('another name in a place that rules name takes nothing away', async () => {
  write('/etc/key', '/bin/tool');
  const rules = denying('fd.name = /etc/key', 'fd.name startswith /bin/');
  await look(rules);
  linkSync(join(root, 'etc/key'), join(root, 'bin/x'));
  nowMs = 60_000;
  await look(rules);
  assert.deepEqual(paths(), ['/bin/tool', '/etc/key']);
  rmSync(join(root, 'etc/key'));
  nowMs = 120_000;
  await look(rules);
  assert.deepEqual(paths(), ['/bin/tool', '/etc/key']);
  // Until no rule names that any more.
  await look(denying('fd.name startswith /bin/'));
  assert.deepEqual(paths(), ['/bin/tool', '/bin/x']);
});

test('if the kernel has no more room, the rest is known by path alone', async () => {
  write('/a', '/b');
  room = 1;
  await look(denying('fd.name in (/a, /b)'));
  assert.equal(known.size, 1);
  assert.deepEqual(files.status(), { files: 1, partial: 1, leftOut: ['/b'] });
  assert.equal(warnings, 1);
});

test('a path that the kernel never judges is left out', async () => {
  const long = `/d/${'x'.repeat(200)}/${'y'.repeat(60)}`;
  write(long, '/d/a');
  await look(denying('fd.name startswith /d/'));
  assert.deepEqual(paths(), ['/d/a']);
});
