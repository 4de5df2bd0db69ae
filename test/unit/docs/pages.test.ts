// What the pages show can be typed: commands and options exist, links lead somewhere, each check of doctor is explained.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { anchor } from '../../../manifests/docs/markdown.ts';
import { parseCommand } from '../../../src/cli/command-line.ts';
import { runDoctor } from '../../../src/cli/doctor/doctor.ts';
import { ALL_DENIED } from '../../support/denial-findings.ts';

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'buildpack/README.md',
  ...readdirSync('manifests', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md') && !path.endsWith('.page.md'))
    .map((path) => join('manifests', path)),
].sort();

const textOf = (page: string): string => readFileSync(page, 'utf8');

/** Text without its code blocks, and these. */
function split(text: string): { prose: string; blocks: readonly (readonly [string, string])[] } {
  const blocks: [string, string][] = [];
  const prose = text.replaceAll(
    /^( *)```(\w*)\n([^]*?)^\1```$/gm,
    (_, _indent, language: string, block: string) => {
      blocks.push([language, block]);
      return '';
    },
  );
  return { prose, blocks };
}

/** Shell commands in a page: lines of its blocks, and code within its sentences. */
function commandLines(text: string): string[] {
  const { prose, blocks } = split(text);
  const lines = blocks
    .filter(([language]) => ['', 'sh', 'console'].includes(language))
    .flatMap(([, block]) => block.split('\n'));
  const inline = [...prose.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
  return [...lines, ...inline].map((line) => line.replace(/^\$ /, '').replace(/(^| )#.*$/, ''));
}

/** The words of each simple command, as a shell has them, as far as pages need it. */
function simpleCommands(line: string): string[][] {
  const words = [...line.matchAll(/'([^']*)'|"([^"]*)"|(&&|[|;&])|([^\s|;&'"]+)/g)];
  const commands: string[][] = [[]];
  for (const [, single, double, operator, bare] of words) {
    if (operator !== undefined) commands.push([]);
    else commands.at(-1)?.push(single ?? double ?? bare ?? '');
  }
  return commands;
}

/** What follows `varvel` where it is the program; undefined where it is not, such as in `systemctl start varvel`. */
function varvelArguments(words: readonly string[]): readonly string[] | undefined {
  // Its release and its namespace have the name.
  if (words[0] === 'helm') return undefined;
  const at = words.findLastIndex(
    (word, index) =>
      (word === 'varvel' || word.endsWith('/bin/varvel')) &&
      index < words.length - 1 &&
      !['-n', '-u'].includes(words[index - 1] ?? ''),
  );
  return at < 0 ? undefined : words.slice(at + 1).filter((word) => !word.includes('…'));
}

/** Paragraphs and list items in sentences; tables, headings, comments and what stands in code are left out. */
function sentencesOf(prose: string): readonly string[] {
  const plain = prose
    .replaceAll(/<!--[^]*?-->/g, '')
    .replaceAll(/^(?:\||#).*$/gm, '')
    .replaceAll(/`[^`]*`/g, 'X')
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
  return plain
    .split(/\n\s*\n|\n(?= *(?:-|\d+\.) )/)
    .flatMap((part) => part.replaceAll('\n', ' ').split(/(?<=[.!?]\*{0,2}\)?)\s+|:\s(?=[A-Z])/));
}

describe('pages', () => {
  test('each varvel command in them exists, with its options', () => {
    let found = 0;
    for (const page of PAGES) {
      for (const line of commandLines(textOf(page))) {
        for (const words of simpleCommands(line)) {
          const [name, ...rest] = varvelArguments(words) ?? [];
          if (name === undefined || name === 'COMMAND') continue;
          found += 1;
          assert.doesNotThrow(() => parseCommand(name, rest), `${page}: ${line}`);
        }
      }
    }
    assert.ok(found > 60, String(found));
    assert.throws(() => parseCommand('statsu', []));
    assert.throws(() => parseCommand('status', ['--jsno']));
    assert.deepEqual(varvelArguments(['sudo', 'varvel', 'doctor']), ['doctor']);
    assert.equal(varvelArguments(['systemctl', 'enable', 'varvel']), undefined);
    assert.equal(varvelArguments(['kubectl', '-n', 'varvel', 'logs', 'x']), undefined);
    assert.equal(
      varvelArguments(['helm', 'install', 'varvel', 'manifests/helm/varvel']),
      undefined,
    );
  });

  test('sentences have 25 words at most', () => {
    const MAX_WORDS = 25;
    const read = [
      'README.md',
      'CONTRIBUTING.md',
      'buildpack/README.md',
      'manifests/README.md',
      ...['bosh', 'dashboards', 'docker', 'kubernetes', 'rules', 'systemd'].map(
        (folder) => `manifests/${folder}/README.md`,
      ),
      ...['costs', 'coverage', 'helm', 'reference', 'runbook'].map(
        (page) => `manifests/docs/${page}.page.md`,
      ),
      ...PAGES.filter((page) => page.startsWith('manifests/docs/')),
    ];
    assert.ok(read.length > 12);
    for (const page of read) {
      for (const sentence of sentencesOf(split(textOf(page)).prose)) {
        const words = sentence.split(/\s+/).filter((word) => /\w/.test(word)).length;
        assert.ok(words <= MAX_WORDS, `${page}: ${words} words: ${sentence}`);
      }
    }
  });

  test('each link leads to a file and a heading that are there', () => {
    let found = 0;
    for (const page of PAGES) {
      const { prose } = split(textOf(page));
      for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        found += 1;
        const [path = '', heading] = target.split('#');
        const file = path === '' ? page : join(dirname(page), path);
        assert.ok(existsSync(file), `${page}: ${target}`);
        if (heading === undefined) continue;
        const headings = [...split(textOf(file)).prose.matchAll(/^#+ (.+)$/gm)];
        const anchors = headings.map(([, text = '']) => anchor(text));
        assert.ok(anchors.includes(heading), `${page}: ${target}`);
      }
    }
    assert.ok(found > 200, String(found));
  });

  test('the page of what is covered names each check of doctor', async () => {
    let out = '';
    const io = {
      stdout: (text: string) => void (out += text),
      stderr: (text: string) => assert.fail(text),
      isTty: false,
      columns: 80,
    };
    const selfTest = () =>
      Promise.resolve({
        unseen: [],
        hooks: [],
        denial: ALL_DENIED,
      });
    await runDoctor({ settings: [], env: {}, json: true, selfTest }, io);
    const { findings } = JSON.parse(out) as { findings: readonly { check: string }[] };
    const page = textOf('manifests/COVERAGE.md');
    assert.ok(findings.length >= 15);
    for (const { check } of findings) assert.match(page, new RegExp(`\\| [^|]*\`${check}\``));
  });

  test('the README counts the attacks as the tables do', () => {
    const counts = /^(\d+) actions: (\d+) can be done in a container, and (\d+) of them fire/m;
    const [, all, done, ours] = counts.exec(textOf('manifests/COVERAGE.md')) ?? [];
    const readme = textOf('README.md').replaceAll('\n', ' ');
    const said =
      /It has (\d+) actions from [^.]*, and (\d+) of our own\. (\d+) of the (\d+) can be done in a container; [^.]*\.[^.]*\. (\d+) fire one of/;
    const [, falco, own, here, count, fire] = said.exec(readme) ?? [];
    assert.deepEqual(
      [Number(falco) + Number(own), count, here, fire],
      [Number(all), all, done, ours],
    );
  });
});
