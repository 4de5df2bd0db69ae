// What manifests/rules/README.md shows is what the commands print: its files are written, its transcripts are run.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runCommand } from '../../support/run-command.ts';

const text = readFileSync('manifests/rules/README.md', 'utf8');
const start = process.cwd();
const folder = mkdtempSync(join(tmpdir(), 'varvel-docs-'));

const blocks = (language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, 'gm'))].map(
    (match) => match[1] ?? '',
  );

before(() => {
  for (const block of blocks('yaml')) {
    const name = /^# (\S+\.yaml)\n/.exec(block)?.[1];
    assert.ok(name, block);
    writeFileSync(join(folder, name), block);
  }
  const rules = readFileSync(join(folder, 'my-rules.yaml'), 'utf8');
  writeFileSync(join(folder, 'typo.yaml'), rules.replace('proc.aname', 'proc.anme'));
  process.chdir(folder);
});
after(() => {
  process.chdir(start);
  rmSync(folder, { recursive: true });
});

/** The words of a command line as a shell has them, as far as the page needs it. */
const words = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, bare]) => single ?? double ?? bare ?? '',
  );

/** The printed text; `…` on a line of its own stands for any lines. */
function pattern(shown: string): RegExp {
  const parts = shown.split(/^…\n/m).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^]*')}$`);
}

describe('manifests/rules/README.md', () => {
  test('its transcripts are real', async () => {
    const shown = blocks('console').flatMap((block) => block.split(/^\$ varvel /m).slice(1));
    assert.ok(shown.length >= 9);
    for (const one of shown) {
      const end = one.indexOf('\n');
      const { out, err } = await runCommand(...words(one.slice(0, end)));
      assert.match(out + err, pattern(one.slice(end + 1)), one.slice(0, end));
    }
  });

  test('its rules load, also on top of the default ones', async () => {
    const rules = join(start, 'manifests/rules/varvel_rules.yaml');
    const { code, out } = await runCommand('check', rules, 'my-rules.yaml', 'tuning.yaml');
    assert.equal(code, 0, out);
    assert.match(out, / 0 errors, 0 warnings\.\n$/);
  });
});
