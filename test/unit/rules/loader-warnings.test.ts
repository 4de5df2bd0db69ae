import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ruleNeeds } from '../../../src/rules/rule-set.ts';
import { loadRules } from '../../../src/rules/loader/load.ts';
import { FALCO_RULE_COUNT, falcoRuleSources } from '../../support/falco.ts';
import { codes, EXEC, first, found, loadTexts, rule } from '../../support/rules-found.ts';
import { ruleSetOf } from '../../support/rules-load.ts';

describe('R13 the events of a condition', () => {
  const events = (condition: string) =>
    [
      ...ruleNeeds(ruleSetOf(rule('r', JSON.stringify(condition), '  warn_evttypes: false\n'))),
    ].sort();

  test('are those that it can hold for', () => {
    const cases: Record<string, readonly string[]> = {
      'evt.type = openat': ['openat'],
      'evt.type in (openat, open) and fd.num = 1': ['open', 'openat'],
      'evt.type = openat or (evt.type = connect and proc.name = x)': ['connect', 'openat'],
      'evt.type in (open, openat) and not evt.type = open': ['openat'],
      'evt.type in (open, openat) and evt.type != open': ['openat'],
      'evt.type in (open, openat) and not (evt.type = open or proc.name = x)': ['openat'],
      'evt.type in (open, openat) and not (evt.type = open and proc.name = x)': ['open', 'openat'],
      'evt.type = open and evt.num = 0': [],
      'evt.type = open and not evt.num = 0': ['open'],
      'evt.type = open and evt.type = openat': [],
    };
    for (const [condition, expected] of Object.entries(cases)) {
      assert.deepEqual(events(condition), expected, condition);
    }
    // syscall.type is absent for the end of a process.
    assert.ok(events('not syscall.type in (procexit)').includes('procexit'));
  });

  test('LOAD_NO_EVTTYPE when they are more than 100, unless warn_evttypes is false', () => {
    for (const broad of [
      'proc.name = x',
      'evt.type != open',
      'not evt.type in (open, openat)',
      'evt.type exists',
      `${EXEC} or proc.name = x`,
    ]) {
      assert.match(first(rule('r', broad)), /^5:14 LOAD_NO_EVTTYPE/, broad);
      assert.deepEqual(found(rule('r', broad, '  warn_evttypes: false\n')), [], broad);
    }
    // S7: `contains` says nothing of the type.
    assert.deepEqual(codes(rule('r', 'evt.type contains open')), ['LOAD_NO_EVTTYPE']);
    // A condition that cannot hold is not one for all events.
    const never =
      '- macro: never_true\n  condition: (evt.num=0)\n- macro: mine\n  condition: (never_true)\n';
    assert.deepEqual(
      found(never + rule('r', `${EXEC} and not mine`) + rule('s', 'never_true')),
      [],
    );
    assert.deepEqual(codes(rule('r', 'evt.type = open and evt.type = close')), [
      'LOAD_NEVER_MATCHES',
    ]);
  });

  test('evt.type through a transformer or against a field is an error', () => {
    for (const bad of [
      'toupper(evt.type) = EXECVE',
      'evt.type = val(syscall.type)',
      'evt.type in (val(syscall.type))',
    ]) {
      assert.match(
        first(rule('r', bad)),
        /^5:14 LOAD_ERR_COMPILE_CONDITION|^5:\d+ LOAD_ERR_COMPILE_CONDITION/,
        bad,
      );
    }
  });
});

describe('what a rule in force cannot do', () => {
  const OPEN = 'evt.type = open';
  const never = (condition: string): string | undefined =>
    found(rule('r', condition)).find((it) => it.includes('LOAD_NEVER_MATCHES'));

  test('LOAD_NEVER_MATCHES when no event can', () => {
    assert.equal(
      never(`${OPEN} and evt.type = close`),
      '5:14 LOAD_NEVER_MATCHES no event can match: the rule is about no event: what it says of evt.type cannot all hold',
    );
    assert.match(never('evt.type in (semop, futex)') ?? '', /does not report: futex, semop$/);
    assert.match(
      never('evt.type in (semop, pkey_mprotect)') ?? '',
      /does not report: pkey_mprotect \(reported as mprotect\), semop$/,
    );
    const needs = /needs a field that has no value in any event here: fdlist\.names$/;
    for (const condition of [
      `${OPEN} and fdlist.names exists`,
      `${OPEN} and (fdlist.names = a or evt.type = close)`,
      'fdlist.names contains a',
      `${OPEN} and tolower(fdlist.names) = a`,
      `${OPEN} and proc.name = val(fdlist.names)`,
    ]) {
      assert.match(never(condition) ?? '', needs, condition);
    }
    for (const condition of [
      `${OPEN} and (fdlist.names = a or proc.name = x)`,
      `${OPEN} and not fdlist.names = a`,
      `evt.type in (${['open', 'semop'].join(', ')})`,
      // How rule files switch a rule off.
      'evt.num = 0',
    ]) {
      assert.equal(never(condition), undefined, condition);
    }
  });

  test('LOAD_ABSENT_FIELD for each field, where it stands, once for a macro', () => {
    const words = 'field fdlist.names has no value in any event here: this never holds';
    assert.deepEqual(found(rule('r', `${OPEN} and (proc.name = x or fdlist.names = a)`)), [
      `5:52 LOAD_ABSENT_FIELD ${words}`,
    ]);
    const macro = '- macro: m\n  condition: not fdlist.names = a\n';
    const rules = rule('r', `${OPEN} and m`) + rule('s', `${OPEN} and m`);
    assert.deepEqual(found(macro + rules), [
      `2:18 LOAD_ABSENT_FIELD ${words}, and its 'not' always does`,
    ]);
  });

  test('nothing is said of a rule that is switched off, by itself or by the configuration', () => {
    const text = rule('r', 'fdlist.names = a');
    assert.deepEqual(codes(rule('r', `${OPEN} and fdlist.names = a`, '  enabled: false\n')), []);
    const load = (options: Parameters<typeof loadRules>[1]): string[] =>
      loadRules([{ name: 'r.yaml', text }], options).warnings.map(({ code }) => code);
    assert.deepEqual(load({}), ['LOAD_NEVER_MATCHES', 'LOAD_ABSENT_FIELD', 'LOAD_NO_EVTTYPE']);
    assert.deepEqual(load({ selection: [{ enable: false, rule: 'r' }] }), ['LOAD_NO_EVTTYPE']);
    assert.deepEqual(load({ minimumPriority: 'Emergency' }), ['LOAD_NO_EVTTYPE']);
  });
});

describe('R15 warnings', () => {
  test('LOAD_UNUSED_MACRO and LOAD_UNUSED_LIST', () => {
    assert.match(first(`- macro: m\n  condition: ${EXEC}\n`), /^1:3 LOAD_UNUSED_MACRO/);
    assert.match(first('- list: l\n  items: []\n'), /^1:3 LOAD_UNUSED_LIST/);
    // What an unused macro refers to is used.
    const chain = `- list: l\n  items: [a]\n- macro: m\n  condition: ${EXEC} and proc.name in (l)\n- macro: n\n  condition: m\n`;
    assert.deepEqual(found(chain), [
      '5:3 LOAD_UNUSED_MACRO the macro is not referred to by any rule or macro',
    ]);
    // A disabled rule uses, one that was left out does not.
    assert.deepEqual(codes(chain + rule('r', 'n', '  enabled: false\n')), []);
    assert.deepEqual(
      codes(
        chain +
          rule('r', 'n', '  skip-if-unknown-filter: true\n').replace(
            'output: o',
            'output: a %nope.x',
          ),
      ),
      ['LOAD_UNKNOWN_FILTER', 'LOAD_UNUSED_MACRO'],
    );
    // A list in a list is used; one that only a later list holds is when that is.
    const lists = '- list: a\n  items: [x]\n- list: b\n  items: [a, c]\n- list: c\n  items: [y]\n';
    assert.deepEqual(
      found(lists).map((line) => line.slice(0, 20)),
      ['3:3 LOAD_UNUSED_LIST', '5:3 LOAD_UNUSED_LIST'],
    );
    assert.deepEqual(found(lists + rule('r', `${EXEC} and proc.name in (b)`)), []);
    // Nothing is unused where not everything was looked at.
    assert.deepEqual(codes(chain + rule('r', 'nope')), ['LOAD_ERR_VALIDATE']);
    assert.deepEqual(codes(chain + rule('r', EXEC).replace('error', 'x')), [
      'LOAD_ERR_YAML_VALIDATE',
    ]);
  });

  test('S20 LOAD_DEPRECATED_ITEM for fields that say nothing any more', () => {
    assert.match(
      first(rule('r', `${EXEC} and evt.dir = <`)),
      /^5:36 LOAD_DEPRECATED_ITEM field evt.dir is deprecated/,
    );
    assert.deepEqual(codes(rule('r', `${EXEC} and evt.dir = < and not evt.dir=>`)), [
      'LOAD_DEPRECATED_ITEM',
    ]);
    const macro = '- macro: m\n  condition: (evt.type = execve and evt.dir=<)\n';
    assert.match(first(macro + rule('r', 'm') + rule('s', 'm')), /^2:37 LOAD_DEPRECATED_ITEM/);
    assert.deepEqual(codes(macro + rule('r', 'm') + rule('s', 'm')), ['LOAD_DEPRECATED_ITEM']);
    for (const field of [
      'evt.latency',
      'evt.latency.s',
      'evt.latency.ns',
      'evt.latency.human',
      'evt.wait_latency',
    ]) {
      assert.deepEqual(
        codes(rule('r', `${EXEC} and ${field} exists`)),
        ['LOAD_DEPRECATED_ITEM'],
        field,
      );
      assert.deepEqual(
        codes(rule('r', EXEC).replace('output: o', `output: a %${field}`)),
        ['LOAD_DEPRECATED_ITEM'],
        field,
      );
    }
  });

  test('LOAD_UNSAFE_NA_CHECK for fields of plugins', () => {
    const skip = '  skip-if-unknown-filter: true\n';
    for (const unsafe of ['ka.verb = <NA>', 'jevt.value[/a] != "<NA>"', 'ka.verb in (get, <NA>)']) {
      assert.deepEqual(
        codes(rule('r', `'${EXEC} and ${unsafe}'`, skip)),
        ['LOAD_UNSAFE_NA_CHECK', 'LOAD_UNKNOWN_FILTER'],
        unsafe,
      );
    }
    assert.deepEqual(codes(rule('r', `${EXEC} and proc.name != <NA>`)), []);
  });

  test('S21 C6 LOAD_COMPILE_CONDITION for what may mean something else', () => {
    assert.match(
      first(rule('r', `${EXEC} and proc.name = proc.pname`)),
      /^5:48 LOAD_COMPILE_CONDITION .*val\(proc.pname\)/,
    );
    assert.deepEqual(codes(rule('r', `'${EXEC} and proc.name = "tolower(proc.pname)"'`)), [
      'LOAD_COMPILE_CONDITION',
    ]);
    assert.deepEqual(codes(rule('r', `${EXEC} and proc.name regex .*sh`)), [
      'LOAD_COMPILE_CONDITION',
    ]);
  });
});

describe('R15 errors', () => {
  test('come in the order in which Falco comes to them', () => {
    // What is wrong with an item's shape is found before any condition is compiled.
    assert.deepEqual(codes(rule('r', 'nope') + rule('s', EXEC).replace('error', 'x')), [
      'LOAD_ERR_YAML_VALIDATE',
      'LOAD_ERR_VALIDATE',
    ]);
    // Macros come before rules, whatever their order in the file.
    assert.match(
      first(`${rule('r', 'a.b = 1')}- macro: m\n  condition: nope\n`),
      /^7:14 LOAD_ERR_VALIDATE/,
    );
    assert.match(
      first(`- macro: a\n  condition: nope\n- macro: b\n  condition: (\n`),
      /^4:\d+ LOAD_ERR_COMPILE_CONDITION/,
    );
    // One file after the other.
    assert.deepEqual(codes([rule('r', 'nope'), '- rule: "']), [
      'LOAD_ERR_VALIDATE',
      'LOAD_ERR_YAML_PARSE',
    ]);
  });

  test('S13 of a rule: exceptions, output, condition', () => {
    const text = rule(
      'r',
      `${EXEC} and a.b = x`,
      '  exceptions: [{name: x, fields: [proc.name], values: [y]}]\n',
    ).replace('output: o', 'output: 100%');
    assert.deepEqual(codes(text), ['LOAD_ERR_VALIDATE', 'LOAD_ERR_COMPILE_OUTPUT']);
    assert.deepEqual(
      codes(
        rule('r', `${EXEC} and a.b = x`).replace('output: o', 'output: 100%') + rule('s', 'nope'),
      ),
      ['LOAD_ERR_COMPILE_OUTPUT', 'LOAD_ERR_COMPILE_CONDITION', 'LOAD_ERR_VALIDATE'],
    );
  });

  test('leave no rule set at all', () => {
    const result = loadTexts(rule('a', EXEC) + rule('b', 'nope'));
    assert.equal(result.ruleSet, undefined);
    assert.deepEqual([result.loadedRules, result.definedRules], [1, 2]);
  });

  test('are told once, by the file on top of which they show', () => {
    const result = loadTexts([rule('a', 'nope'), rule('b', EXEC), '- rul: x\n']);
    assert.deepEqual(
      result.errors.map(({ file }) => file),
      ['a.yaml'],
    );
    assert.deepEqual(
      result.files.map(({ name, errors, warnings }) => [name, errors.length, warnings.length]),
      [
        ['a.yaml', 1, 0],
        ['b.yaml', 1, 0],
        ['c.yaml', 1, 1],
      ],
    );
  });
});

test('the three files of upstream load together without a word', () => {
  const sources = falcoRuleSources();
  const result = loadRules(sources);
  assert.deepEqual([...result.errors, ...result.warnings], []);
  assert.deepEqual([result.loadedRules, result.definedRules], [FALCO_RULE_COUNT, FALCO_RULE_COUNT]);
  // Each of them alone, as well.
  for (const source of sources) assert.deepEqual(loadRules([source]).errors, [], source.name);
});
