// Opens that no rule can match end in the kernel: the same verdicts as in TypeScript, of made-up paths and of real opens.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import type { LoaderError, LoaderScopeEntry } from 'ebpf-loader-napi';
import { LIMITS } from '../../src/events/table.gen.ts';
import { kindIndex, OPEN_EVENTS } from '../../src/plan/verdicts/call-kinds.ts';
import { LAYERS } from '../../src/plan/verdicts/form-tests.ts';
import { ALL_FAILING, verdictOf } from '../../src/plan/verdicts/verdict.ts';
import { loadRules, readRuleFile } from '../../src/rules/loader/load.ts';
import { normalizePath } from '../../src/shared/path.ts';
import { falcoRuleSources } from '../support/falco.ts';
import { KernelProbe, type TestCgroup } from '../support/kernel-probe.ts';
import type { Step } from '../support/kernel-process.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { verdictTable } from '../support/verdict-table.ts';

const AT_FDCWD = -100;
const O_DIRECTORY = 0o200000;
const TABLE = 1;
const OTHER = 2;
const DEFAULT_RULES = 'manifests/rules/varvel_rules.yaml';

const tableOf = (text: string): Uint8Array =>
  verdictTable(ruleSetOf(text)).bytes ?? assert.fail('the table does not fit');

const someCall = { kind: 0, directory: false, layer: 0, path: Buffer.from('/x') };

/** Of rules about nothing that the tests open. */
const NOTHING = tableOf(ruleFile('evt.type = openat and fd.name = /nothing'));

/** Paths that rules are about, and ones that are near them. */
function pathsOf(texts: readonly string[]): Buffer[] {
  const found = texts.flatMap((text) => text.match(/\/[\w./*@-]+|\.[a-z]\w+/g) ?? []);
  const near = [...new Set(found)].flatMap((path) => {
    const whole = path.startsWith('/') ? path : `/home/vcap/app/x${path}`;
    return [whole, `${whole}x`, `${whole}/x`, `/x${whole}`, whole.slice(0, -1), `${whole}/.ssh/y`];
  });
  const long = `/${'a'.repeat(LIMITS.VERDICT_PATH_MAX - 3)}`;
  const odd = ['/', '/x', '/é/ü', `${long}b`, `${long}bc`, `${long}bcd`, 'relative', ''];
  return [...near, ...odd].map((path) => Buffer.from(path));
}

describe('verdicts of opens', () => {
  let probe: KernelProbe;
  let dir: string;
  let cgroup: TestCgroup;
  before(() => {
    probe = new KernelProbe({ withVerdictRun: true, mayLose: 'calls' });
    dir = mkdtempSync(join(tmpdir(), 'varvel-verdicts-'));
    for (const name of ['secret', 'plain', '.hidden']) mkdirSync(join(dir, name));
    for (const name of ['secret/file', 'plain/file', 'plain/key.pem', '.hidden/file'])
      writeFileSync(join(dir, name), 'text');
    symlinkSync(join(dir, 'plain/file'), join(dir, 'secret/to-plain'));
    symlinkSync(join(dir, 'secret/file'), join(dir, 'plain/to-secret'));
    symlinkSync(join(dir, 'secret'), join(dir, 'to-secret'));
    for (const name of ['up', 'secret/up']) symlinkSync(join(dir, 'plain'), join(dir, name));
    cgroup = probe.mkdir('judged');
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const judge = (bytes: Uint8Array | undefined): void => probe.probe.setVerdicts(TABLE, bytes);

  for (const [name, sources] of [
    ['the default rules', [readRuleFile(DEFAULT_RULES)]],
    ['Falco’s rules', falcoRuleSources()],
  ] as const) {
    test(`${name}: the kernel says of each path what TypeScript does`, () => {
      const { ruleSet } = loadRules(sources);
      assert.ok(ruleSet);
      const all = new Set(ruleSet.rules.map((rule) => rule.name));
      const { bytes } = verdictTable(ruleSet, 'docker', all);
      assert.ok(bytes);
      judge(bytes);
      const counts = [0, 0];
      let certain = 0;
      for (const path of pathsOf(sources.map(({ text }) => text))) {
        for (const event of OPEN_EVENTS) {
          for (const [index, layer] of LAYERS.entries()) {
            const [reads, failed] = [index % 2 === 0, layer === 'no file'];
            const directory = reads && event === 'openat2';
            const dots = event !== 'open';
            const open = { event, reads, writes: !reads, failed, directory, dots, layer };
            const kind = kindIndex(open);
            const { passes, failing, denies } = verdictOf(bytes, { ...open, path });
            const asked = { kind, directory, dots, layer: index, path };
            const found = probe.probe.runVerdict(TABLE, asked);
            const is = `${path.toString()} ${JSON.stringify(open)}`;
            assert.deepEqual(found, { passes: passes ? 1 : 0, failing, denies }, is);
            counts[found.passes] = (counts[found.passes] ?? 0) + 1;
            if (failing !== ALL_FAILING) certain++;
          }
        }
      }
      // Of opens the kernel is certain of the default rules alone.
      assert.ok(name !== 'the default rules' || certain > 50, `${certain} certain`);
      // Both answers were given, each often.
      assert.ok(Math.min(...counts) > 500, counts.join());
    });
  }

  /** Which of these were reported. */
  async function reported(
    opens: readonly Step[][],
    before: readonly Step[] = [],
  ): Promise<boolean[]> {
    const count = probe.entry(cgroup).prefiltered;
    const running = await probe.run(cgroup, [...before, ...opens.flat()]);
    const seen = probe
      .eventsOf(running.pid)
      .flatMap(({ open }) => (open === undefined ? [] : [open.rawPath]));
    const kept = probe.entry(cgroup).prefiltered - count;
    assert.equal(seen.length + kept, opens.length, 'each open is reported or counted');
    return opens.map((open) => seen.includes(String(open[0] === 'open' ? open[1] : open[2])));
  }
  const open = (path: string, flags = 0): Step[] => ['openat', AT_FDCWD, path, flags, 0];

  test('a rule about dots in the path as passed: other opens are counted', async () => {
    judge(
      tableOf(
        ruleFile('evt.type = openat and fd.nameraw contains "../" and fd.nameraw glob "*../*../*"'),
      ),
    );
    mkdirSync(join(dir, 'dots..'), { recursive: true });
    writeFileSync(join(dir, 'dots../file'), '');
    const pad = (length: number): string => join(dir, 'plain').padEnd(length, '/');
    const opens: [string, boolean][] = [
      [join(dir, 'plain/file'), false],
      [`${dir}/plain/../plain/../plain/file`, true],
      // The kernel only knows that there are dots.
      [`${dir}/plain/../plain/file`, true],
      [join(dir, 'dots../file'), true],
      [`${dir}/./plain/./file`, false],
      [`${dir}/plain/./.hidden`, false],
      ['plain/file', false],
      ['../x', true],
      ['..', true],
      // At each place of the eight bytes that are looked at together.
      ...Array.from({ length: 16 }, (_, n): [string, boolean] => [`${pad(100 + n)}../plain`, true]),
      ...Array.from({ length: 16 }, (_, n): [string, boolean] => [`${pad(100 + n)}./.x`, false]),
      // Too long to look.
      [`${pad(300)}file`, true],
    ];
    const seen = await reported(
      opens.map(([path]) => open(path)),
      ['cd', dir],
    );
    assert.deepEqual(
      opens.map(([path], index) => [path, seen[index]]),
      opens,
    );
  });

  test('a path that a rule is about is reported, whichever name led there; another one is counted', async () => {
    judge(
      tableOf(ruleFile(`evt.type in (open, openat) and fd.name startswith ${join(dir, 'secret')}`)),
    );
    const opens: [Step[], boolean][] = [
      [open(join(dir, 'secret/file')), true],
      [open(join(dir, 'plain/file')), false],
      // By a link from elsewhere the file is it; by one from there the claim is.
      [open(join(dir, 'plain/to-secret')), true],
      [open(join(dir, 'secret/to-plain')), true],
      // It could be about anything, so user space looks.
      [open(`${dir}/plain/../plain/file`), true],
      [open(`${dir}//plain/file`), false],
      [open(`${dir}/plain/./file`), false],
      [open(join(dir, '.hidden/file')), false],
      [open('/proc/self/root/etc/hostname'), false],
      [['open', join(dir, 'secret'), 0, 0], true],
      [['open', join(dir, 'plain'), 0, 0], false],
      [open(`${dir}/secret/`, O_DIRECTORY), true],
      [open(`${dir}/plain/`, O_DIRECTORY), false],
      [open(`${dir}/plain//`, O_DIRECTORY), false],
      [open(join(dir, 'to-secret/'), O_DIRECTORY), true],
      [open(join(dir, 'secret/up/'), O_DIRECTORY), true],
      [open(join(dir, 'up/'), O_DIRECTORY), false],
    ];
    assert.deepEqual(
      await reported(opens.map(([steps]) => steps)),
      opens.map(([, expected]) => expected),
    );
  });

  test('relative paths are judged by the file that the kernel opened', async () => {
    judge(
      tableOf(
        ruleFile(`evt.type = openat and fd.filename = file and fd.directory endswith secret`),
      ),
    );
    assert.deepEqual(
      await reported(
        [open('secret/file'), open('plain/file'), open('plain/../secret/./file')],
        [...['cd', dir]],
      ),
      [true, false, true],
    );
  });

  test('an open that failed is judged by what was passed', async () => {
    judge(
      tableOf(ruleFile(`evt.type = openat and evt.failed = true and fd.name startswith ${dir}/no`)),
    );
    const opens: [Step[], boolean][] = [
      [open(`${dir}/no/such`), true],
      [open(`${dir}/such`), false],
      [open('no/such'), true],
      [open('such'), false],
      [open('./such'), false],
      [open('no/.//such/.'), true],
      [open('./../no/such'), true],
      [open('plain/../such'), true],
      [open('/proc/self/no'), true],
      [open(join(dir, 'plain/file')), false],
    ];
    assert.deepEqual(
      await reported(
        opens.map(([steps]) => steps),
        ['cd', dir],
      ),
      opens.map(([, expected]) => expected),
    );
  });

  test('paths of any components: without "..", what is reported is what they name', async () => {
    judge(
      tableOf(ruleFile(`evt.type = openat and evt.failed = true and fd.name startswith ${dir}/no`)),
    );
    const component = fc.constantFrom('', '.', '..', 'no', 'x', '.no', '..x', 'n.', 'a/.b');
    const paths = fc.sample(
      fc.tuple(fc.boolean(), fc.array(component, { minLength: 1, maxLength: 40 })),
      { numRuns: 2000, seed: 7 },
    );
    const texts = paths
      // What is there does not fail. The folder's own name is random, and may have these letters too.
      .filter(([, parts]) => /no|x/.test(parts.join('/')))
      .map(([absolute, parts]) => `${absolute ? `${dir}/` : './'}${parts.join('/')}`)
      // The probe does not judge what is longer.
      .filter((text) => dir.length + text.length < LIMITS.VERDICT_PATH_MAX);
    assert.ok(texts.length > 1000);
    const seen = await reported(
      texts.map((text) => open(text)),
      ['cd', dir],
    );
    for (const [index, text] of texts.entries()) {
      const named = normalizePath(text.startsWith('/') ? text : `${dir}/${text}`);
      const unclear = text.split('/').includes('..');
      const is = unclear || named.startsWith(`${dir}/no`);
      assert.equal(seen[index], is, text);
    }
  });

  test('flags alone decide where no rule is about such opens, and nobody is judged without a table', async () => {
    judge(tableOf(ruleFile('evt.type = openat and evt.is_open_write = true')));
    const opens = [open(join(dir, 'plain/file')), open(join(dir, 'plain/key.pem'), 1)];
    assert.deepEqual(await reported(opens), [false, true]);
    judge(undefined);
    assert.deepEqual(await reported(opens), [true, true]);
  });

  test('a container of another number is not judged, and one stops to be when its number is taken away', async () => {
    judge(NOTHING);
    const other = probe.mkdir('other');
    const running = await probe.run(other, open(join(dir, 'plain/file')));
    assert.equal(probe.openOf(running.pid, join(dir, 'plain/file')).type, 'openat');
    assert.deepEqual(await reported([open(join(dir, 'plain/file'))]), [false]);
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, 0);
    assert.deepEqual(await reported([open(join(dir, 'plain/file'))]), [true]);
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    probe.probe.scopeSet(cgroup.id, 'pending', cgroup.level);
    assert.deepEqual(await reported([open(join(dir, 'plain/file'))]), [false], 'it stays judged');
  });

  test('suspended, no table counts, until one is set anew', async () => {
    const plain = [open(join(dir, 'plain/file'))];
    judge(NOTHING);
    probe.probe.setVerdicts(OTHER, NOTHING);
    assert.deepEqual(await reported(plain), [false]);
    probe.probe.suspendVerdicts();
    probe.probe.suspendVerdicts();
    assert.deepEqual(await reported(plain), [true]);
    probe.probe.setVerdicts(OTHER, NOTHING);
    assert.deepEqual(await reported(plain), [true], 'another one does not matter');
    judge(NOTHING);
    assert.deepEqual(await reported(plain), [false]);
    probe.probe.setVerdicts(OTHER, undefined);
    assert.deepEqual(await reported(plain), [false]);
  });

  test('without filtering, all is reported until a table is set anew; one alone can stop to filter', async () => {
    const plain = [open(join(dir, 'plain/file'))];
    judge(NOTHING);
    probe.probe.setVerdicts(OTHER, NOTHING);
    probe.probe.stopFiltering(OTHER);
    assert.deepEqual(await reported(plain), [false]);
    probe.probe.stopFiltering(TABLE);
    assert.deepEqual(await reported(plain), [true]);
    judge(NOTHING);
    assert.deepEqual(await reported(plain), [false]);
    probe.probe.stopFiltering();
    assert.deepEqual(await reported(plain), [true]);
    judge(NOTHING);
    assert.deepEqual(await reported(plain), [false]);
    // A copy filters nothing, also where a table stood that did.
    probe.probe.copyVerdicts(OTHER, TABLE, 0);
    assert.deepEqual(await reported(plain), [true]);
    judge(NOTHING);
    assert.deepEqual(await reported(plain), [false]);
    probe.probe.setVerdicts(OTHER, undefined);
    assert.throws(() => probe.probe.copyVerdicts(OTHER, TABLE, 0), { code: 'ENOENT' });
    assert.throws(() => probe.probe.copyVerdicts(TABLE, OTHER, -1), TypeError);
    assert.throws(() => probe.probe.allowRules(OTHER, 1), { code: 'ENOENT' });
    assert.throws(() => probe.probe.allowRules(TABLE, -1), TypeError);
    assert.throws(() => probe.probe.stopFiltering(64), TypeError);
  });

  /** Opens a file again and again while the tables take turns; how often that was reported or lost, and how often kept back. */
  async function whileSwapped(
    tables: readonly (Uint8Array | undefined)[],
  ): Promise<[number, number]> {
    judge(tables[0]);
    const before = probe.entry(cgroup);
    const running = probe.spawn(cgroup, ['loop', 100_000_000, 0, join(dir, 'plain/file')]);
    const opens = (): number => {
      const { emitted, prefiltered, dropped } = probe.entry(cgroup);
      return emitted + prefiltered + dropped;
    };
    for (let swaps = 0; swaps < 10; swaps++) {
      const some = opens() + 100;
      while (opens() < some) await nextTurn();
      judge(tables[swaps % tables.length]);
    }
    running.kill();
    await running.ended();
    await probe.settle();
    // Some may be lost: this process swaps instead of reading the ring.
    const sent = ({ emitted, dropped }: LoaderScopeEntry): number => emitted + dropped;
    const after = probe.entry(cgroup);
    return [sent(after) - sent(before), after.prefiltered - before.prefiltered];
  }

  test('a table is swapped between two opens: of thousands, each is judged by one or the other', async () => {
    const [sent, kept] = await whileSwapped(
      ['evt.type = openat', 'evt.type = openat and fd.name = /nothing'].map((text) =>
        tableOf(ruleFile(text)),
      ),
    );
    assert.ok(sent > 400 && kept > 400, `${sent} sent, ${kept} kept back`);
  });

  test('while two tables and none take turns, of which each reports an open, it is reported', async () => {
    const plain = `fd.name startswith ${join(dir, 'plain')}`;
    const others = Array.from({ length: 60 }, (_, n) => `fd.name = /a${n}/b`).join(' or ');
    const [sent, kept] = await whileSwapped(
      [plain, undefined, `${others} or fd.directory endswith plain`].map((text) =>
        text === undefined ? undefined : tableOf(ruleFile(`evt.type = openat and (${text})`)),
      ),
    );
    assert.equal(kept, 0, `${sent} sent`);
  });

  test('without its program, which only tests load, no verdict is to be had', async () => {
    const plain = new KernelProbe({ attach: [] });
    try {
      assert.throws(
        () => plain.probe.runVerdict(TABLE, someCall),
        (error: LoaderError) => error.code === 'EBADF',
      );
    } finally {
      await plain.close();
    }
  });

  test('wrong arguments are errors, and change nothing', () => {
    const { probe: loader } = probe;
    assert.throws(() => loader.setVerdicts(0, undefined), /a table must be from 1 to 63, not 0/);
    assert.throws(() => loader.setVerdicts(64, undefined), TypeError);
    assert.throws(
      () => loader.setVerdicts(TABLE, new Uint8Array(8)),
      (error: LoaderError) =>
        error.code === 'EINVAL' && error.operation === 'change what is filtered',
    );
    assert.throws(() => loader.scopeSet(cgroup.id, 'included', cgroup.level, 64), TypeError);
    assert.equal(loader.runVerdict(5, someCall).passes, -1);
  });
});
