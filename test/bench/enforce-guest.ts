// npm run bench enforce guest: what rules that deny add to calls that they allow, where the kernel lets programs change what its functions
// return: opens too. In an emulated machine whose clock counts instructions: its figures are these, and not times.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { runInGuest } from '../vm/guest.ts';
import { guestKernel } from '../vm/guest-kernel.ts';
import { guestBench, prepareGuests } from '../vm/guest-programs.ts';

const FILE = 'test/bench/results/enforce-guest.json';
const PRINT = 'RESULTS ';

prepareGuests();
const kernel = guestKernel('bookworm');
const { code, output } = await runInGuest({
  kernel,
  cgroups: 'v2',
  countsInstructions: true,
  command: guestBench('enforce', { BENCH_ROUNDS: '1', BENCH_PRINT: PRINT }),
});
const line = output.split('\n').find((one) => one.startsWith(PRINT));
assert.ok(code === 0 && line !== undefined, `the guest ended with ${code}:\n${output}`);
const { rows, rulesThatDeny } = JSON.parse(line.slice(PRINT.length)) as {
  readonly rows: readonly Readonly<Record<string, number | string>>[];
  readonly rulesThatDeny: readonly string[];
};
// The clock's nanoseconds are instructions.
const counted = rows.map((row) =>
  Object.fromEntries(Object.entries(row).map(([key, value]) => [key.replace(/Ns$/, ''), value])),
);
console.table(counted);
const results = {
  date: new Date().toISOString().slice(0, 10),
  kernel: kernel.release,
  unit: 'instructions',
  rulesThatDeny,
  rows: counted,
};
writeFileSync(FILE, `${JSON.stringify(results, null, 2)}\n`);
console.log(`written to ${FILE}`);
