import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { loadRules, MAX_RULE_FILE_BYTES, readRuleFile } from '../../../src/rules/loader/load.ts';
import { formatDiagnostic } from '../../../src/rules/loader/diagnostics.ts';
import { ruleNeeds } from '../../../src/rules/rule-set.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { load, ruleSetOf } from '../../support/rules-load.ts';
import { makeEvent, makeProcess, makeSubject, openForRead } from '../../support/rules-subject.ts';

/** Errors and warnings as `line:column CODE message`. */
function found(text: string): string[] {
  const { errors, warnings } = load(text);
  return [...errors, ...warnings].map(
    ({ line, column, code, message }) => `${line}:${column} ${code} ${message}`,
  );
}

const rule = (name: string, condition: string, more = ''): string =>
  `- rule: ${name}\n  desc: d\n  output: o\n  priority: error\n  condition: ${condition}\n${more}`;

const EXEC = 'evt.type = execve';
const matching = (text: string, subject = makeSubject(makeEvent('execve'))): string[] =>
  new RuleEngine(ruleSetOf(text)).evaluate(subject).map((match) => match.rule.name);

describe('positions are those of the YAML file', () => {
  const cases: Record<string, readonly [yaml: string, line: number, column: number]> = {
    'plain scalar': ['  condition: a.b = x\n', 5, 14],
    'plain scalar over lines': [`  condition: ${EXEC}\n     and\n       a.b = x\n`, 7, 8],
    'quoted twice': [`  condition: "${EXEC} and \\\n     a.b = x"\n`, 6, 6],
    'escapes before it': [`  condition: "proc.name = '\\x41\\u00e9\\t' and a.b = x"\n`, 5, 46],
    'quoted once': [`  condition: 'proc.name = ''it'' and a.b = x'\n`, 5, 38],
    folded: [`  condition: >\n    ${EXEC}\n\n    and a.b = x\n`, 8, 9],
    'folded, stripped, with a comment': [
      `  condition: >- # why\n      ${EXEC}\n        and (\n      a.b = x)\n`,
      8,
      7,
    ],
    literal: [`  condition: |\n    ${EXEC} and\n    a.b = x\n`, 7, 5],
    'literal with an indent of its own': [
      `  condition: |2\n      ${EXEC} and\n    a.b = x\n`,
      7,
      5,
    ],
  };
  for (const [name, [yaml, line, column]] of Object.entries(cases)) {
    test(name, () => {
      const [first] = found(`- rule: r\n  desc: d\n  output: o\n  priority: error\n${yaml}`);
      assert.equal(first, `${line}:${column} LOAD_ERR_COMPILE_CONDITION nonexistent field a.b`);
    });
  }

  test('in a flow map, behind an anchor and through an alias', () => {
    const text = `- {macro: m, condition: &c a.b = x}\n${rule('r', '*c')}`;
    assert.deepEqual(found(text), ['1:28 LOAD_ERR_COMPILE_CONDITION nonexistent field a.b']);
  });

  test('with CRLF and after a byte order mark', () => {
    const text = rule('r', `>\n    ${EXEC}\n    and a.b = x`).replaceAll('\n', '\r\n');
    assert.deepEqual(found(text), ['7:9 LOAD_ERR_COMPILE_CONDITION nonexistent field a.b']);
  });

  test('an error in a list is where the list is referred to, one in a macro is in the macro, once', () => {
    const text = `- list: l\n  items: [execve, nonsense]\n- macro: m\n  condition: (evt.type in (l))\n${rule('a', 'm')}${rule('b', 'm')}`;
    assert.deepEqual(found(text), ['4:28 LOAD_ERR_COMPILE_CONDITION unknown event type nonsense']);
  });

  test('the output too', () => {
    const text = `- rule: r\n  desc: d\n  priority: error\n  condition: ${EXEC}\n  output: >\n    one %proc.name\n    two %proc.nope\n`;
    // %proc.nope: no field name begins it.
    assert.deepEqual(found(text), [
      '7:9 LOAD_ERR_COMPILE_OUTPUT nonexistent field proc.nope in the output',
    ]);
  });

  test('and the caret shows it', () => {
    const [error] = load(rule('r', `${EXEC} and a.b = x`)).errors;
    assert.ok(error);
    assert.equal(
      formatDiagnostic(error),
      'rules.yaml:5:36: error: in rule "r": nonexistent field a.b (LOAD_ERR_COMPILE_CONDITION)\n' +
        `    condition: ${EXEC} and a.b = x\n${' '.repeat(37)}^^^`,
    );
  });
});

describe('rule files', () => {
  test('R1 the document is a list, several may follow each other, an empty one is fine', () => {
    assert.deepEqual(found(''), []);
    assert.deepEqual(found('# nothing\n---\n'), []);
    assert.match(
      found('rule: x\n')[0] ?? '',
      /^1:1 LOAD_ERR_YAML_VALIDATE Rules content is not yaml array/,
    );
    assert.match(found('just words\n')[0] ?? '', /LOAD_ERR_YAML_VALIDATE/);
    assert.match(found('- word\n')[0] ?? '', /^1:3 LOAD_ERR_YAML_VALIDATE/);
    assert.deepEqual(matching(`${rule('a', EXEC)}---\n${rule('b', EXEC)}`), ['a', 'b']);
  });

  test('broken YAML is an error at its place', () => {
    assert.match(found('- rule: "x\n')[0] ?? '', /^\d+:\d+ LOAD_ERR_YAML_PARSE/);
    assert.match(found('- rule: [x\n  desc: }\n')[0] ?? '', /^\d+:\d+ LOAD_ERR_YAML_PARSE/);
    assert.match(found('- *nowhere\n')[0] ?? '', /LOAD_ERR_YAML_PARSE/);
  });

  test('R2 unknown items and keys are warnings that know better', () => {
    assert.deepEqual(found('- rul: x\n'), [
      `1:3 LOAD_UNKNOWN_ITEM unknown item, it begins with 'rul': did you mean 'rule'?`,
    ]);
    assert.deepEqual(found(rule('r', EXEC, '  prioritty: x\n')), [
      `6:3 LOAD_UNKNOWN_KEY unknown key 'prioritty': did you mean 'priority'?`,
    ]);
    assert.match(
      found(rule('r', EXEC, '  desc: again\n'))[0] ?? '',
      /^6:3 LOAD_UNKNOWN_KEY key 'desc' is there twice/,
    );
  });

  test('R3 what a rule needs', () => {
    for (const key of ['condition', 'output', 'desc', 'priority']) {
      const text = rule('r', EXEC).replace(new RegExp(`^  ${key}:.*\n`, 'm'), '');
      assert.match(found(text)[0] ?? '', new RegExp(`LOAD_ERR_VALIDATE a rule needs '${key}'`));
    }
    assert.match(found(rule('""', EXEC))[0] ?? '', /LOAD_ERR_VALIDATE a rule needs a name/);
    assert.match(found(rule('r', '""'))[0] ?? '', /LOAD_ERR_VALIDATE 'condition' is empty/);
    assert.match(
      found(rule('r', '[a]'))[0] ?? '',
      /LOAD_ERR_VALIDATE 'condition' must be one value/,
    );
    assert.match(found('- rule: r\n  enabled: true\n')[0] ?? '', /there is no rule "r" to enable/);
    const disabled = rule('r', EXEC, '  enabled: false\n');
    assert.deepEqual(matching(disabled), []);
    assert.deepEqual(matching(`${disabled}- rule: r\n  enabled: true\n`), ['r']);
  });

  test('R5 priorities', () => {
    const priority = (word: string) => found(rule('r', EXEC).replace('error', word));
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
    assert.deepEqual(priority('hgih'), [`4:13 LOAD_ERR_VALIDATE Invalid priority 'hgih'`]);
    assert.match(priority('warn')[0] ?? '', /did you mean 'warning'/);
    const text = rule('a', EXEC) + rule('b', EXEC).replace('error', 'debug');
    const result = loadRules([{ name: 'f', text }], { minimumPriority: 'Notice' });
    assert.deepEqual(
      result.ruleSet?.rules.map(({ name }) => name),
      ['a'],
    );
    assert.deepEqual([result.loadedRules, result.definedRules], [1, 2]);
  });

  test('R6 a later definition replaces an earlier one and keeps its place', () => {
    const text = rule('a', 'evt.type = open') + rule('b', EXEC) + rule('a', EXEC);
    assert.deepEqual(matching(text), ['a', 'b']);
    const sources = rule('a', EXEC) + rule('a', EXEC, '  source: k8s_audit\n');
    assert.match(
      found(sources)[0] ?? '',
      /LOAD_ERR_VALIDATE rule "a" was defined for source 'syscall' before/,
    );
  });

  test('R7 override and append', () => {
    const base = `- list: names\n  items: [a]\n- macro: m\n  condition: (proc.name in (names))\n${rule('r', `${EXEC} and m`, '  tags: [x]\n')}`;
    const node = (text: string) => matching(base + text);
    assert.deepEqual(node(''), []);
    assert.deepEqual(node('- list: names\n  items: [node]\n  override:\n    items: append\n'), [
      'r',
    ]);
    assert.deepEqual(node('- list: names\n  items: [node]\n  override: {items: replace}\n'), ['r']);
    assert.deepEqual(
      node('- macro: m\n  condition: or proc.name = node\n  override: {condition: append}\n'),
      ['r'],
    );
    assert.deepEqual(
      node('- macro: m\n  condition: proc.name = node\n  override: {condition: replace}\n'),
      ['r'],
    );
    assert.deepEqual(node('- macro: m\n  condition: or proc.name = node\n  append: true\n'), ['r']);
    const replaced = ruleSetOf(
      `${base}- rule: r\n  condition: ${EXEC}\n  tags: [y, x]\n  priority: debug\n  desc: more\n  override: {condition: replace, tags: append, priority: replace, desc: append}\n`,
    ).rules[0]!;
    assert.deepEqual(
      [replaced.tags, replaced.priority, replaced.description],
      [['x', 'y'], 'Debug', 'd more'],
    );
    // An appended condition is text: precedence is as it reads.
    assert.deepEqual(
      node(`- rule: r\n  condition: or ${EXEC}\n  override: {condition: append}\n`),
      ['r'],
    );
    const errors: Record<string, RegExp> = {
      '- list: names\n  items: [b]\n  append: true\n  override: {items: append}\n':
        /'append' and 'override' cannot stand together/,
      '- rule: r\n  condition: x\n  desc: y\n  override: {desc: append}\n':
        /Unexpected key 'condition': no corresponding entry under 'override' is defined\./,
      '- rule: r\n  override: {desc: append}\n':
        /'override' names 'desc', but the item has no such key/,
      '- rule: r\n  priority: debug\n  override: {priority: append}\n':
        /'priority' can be replaced but not appended to/,
      '- rule: none\n  desc: y\n  override: {desc: append}\n':
        /there is no rule "none" to override/,
      '- list: none\n  items: []\n  append: true\n': /there is no list "none" to append to/,
      '- rule: r\n  desc: y\n  override: {desc: add}\n': /'desc' must be 'append' or 'replace'/,
      '- rule: r\n  desc: y\n  override: {dsc: append}\n': /'override' cannot name 'dsc' in a rule/,
    };
    for (const [text, message] of Object.entries(errors))
      assert.match(found(base + text)[0] ?? '', message, text);
  });

  test('R7 an error in an appended condition is in the file that appends', () => {
    const { errors } = loadRules([
      { name: 'one.yaml', text: rule('r', EXEC) },
      {
        name: 'two.yaml',
        text: '- rule: r\n  condition: and a.b = x\n  override: {condition: append}\n',
      },
    ]);
    assert.deepEqual(
      errors.map(({ file, line, column }) => [file, line, column]),
      [['two.yaml', 2, 18]],
    );
  });

  test('R8 versions', () => {
    for (const good of ['13', '0.57.0', '63'])
      assert.deepEqual(found(`- required_engine_version: ${good}\n`), [], good);
    assert.match(
      found('- required_engine_version: 0.99.0\n')[0] ?? '',
      /^1:28 LOAD_ERR_VALIDATE .*need engine version 0.99.0/,
    );
    assert.match(found('- required_engine_version: new\n')[0] ?? '', /is not an engine version/);
    const plugin = (name: string) =>
      `- required_plugin_versions:\n    - name: ${name}\n      version: 0.4.0\n`;
    assert.deepEqual(found(plugin('container')), []);
    assert.match(found(plugin('k8saudit'))[0] ?? '', /LOAD_ERR_NOT_YET plugin 'k8saudit'/);
    assert.deepEqual(
      found(`${plugin('k8saudit')}      alternatives: [{name: container, version: 0.1.0}]\n`),
      [],
    );
  });

  test('R9 unknown sources and skip-if-unknown-filter', () => {
    assert.match(
      found(rule('r', 'x.y = z', '  source: aws\n'))[0] ?? '',
      /^1:3 LOAD_UNKNOWN_SOURCE/,
    );
    const skipped = found(rule('r', `${EXEC} and a.b = x`, '  skip-if-unknown-filter: true\n'));
    assert.match(
      skipped[0] ?? '',
      /^5:36 LOAD_UNKNOWN_FILTER nonexistent field a.b: the rule is left out/,
    );
    assert.match(
      found(rule('r', `${EXEC} and`, '  skip-if-unknown-filter: true\n'))[0] ?? '',
      /LOAD_ERR_COMPILE_CONDITION/,
    );
  });

  test('R10 lists are filled in between delimiters', () => {
    const lists =
      '- list: ab\n  items: [a, node]\n- list: none\n  items: []\n- list: all\n  items: [ab, later]\n- list: later\n  items: ["x y", 5]\n';
    const m = (condition: string) =>
      matching(lists + rule('r', JSON.stringify(`${EXEC} and ${condition}`)));
    assert.deepEqual(m('proc.name in (ab)'), ['r']);
    assert.deepEqual(m('proc.name in (b,ab , c)'), ['r']);
    assert.deepEqual(m('proc.name in (all)'), ['r']);
    assert.deepEqual(m('proc.name in (none, node)'), ['r']);
    assert.deepEqual(m('proc.name in (node, none)'), ['r']);
    assert.deepEqual(m('proc.name in (none)'), []);
    assert.deepEqual(m('proc.name in (none, none)'), []);
    assert.deepEqual(m('proc.name in ("ab", x)'), []);
    assert.deepEqual(m('proc.name = "ab"'), []);
    assert.deepEqual(m('not proc.name in (abc, "x ab y")'), ['r']);
    // S16: without parentheses only one item is a list.
    assert.match(
      found(`${lists}${rule('r', `${EXEC} and proc.name in ab`)}`)[0] ?? '',
      /LOAD_ERR_COMPILE_CONDITION/,
    );
    assert.match(
      found(
        `- list: a\n  items: [b]\n- list: b\n  items: [a]\n${rule('r', `${EXEC} and proc.name in (a)`)}`,
      )[0] ?? '',
      /LOAD_ERR_VALIDATE list '[ab]' refers to itself/,
    );
    assert.deepEqual(
      matching(
        `- list: q\n  items: ['"(systemd)"', "a b", it's c]\n${rule('r', `${EXEC} and not proc.name in (q)`)}`,
      ),
      ['r'],
    );
  });

  test('R11 S15 macros', () => {
    const m = (macros: string, condition = 'm') => found(macros + rule('r', condition));
    assert.deepEqual(found(rule('r', 'm') + `- macro: m\n  condition: ${EXEC}\n`), []);
    assert.deepEqual(m(''), [`5:14 LOAD_ERR_VALIDATE Undefined macro 'm' used in filter.`]);
    assert.match(m(`- macro: mm\n  condition: ${EXEC}\n`, 'm')[0] ?? '', /Did you mean 'mm'\?/);
    assert.match(
      m(`- macro: m\n  condition: later\n- macro: later\n  condition: ${EXEC}\n`)[0] ?? '',
      /^2:14 LOAD_ERR_VALIDATE Undefined macro 'later' .*defined after/,
    );
    assert.match(m('- macro: m\n  condition: m\n')[0] ?? '', /Undefined macro 'm'/);
    assert.match(
      m(
        `- macro: m\n  condition: ${EXEC}\n- macro: n\n  condition: m\n- macro: m\n  condition: n\n`,
      )[0] ?? '',
      /reference loop in macro/,
    );
  });

  test('R12 exceptions are refused, not left out', () => {
    const text = rule(
      'r',
      EXEC,
      '  exceptions:\n    - name: x\n      fields: [proc.name]\n      values: [[a]]\n',
    );
    assert.match(found(text)[0] ?? '', /^6:3 LOAD_ERR_NOT_YET 'exceptions' are not supported yet/);
    assert.deepEqual(found(rule('r', EXEC, '  exceptions: []\n')), []);
  });

  test('R13 the events of a condition', () => {
    const events = (condition: string) =>
      [
        ...ruleNeeds(ruleSetOf(rule('r', JSON.stringify(condition), '  warn_evttypes: false\n'))),
      ].sort();
    assert.deepEqual(events('evt.type = openat'), ['openat']);
    assert.deepEqual(events('evt.type in (openat, open) and fd.num = 1'), ['open', 'openat']);
    assert.deepEqual(events('evt.type = openat or (evt.type = connect and proc.name = x)'), [
      'connect',
      'openat',
    ]);
    assert.deepEqual(events('evt.type in (open, openat) and not evt.type = open'), ['openat']);
    assert.deepEqual(events('evt.type in (open, openat) and evt.type != open'), ['openat']);
    assert.deepEqual(
      events('evt.type in (open, openat) and not (evt.type = open or proc.name = x)'),
      ['openat'],
    );
    assert.deepEqual(
      events('evt.type in (open, openat) and not (evt.type = open and proc.name = x)'),
      ['open', 'openat'],
    );
    assert.deepEqual(events('evt.type = open and evt.num = 0'), []);
    assert.deepEqual(events('evt.type = open and not evt.num = 0'), ['open']);
    assert.equal(events('proc.name = x').length, 12);
    // syscall.type is absent for the end of a process.
    assert.ok(events('not syscall.type in (procexit)').includes('procexit'));
    assert.match(found(rule('r', 'proc.name = x'))[0] ?? '', /^5:14 LOAD_NO_EVTTYPE/);
    assert.match(found(rule('r', 'evt.type contains open'))[0] ?? '', /LOAD_NO_EVTTYPE/);
  });

  test('R15 unused macros and lists, S21 names of fields as values', () => {
    assert.match(found(`- macro: m\n  condition: ${EXEC}\n`)[0] ?? '', /^1:3 LOAD_UNUSED_MACRO/);
    assert.match(found('- list: l\n  items: []\n')[0] ?? '', /^1:3 LOAD_UNUSED_LIST/);
    assert.match(
      found(rule('r', `${EXEC} and proc.name = proc.pname`))[0] ?? '',
      /^5:48 LOAD_COMPILE_CONDITION .*val\(proc.pname\)/,
    );
  });

  test('a disabled rule that needs what is still to come is left out with a warning', () => {
    const text = rule('r', 'evt.type = symlink', '  enabled: false\n');
    assert.match(
      found(text)[0] ?? '',
      /^5:25 LOAD_UNKNOWN_FILTER event symlink is not supported yet.*disabled/,
    );
    assert.match(found(rule('r', 'evt.type = symlink'))[0] ?? '', /LOAD_ERR_NOT_YET/);
  });

  test('S13 with both wrong the output comes first; all errors are told', () => {
    const text =
      rule('r', `${EXEC} and a.b = x`).replace('output: o', 'output: 100%') + rule('s', 'nope');
    assert.deepEqual(
      found(text).map((line) => line.split(' ')[1]),
      ['LOAD_ERR_COMPILE_OUTPUT', 'LOAD_ERR_COMPILE_CONDITION', 'LOAD_ERR_VALIDATE'],
    );
  });

  test('with an error there is no rule set at all', () => {
    assert.equal(load(rule('a', EXEC) + rule('b', 'nope')).ruleSet, undefined);
  });
});

describe('hostile rule files are bounded', () => {
  test('macros and lists that double at each step', () => {
    let macros = `- macro: m0\n  condition: ${EXEC} and proc.name = node\n`;
    for (let i = 1; i < 400; i++)
      macros += `- macro: m${i}\n  condition: (m${i - 1} and m${i - 1})\n`;
    assert.deepEqual(matching(macros + rule('r', 'm399')), ['r']);
    let lists = '- list: l0\n  items: [a, b]\n';
    for (let i = 1; i < 60; i++) lists += `- list: l${i}\n  items: [l${i - 1}, l${i - 1}]\n`;
    assert.match(
      found(lists + rule('r', `${EXEC} and proc.name in (l59)`))[0] ?? '',
      /LOAD_ERR_VALIDATE list 'l\d+' is longer/,
    );
    assert.match(
      found(
        `- list: big\n  items: [${'x,'.repeat(20_000)}y]\n${rule('r', `proc.name in (${'big,'.repeat(50)}big)`)}`,
      )[0] ?? '',
      /longer than 262144 characters/,
    );
  });

  test('macros within macros without end', () => {
    let macros = `- macro: m0\n  condition: ${EXEC}\n`;
    for (let i = 1; i < 5000; i++) macros += `- macro: m${i}\n  condition: (not m${i - 1})\n`;
    assert.match(
      found(macros + rule('r', 'm4999'))[0] ?? '',
      /more than 1000 conditions and macros within each other/,
    );
  });

  test('aliases that multiply and brackets that do not close', () => {
    let aliases = '- &a0 [x, x]\n';
    for (let i = 1; i < 40; i++) aliases += `- &a${i} [*a${i - 1}, *a${i - 1}]\n`;
    assert.match(found(aliases)[0] ?? '', /LOAD_ERR_YAML_(PARSE|VALIDATE)/);
    assert.match(found(`- ${'['.repeat(200_000)}`)[0] ?? '', /LOAD_ERR_YAML_PARSE/);
    assert.match(
      found(`- list: l\n  items: ${'['.repeat(100)}${']'.repeat(100)}\n`)[0] ?? '',
      /too deeply nested/,
    );
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
});

describe('reading files', () => {
  const sentence = (path: string): string => {
    try {
      readRuleFile(path);
    } catch (error) {
      assert.ok(error instanceof UserError);
      return error.toDisplay();
    }
    return 'read';
  };

  test('what cannot be read is a sentence', () => {
    const folder = mkdtempSync(join(tmpdir(), 'varvel-rules-'));
    try {
      const file = join(folder, 'r.yaml');
      writeFileSync(file, `\ufeff${rule('r', EXEC)}`);
      assert.equal(readRuleFile(file).text.startsWith('- rule'), true);
      assert.match(
        sentence(join(folder, 'no.yaml')),
        /no\.yaml: Cannot read the rule file: there is no such file/,
      );
      mkdirSync(join(folder, 'd'));
      assert.match(sentence(join(folder, 'd')), /it is not a regular file/);
      assert.match(sentence('/dev/zero'), /it is not a regular file/);
      const big = join(folder, 'big.yaml');
      writeFileSync(big, Buffer.alloc(MAX_RULE_FILE_BYTES + 1, 32));
      assert.match(sentence(big), /larger than 4 MiB/);
      if (process.getuid?.() !== 0) {
        chmodSync(file, 0);
        assert.match(sentence(file), /permission denied/);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('reads of the same file twice give the same rules', () => {
  const text = rule('r', 'evt.type = openat and fd.name = /etc/shadow');
  const subject = makeSubject(openForRead('/etc/shadow'));
  assert.deepEqual(matching(text, subject), ['r']);
  assert.deepEqual(matching(text, subject), ['r']);
});
