import { writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { parseArgs } from 'node:util';
import { formatBenign, isQuiet } from './benign-report.ts';
import { benignTable } from './benign-table.ts';
import { whyNoDebianImage } from './debian-image.ts';
import { areShort } from './line-lengths.ts';
import { formatAttacks, isGood } from './report.ts';
import { DEFAULT_UPSTREAM, selectRows, upstreamFolder } from './rows.ts';
import { runAttacks } from './run-attacks.ts';
import { formatDenied, runDenied } from './run-denied.ts';
import { runBenign } from './run-benign.ts';
import { WORKLOADS } from './workloads.ts';

// npm run attacks [-- --only PATTERN] [--upstream DIR] [--json FILE] [--lengths FILE] [--table FILE]
// npm run attacks -- --deny PRIORITY [--only PATTERN] [--json FILE]: what becomes of each attack where rules deny

/** Start scripts may run for a minute. */
const LATER_S = 62;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    upstream: { type: 'string' },
    /** What each attack tripped, written to a file. */
    json: { type: 'string' },
    /** How long the lines of the default rules were, written to a file. */
    lengths: { type: 'string' },
    /** What each ordinary app tripped, as manifests/COVERAGE.md has it. */
    table: { type: 'string' },
    /** Rules from this priority up deny: only attacks are done, and it is said what became of each. */
    deny: { type: 'string' },
  },
});
const style = { colour: process.stdout.isTTY };
const folder = upstreamFolder(values.upstream ?? DEFAULT_UPSTREAM);
if (values.upstream !== undefined && folder === undefined)
  throw new Error(`Falco's rule files are not in ${values.upstream}.`);
const pattern = new RegExp(values.only ?? '', 'i');
const { rows, impossible } = selectRows(pattern);
if (values.deny !== undefined) {
  const denied = await runDenied(rows, release().replace(/-.*/, ''), values.deny);
  process.stdout.write(formatDenied(denied));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(denied, null, 2)}\n`);
  process.exit(denied.problems.length > 0 ? 1 : 0);
}
const noDebian = whyNoDebianImage();
const named = WORKLOADS.filter(({ name }) => pattern.test(name));
const workloads = named.filter(({ image }) => image === 'busybox' || noDebian === undefined);

let good = true;
if (rows.length + impossible.length > 0) {
  const attacks = await runAttacks(rows, folder);
  process.stdout.write(formatAttacks(attacks, impossible, style));
  // Of a part of the attacks a median says little.
  good = isGood(attacks) && (values.only !== undefined || areShort(attacks.lengths));
  if (values.lengths !== undefined)
    writeFileSync(values.lengths, `${JSON.stringify(attacks.lengths, null, 2)}\n`);
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ ...attacks, impossible }, null, 2)}\n`);
}
if (workloads.length > 0) {
  const benign = await runBenign(workloads, folder, LATER_S);
  process.stdout.write(`\n${formatBenign(benign, style)}`);
  good &&= isQuiet(benign);
  if (values.table !== undefined)
    writeFileSync(values.table, `${benignTable(benign).join('\n')}\n`);
}
if (workloads.length < named.length)
  process.stdout.write(
    `${named.length - workloads.length} ordinary apps were not run: ${noDebian ?? ''}\n`,
  );
if (rows.length + impossible.length + named.length === 0)
  throw new Error(`Nothing is named like "${values.only ?? ''}".`);
process.exitCode = good ? 0 : 1;
