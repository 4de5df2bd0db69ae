import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { MAX_RULE_FILE_BYTES, readRuleFile } from '../../../src/rules/loader/load.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { EXEC, matching, rule } from '../../support/rules-found.ts';
import { makeSubject, openForRead } from '../../support/rules-subject.ts';

describe('reading files', () => {
  const sentence = (path: string): string => {
    try {
      readRuleFile(path);
    } catch (error) {
      assert.ok(error instanceof UserError);
      return error.toDisplay();
    }
    return 'read';
  };

  test('in UTF-8, UTF-16 and UTF-32, with a byte order mark or not', () => {
    const folder = mkdtempSync(join(tmpdir(), 'varvel-rules-'));
    try {
      const text = rule('ü', EXEC);
      const little = Buffer.from(`\ufeff${text}`, 'utf16le');
      const file = join(folder, 'r.yaml');
      const wide = Buffer.concat(
        Array.from(`\ufeff${text}`, (char) => {
          const unit = Buffer.alloc(4);
          unit.writeUInt32LE(char.codePointAt(0)!);
          return unit;
        }),
      );
      for (const bytes of [
        Buffer.from(text),
        Buffer.from(`\ufeff${text}`),
        little,
        Buffer.from(little).swap16(),
        little.subarray(2),
        Buffer.from(little).swap16().subarray(2),
        wide,
        wide.subarray(4),
        Buffer.from(wide).swap32(),
        Buffer.from(wide).swap32().subarray(4),
      ]) {
        writeFileSync(file, bytes);
        assert.equal(readRuleFile(file).text, text);
      }
      writeFileSync(file, '');
      assert.equal(readRuleFile(file).text, '');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('what cannot be read is a sentence', () => {
    const folder = mkdtempSync(join(tmpdir(), 'varvel-rules-'));
    try {
      const file = join(folder, 'r.yaml');
      writeFileSync(file, `\ufeff${rule('r', EXEC)}`);
      assert.equal(readRuleFile(file).text.startsWith('- rule'), true);
      assert.match(
        sentence(join(folder, 'no.yaml')),
        /no\.yaml: Cannot read the rule file: there is no such file/,
      );
      mkdirSync(join(folder, 'd'));
      assert.match(sentence(join(folder, 'd')), /it is not a regular file/);
      assert.match(sentence('/dev/zero'), /it is not a regular file/);
      const big = join(folder, 'big.yaml');
      writeFileSync(big, Buffer.alloc(MAX_RULE_FILE_BYTES + 1, 32));
      assert.match(sentence(big), /larger than 16 MiB/);
      if (process.getuid?.() !== 0) {
        chmodSync(file, 0);
        assert.match(sentence(file), /permission denied/);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('reads of the same file twice give the same rules', () => {
  const text = rule('r', 'evt.type = openat and fd.name = /etc/shadow');
  const subject = makeSubject(openForRead('/etc/shadow'));
  assert.deepEqual(matching(text, subject), ['r']);
  assert.deepEqual(matching(text, subject), ['r']);
});
