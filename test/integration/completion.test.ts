// The scripts of `varvel completion`, in the shells that they are for.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { SHELLS } from '../../src/cli/completion.ts';
import { COMMANDS } from '../../src/cli/command-table.ts';
import { runCommand } from '../support/run-command.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const TIMEOUT_MS = 60_000;
/** What is typed behind `varvel`, and what completes its last word. */
const LINES: readonly (readonly [words: readonly string[], completions: readonly string[]])[] = [
  [['st'], ['status']],
  [['status', '--js'], ['--json']],
  [
    ['pretty', '--color', 'a'],
    ['always', 'auto'],
  ],
  [['report', '--from', 'do'], ['docker']],
  [['drill', '-p', 'warn'], ['warning']],
  [['completion', 'z'], ['zsh']],
  [['alerts', 'lo'], ['loki']],
  [['check', 'rules of'], ['rules of mine.yaml']],
  [['agent', '-c', 'rules of'], ['rules of mine.yaml']],
  [['lift', '--app', 'rules'], []],
];

describe('completion', () => {
  const folder = temporaryFolder('completion');
  const work = join(folder, 'work');
  const script = (shell: string): string => join(folder, shell);
  before(async () => {
    for (const shell of SHELLS) {
      const { code, out } = await runCommand('completion', shell);
      assert.equal(code, 0);
      writeFileSync(script(shell), out);
    }
    mkdirSync(work);
    writeFileSync(join(work, 'rules of mine.yaml'), '');
  });

  const run = (program: string, args: readonly string[]): string =>
    execFileSync(program, args, { cwd: work, encoding: 'utf8', timeout: TIMEOUT_MS });

  test('bash', () => {
    const completes =
      'source "$0"; COMP_WORDS=(varvel "$@"); COMP_CWORD=$#; _varvel; printf "%s\\n" "${COMPREPLY[@]}"';
    const of = (words: readonly string[]): string[] =>
      run('bash', ['-c', completes, script('bash'), ...words])
        .split('\n')
        .filter((line) => line !== '');
    for (const [words, completions] of LINES) assert.deepEqual(of(words).sort(), completions);
    assert.deepEqual(of(['']).sort(), ['--help', '--version', ...Object.keys(COMMANDS)].sort());
    assert.equal(
      run('bash', ['-c', 'source "$0"; complete -p varvel', script('bash')]),
      'complete -F _varvel varvel\n',
    );
  });

  test('fish', () => {
    const of = (words: readonly string[]): string[] => {
      const line = ['varvel', ...words].map((word) => word.replaceAll(' ', '\\ ')).join(' ');
      return run('fish', ['--no-config', '-c', `source ${script('fish')}; complete -C '${line}'`])
        .split('\n')
        .filter((found) => found !== '')
        .map((found) => found.split('\t')[0]!.replaceAll('\\ ', ' '));
    };
    for (const [words, completions] of LINES) assert.deepEqual(of(words).sort(), completions);
    const all = of(['']);
    for (const name of Object.keys(COMMANDS)) assert.ok(all.includes(name), name);
  });

  test('zsh, as somebody types', () => {
    // The command shows its words: what is typed is not taken for them.
    const shows = 'varvel() { print -r -- "<"${^@}">" }';
    const typed = (keys: string, ...words: readonly string[]): string =>
      `zpty -w shell $'varvel ${keys}\\t'; zpty -r shell seen '*${words.map((word) => `<${word}>`).join(' ')}*'`;
    const session = [
      'zmodload zsh/zpty',
      'zpty shell zsh -f -i',
      `zpty -w shell 'autoload -Uz compinit; compinit -u -D; source ${script('zsh')}; ${shows}; echo re""ady'`,
      "zpty -r shell seen '*ready*'",
      typed('repo', 'report'),
      typed('status --js', 'status', '--json'),
      typed('pretty --color al', 'pretty', '--color', 'always'),
      typed('completion f', 'completion', 'fish'),
      typed('agent -c rul', 'agent', '-c', 'rules of mine.yaml'),
      typed('check rul', 'check', 'rules of mine.yaml'),
      'echo done',
    ];
    assert.match(run('zsh', ['-f', '-c', session.join('\n')]), /done\n$/);
  });
});
