// npm run test:fuzz [-- --seconds N] [--first N]: rule files, conditions, outputs and patterns of any shape.
// Fails when one crashes the parser, the loader or the evaluation, breaks a promise of theirs, takes too long or too
// much memory.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { inputOf } from './inputs.ts';

/** Far more than any input takes: what takes longer hangs for all that a user can tell. */
const HANG_MS = 20_000;
const HEAP_MB = 512;

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, first: { type: 'string' } },
});
const seconds = Number(values.seconds);
// Other inputs each time; the number of the one that fails is printed.
const first = values.first === undefined ? Date.now() & 0x3fff_ffff : Number(values.first);
if (!Number.isInteger(seconds) || seconds < 1 || !Number.isInteger(first)) {
  console.error('usage: npm run test:fuzz -- [--seconds N] [--first NUMBER]');
  process.exit(2);
}

const worker = spawn(
  process.execPath,
  [
    ...[`--max-old-space-size=${HEAP_MB}`, '--import', 'tsx'],
    ...[fileURLToPath(new URL('worker.ts', import.meta.url)), String(first)],
  ],
  { stdio: ['ignore', 'inherit', 'pipe', 'pipe'] },
);
const progress = { number: first, fed: 0, accepted: 0, since: Date.now() };
createInterface({ input: worker.stdio[3] as Readable }).on('line', (line) => {
  if (line === '+') progress.accepted += 1;
  else {
    progress.number = Number(line.slice(1));
    progress.fed += 1;
    progress.since = Date.now();
  }
});
let complaint = '';
worker.stderr?.on('data', (bytes: Buffer) => {
  complaint = (complaint + bytes.toString()).slice(-8000);
});

let enough = false;
const end = setTimeout(() => {
  enough = true;
  worker.kill('SIGKILL');
}, seconds * 1000);
const tell = setInterval(() => {
  console.log(`fuzz: ${progress.fed} inputs, ${progress.accepted} accepted`);
}, 10_000);
const watch = setInterval(() => {
  if (Date.now() - progress.since < HANG_MS) return;
  complaint = `no end after ${HANG_MS / 1000} s`;
  worker.kill('SIGKILL');
}, 500);
worker.on('close', () => {
  clearTimeout(end);
  clearInterval(tell);
  clearInterval(watch);
  process.exitCode = enough && complaint === '' ? conclude() : fail();
});

function conclude(): number {
  const { fed, accepted } = progress;
  if (accepted === 0 || accepted === fed) {
    console.error(`fuzz: ${accepted} of ${fed} inputs accepted: that shows nothing`);
    return 1;
  }
  console.log(`fuzz: ${fed} inputs from ${first} on, ${accepted} accepted, none crashed or hung`);
  return 0;
}

function fail(): number {
  const { number } = progress;
  const { target, text } = inputOf(number);
  const file = join(tmpdir(), `varvel-fuzz-${number}.txt`);
  writeFileSync(file, text);
  console.error(`fuzz: input ${number} (${target}, kept in ${file}) failed:\n${complaint}`);
  console.error(`fuzz: again with: npm run test:fuzz -- --first ${number}`);
  return 1;
}
