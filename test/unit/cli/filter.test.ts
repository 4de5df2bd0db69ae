import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { runCommand } from '../../support/run-command.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-filter-'));
after(() => rmSync(folder, { recursive: true }));

const evaluate = (condition: string, fields: object, ...more: string[]) =>
  runCommand('filter', 'eval', condition, '--fields', JSON.stringify(fields), ...more);

describe('varvel filter parse', () => {
  test('the canonical form, which is its own', async () => {
    const run = await runCommand('filter', 'parse', 'not(proc.name="cat")and  fd.num>=0x1');
    assert.deepEqual(run, { code: 0, out: 'not proc.name = cat and fd.num >= 0x1\n', err: '' });
    assert.deepEqual(await runCommand('filter', 'parse', run.out.trim()), run);
  });

  test('fields and macros need not exist', async () => {
    const { code, out } = await runCommand('filter', 'parse', 'my_macro or no.such in (a,b)');
    assert.deepEqual([code, out], [0, 'my_macro or no.such in (a, b)\n']);
  });

  test('the tree as JSON', async () => {
    const { out } = await runCommand('filter', 'parse', '--json', 'proc.aname[2] exists');
    assert.deepEqual(JSON.parse(out), {
      canonical: 'proc.aname[2] exists',
      ast: {
        kind: 'exists',
        left: { kind: 'field', name: 'proc.aname', argument: '2', span: { start: 0, end: 13 } },
        span: { start: 0, end: 20 },
      },
    });
  });

  test('what is wrong, with place and caret', async () => {
    assert.deepEqual(await runCommand('filter', 'parse', 'proc.name = a\n  and )'), {
      code: 1,
      out: '',
      err:
        "2:7: error: expected a '(', a field, a transformer or the name of a macro (LOAD_ERR_COMPILE_CONDITION)\n" +
        '    and )\n        ^\n',
    });
    const { code, out } = await runCommand('filter', 'parse', '--json', 'proc.name =');
    assert.equal(code, 1);
    const { error } = JSON.parse(out) as { error: { line: number; column: number } };
    assert.deepEqual([error.line, error.column], [1, 12]);
  });

  test('nothing but blanks', async () => {
    for (const text of ['', '\n', '\n\n ', ' \t']) {
      const { code, err } = await runCommand('filter', 'parse', text);
      assert.equal(code, 1, JSON.stringify(text));
      assert.match(err, /^\d:\d+: error: /);
    }
  });
});

describe('varvel filter eval', () => {
  test('true or false, and which comparisons decided', async () => {
    const condition = 'proc.name in (cat, dd) and not fd.name startswith /tmp/';
    assert.deepEqual(await evaluate(condition, { 'proc.name': 'cat', 'fd.name': '/etc/shadow' }), {
      code: 0,
      out:
        'true\n' +
        '  true   proc.name in (cat, dd)   proc.name is "cat"\n' +
        '  false  fd.name startswith /tmp/   fd.name is "/etc/shadow"\n',
      err: '',
    });
    assert.equal(
      (await runCommand('filter', 'eval', condition)).out,
      'false\n  false  proc.name in (cat, dd)   proc.name is absent\n',
    );
  });

  test('as JSON, integers exact', async () => {
    const time = '1764033409123456789';
    const { out, code } = await runCommand(
      'filter',
      'eval',
      '--json',
      `evt.rawtime = ${time} and proc.pid = 7 and fd.ip != 10.0.0.1`,
      '--fields',
      `{"evt.rawtime": ${time}, "proc.pid": 7, "fd.ip": ["10.0.0.2", "::1"]}`,
    );
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(out), {
      result: true,
      decidedBy: [
        { condition: `evt.rawtime = ${time}`, holds: true, values: { 'evt.rawtime': time } },
        { condition: 'proc.pid = 7', holds: true, values: { 'proc.pid': 7 } },
        {
          condition: 'fd.ip != 10.0.0.1',
          holds: true,
          values: { 'fd.ip': ['10.0.0.2', '::1'] },
        },
      ],
      warnings: [],
    });
  });

  test('long numbers within texts stay texts', async () => {
    const { out } = await evaluate('proc.args = "12345678901234567890"', {
      'proc.args': '12345678901234567890',
    });
    assert.match(out, /^true\n/);
  });

  test('fields from a file', async () => {
    const path = join(folder, 'fields.json');
    writeFileSync(path, '{"proc.name": "cat"}');
    const good = await runCommand('filter', 'eval', 'proc.name = cat', '-f', `@${path}`);
    assert.match(good.out, /^true\n/);
    const missing = await runCommand('filter', 'eval', 'proc.name = cat', '-f', `@${path}x`);
    assert.equal(missing.code, 2);
    assert.match(missing.err, /fields\.jsonx: Cannot read the file of --fields: there is no such/);
    const device = await runCommand('filter', 'eval', 'proc.name = cat', '-f', '@/dev/zero');
    assert.match(device.err, /it is not a regular file/);
  });

  test('warnings do not keep it from being evaluated', async () => {
    const { code, out, err } = await evaluate('proc.name = proc.pname', { 'proc.name': 'x' });
    assert.equal(code, 0);
    assert.match(out, /^false\n/);
    assert.match(err, /^1:13: warning: 'proc\.pname' is the name of a field.*\(LOAD_COMPILE_COND/);
    const { out: json } = await evaluate('proc.name = proc.pname', {}, '--json');
    const { warnings } = JSON.parse(json) as { warnings: object[] };
    assert.equal(warnings.length, 1);
  });

  test('1: the condition or a field is wrong', async () => {
    const condition = await evaluate('proc.nme = x', {});
    assert.equal(condition.code, 1);
    assert.match(
      condition.err,
      /^1:1: error: .*nonexistent field proc\.nme: did you mean proc\.name/,
    );
    const field = await evaluate('proc.name = x', { 'proc.nme': 'x' });
    assert.deepEqual(field, {
      code: 1,
      out: '',
      err: '--fields: error: there is no field proc.nme: did you mean proc.name?\n',
    });
    const json = await evaluate('proc.name = x', { 'proc.nme': 'x' }, '--json');
    assert.equal(json.code, 1);
    assert.equal((JSON.parse(json.out) as { error: { field: string } }).error.field, 'proc.nme');
  });

  test('2: the command line is wrong', async () => {
    const says = async (pattern: RegExp, ...argv: string[]): Promise<void> => {
      const { code, err, out } = await runCommand('filter', ...argv);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, pattern);
    };
    await says(/Say varvel filter parse EXPR or varvel filter eval EXPR/);
    await says(/Say varvel filter/, 'eval');
    await says(/Say varvel filter/, 'evaluate', 'proc.name = x');
    await says(/Say varvel filter/, 'eval', 'proc.name', '=', 'x');
    await says(/--fields is not JSON: /, 'eval', 'proc.name = x', '-f', '{');
    await says(/--fields must be an object/, 'eval', 'proc.name = x', '-f', '["a"]');
    await says(/proc\.name must be a value, a list/, 'eval', 'x.y = x', '-f', '{"proc.name": {}}');
  });

  test('what a value holds cannot steer the terminal', async () => {
    const { out } = await evaluate('proc.name exists', { 'proc.name': 'a\u001b[2J\u202eb' });
    assert.equal(out, 'true\n  true   proc.name exists   proc.name is "a\\u001b[2J\\u202eb"\n');
    const long = await evaluate('proc.args exists', { 'proc.args': 'x'.repeat(100_000) });
    assert.ok(long.out.length < 500);
  });
});
