// Runs the test files of the named layers with node:test: node test/support/run.mjs LAYER… [-- node --test flags]
// A layer is a folder below test; `!FOLDER` leaves one of its folders out. VARVEL_TESTS=quick leaves out the files of long-tests.mjs, and
// VARVEL_TESTS=changed those of unit and property tests that have passed as they are.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isLong } from './long-tests.mjs';
import { PassedTests } from './passed-tests.mjs';
import { Turns } from './turns.mjs';

const split = process.argv.indexOf('--');
const named = process.argv.slice(2, split < 0 ? undefined : split);
const layers = named.filter((name) => !name.startsWith('!'));
const leftOut = named
  .filter((name) => name.startsWith('!'))
  .map((name) => join('test', name.slice(1), '/'));
const flags = split < 0 ? [] : process.argv.slice(split + 1);

const all = layers
  .flatMap((layer) =>
    readdirSync(join('test', layer), { recursive: true })
      // The guests' cache has packages, and these have tests of their own.
      .filter((name) => name.endsWith('.test.ts') && !name.includes('node_modules/'))
      .map((name) => join('test', layer, name)),
  )
  .filter((name) => !leftOut.some((folder) => name.startsWith(folder)))
  .sort();
const files = process.env.VARVEL_TESTS === 'quick' ? all.filter((file) => !isLong(file)) : all;
if (files.length === 0) {
  console.error(`no test files in: ${layers.join(' ')}`);
  process.exit(1);
}
// Layers that load the probe or start daemons run one file at a time: they would see each other's events.
const serial = layers.some((layer) =>
  ['kernel', 'integration', 'vm', 'e2e'].includes(layer.split('/')[0]),
);
// But guests see nothing of each other. An emulated one is busy with one core most of the time.
const guests = layers.every((layer) => layer.split('/')[0] === 'vm');
// The runner's own default leaves one core to itself, which on two is half of them; some tests wait, and others have theirs.
const concurrency = guests ? availableParallelism() : serial ? 1 : availableParallelism() + 1;
const folder = mkdtempSync(join(tmpdir(), 'varvel-tests-'));
const failed = join(folder, 'failed');
const passed = process.env.VARVEL_TESTS === 'changed' && !serial ? PassedTests.open() : undefined;
const turns = serial ? undefined : await Turns.make(files, folder, concurrency, passed);
if (turns?.workers.length === 0) {
  console.log(`${named.join(' ')}: nothing has changed since these tests passed.`);
  turns.end(failed);
  rmSync(folder, { recursive: true });
  process.exit(0);
}
const engine = files.some(needsEngine) ? await startEngine() : undefined;
const { status } = spawnSync(
  process.execPath,
  [
    ...(turns === undefined ? ['--import', 'tsx'] : turns.flags),
    '--test',
    `--test-concurrency=${concurrency}`,
    `--test-reporter=${process.stdout.isTTY ? 'spec' : 'tap'}`,
    '--test-reporter-destination=stdout',
    `--test-reporter=${pathToFileURL(join(import.meta.dirname, 'failures.mjs')).href}`,
    `--test-reporter-destination=${failed}`,
    ...flags,
    ...(turns?.workers ?? files),
  ],
  { stdio: 'inherit' },
);
await engine?.end();
turns?.end(failed);
const told = readFileSync(failed, 'utf8');
const counted = JSON.parse(
  /^COUNTED (.*)$/m.exec(told)?.[1] ?? '{"passed":0,"skipped":{},"files":[]}',
);
passed?.add(counted.files);
const failures = told.replace(/^COUNTED .*\n/m, '');
if (failures !== '') {
  console.error(`\n== failed in ${layers.join(' and ')}\n${failures}`);
  // `npm test` says it once more at its end.
  if (process.env.FAILED_TESTS_FILE !== undefined)
    appendFileSync(process.env.FAILED_TESTS_FILE, failures);
}
if (process.env.COUNTED_TESTS_FILE !== undefined) {
  const { passed: count, skipped } = counted;
  const what = {
    layers: named.join(' '),
    passed: count,
    skipped,
    filesLeftOut: all.length - files.length,
  };
  appendFileSync(process.env.COUNTED_TESTS_FILE, `${JSON.stringify(what)}\n`);
}
rmSync(folder, { recursive: true });
process.exit(failures === '' ? (status ?? 1) : 1);

function needsEngine(file) {
  return /^test\/(integration\/engine|e2e\/(?!no-engine\/))/.test(file);
}

/** One Docker engine for all files. If it does not start, each file starts its own, and says what is wrong. */
async function startEngine() {
  const argv = ['--pdeathsig', 'TERM', process.execPath, '--import', 'tsx'];
  const child = spawn('setpriv', [...argv, 'test/support/shared-engine.ts'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const [facts] = await Promise.race([once(child.stdout, 'data'), ended]);
  if (!Buffer.isBuffer(facts)) return undefined;
  process.env.VARVEL_TEST_ENGINE = facts.toString().trim();
  return {
    end() {
      child.stdin.end();
      return ended;
    },
  };
}
