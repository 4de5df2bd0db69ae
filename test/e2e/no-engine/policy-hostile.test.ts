// `varvel policy FILE` as a user runs it, on files that a hostile tenant left: in bounded time, one clear line, nothing read
// that is not the tenant's.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { readPolicyFile } from '../../../src/policy/policy-file.ts';
import { HOSTILE_POLICIES } from '../../support/hostile-policies.ts';

/** Ends a command that waits for ever. It is no measure: each takes some tenths of a second. */
const FOR_EVER_MS = 60_000;
const folder = mkdtempSync(join(tmpdir(), 'varvel-hostile-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const fresh = (): string => join(folder, `${++count}.yml`);

function check(path: string): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr, error } = spawnSync(
    process.execPath,
    ['dist/main.js', 'policy', path],
    { encoding: 'utf8', timeout: FOR_EVER_MS, maxBuffer: 4 * 1024 * 1024 },
  );
  assert.equal(error, undefined);
  return { code: status, out: stdout, err: stderr };
}

describe('what a policy says', () => {
  for (const [what, [text, said]] of Object.entries(HOSTILE_POLICIES)) {
    test(what, () => {
      const path = fresh();
      writeFileSync(path, text);
      const { code, out, err } = check(path);
      const all = out + err;
      const tooLarge = Buffer.byteLength(text) > 64 * 1024;
      assert.match(
        all,
        tooLarge ? /^varvel: .*\.yml: Cannot read the policy: it is larger than 64 KiB/ : said,
      );
      assert.equal(code, what === 'macros that multiply' ? 0 : tooLarge ? 2 : 1, all);
      assert.doesNotMatch(all, /[\0-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]/);
      assert.doesNotMatch(all, /\n {4}at |node:internal/, 'no stack trace');
      assert.ok(all.length < 200_000);
    });
  }
});

describe('what is no file of the tenant’s', () => {
  const cases: Readonly<Record<string, readonly [make: (path: string) => void, said: RegExp]>> = {
    'a link to the password hashes': [(path) => symlinkSync('/etc/shadow', path), /it is a link\./],
    'a link to itself': [(path) => symlinkSync(path, path), /it is a link\./],
    'a link to nothing': [(path) => symlinkSync('/nonexistent', path), /it is a link\./],
    'a FIFO that nobody writes to': [
      (path) => execFileSync('mkfifo', [path]),
      /it is not a regular file\./,
    ],
    '2 GB of nothing': [
      (path) => {
        writeFileSync(path, '');
        truncateSync(path, 2 ** 31);
      },
      /it is larger than 64 KiB, and no policy needs as much\./,
    ],
    'a directory': [(path) => mkdirSync(path), /it is not a regular file\./],
    nothing: [() => undefined, /there is no such file; check the path\./],
  };
  for (const [what, [make, said]] of Object.entries(cases)) {
    test(what, () => {
      const path = fresh();
      make(path);
      const { code, out, err } = check(path);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, said);
      assert.equal(err.trim().split('\n').length, 1, err);
    });
  }

  test('devices: one that never ends, one that never answers', () => {
    for (const path of ['/dev/zero', '/dev/urandom', '/dev/ptmx']) {
      const { code, err } = check(path);
      assert.equal(code, 2);
      assert.match(err, /it is not a regular file\./, path);
    }
  });

  test('a socket', async () => {
    const path = join(folder, 'socket');
    const server = createServer();
    await new Promise<void>((done) => server.listen(path, done));
    try {
      const { code, err } = check(path);
      assert.equal(code, 2);
      assert.match(err, /it is not a regular file\./);
    } finally {
      server.close();
    }
  });

  test('a path that climbs is the user’s own; a second name of a file is that file', () => {
    const path = fresh();
    writeFileSync(path, 'minimum_priority: notice\n');
    const other = fresh();
    linkSync(path, other);
    assert.equal(
      check(join(folder, 'x', '..', '..', folder.split('/').at(-1) ?? '', `${count}.yml`)).code,
      0,
    );
    assert.equal(check(other).code, 0);
  });
});

test('of 2 GB no more is read than the bound and one byte: the kernel counts it', () => {
  const path = fresh();
  writeFileSync(path, '');
  truncateSync(path, 2 ** 31);
  const read = (): number =>
    Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
  const before = read();
  assert.throws(() => readPolicyFile(path), /larger than 64 KiB/);
  const bytes = read() - before;
  assert.ok(bytes >= 64 * 1024 && bytes < 80 * 1024, String(bytes));
});
