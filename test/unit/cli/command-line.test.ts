import assert from 'node:assert/strict';
import { test } from 'node:test';

import { runCommandLine } from '../../../src/cli/command-line.ts';
import { COMMANDS } from '../../../src/cli/command-table.ts';
import { UserError } from '../../../src/shared/user-error.ts';

async function varvel(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const io = {
    stdout: (text: string) => void (out += text),
    stderr: (text: string) => void (err += text),
    stdin: () => assert.fail('nothing is read'),
    isTty: false,
    columns: 80,
  };
  try {
    const code = await runCommandLine({ argv, env: {}, version: '1.2.3' }, io);
    return { code, out, err };
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return { code: error.exitCode, out, err: error.toDisplay() };
  }
}

test('version and help', async () => {
  assert.deepEqual(await varvel('--version'), { code: 0, out: '1.2.3\n', err: '' });
  const { out } = await varvel('--help');
  const words = out.replace(/\s+/g, ' ');
  for (const [name, { summary }] of Object.entries(COMMANDS))
    assert.equal(words.split(` ${name} ${summary} `).length, 2, `${name} is there once`);
  for (const line of out.split('\n')) assert.ok(line.length <= 80, line);
  assert.deepEqual(await varvel(), { code: 2, out: '', err: out });
});

test('every command’s help has its options, examples and exit codes', async () => {
  for (const [name, info] of Object.entries(COMMANDS)) {
    const { code, out } = await varvel(name, '--help');
    assert.equal(code, 0);
    for (const option of Object.keys(info.options)) assert.ok(out.includes(`--${option}`), option);
    for (const [example] of info.examples) assert.ok(out.includes(example));
    assert.match(out, /Exit codes:\n {2}0 {2}/);
    assert.equal((await varvel('help', name)).out, out);
    const examples = info.examples.map(([example]) => `  ${example}`);
    for (const line of out.split('\n'))
      assert.ok(line.length <= 80 || examples.includes(line), line);
  }
});

test('every example in the help is a command line that parses', async () => {
  for (const [name, info] of Object.entries(COMMANDS)) {
    for (const [example] of info.examples) {
      const words = (example.match(/(?:'[^']*'|"[^"]*"|\S)+/g) ?? []).map((word) =>
        word.replace(/['"]/g, ''),
      );
      const argv = words.slice(words.indexOf('varvel') + 1);
      assert.equal(argv[0], name);
      assert.equal((await varvel(...argv, '--help')).code, 0, example);
    }
  }
});

const WRONG: readonly (readonly [argv: string[], says: RegExp])[] = [
  [['agnet'], /^There is no command "agnet"\. Did you mean "varvel agent"\?$/],
  [['xyzzy'], /^There is no command "xyzzy"\. See varvel --help\.$/],
  [['__proto__'], /^There is no command "__proto__"/],
  [['help', 'docter'], /Did you mean "varvel doctor"\?$/],
  [['--json', 'status'], /^The command comes first/],
  [['agent', '--conifg', 'x'], /^varvel agent has no option --conifg\. Did you mean --config\?$/],
  [['check', '-z'], /^varvel check has no option -z\. See varvel check --help\.$/],
  [['agent', '--config'], /^--config needs a value\. /],
  [['agent', '--config', '--set', 'a=b'], /^--config needs a value\. /],
  [['status', '--json=yes'], /^--json takes no value\. /],
  [['doctor', 'now'], /^"now" is too much: see varvel doctor --help\.$/],
  [['fields', 'a', 'b'], /^"b" is too much/],
  [
    ['lift', '--for', 'soon'],
    /^--for must be a time from 1s to 720h, such as 30m; it is "soon"\. /,
  ],
  [['lift', '--app', ''], /^--app needs a name\. See varvel lift --help\.$/],
  [['lift', '--for', '1ms'], /^--for must be a time/],
  [['lift', '--end', '--for', '1h'], /^--for says how long a lift goes on/],
  [['suggest'], /^Name the app: varvel suggest APP\. See varvel suggest --help\.$/],
  [['suggest', ''], /^Name the app/],
  [['suggest', 'a', 'b'], /^"b" is too much/],
];
for (const [argv, says] of WRONG) {
  test(`usage: varvel ${argv.join(' ')}`, async () => {
    const { code, err } = await varvel(...argv);
    assert.match(err, says);
    assert.equal(code, 2);
  });
}

test('arguments reach the commands', async () => {
  const json = await varvel('fields', '--json', 'proc.name');
  assert.equal(json.code, 0);
  assert.ok(JSON.stringify(JSON.parse(json.out)).includes('"proc.name"'));
  assert.equal((await varvel('fields', 'no such field')).code, 1);
  assert.equal((await varvel('check', 'manifests/rules/varvel_rules.yaml')).code, 0);
  const status = await varvel('status', '-s', 'metrics.listen=unix:/nonexistent/x.sock');
  assert.equal(status.code, 1);
  assert.match(status.err, /^No agent answers on unix:\/nonexistent\/x\.sock/);
  const lift = await varvel('lift', '-s', 'metrics.listen=unix:/nonexistent/x.sock');
  assert.equal(lift.code, 1);
  assert.match(
    lift.err,
    /^No agent answers on .*a file named "lift" beside the configuration lifts/m,
  );
  const tcp = await varvel('lift', '-s', 'metrics.listen=127.0.0.1:1');
  assert.match(tcp.err, /^The agent takes this on a unix socket only: /);
  const suggest = await varvel('suggest', 'x', '-s', 'metrics.listen=unix:/nonexistent/x.sock');
  assert.deepEqual([suggest.code, suggest.err], [1, status.err]);
  const overTcp = await varvel('suggest', 'x', '-s', 'metrics.listen=127.0.0.1:1');
  assert.equal(overTcp.err, tcp.err);
});
