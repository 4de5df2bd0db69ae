import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { readSmallFile, stampOfFile } from '../../../src/streams/small-file.ts';
import { TlsFiles } from '../../../src/streams/tls-files.ts';
import { Authority } from '../../support/certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-tls-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string): string => join(folder, name);
const NOTHING = { ca: undefined, cert: undefined, key: undefined, serverName: undefined };

function says(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message.replaceAll(folder, '');
  }
  return assert.fail('it should not do');
}

test('a small file is read whole, or a sentence says why not', () => {
  writeFileSync(path('ten'), '0123456789');
  assert.equal(readSmallFile(path('ten'), 'a.b', 10).toString(), '0123456789');
  symlinkSync('ten', path('link'));
  assert.equal(readSmallFile(path('link'), 'a.b', 10).length, 10);
  execFileSync('mkfifo', [path('fifo')]);
  const wrong: Record<string, string> = {
    ten: '"a.b": /ten is larger than 9 bytes; it cannot be what is needed here. Name another.',
    none: '"a.b": cannot read /none: there is no such file. Check the path.',
    fifo: '"a.b": /fifo is not a regular file. Name another.',
    '': '"a.b": / is not a regular file. Name another.',
  };
  for (const [name, sentence] of Object.entries(wrong))
    assert.equal(
      says(() => readSmallFile(`${folder}/${name}`, 'a.b', 9)),
      sentence,
    );
});

test('a stamp changes with content, replacement and mode, and when the file goes', () => {
  writeFileSync(path('stamped'), 'a');
  const stamps = [stampOfFile(path('stamped'))];
  assert.equal(stampOfFile(path('stamped')), stamps[0]);
  writeFileSync(path('stamped'), 'bb');
  stamps.push(stampOfFile(path('stamped')));
  chmodSync(path('stamped'), 0o600);
  stamps.push(stampOfFile(path('stamped')));
  rmSync(path('stamped'));
  stamps.push(stampOfFile(path('stamped')));
  assert.equal(new Set(stamps).size, 4);
  assert.equal(stamps.at(-1), 'ENOENT');
});

test('certificates that cannot be used are named with what they must be', () => {
  const authority = new Authority(folder);
  const one = authority.issue('one');
  const two = authority.issue('two');
  writeFileSync(path('empty'), '');
  writeFileSync(
    path('locked'),
    execFileSync('openssl', ['rsa', '-aes128', '-passout', 'pass:x', '-in', one.key], {
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
  const load = (files: object) =>
    new TlsFiles({ ...NOTHING, ...files }, 'streams.x', SILENT_LOGGER);
  assert.equal(
    says(() => load({ ca: path('empty') })),
    '"streams.x.ca": /empty holds no PEM certificate. Name a file that does.',
  );
  assert.match(
    says(() => load({ ca: path('none') })),
    /^"streams\.x\.ca": cannot read \/none/,
  );
  const pairs = [
    { cert: one.cert, key: two.key },
    { cert: path('empty'), key: one.key },
    { cert: one.cert, key: path('locked') },
  ];
  for (const pair of pairs)
    assert.match(
      says(() => load(pair)),
      /^The certificates of "streams\.x" \(.*\) cannot be used: .*\. They must be PEM, and the key the certificate's own, without a passphrase\.$/,
    );
  const files = load({ ca: authority.ca, ...one });
  const context = files.current();
  assert.equal(files.current(), context, 'the same until a file changes');
  writeFileSync(one.key, readFileSync(one.key));
  assert.notEqual(files.current(), context);
});
