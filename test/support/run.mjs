// Runs the test files of the named layers with node:test: node test/support/run.mjs LAYER… [-- node --test flags]
// A layer is a folder below test; `!FOLDER` leaves one of its folders out.
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const split = process.argv.indexOf('--');
const named = process.argv.slice(2, split < 0 ? undefined : split);
const layers = named.filter((name) => !name.startsWith('!'));
const leftOut = named
  .filter((name) => name.startsWith('!'))
  .map((name) => join('test', name.slice(1), '/'));
const flags = split < 0 ? [] : process.argv.slice(split + 1);

const files = layers
  .flatMap((layer) =>
    readdirSync(join('test', layer), { recursive: true })
      // The guests' cache has packages, and these have tests of their own.
      .filter((name) => name.endsWith('.test.ts') && !name.includes('node_modules/'))
      .map((name) => join('test', layer, name)),
  )
  .filter((name) => !leftOut.some((folder) => name.startsWith(folder)))
  .sort();
if (files.length === 0) {
  console.error(`no test files in: ${layers.join(' ')}`);
  process.exit(1);
}
// Layers that load the probe or start daemons run one file at a time: they would see each other's events.
const serial = layers.some((layer) =>
  ['kernel', 'integration', 'vm', 'e2e'].includes(layer.split('/')[0]),
);
// The runner's own default leaves one core to itself, which on two is half of them; some tests wait, and others have theirs.
const concurrency = serial ? 1 : availableParallelism() + 1;
const DURATIONS = 'node_modules/.cache/test-durations.json';
const folder = mkdtempSync(join(tmpdir(), 'varvel-tests-'));
const failed = join(folder, 'failed');
const { status } = spawnSync(
  process.execPath,
  [
    '--import',
    'tsx',
    '--test',
    `--test-concurrency=${concurrency}`,
    `--test-reporter=${process.stdout.isTTY ? 'spec' : 'tap'}`,
    '--test-reporter-destination=stdout',
    '--test-reporter=./test/support/failures.mjs',
    `--test-reporter-destination=${failed}`,
    ...(serial
      ? []
      : [
          '--test-reporter=./test/support/durations.mjs',
          `--test-reporter-destination=${DURATIONS}.new`,
        ]),
    ...flags,
    ...(serial ? files : grouped(concurrency)),
  ],
  { stdio: 'inherit' },
);
if (!serial && status === 0 && flags.length === 0) {
  // Other layers' were kept by their own runs.
  const took = { ...lastDurations(), ...JSON.parse(readFileSync(`${DURATIONS}.new`, 'utf8')) };
  writeFileSync(DURATIONS, JSON.stringify(took));
}
const failures = readFileSync(failed, 'utf8');
if (failures !== '') {
  console.error(`\n== failed in ${layers.join(' and ')}\n${failures}`);
  // `npm test` says it once more at its end.
  if (process.env.FAILED_TESTS_FILE !== undefined)
    appendFileSync(process.env.FAILED_TESTS_FILE, failures);
}
rmSync(folder, { recursive: true });
process.exit(status ?? 1);

/** Each process reads all of src once more, which takes longer than most files: one for each that runs at a time. */
function grouped(count) {
  mkdirSync(dirname(DURATIONS), { recursive: true });
  const took = lastDurations();
  const groups = Array.from({ length: count }, () => ({ ms: 0, suites: [] }));
  // The longest first, each to the group that has least: in a fresh clone, where none is known, in turns.
  for (const file of files.toSorted((a, b) => (took[b] ?? 100) - (took[a] ?? 100))) {
    const least = groups.reduce((one, other) => (other.ms < one.ms ? other : one));
    least.ms += took[file] ?? 100;
    const url = pathToFileURL(resolve(file)).href;
    least.suites.push(`describe(${JSON.stringify(file)}, () => import(${JSON.stringify(url)}));`);
  }
  return groups.map(({ suites }, nth) => {
    const path = join(folder, `group-${nth + 1}.test.mjs`);
    writeFileSync(path, ["import { describe } from 'node:test';", ...suites, ''].join('\n'));
    return path;
  });
}

/** By file, in ms, of the last run that came to its end. */
function lastDurations() {
  try {
    return JSON.parse(readFileSync(DURATIONS, 'utf8'));
  } catch {
    return {};
  }
}
