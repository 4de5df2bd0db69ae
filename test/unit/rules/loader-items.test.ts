import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { codes, EXEC, first, found, loadTexts, matching, rule } from '../../support/rules-found.ts';

const YAML = 'LOAD_ERR_YAML_VALIDATE';

describe('R1 the document', () => {
  test('is a list; several may follow each other; an empty one is fine', () => {
    const words = '1:1 LOAD_EMPTY_FILE the file has no rule, macro or list';
    for (const empty of ['', '~', '---\n---\n', '[]', '- \n- ~\n']) {
      assert.deepEqual(found(empty), [words], JSON.stringify(empty));
    }
    assert.deepEqual(found('# nothing yet\n---\n'), []);
    assert.deepEqual(matching(`${rule('a', EXEC)}---\n${rule('b', EXEC)}...\n`), ['a', 'b']);
  });

  test('of another shape is refused', () => {
    for (const text of ['rule: x\n', 'just words\n', '5', `--- \n${rule('r', EXEC)}--- {}\n`]) {
      assert.match(
        first(text),
        /LOAD_ERR_YAML_VALIDATE Rules content is not yaml array of objects/,
        text,
      );
    }
    assert.match(first('- word\n'), new RegExp(`^1:3 ${YAML} Unexpected element`));
    assert.match(first('- [rule]\n'), new RegExp(`^1:3 ${YAML} Unexpected element`));
  });

  test('that is no YAML is an error at its place, before all else that is wrong in the file', () => {
    for (const text of [
      '- rule: "x\n',
      '- rule: [x\n  desc: }\n',
      '- *nowhere\n',
      '- &a [*a]\n',
      '- rule: x\n  desc: a: b\n',
      '- rule: x\n\tdesc: y\n',
      '- rule: "\\q"\n',
      '- output: %proc.name\n',
      '- ? [a]\n  : b\n',
      `- list: 5\n${rule('r', 'nope')}- rule: "`,
    ]) {
      assert.match(first(text), /^\d+:\d+ LOAD_ERR_YAML_PARSE /, text);
    }
    assert.match(first('- rule: x\n  desc: a: b\n'), /^2:10 .*put a value with ": " in quotes/);
  });
});

describe('R2 items and keys', () => {
  test('that are unknown are warnings that know better', () => {
    assert.deepEqual(found('- rul: x\n'), [
      `1:3 LOAD_UNKNOWN_ITEM unknown item, it begins with 'rul': did you mean 'rule'?`,
    ]);
    assert.deepEqual(codes('- {}\n'), ['LOAD_UNKNOWN_ITEM']);
    assert.deepEqual(found(rule('r', EXEC, '  prioritty: x\n')), [
      `6:3 LOAD_UNKNOWN_KEY unknown key 'prioritty': did you mean 'priority'?`,
    ]);
    // A key of another kind of item is unknown, too.
    assert.deepEqual(
      codes(
        `- list: l\n  items: [x]\n  priority: error\n${rule('r', `${EXEC} and proc.name in (l)`)}`,
      ),
      ['LOAD_UNKNOWN_KEY'],
    );
    assert.deepEqual(codes('- required_engine_version: 13\n  desc: x\n'), ['LOAD_UNKNOWN_KEY']);
  });

  test('that repeat: the first one counts', () => {
    const text = rule('r', EXEC, '  desc: again\n  condition: nope\n');
    assert.match(
      first(text),
      /^6:3 LOAD_UNKNOWN_KEY key 'desc' is there twice: the first one counts/,
    );
    assert.deepEqual(matching(text), ['r']);
  });

  test('the kind is by precedence of keys, not by their order', () => {
    const list = `- rule: x\n  macro: y\n  list: l\n  items: [node]\n${rule('r', `${EXEC} and proc.name in (l)`)}`;
    assert.deepEqual(matching(list), ['r']);
    assert.deepEqual(codes(list), ['LOAD_UNKNOWN_KEY', 'LOAD_UNKNOWN_KEY']);
    assert.deepEqual(codes('- rule: r\n  required_engine_version: 0.57.0\n'), ['LOAD_UNKNOWN_KEY']);
  });
});

describe('R3 what a rule needs', () => {
  test('condition, output, desc, priority: single values that are not empty', () => {
    for (const key of ['condition', 'output', 'desc', 'priority']) {
      const line = new RegExp(`^  ${key}:.*\n`, 'm');
      const all = rule('r', EXEC);
      assert.match(first(all.replace(line, '')), new RegExp(`^1:3 ${YAML} a rule needs '${key}'`));
      for (const empty of ['', '~', '""']) {
        assert.match(
          first(all.replace(line, `  ${key}: ${empty}\n`)),
          new RegExp(`${YAML} '${key}' is empty`),
        );
      }
      for (const shape of ['[a]', '{a: b}']) {
        assert.match(
          first(all.replace(line, `  ${key}: ${shape}\n`)),
          new RegExp(`${YAML} '${key}' must be one value`),
        );
      }
    }
    for (const name of ['', '""', '[a]']) assert.match(first(rule(name, EXEC)), new RegExp(YAML));
    assert.deepEqual(matching(rule('5', EXEC)), ['5']);
  });

  test('none of the four: it only switches an earlier one on or off', () => {
    const disabled = rule('r', EXEC, '  enabled: false\n');
    assert.deepEqual(matching(disabled), []);
    assert.deepEqual(matching(`${disabled}- rule: r\n  enabled: true\n`), ['r']);
    assert.deepEqual(codes(`${disabled}- rule: r\n  enabled: true\n`), ['LOAD_DEPRECATED_ITEM']);
    assert.match(
      first('- rule: r\n  enabled: true\n'),
      /^1:3 LOAD_ERR_VALIDATE there is no rule "r" to enable/,
    );
    assert.match(first(`${disabled}- rule: r\n`), new RegExp(`^7:3 ${YAML} a rule needs`));
    assert.match(first(`${disabled}- rule: r\n  tags: [a]\n`), new RegExp(YAML));
  });
});

describe('R4 keys with defaults', () => {
  test('take YAML 1.1 words for true and false', () => {
    for (const word of ['true', 'True', 'TRUE', 'yes', 'on', 'y', 'Y', '"true"']) {
      assert.deepEqual(matching(rule('r', EXEC, `  enabled: ${word}\n`)), ['r'], word);
    }
    for (const word of ['false', 'No', 'OFF', 'n']) {
      assert.deepEqual(matching(rule('r', EXEC, `  enabled: ${word}\n`)), [], word);
    }
    for (const word of ['maybe', '1', 'tRue', '', '[true]']) {
      assert.match(first(rule('r', EXEC, `  enabled: ${word}\n`)), new RegExp(YAML), word);
    }
  });

  test('captures are accepted, with a word that there are none', () => {
    const words = 'there are no captures: the rule tells of what it finds, and records nothing';
    assert.deepEqual(found(rule('r', EXEC, '  capture: yes\n')), [`1:3 LOAD_NO_CAPTURE ${words}`]);
    assert.deepEqual(found(rule('r', EXEC, '  capture: yes\n  enabled: false\n')), []);
    for (const good of ['capture: no', 'capture_duration: 5000', 'capture_duration: 0x10']) {
      assert.deepEqual(found(rule('r', EXEC, `  ${good}\n`)), [], good);
    }
    for (const bad of [
      'capture: 2',
      'capture_duration: -1',
      'capture_duration: 4294967296',
      'capture_duration: 1s',
      'capture_duration: 089',
    ]) {
      assert.match(first(rule('r', EXEC, `  ${bad}\n`)), new RegExp(`^6:.*${YAML}`), bad);
    }
  });

  test('tags are a list of words', () => {
    assert.deepEqual(loadTexts(rule('r', EXEC, '  tags: [b, a, b, 5]\n')).ruleSet?.rules[0]?.tags, [
      '5',
      'a',
      'b',
    ]);
    for (const bad of ['a', '{a: b}', '[[a]]', '[~]', '']) {
      assert.match(first(rule('r', EXEC, `  tags: ${bad}\n`)), new RegExp(YAML), bad);
    }
  });

  test('the output is trimmed', () => {
    const text = rule('r', EXEC).replace('output: o', 'output: |2\n\n    a b \n\n');
    assert.deepEqual(loadTexts(text).ruleSet?.rules[0]?.output.literals, ['a b']);
  });
});

describe('R5 priorities', () => {
  const priority = (word: string) => found(rule('r', EXEC).replace('error', word));

  test('in any case', () => {
    for (const word of [
      'EMERGENCY',
      'Alert',
      'critical',
      'error',
      'Warning',
      'notice',
      'info',
      'INFORMATIONAL',
      'debug',
    ]) {
      assert.deepEqual(priority(word), [], word);
    }
    assert.deepEqual(priority('hgih'), [`4:13 ${YAML} Invalid priority 'hgih'`]);
    assert.match(priority('warn')[0] ?? '', /did you mean 'warning'/);
    assert.match(priority('3')[0] ?? '', /Invalid priority/);
  });

  test('those below the least one are not loaded', () => {
    const text =
      rule('a', EXEC) +
      rule('b', EXEC).replace('error', 'debug') +
      rule('c', EXEC).replace('error', 'notice');
    const result = loadTexts(text, { minimumPriority: 'Notice' });
    assert.deepEqual(
      result.ruleSet?.rules.map(({ name }) => name),
      ['a', 'c'],
    );
    assert.deepEqual([result.loadedRules, result.definedRules], [2, 3]);
    // They are checked all the same.
    assert.deepEqual(
      codes(rule('b', 'nope').replace('error', 'debug'), { minimumPriority: 'Error' }),
      ['LOAD_ERR_VALIDATE'],
    );
  });
});

describe('R6 redefinition', () => {
  test('replaces the whole item and keeps its place', () => {
    const text =
      rule('a', 'evt.type = open', '  tags: [x]\n  enabled: false\n') +
      rule('b', EXEC) +
      rule('a', EXEC);
    assert.deepEqual(matching(text), ['a', 'b']);
    assert.deepEqual(loadTexts(text).ruleSet?.rules[0]?.tags, []);
    assert.deepEqual(
      matching(
        `- list: l\n  items: [x]\n- list: l\n  items: [node]\n- macro: m\n  condition: evt.type = open\n- macro: m\n  condition: ${EXEC}\n${rule('r', 'm and proc.name in (l)')}`,
      ),
      ['r'],
    );
  });

  test('for another source is refused', () => {
    const different = /LOAD_ERR_VALIDATE rule "a" was defined for source 'syscall' before/;
    assert.match(first(rule('a', EXEC) + rule('a', EXEC, '  source: k8s_audit\n')), different);
    for (const more of [
      '  append: true\n',
      '  override: {condition: append}\n',
      '  override: {condition: replace}\n',
    ]) {
      const change = (source: string) =>
        `- rule: a\n  condition: and proc.pid = 1\n  source: ${source}\n${more}`;
      assert.match(first(rule('a', EXEC) + change('k8s_audit')), different, more);
      assert.doesNotMatch(first(rule('a', EXEC) + change('syscall')), /VALIDATE/, more);
      assert.doesNotMatch(first(rule('a', EXEC) + change('""')), /VALIDATE/, more);
    }
    // Without a source it is of syscall.
    assert.match(
      first(rule('a', EXEC, '  source: aws\n') + rule('a', EXEC)),
      /was defined for source 'aws' before/,
    );
  });
});

describe('R8 versions', () => {
  test('of the engine', () => {
    for (const good of ['13', '0.57.0', '63', '0x10', '"0.26.0"', '0.57.0-rc1']) {
      assert.deepEqual(found(`- required_engine_version: ${good}\n`), [], good);
    }
    for (const bad of ['0.99.0', '64', '1.0.0']) {
      assert.match(
        first(`- required_engine_version: ${bad}\n`),
        /^1:28 LOAD_ERR_VALIDATE the rules need engine version \S+, this one is 0\.\d+\.\d+/,
        bad,
      );
    }
    for (const bad of ['new', '0.57', '-1', '', '[13]', 'v0.57.0']) {
      assert.match(first(`- required_engine_version: ${bad}\n`), new RegExp(YAML), bad);
    }
    assert.equal(
      loadTexts('- required_engine_version: 0.31.0\n- required_engine_version: 13\n')
        .requiredEngineVersion,
      '0.31.0',
    );
  });

  test('of plugins: what the container plugin does is built in', () => {
    const plugin = (name: string, version = '0.4.0') =>
      `- required_plugin_versions:\n    - name: ${name}\n      version: ${version}\n`;
    assert.deepEqual(found(plugin('container')), []);
    assert.match(
      first(plugin('container', '1.0.0')),
      /^2:13 LOAD_ERR_VALIDATE .*plugin 'container' in version 1.0.0/,
    );
    assert.match(
      first(plugin('k8saudit')),
      /^2:13 LOAD_ERR_VALIDATE the rules need plugin k8saudit 0.4.0/,
    );
    assert.deepEqual(
      found(`${plugin('k8saudit')}      alternatives: [{name: container, version: 0.1.0}]\n`),
      [],
    );
    assert.match(first(plugin('container', 'x')), /LOAD_ERR_VALIDATE 'x' is not a version/);
    assert.match(
      first(`${plugin('container')}      alternatives: [{name: container, version: 0.1.0}]\n`),
      /LOAD_ERR_VALIDATE plugin 'container' is named twice/,
    );
    for (const bad of [
      'x',
      '[x]',
      '[{name: a}]',
      '[{version: 0.1.0}]',
      '[{name: a, version: 0.1.0, alternatives: b}]',
      '[{name: a, version: 0.1.0, alternatives: [b]}]',
    ]) {
      assert.match(first(`- required_plugin_versions: ${bad}\n`), new RegExp(YAML), bad);
    }
    // Falco asks for plugins after all else.
    assert.deepEqual(codes(plugin('k8saudit') + rule('r', 'nope')), [
      'LOAD_ERR_VALIDATE',
      'LOAD_ERR_VALIDATE',
    ]);
    assert.match(first(plugin('k8saudit') + rule('r', 'nope')), /Undefined macro/);
  });
});

describe('R9 what is unknown', () => {
  test('a source: the rule is left out, whatever its condition is', () => {
    const text = rule('r', 'x.y = z', '  source: aws\n');
    assert.match(first(text), /^6:11 LOAD_UNKNOWN_SOURCE there is no source 'aws'/);
    assert.deepEqual([loadTexts(text).loadedRules, loadTexts(text).errors.length], [0, 0]);
    assert.match(first(rule('r', EXEC, '  source: ""\n')), new RegExp(`${YAML} 'source' is empty`));
    // It can be added to.
    assert.deepEqual(
      codes(`${text}- rule: r\n  condition: and q.r = 1\n  override: {condition: append}\n`),
      ['LOAD_UNKNOWN_SOURCE'],
    );
  });

  test('skip-if-unknown-filter: fields and types of events that do not exist', () => {
    const skip = '  skip-if-unknown-filter: true\n';
    const unknown = [
      `${EXEC} and a.b = x`,
      'evt.type = nonsense',
      `${EXEC} and proc.name = val(a.b)`,
      `${EXEC} and tolower(a.b) = x`,
    ];
    for (const condition of unknown) {
      const text = rule('r', condition, skip);
      assert.match(first(text), /^5:\d+ LOAD_UNKNOWN_FILTER .*: the rule is left out/, condition);
      assert.deepEqual(matching(text + rule('s', EXEC)), ['s']);
    }
    for (const output of ['%a.b', '%-8proc.name', '%%']) {
      const text = rule('r', EXEC, skip).replace('output: o', `output: a ${output}`);
      assert.match(first(text), /^3:13 LOAD_UNKNOWN_FILTER/, output);
    }
    const macro = `- macro: m\n  condition: a.b = x\n`;
    assert.match(first(macro + rule('r', `${EXEC} and m`, skip)), /^2:14 LOAD_UNKNOWN_FILTER/);
    // The macro is still wrong for a rule that does not say so.
    assert.deepEqual(codes(macro + rule('r', `${EXEC} and m`, skip) + rule('s', 'm')), [
      'LOAD_ERR_COMPILE_CONDITION',
      'LOAD_UNKNOWN_FILTER',
    ]);
  });

  test('skip-if-unknown-filter: all else stays an error', () => {
    const skip = '  skip-if-unknown-filter: true\n';
    for (const [condition, code] of [
      [`${EXEC} and`, 'LOAD_ERR_COMPILE_CONDITION'],
      [`${EXEC} and nope`, 'LOAD_ERR_VALIDATE'],
      [`${EXEC} and fd.num = x`, 'LOAD_ERR_COMPILE_CONDITION'],
      [`${EXEC} and fd.num contains 1`, 'LOAD_ERR_COMPILE_CONDITION'],
    ] as const) {
      assert.deepEqual(codes(rule('r', condition, skip)), [code], condition);
    }
    assert.deepEqual(codes(rule('r', EXEC, skip).replace('output: o', 'output: 100%')), [
      'LOAD_ERR_COMPILE_OUTPUT',
    ]);
    const exception = `${skip}  exceptions:\n    - {name: x, fields: a.b, values: [c]}\n`;
    assert.deepEqual(codes(rule('r', EXEC, exception)), ['LOAD_ERR_VALIDATE']);
  });
});
