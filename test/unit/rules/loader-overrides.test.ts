import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { codes, EXEC, first, loadTexts, matching, rule } from '../../support/rules-found.ts';

const YAML = 'LOAD_ERR_YAML_VALIDATE';
const BASE =
  '- list: names\n  items: [a]\n- macro: m\n  condition: (proc.name in (names))\n' +
  rule('r', `${EXEC} and m`, '  tags: [x]\n');
const ruleOf = (text: string) => loadTexts(BASE + text).ruleSet?.rules[0];
const matches = (text: string) => matching(BASE + text).length > 0;
const wrong = (text: string) => first(BASE + text);

describe('R7 override', () => {
  test('of lists and macros', () => {
    assert.equal(matches(''), false);
    for (const text of [
      '- list: names\n  items: [node]\n  override: {items: append}\n',
      '- list: names\n  items: [node]\n  override: {items: replace}\n',
      '- macro: m\n  condition: or proc.name = node\n  override: {condition: append}\n',
      '- macro: m\n  condition: proc.name = node\n  override: {condition: replace}\n',
      // Both work on what is there: the last replace is all that is left.
      '- list: names\n  items: [b]\n  override: {items: append}\n- list: names\n  items: [node]\n  override: {items: replace}\n',
    ]) {
      assert.equal(matches(text), true, text);
      assert.deepEqual(loadTexts(BASE + text).errors, [], text);
    }
    // With `replace` a list or a macro need not be there before.
    assert.deepEqual(
      matching(
        `- list: l\n  items: [node]\n  override: {items: replace}\n${rule('r', `${EXEC} and proc.name in (l)`)}`,
      ),
      ['r'],
    );
  });

  test('of rules: what is appended and what is replaced', () => {
    const changed = ruleOf(
      `- rule: r\n  condition: ${EXEC}\n  tags: [y, x]\n  priority: debug\n  desc: more\n  output: and %proc.name\n  enabled: false\n` +
        '  override: {condition: replace, tags: append, priority: replace, desc: append, output: append, enabled: replace}\n',
    );
    assert.deepEqual(
      [
        changed?.tags,
        changed?.priority,
        changed?.description,
        changed?.enabled,
        changed?.output.literals,
      ],
      [['x', 'y'], 'Debug', 'd more', false, ['o and ', '']],
    );
    const replaced = ruleOf(
      '- rule: r\n  tags: [z]\n  desc: new\n  output: " new "\n  capture: true\n  capture_duration: 5\n  warn_evttypes: false\n  skip-if-unknown-filter: true\n' +
        '  override: {tags: replace, desc: replace, output: replace, capture: replace, capture_duration: replace, warn_evttypes: replace, skip-if-unknown-filter: replace}\n',
    );
    assert.deepEqual(
      [replaced?.tags, replaced?.description, replaced?.output.literals],
      [['z'], 'new', ['new']],
    );
    assert.equal(
      matches(`- rule: r\n  condition: ${EXEC}\n  override: {condition: replace}\n`),
      true,
    );
  });

  test('appended conditions are text: precedence is as it reads', () => {
    assert.equal(
      matches(`- rule: r\n  condition: or ${EXEC}\n  override: {condition: append}\n`),
      true,
    );
    const either = rule('s', `${EXEC} or evt.type = open`);
    const add = '- rule: s\n  condition: and proc.name = nobody\n  override: {condition: append}\n';
    assert.deepEqual(matching(either + add), ['s']);
    // A part that is whole only with what follows it.
    assert.deepEqual(
      matching(
        `- macro: n\n  condition: (${EXEC}\n- macro: n\n  condition: )\n  override: {condition: append}\n${rule('s', 'n')}`,
      ),
      ['s'],
    );
    // Words do not run together.
    assert.match(
      first(
        `${rule('s', 'evt.type = exec')}- rule: s\n  condition: ve\n  override: {condition: append}\n`,
      ),
      /^7:14 LOAD_ERR_COMPILE_CONDITION/,
    );
  });

  test('only switches: warn_evttypes and skip-if-unknown-filter count where they were set last', () => {
    const all = rule('s', 'proc.name = a', '  warn_evttypes: false\n');
    assert.deepEqual(codes(all), []);
    assert.deepEqual(
      codes(`${all}- rule: s\n  warn_evttypes: true\n  override: {warn_evttypes: replace}\n`),
      ['LOAD_NO_EVTTYPE'],
    );
    const unknown = rule('s', `${EXEC} and a.b = 1`);
    assert.deepEqual(
      codes(
        `${unknown}- rule: s\n  skip-if-unknown-filter: true\n  override: {skip-if-unknown-filter: replace}\n`,
      ),
      ['LOAD_UNKNOWN_FILTER'],
    );
  });

  test('what is not allowed', () => {
    const errors: Record<string, string> = {
      '- rule: r\n  condition: x\n  desc: y\n  override: {desc: append}\n': `${YAML} Unexpected key 'condition': no corresponding entry under 'override' is defined.`,
      '- rule: r\n  desc: y\n  enabled: true\n  override: {desc: append}\n': `${YAML} Unexpected key 'enabled': no corresponding entry under 'override' is defined.`,
      '- rule: r\n  override: {desc: append}\n': `${YAML} 'override' names 'desc', but the item has no such key`,
      '- rule: r\n  priority: debug\n  override: {priority: append}\n': `${YAML} 'priority' can be replaced but not appended to`,
      '- rule: r\n  enabled: true\n  override: {enabled: append}\n': `${YAML} 'enabled' can be replaced but not appended to`,
      '- rule: r\n  priority: x\n  override: {priority: replace}\n': `${YAML} Invalid priority 'x'`,
      '- rule: r\n  desc: y\n  override: {desc: add}\n': `${YAML} 'desc' must be 'append' or 'replace', not 'add'`,
      '- rule: r\n  desc: y\n  override: {desc: }\n': `${YAML} 'desc' must be 'append' or 'replace', not ''`,
      '- rule: r\n  desc: y\n  override: {desc: [append]}\n': `LOAD_ERR_VALIDATE 'desc' must be 'append' or 'replace'`,
      '- rule: r\n  desc: y\n  override: [desc]\n': `LOAD_ERR_VALIDATE 'override' must be a map`,
      '- rule: r\n  desc: y\n  override: {dsc: append}\n': `${YAML} 'override' cannot name 'dsc' in a rule`,
      '- rule: r\n  source: syscall\n  override: {source: replace}\n': `${YAML} 'override' cannot name 'source' in a rule`,
      '- list: names\n  items: [b]\n  override: {condition: append}\n': `${YAML} 'override' cannot name 'condition' in a list`,
      '- macro: m\n  condition: b\n  override: {items: append}\n': `${YAML} 'override' cannot name 'items' in a macro`,
      '- rule: r\n  desc: ""\n  override: {desc: append}\n': `${YAML} 'desc' is empty`,
      '- rule: none\n  desc: y\n  override: {desc: append}\n': `LOAD_ERR_VALIDATE there is no rule "none" to append to`,
      '- rule: none\n  desc: y\n  override: {desc: replace}\n': `LOAD_ERR_VALIDATE there is no rule "none" to change`,
      '- list: none\n  items: []\n  override: {items: append}\n': `LOAD_ERR_VALIDATE there is no list "none" to append to`,
      '- macro: none\n  condition: x\n  override: {condition: append}\n': `LOAD_ERR_VALIDATE there is no macro "none" to append to`,
    };
    for (const [text, message] of Object.entries(errors)) {
      assert.ok(wrong(text).includes(` ${message}`), `${text}: ${wrong(text)}`);
    }
  });

  test('that names nothing is none', () => {
    for (const none of ['', '{}', '[]', 'x']) {
      assert.deepEqual(matching(rule('r', EXEC, `  override: ${none}\n`)), ['r'], none);
    }
  });
});

describe('R7 append: true', () => {
  test('is deprecated and works', () => {
    for (const text of [
      '- list: names\n  items: [node]\n  append: true\n',
      '- macro: m\n  condition: or proc.name = node\n  append: true\n',
      `- rule: r\n  condition: or (${EXEC} and proc.name = node)\n  append: true\n`,
    ]) {
      assert.equal(matches(text), true, text);
      assert.deepEqual(codes(BASE + text), ['LOAD_DEPRECATED_ITEM'], text);
    }
  });

  test('of a rule takes its condition and its exceptions, nothing else', () => {
    const more =
      '- rule: r\n  condition: or proc.name = node\n  append: true\n  tags: [y]\n  enabled: false\n  priority: debug\n';
    const changed = ruleOf(more);
    assert.deepEqual([changed?.tags, changed?.enabled, changed?.priority], [['x'], true, 'Error']);
    assert.match(
      wrong('- rule: r\n  desc: y\n  append: true\n'),
      /LOAD_ERR_VALIDATE there is nothing to append/,
    );
    assert.deepEqual(codes(`${BASE}- rule: r\n  exceptions:\n  append: true\n`), [
      'LOAD_DEPRECATED_ITEM',
    ]);
  });

  test('what is not allowed', () => {
    const errors: Record<string, RegExp> = {
      '- list: names\n  items: [b]\n  append: true\n  override: {items: append}\n':
        /LOAD_ERR_YAML_VALIDATE 'append: true' and 'override' cannot stand together/,
      '- rule: r\n  condition: and x\n  append: true\n  override: {condition: append}\n':
        /LOAD_ERR_YAML_VALIDATE 'append: true' and 'override' cannot stand together/,
      '- list: none\n  items: []\n  append: true\n':
        /LOAD_ERR_VALIDATE there is no list "none" to append to/,
      '- macro: none\n  condition: x\n  append: true\n':
        /LOAD_ERR_VALIDATE there is no macro "none" to append to/,
      '- rule: none\n  condition: x\n  append: true\n':
        /LOAD_ERR_VALIDATE there is no rule "none" to append to/,
      '- rule: r\n  condition: x\n  append: perhaps\n':
        /LOAD_ERR_YAML_VALIDATE 'append' must be true or false/,
    };
    for (const [text, message] of Object.entries(errors)) assert.match(wrong(text), message, text);
    // `append: false` is none.
    assert.equal(
      matches('- list: names\n  items: [node]\n  append: false\n  override: {items: append}\n'),
      true,
    );
  });
});

test('R7 what builds on an item that is wrong is not wrong for that', () => {
  const text =
    rule('r', EXEC).replace('error', 'nonsense') +
    '- rule: r\n  condition: and proc.name = x\n  override: {condition: append}\n' +
    '- rule: r\n  enabled: true\n' +
    `- macro: m\n  conditions: ${EXEC}\n- macro: n\n  condition: m\n` +
    rule('s', 'm or n');
  assert.deepEqual(
    loadTexts(text).errors.map(({ message }) => message),
    ["Invalid priority 'nonsense'", "a macro needs 'condition'"],
  );
});
