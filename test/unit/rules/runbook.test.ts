import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { readRunbook, runbookBeside } from '../../../src/rules/loader/runbook.ts';
import { UserError } from '../../../src/shared/user-error.ts';

const ENTRY = `- rule: r
  means: It means
    something.
  look: [one, two, three]
  benign: b
  attack: a
  contain: c
  keep: k
  tell: team
  except: apps
`;

const folder = mkdtempSync(join(tmpdir(), 'varvel-runbook-'));
after(() => rmSync(folder, { recursive: true }));

const read = (text: string) => readRunbook({ name: 'r.yaml', text });

describe('readRunbook', () => {
  test('reads an entry', () => {
    assert.deepEqual(read(ENTRY), [
      {
        rule: 'r',
        means: 'It means something.',
        look: ['one', 'two', 'three'],
        benign: 'b',
        attack: 'a',
        contain: 'c',
        rotate: undefined,
        keep: 'k',
        tell: 'team',
        except: 'apps',
      },
    ]);
    assert.equal(read(`${ENTRY}  rotate: all\n`)[0]?.rotate, 'all');
  });

  for (const [what, text, message] of [
    ['a key that there is not', `${ENTRY}  kepe: x\n`, /^r\.yaml:11:3: .*unknown key 'kepe'/],
    ['a key that is missing', ENTRY.replace('  keep: k\n', ''), /^r\.yaml:1:3: .*needs 'keep'/],
    ['two things to look at', ENTRY.replace(', three', ''), /^r\.yaml:4:\d+: .*three texts/],
    ['four of them', ENTRY.replace('three', 'three, four'), /^r\.yaml:4:\d+: .*three texts/],
    ['nobody to tell', ENTRY.replace('team', 'mum'), /^r\.yaml:9:\d+: .*can be operator-now, /],
    ['no list', 'rule: r\n', /^r\.yaml:1:1: .*a list/],
    ['an entry without keys', '- r\n', /^r\.yaml:1:\d+: .*has keys/],
    ['no YAML', '- "\n', /^r\.yaml:\d+:\d+: /],
  ] as const) {
    test(`refuses ${what}, with the place`, () => {
      assert.throws(
        () => read(text),
        (error) => error instanceof UserError && message.test(error.message),
      );
    });
  }
});

describe('runbookBeside', () => {
  test('none without a folder, its entries by rule, one for each', () => {
    const rules = join(folder, 'rules.yaml');
    assert.equal(runbookBeside(rules).size, 0);
    mkdirSync(join(folder, 'runbook'));
    writeFileSync(join(folder, 'runbook', 'a.yaml'), ENTRY);
    assert.deepEqual([...runbookBeside(rules).keys()], ['r']);
    writeFileSync(join(folder, 'runbook', 'b.yaml'), ENTRY);
    assert.throws(() => runbookBeside(rules), /two entries for the rule "r"/);
  });
});
