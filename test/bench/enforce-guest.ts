// npm run bench enforce guest: what rules that deny add to calls that they allow, where the kernel lets programs change what its functions
// return: opens too. In emulated machines whose clock counts instructions: its figures are these, and not times.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { runInGuest } from '../vm/guest.ts';
import { guestKernel, type Suite } from '../vm/guest-kernel.ts';
import { guestBench, prepareGuests } from '../vm/guest-programs.ts';

const FILE = 'test/bench/results/enforce-guest.json';
const PRINT = 'RESULTS ';
/** Before Linux 6.2 programs read the kernel's memory by function calls alone; since 6.7 they judge the file in an overlay's layer too. */
const SUITES: readonly Suite[] = ['bookworm', 'trixie'];

prepareGuests();
const kernels = await Promise.all(SUITES.map(countIn));
const results = { date: new Date().toISOString().slice(0, 10), unit: 'instructions', kernels };
writeFileSync(FILE, `${JSON.stringify(results, null, 2)}\n`);
console.log(`written to ${FILE}`);

async function countIn(suite: Suite): Promise<object> {
  const kernel = guestKernel(suite);
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
  console.log(`Linux ${kernel.release}`);
  console.table(counted);
  return { kernel: kernel.release, rulesThatDeny, rows: counted };
}
