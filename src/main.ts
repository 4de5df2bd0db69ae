#!/usr/bin/env node
import { readFileSync } from 'node:fs';

import { runCommandLine } from './cli/command-line.ts';
import type { ReadingIo } from './cli/io.ts';
import { replaceControls } from './shared/text.ts';
import { UserError } from './shared/user-error.ts';

/** The same place seen from `src/` and from `dist/`. */
const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

/** Writes until the reader has gone, which is nobody's error: `varvel fields | head`. */
function writer(stream: NodeJS.WriteStream): (text: string) => void {
  let gone = false;
  stream.on('error', (error: NodeJS.ErrnoException) => {
    gone = true;
    if (error.code !== 'EPIPE') process.exitCode = 1;
  });
  return (text) => {
    if (!gone) stream.write(text);
  };
}

/** Resolves when the reader has taken everything, or has gone: a pipe that is full takes the rest later. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.writableLength === 0 || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('drain', resolve).once('error', resolve).once('close', resolve);
  });
}

const io: ReadingIo = {
  stdout: writer(process.stdout),
  stderr: writer(process.stderr),
  stdin: () => process.stdin as AsyncIterable<Buffer>,
  isTty: process.stdout.isTTY ? process.env['NO_COLOR'] === undefined : false,
  columns: process.stdout.isTTY ? process.stdout.columns : 80,
};

/** Says what went wrong, line by line free of control characters, and returns the exit code. */
function report(error: unknown): number {
  const lines = (text: string): string => text.split('\n').map(replaceControls).join('\n');
  if (error instanceof UserError) {
    io.stderr(`varvel: ${lines(error.toDisplay())}\n`);
    return error.exitCode;
  }
  const message = error instanceof Error ? error.message : String(error);
  const [first = ''] = message.split('\n');
  if (process.env['VARVEL_DEBUG'] === '1') {
    io.stderr(
      `varvel: unexpected error: ${lines(error instanceof Error ? (error.stack ?? message) : message)}\n`,
    );
  } else {
    io.stderr(
      `varvel: unexpected error: ${lines(first)}. This is a defect of varvel: run it again with VARVEL_DEBUG=1 and report what it says.\n`,
    );
  }
  return 1;
}

for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error: unknown) => process.exit(report(error)));

const code = await runCommandLine(
  {
    argv: process.argv.slice(2),
    env: process.env,
    version,
    program: [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)],
  },
  io,
).catch(report);
await Promise.all([written(process.stdout), written(process.stderr)]);
process.exit(process.exitCode === 1 && code === 0 ? 1 : code);
