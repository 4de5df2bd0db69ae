import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { runCheck } from '../../../src/cli/check.ts';
import { runFields } from '../../../src/cli/fields.ts';
import type { Io } from '../../../src/cli/io.ts';

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

interface LoadJson {
  readonly falco_load_results: readonly {
    readonly name: string;
    readonly successful: boolean;
    readonly errors: readonly { readonly code: string }[];
    readonly warnings: readonly { readonly code: string }[];
  }[];
  readonly summary: Readonly<Record<string, unknown>>;
}

async function check(
  files: readonly string[],
  json = false,
): Promise<{ exit: number; io: Recorder }> {
  const io = new Recorder();
  return { exit: await runCheck({ files, json }, io), io };
}

async function checkJson(files: readonly string[]): Promise<LoadJson & { readonly exit: number }> {
  const { exit, io } = await check(files, true);
  assert.equal(io.err, '');
  return { ...(JSON.parse(io.out) as LoadJson), exit };
}

describe('varvel check', () => {
  test('0: the files load', async () => {
    const path = file('good.yaml', GOOD);
    const { exit, io } = await check([path]);
    assert.equal(exit, 0);
    assert.equal(
      io.out,
      `Events they need: openat.\n${path}: ok: 1 of 1 rule loaded, 0 of them disabled; 0 macros, 0 lists; 0 errors, 0 warnings.\n`,
    );
    assert.equal(io.err, '');
  });

  test('0: warnings are shown, and events that no probe reports', async () => {
    const path = file(
      'warned.yaml',
      GOOD.replace('openat', '(semop)').replace('type =', 'type in') + '  prio: x\n',
    );
    const { exit, io } = await check([path]);
    assert.equal(exit, 0);
    assert.match(
      io.out,
      /warned\.yaml:6:3: warning: in rule "r": unknown key 'prio': did you mean 'priority'\? \(LOAD_UNKNOWN_KEY\)\n {4}prio: x\n {4}\^\^\^\^\n/,
    );
    assert.match(
      io.out,
      /\nEvents they need: none\.\nEvents they name that the agent does not report: semop\.\n/,
    );
    assert.match(io.out, /: ok: .* 0 errors, 2 warnings\.\n$/);
  });

  test('what a Falco would not load: of --engine, and in any case in JSON', async () => {
    const own = file(
      'own.yaml',
      GOOD.replace('evt.type = openat', 'evt.type = openat and app.name = x'),
    );
    const escaped = file(
      'escaped.yaml',
      GOOD.replace('= openat', '= openat and proc.args contains "\\x41"'),
    );
    const ask = async (path: string, engine: string | undefined, json = false) => {
      const io = new Recorder();
      return {
        exit: await runCheck({ files: [path], json, engine }, io),
        out: io.out,
        err: io.err,
      };
    };
    const old = await ask(escaped, '0.62.0');
    assert.equal(old.exit, 1);
    assert.match(
      old.out,
      /A Falco of engine 0\.62\.0 would not load them:\n.*escaped\.yaml:\d+: rule "r" has an escape \\xHH, which that engine refuses\n$/,
    );
    // A backslash and what looks like an escape: none.
    const plain = file(
      'plain.yaml',
      `- required_engine_version: 0.62.0\n${GOOD.replace('= openat', '= openat and proc.name = "a" and proc.args contains "\\\\\\\\x41"')}`,
    );
    assert.equal((await ask(plain, '0.62.0')).exit, 0);
    const asks = await ask(plain, '0.50.0');
    assert.match(asks.out, /plain\.yaml:1: required_engine_version asks for engine 0\.62\.0\n$/);
    const newer = await ask(escaped, '0.63.0');
    assert.deepEqual(
      [newer.exit, newer.out.split('\n').at(-2)],
      [0, 'A Falco of engine 0.63.0 would load them.'],
    );
    const ours = await ask(own, '0.63.0');
    assert.equal(ours.exit, 1);
    assert.match(ours.out, /rule "r" has app\.name, which no Falco has\n$/);
    // Without the option it says nothing, and loads.
    assert.equal((await ask(own, undefined)).exit, 0);
    const { summary, falco_load_results: files } = JSON.parse(
      (await ask(own, undefined, true)).out,
    ) as {
      summary: { falco: { engine: string; loads: boolean; notes: { item: string }[] } };
      falco_load_results: { schema_valid: boolean; schema_warnings: string[] }[];
    };
    assert.deepEqual(
      [summary.falco.engine, summary.falco.loads, summary.falco.notes.length],
      ['0.62.0', false, 1],
    );
    assert.deepEqual([files[0]?.schema_valid, files[0]?.schema_warnings], [true, []]);
    const misspelt = file('misspelt.yaml', `${GOOD}  prio: x\n`);
    const shape = JSON.parse((await ask(misspelt, undefined, true)).out) as typeof JSON & {
      falco_load_results: { schema_valid: boolean; schema_warnings: string[] }[];
    };
    const [only] = shape.falco_load_results;
    assert.equal(only?.schema_valid, false);
    assert.match(only.schema_warnings[0] ?? '', /^unknown key 'prio'/);
    const wrong = await ask(own, 'newest');
    assert.deepEqual(
      [wrong.exit, wrong.err],
      [2, '--engine newest: an engine version is such as 0.62.0.\n'],
    );
  });

  test('1: errors, with place and caret', async () => {
    const path = file('bad.yaml', GOOD.replace('openat', 'opnat'));
    const { exit, io } = await check([path]);
    assert.equal(exit, 1);
    assert.equal(
      io.out,
      `${path}:5:25: error: in rule "r": unknown event type opnat: did you mean openat? (LOAD_ERR_COMPILE_CONDITION)\n` +
        `    condition: evt.type = opnat\n${' '.repeat(26)}^^^^^\n\n` +
        `${path}: not loaded: 1 error, 0 warnings; 0 of 1 rule would load.\n`,
    );
  });

  test('later files build on earlier ones, a folder is its files', async () => {
    const macro = file('1-macro.yaml', '- macro: opens\n  condition: evt.type = openat\n');
    const uses = file('2-uses.yaml', GOOD.replace('evt.type = openat', 'opens'));
    assert.equal((await check([macro, uses])).exit, 0);
    const { exit, io } = await check([uses, macro]);
    assert.equal(exit, 1);
    assert.match(io.out, /Undefined macro 'opens' used in filter\. It is defined in a later file/);
    const sub = join(folder, 'rules.d');
    mkdirSync(sub);
    writeFileSync(join(sub, 'a.yaml'), '- macro: opens\n  condition: evt.type = openat\n');
    writeFileSync(join(sub, 'b.yml'), GOOD.replace('evt.type = openat', 'opens'));
    writeFileSync(join(sub, 'c.txt'), '{');
    assert.equal((await check([sub])).exit, 0);
  });

  test('2: nothing named, or not to be read', async () => {
    const none = await check([]);
    assert.equal(none.exit, 2);
    assert.match(none.io.err, /Name at least one rule file/);
    const missing = await check([join(folder, 'no.yaml')]);
    assert.equal(missing.exit, 2);
    assert.match(missing.io.err, /no\.yaml: Cannot read the rule file: there is no such file/);
    assert.equal(missing.io.out, '');
  });

  test('R15 as JSON, in the shape of Falco', async () => {
    const path = file(
      'json.yaml',
      GOOD.replace('openat', 'opnat').replace('desc: d', 'desc: d\n  prio: x'),
    );
    const { exit, ...document } = await checkJson([path]);
    assert.equal(exit, 1);
    const position = (line: number, column: number, offset: number) => ({
      name: path,
      line,
      column,
      offset,
    });
    const content = { item_type: 'rules content', item_name: '', position: position(1, 1, 0) };
    const owner = { item_type: 'rule', item_name: 'r', position: position(1, 3, 2) };
    assert.deepEqual(document, {
      falco_load_results: [
        {
          name: path,
          successful: false,
          schema_valid: false,
          schema_warnings: ["unknown key 'prio': did you mean 'priority'?"],
          errors: [
            {
              code: 'LOAD_ERR_COMPILE_CONDITION',
              codedesc: 'A condition does not compile',
              message: 'unknown event type opnat: did you mean openat?',
              context: {
                locations: [
                  content,
                  owner,
                  {
                    item_type: 'condition expression',
                    item_name: '',
                    position: position(6, 25, 84),
                  },
                ],
                snippet: `  condition: evt.type = opnat\n${' '.repeat(24)}^^^^^`,
              },
            },
          ],
          warnings: [
            {
              code: 'LOAD_UNKNOWN_KEY',
              codedesc: 'No such key; it is left out',
              message: "unknown key 'prio': did you mean 'priority'?",
              context: {
                locations: [
                  content,
                  owner,
                  { item_type: 'value for', item_name: '', position: position(3, 3, 22) },
                ],
                snippet: '  prio: x\n  ^^^^',
              },
            },
          ],
        },
      ],
      summary: {
        successful: false,
        errors: 1,
        warnings: 1,
        rules: { defined: 1, loaded: 0, disabled: 0 },
        macros: 0,
        lists: 0,
        required_engine_version: null,
        events: [],
        events_not_seen: [],
        falco: { engine: '0.62.0', loads: false, notes: [] },
      },
    });
  });

  test('R15 as JSON, one result a file', async () => {
    const good = file(
      'one.yaml',
      `- required_engine_version: 0.31.0\n- list: l\n  items: []\n${GOOD}`,
    );
    const bad = file('two.yaml', '- rule: "');
    const both = await checkJson([good, bad]);
    assert.deepEqual(
      both.falco_load_results.map(({ name, successful, errors, warnings }) => [
        name,
        successful,
        errors.map(({ code }) => code),
        warnings.map(({ code }) => code),
      ]),
      [
        [good, true, [], ['LOAD_UNUSED_LIST']],
        [bad, false, ['LOAD_ERR_YAML_PARSE'], []],
      ],
    );
    const alone = await checkJson([good]);
    assert.equal(alone.exit, 0);
    assert.deepEqual(alone.summary, {
      successful: true,
      errors: 0,
      warnings: 1,
      rules: { defined: 1, loaded: 1, disabled: 0 },
      macros: 0,
      lists: 1,
      required_engine_version: '0.31.0',
      events: ['openat'],
      events_not_seen: [],
      falco: { engine: '0.62.0', loads: true, notes: [] },
    });
    const missing = await checkJson([join(folder, 'no.yaml')]);
    assert.equal(missing.exit, 2);
    assert.equal(missing.falco_load_results[0]?.errors[0]?.code, 'LOAD_ERR_FILE_READ');
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
    assert.equal(await runFields({ filter: 'evt.reltime' }, without), 1);
    assert.match(without.err, /No field has 'evt.reltime'/);
    const io = new Recorder();
    assert.equal(await runFields({ filter: 'evt.reltime', status: true }, io), 0);
    assert.match(io.out, /evt\.reltime {5}RELTIME {2}not yet {2}Nanoseconds/);
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
      [['app.name', 'compared']],
    );
  });

  test('--status names what a field was compared with; evt.arg by its params', async () => {
    const io = new Recorder();
    assert.equal(await runFields({ filter: 'proc.tty', status: true }, io), 0);
    assert.match(
      io.out.replaceAll(/\s+/g, ' '),
      /compared .* Compared with \/proc\/PID\/stat: tty_nr\./,
    );
    const json = new Recorder();
    await runFields({ filter: 'evt.', status: true, json: true }, json);
    const [evt] = JSON.parse(json.out) as [
      { fields: { name: string; status: string; compared_with: string[] }[] },
    ];
    const found = (name: string) => evt.fields.find((one) => one.name === name);
    assert.equal(found('evt.arg')?.status, 'compared');
    assert.ok(found('evt.arg')?.compared_with.includes('stat(2), linux/stat.h'));
    assert.deepEqual(
      [found('evt.cpu')?.status, found('evt.cpu')?.compared_with],
      ['not compared', []],
    );
    assert.equal(found('evt.reltime')?.status, 'not yet');
  });

  test('bold on a terminal only', async () => {
    const io = new Recorder(true);
    await runFields({ filter: 'app.name' }, io);
    assert.ok(io.out.startsWith('\u001b[1mapp\u001b[0m'));
  });
});
