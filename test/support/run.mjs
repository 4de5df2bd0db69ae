// Runs the test files of the named layers with node:test: node test/support/run.mjs LAYER… [-- node --test flags]
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const split = process.argv.indexOf('--');
const layers = process.argv.slice(2, split < 0 ? undefined : split);
const flags = split < 0 ? [] : process.argv.slice(split + 1);

const files = layers
  .flatMap((layer) =>
    readdirSync(join('test', layer), { recursive: true })
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => join('test', layer, name)),
  )
  .sort();
if (files.length === 0) {
  console.error(`no test files in: ${layers.join(' ')}`);
  process.exit(1);
}
// Layers that load the probe or start daemons run one file at a time: they would see each other's events.
const serial = layers.some((layer) => ['kernel', 'integration', 'vm', 'e2e'].includes(layer));
// The runner's own default leaves one core to itself, which on two is half of them.
const concurrency = serial ? 1 : availableParallelism();
const { status } = spawnSync(
  process.execPath,
  ['--import', 'tsx', '--test', `--test-concurrency=${concurrency}`, ...flags, ...files],
  { stdio: 'inherit' },
);
process.exit(status ?? 1);
