// The set-up for guests, once for each run of tests: see prepareGuestsOnce, which holds a lock meanwhile.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE } from './guest-kernel.ts';
import { prepareGuests } from './guest-programs.ts';

const [, , run = ''] = process.argv;
const mark = join(CACHE, 'prepared-for');
if (!existsSync(mark) || readFileSync(mark, 'utf8') !== run) {
  rmSync(mark, { force: true });
  prepareGuests();
  writeFileSync(mark, run);
}
