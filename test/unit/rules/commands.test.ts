import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { runCheck } from '../../../src/commands/check.ts';
import { runFields } from '../../../src/commands/fields.ts';
import type { Io } from '../../../src/commands/io.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-check-'));
after(() => rmSync(folder, { recursive: true }));

const GOOD =
  '- rule: r\n  desc: d\n  output: o\n  priority: error\n  condition: evt.type = openat\n';

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

class Recorder implements Io {
  out = '';
  err = '';
  readonly isTty: boolean;
  readonly columns = 100;
  constructor(isTty = false) {
    this.isTty = isTty;
  }
  stdout(text: string): void {
    this.out += text;
  }
  stderr(text: string): void {
    this.err += text;
  }
}

describe('varvel check', () => {
  test('0: the files load', async () => {
    const io = new Recorder();
    const path = file('good.yaml', GOOD);
    assert.equal(await runCheck({ files: [path], json: false }, io), 0);
    assert.equal(
      io.out,
      `${path}: ok: 1 of 1 rule loaded, 0 of them disabled; 0 errors, 0 warnings.\nEvents they need: openat.\n`,
    );
    assert.equal(io.err, '');
  });

  test('1: errors, with place and caret', async () => {
    const io = new Recorder();
    const path = file('bad.yaml', GOOD.replace('openat', 'opnat'));
    assert.equal(await runCheck({ files: [path], json: false }, io), 1);
    assert.equal(
      io.out,
      `${path}:5:25: error: in rule "r": unknown event type opnat (LOAD_ERR_COMPILE_CONDITION)\n` +
        `    condition: evt.type = opnat\n${' '.repeat(26)}^^^^^\n\n` +
        `${path}: not loaded: 1 error, 0 warnings; 0 of 1 rule would load.\n`,
    );
  });

  test('2: nothing named, or not to be read', async () => {
    const none = new Recorder();
    assert.equal(await runCheck({ files: [], json: false }, none), 2);
    assert.match(none.err, /Name at least one rule file/);
    const missing = new Recorder();
    assert.equal(await runCheck({ files: [join(folder, 'no.yaml')], json: false }, missing), 2);
    assert.match(missing.err, /no\.yaml: Cannot read the rule file: there is no such file/);
    assert.equal(missing.out, '');
  });

  test('R15 as JSON', async () => {
    const io = new Recorder();
    const path = file(
      'json.yaml',
      GOOD.replace('openat', 'opnat').replace('desc: d', 'desc: d\n  prio: x'),
    );
    assert.equal(await runCheck({ files: [path], json: true }, io), 1);
    assert.deepEqual(JSON.parse(io.out), {
      name: path,
      successful: false,
      errors: [
        {
          code: 'LOAD_ERR_COMPILE_CONDITION',
          message: 'unknown event type opnat',
          context: {
            locations: [{ item_name: 'rule "r"', position: { name: path, line: 6, column: 25 } }],
            snippet: `  condition: evt.type = opnat\n${' '.repeat(24)}^^^^^`,
          },
        },
      ],
      warnings: [
        {
          code: 'LOAD_UNKNOWN_KEY',
          message: "unknown key 'prio': did you mean 'priority'?",
          context: {
            locations: [{ item_name: '', position: { name: path, line: 3, column: 3 } }],
            snippet: '  prio: x\n  ^^^^',
          },
        },
      ],
      rules: { defined: 1, loaded: 0 },
      events: [],
    });
    const missing = new Recorder();
    assert.equal(await runCheck({ files: [join(folder, 'no.yaml')], json: true }, missing), 2);
    assert.equal(
      (JSON.parse(missing.out) as { errors: { code: string }[] }).errors[0]?.code,
      'LOAD_ERR_FILE_READ',
    );
  });
});

describe('varvel fields', () => {
  test('what there is, aligned', async () => {
    const io = new Recorder();
    assert.equal(await runFields({ filter: 'proc.aname' }, io), 0);
    assert.match(io.out, /^proc: .*\n {2}proc\.aname\[…\] {2}CHARBUF {2}Name of an ancestor/);
    const lines = io.out.split('\n').slice(1).filter(Boolean);
    assert.ok(lines.every((line) => line.length <= 100));
  });

  test('--status adds what is still to come', async () => {
    const without = new Recorder();
    assert.equal(await runFields({ filter: 'proc.env' }, without), 1);
    assert.match(without.err, /No field has 'proc.env'/);
    const io = new Recorder();
    assert.equal(await runFields({ filter: 'proc.env', status: true }, io), 0);
    assert.match(io.out, /proc\.env\[…\] {2}CHARBUF {2}not yet {2}Environment/);
  });

  test('as JSON', async () => {
    const io = new Recorder();
    assert.equal(await runFields({ filter: 'app.name', json: true }, io), 0);
    const [appClass] = JSON.parse(io.out) as {
      class: string;
      fields: { name: string; status: string }[];
    }[];
    assert.equal(appClass?.class, 'app');
    assert.deepEqual(
      appClass.fields.map(({ name, status }) => [name, status]),
      [['app.name', 'available']],
    );
  });

  test('bold on a terminal only', async () => {
    const io = new Recorder(true);
    await runFields({ filter: 'app.name' }, io);
    assert.ok(io.out.startsWith('\u001b[1mapp\u001b[0m'));
  });
});
