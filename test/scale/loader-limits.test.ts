import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { MAX_DIAGNOSTICS } from '../../src/rules/loader/diagnostics.ts';
import { EXEC, first, found, loadTexts, matching, rule } from '../support/rules-found.ts';
import { makeEvent, makeProcess, makeSubject } from '../support/rules-subject.ts';

describe('hostile rule files are bounded', () => {
  test('100,000 items of a list', () => {
    const items = Array.from({ length: 100_000 }, (_, index) => `item${index}`);
    const text = `- list: l\n  items: [${items.join(', ')}, node]\n${rule('r', `${EXEC} and proc.name in (l)`)}`;
    assert.deepEqual(matching(text), ['r']);
  });

  test('10 MB on one line, and of one text', () => {
    const long = 'x'.repeat(10_000_000);
    assert.deepEqual(loadTexts(rule('r', EXEC).replace('output: o', `output: ${long}`)).errors, []);
    assert.match(
      first(rule('r', `${EXEC} and proc.name = ${long}`)),
      /^5:\d+ LOAD_ERR_COMPILE_CONDITION filter parameter too long/,
    );
    assert.match(first(`- rule: ${long}\n`), /^1:3 LOAD_ERR_YAML_VALIDATE/);
    assert.match(first(long), /^1:1 LOAD_ERR_YAML_VALIDATE/);
  });

  test('more values than memory is meant for', () => {
    assert.match(
      first(`- list: l\n  items: [${'a,'.repeat(2_500_000)}]`),
      /^2:\d+ LOAD_ERR_YAML_PARSE more than 2000000 values, with those that aliases repeat/,
    );
  });

  test('signs without end', () => {
    for (const sign of [
      '"',
      "'",
      '&a ',
      '!',
      '*',
      'a: ',
      '? ',
      ': ',
      '%',
      '\t',
      '|',
      '>\n',
      '---\n',
      '- ""\n',
    ]) {
      const { errors } = loadTexts(sign.repeat(200_000));
      for (const { code } of errors) assert.match(code, /LOAD_ERR_YAML_(PARSE|VALIDATE)/, sign);
    }
  });

  test('values within each other', () => {
    for (const deep of [
      '['.repeat(1_000_000),
      '{'.repeat(1_000_000),
      '- '.repeat(1_000_000),
      `- list: l\n  items: ${'['.repeat(1000)}${']'.repeat(1000)}\n`,
    ]) {
      assert.match(first(deep), /^\d+:\d+ LOAD_ERR_YAML_PARSE values are nested too deeply/);
    }
    let blocks = '';
    for (let depth = 0; depth < 1000; depth++) blocks += `${' '.repeat(depth)}- a:\n`;
    assert.match(first(blocks), /LOAD_ERR_YAML_PARSE/);
    const shallow = `- list: l\n  items: [x]\n  deep: ${'['.repeat(200)}${']'.repeat(200)}\n`;
    assert.match(first(shallow), /LOAD_UNKNOWN_KEY/);
  });

  test('parentheses and macros within each other', () => {
    const nested = (depth: number) => rule('r', `${'('.repeat(depth)}${EXEC}${')'.repeat(depth)}`);
    assert.match(
      first(nested(1000)),
      /LOAD_ERR_COMPILE_CONDITION exceeded max depth limit of 1000/,
    );
    assert.deepEqual(matching(nested(150)), ['r']);
    let macros = `- macro: m0\n  condition: ${EXEC}\n`;
    for (let i = 1; i < 1500; i++) macros += `- macro: m${i}\n  condition: (not m${i - 1})\n`;
    assert.match(
      first(macros + rule('r', 'm1499')),
      /LOAD_ERR_COMPILE_CONDITION more than 1000 conditions and macros within each other/,
    );
    assert.deepEqual(matching(macros + rule('r', 'm400')), ['r']);
  });

  test('aliases that multiply', () => {
    let pairs = '- &a0 [x, x]\n';
    for (let i = 1; i < 40; i++) pairs += `- &a${i} [*a${i - 1}, *a${i - 1}]\n`;
    assert.match(
      first(pairs),
      /^\d+:\d+ LOAD_ERR_YAML_PARSE more than 2000000 values, with those that aliases repeat/,
    );
    let lists = '- list: l\n  items: &a0 [x, x, x, x, x, x, x, x]\n';
    for (let i = 1; i < 40; i++)
      lists += `- list: l${i}\n  items: &a${i} [${Array(8)
        .fill(`*a${i - 1}`)
        .join(', ')}]\n`;
    assert.match(first(lists), /LOAD_ERR_YAML_PARSE more than 2000000 values/);
    const shared = '- list: l\n  items: &items [a, node]\n- list: m\n  items: *items\n';
    assert.deepEqual(
      matching(shared + rule('r', `${EXEC} and proc.name in (l) and proc.name in (m)`)),
      ['r'],
    );
    // The last anchor of a name counts.
    assert.deepEqual(
      matching(
        `- list: l\n  items: [&a x, &a node, *a]\n${rule('r', `${EXEC} and proc.name in (l)`)}`,
      ),
      ['r'],
    );
  });

  test('macros and lists that double at each step', () => {
    let macros = `- macro: m0\n  condition: ${EXEC} and proc.name = node\n`;
    for (let i = 1; i < 400; i++)
      macros += `- macro: m${i}\n  condition: (m${i - 1} and m${i - 1})\n`;
    assert.deepEqual(matching(macros + rule('r', 'm399')), ['r']);
    let lists = '- list: l0\n  items: [a, b]\n';
    for (let i = 1; i < 60; i++) lists += `- list: l${i}\n  items: [l${i - 1}, l${i - 1}]\n`;
    assert.match(
      first(lists + rule('r', `${EXEC} and proc.name in (l59)`)),
      /LOAD_ERR_VALIDATE (list 'l\d+' is longer than \d+ characters|the lists have more than \d+ items)/,
    );
    const big = `- list: big\n  items: [${'x,'.repeat(20_000)}y]\n`;
    assert.match(
      first(big + rule('r', `proc.name in (${'big,'.repeat(500)}big)`)),
      /LOAD_ERR_VALIDATE with list 'big' filled in, the condition is longer than \d+ characters/,
    );
  });

  test('more errors than anyone reads', () => {
    let text = '';
    for (let i = 0; i < 3 * MAX_DIAGNOSTICS; i++) text += rule(`r${i}`, `nope${i}`);
    const result = loadTexts(text);
    assert.equal(result.errors.length, MAX_DIAGNOSTICS);
    let keys = rule('r', EXEC);
    for (let i = 0; i < 3 * MAX_DIAGNOSTICS; i++) keys += `  key${i}: x\n`;
    const warned = loadTexts(keys);
    assert.deepEqual(
      [warned.warnings.length, warned.omittedWarnings],
      [MAX_DIAGNOSTICS, 2 * MAX_DIAGNOSTICS],
    );
  });

  test('what is no text at all', () => {
    for (let round = 0; round < 20; round++) {
      const text = randomBytes(50_000).toString('utf8');
      assert.match(
        first(text),
        /LOAD_ERR_YAML_(PARSE|VALIDATE)/,
        JSON.stringify(text.slice(0, 200)),
      );
    }
    assert.match(first('\0'.repeat(1_000_000)), /LOAD_ERR_YAML_(PARSE|VALIDATE)/);
  });

  test('what stands in a file never becomes code', () => {
    const name = '");globalThis.pwned=1;("';
    const text =
      `- macro: m\n  condition: (proc.name = '${name}' or proc.args contains "\\"+process.exit()+\\"" or proc.name in (a,b,c,d,"\${1}"))\n` +
      rule(JSON.stringify(name), `${EXEC} and m`);
    assert.deepEqual(matching(text), []);
    assert.equal('pwned' in globalThis, false);
    const subject = makeSubject(makeEvent('execve'), { process: makeProcess({ image: { name } }) });
    assert.deepEqual(matching(text, subject), [name]);
  });

  test('names that objects have by birth', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      const text = `- list: ${name}\n  items: [node]\n- macro: m_${name}\n  condition: ${EXEC} and proc.name in (${name})\n${rule(name, `m_${name}`, `  tags: [${name}]\n`)}`;
      assert.deepEqual(found(text), [], name);
      assert.deepEqual(matching(text), [name]);
      assert.match(first(rule('r', name)), /Undefined macro|LOAD_ERR_COMPILE_CONDITION/);
      assert.match(first(`- ${name}: x\n`), /LOAD_UNKNOWN_ITEM/);
    }
  });
});
