import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../../..');
const MAIN = ['--import', 'tsx', join(root, 'src/main.ts')];
const varvel = (args: string[], env: Record<string, string> = {}) =>
  spawnSync(process.execPath, [...MAIN, ...args], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });

test('the version is the package’s', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  const { stdout, stderr, status } = varvel(['--version']);
  assert.deepEqual([stdout, stderr, status], [`${version}\n`, '', 0]);
});

test('it can be run as a program', () => {
  assert.match(readFileSync(join(root, 'src/main.ts'), 'utf8'), /^#!\/usr\/bin\/env node\n/);
});

test('errors of the user are one line on stderr, with their exit code', () => {
  const wrong = varvel(['agnet']);
  assert.equal(wrong.stdout, '');
  assert.equal(wrong.stderr, 'varvel: There is no command "agnet". Did you mean "varvel agent"?\n');
  assert.equal(wrong.status, 2);
  const variable = varvel(['agent'], { VARVEL_MODE: 'x\u001b[31m\u0007' });
  assert.equal(variable.status, 1);
  assert.match(
    variable.stderr,
    /^varvel: VARVEL_MODE: "mode" must be one of opt-in, opt-out, always; /,
  );

  assert.doesNotMatch(variable.stderr, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});

test('a reader that goes away is nobody’s error', async () => {
  const child = spawn(process.execPath, [...MAIN, 'fields', '--json', '--status'], { cwd: root });
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  child.stdout.destroy();
  const [code] = (await once(child, 'close')) as [number];
  assert.equal(code, 0);
  assert.equal(stderr, '');
});

test('a slow reader gets all of it', () => {
  const command = [process.execPath, ...MAIN, 'explain', '--all', '--json'];
  // More than a pipe holds, which is 64 KiB, before anybody reads.
  const { stdout } = spawnSync('sh', ['-c', '"$@" | (sleep 2; cat)', 'sh', ...command], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  });
  assert.ok(stdout.length > 200_000, `${stdout.length} characters`);
  assert.doesNotThrow(() => JSON.parse(stdout) as unknown);
});

test('an unexpected error is a sentence, and a stack only when asked for', () => {
  const broken = [
    '--import',
    'tsx',
    '--import',
    'data:text/javascript,JSON.stringify=()=>{throw new Error("odd\\u001b[2J")}',
  ];
  const run = (env: Record<string, string>) =>
    spawnSync(process.execPath, [...broken, join(root, 'src/main.ts'), 'fields', '--json'], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
  const plain = run({});
  assert.equal(plain.status, 1);
  assert.equal(
    plain.stderr,
    'varvel: unexpected error: odd\ufffd[2J. This is a defect of varvel: run it again with VARVEL_DEBUG=1 and report what it says.\n',
  );
  assert.match(
    run({ VARVEL_DEBUG: '1' }).stderr,
    /^varvel: unexpected error: Error: odd.*\n {4}at /,
  );
});
