import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { conditionError, holds, load, ruleFile } from '../../support/rules-load.ts';
import { makeEvent, makeProcess, makeSubject, openForRead } from '../../support/rules-subject.ts';

const open = makeSubject(openForRead('/etc/ssl/Certs/ca.pem'));

/** Each condition's error matches; `''` for conditions that load. */
function errors(expected: Record<string, RegExp | ''>): void {
  for (const [condition, error] of Object.entries(expected)) {
    if (error === '') assert.equal(conditionError(condition), '', condition);
    else assert.match(conditionError(condition), error, condition);
  }
}

const warningsOf = (condition: string): string[] =>
  load(ruleFile(condition)).warnings.map(({ code, message }) => `${code} ${message}`);

describe('what a condition may say', () => {
  test('C1 fields', () => {
    assert.equal(
      conditionError('proc.nmae = x'),
      'LOAD_ERR_COMPILE_CONDITION filter_check called with nonexistent field proc.nmae: did you mean proc.name?',
    );
    errors({
      'proc.name[2] = x': /proc.name takes no argument/,
      'evt.arg = x': /evt.arg needs an argument/,
      'proc.aname[x] = y': /proc.aname takes an index such as \[2\]/,
      'evt.arg.nonsense = x': /^LOAD_ERR_COMPILE_CONDITION .*no param 'nonsense'/,
      'evt.arg.newpath = x': '',
      'evt.arg[0] = x': '',
      'proc.env contains X': '',
      '__proto__.x = 1': /^LOAD_ERR_COMPILE_CONDITION expected/,
      'toString.x = 1': /nonexistent field toString.x/,
      'constructor.name exists': /nonexistent field constructor.name/,
    });
  });

  test('C2 operators for the types of fields', () => {
    const of: Record<string, { field: string; allowed: string[] }> = {
      text: {
        field: 'proc.name',
        allowed: [
          '=',
          '==',
          '!=',
          '<',
          '<=',
          '>',
          '>=',
          'contains',
          'icontains',
          'startswith',
          'endswith',
          'glob',
          'iglob',
          'regex',
          'in',
          'intersects',
          'pmatch',
        ],
      },
      number: {
        field: 'proc.pid',
        allowed: ['=', '==', '!=', '<', '<=', '>', '>=', 'in', 'intersects'],
      },
      time: {
        field: 'proc.duration',
        allowed: ['=', '==', '!=', '<', '<=', '>', '>=', 'in', 'intersects'],
      },
      bool: { field: 'evt.failed', allowed: ['=', '==', '!=', 'in', 'intersects'] },
      bytes: {
        field: 'evt.rawarg.data',
        allowed: [
          '=',
          '==',
          '!=',
          'contains',
          'startswith',
          'endswith',
          'bcontains',
          'bstartswith',
          'in',
          'intersects',
        ],
      },
      address: { field: 'fd.sip', allowed: ['=', '==', '!=', 'in', 'intersects'] },
      network: { field: 'fd.snet', allowed: ['=', '==', '!=', 'in', 'intersects'] },
      list: { field: 'fd.types', allowed: ['in', 'intersects'] },
      'a socket address': { field: 'evt.rawarg.addr', allowed: [] },
      'a socket tuple': { field: 'evt.rawarg.tuple', allowed: [] },
      'what depends on the call': { field: 'evt.rawarg.val', allowed: [] },
    };
    const values: Record<string, string> = {
      bool: 'true',
      address: '10.0.0.1',
      network: '10.0.0.0/8',
    };
    const operators = [
      '=',
      '==',
      '!=',
      '<',
      '<=',
      '>',
      '>=',
      'contains',
      'icontains',
      'bcontains',
      'startswith',
      'bstartswith',
      'endswith',
      'glob',
      'iglob',
      'regex',
      'in',
      'intersects',
      'pmatch',
    ];
    for (const [kind, { field, allowed }] of Object.entries(of)) {
      for (const operator of operators) {
        const value = values[kind] ?? '10';
        const right = ['in', 'intersects', 'pmatch'].includes(operator) ? `(${value})` : value;
        // A number is no address: what follows < is a number to the grammar.
        const condition = `${field} ${operator} ${/[<>]/.test(operator) ? '10' : right}`;
        errors({
          [condition]: allowed.includes(operator)
            ? ''
            : new RegExp(`operator ${operator} is not for ${field}`),
        });
      }
      errors({ [`${field} exists`]: '' });
    }
  });

  test('C3 S6 S19 values are of the type of the field', () => {
    errors({
      'evt.failed = yes': /'yes' is not true or false/,
      'evt.failed = True': /'True' is not true or false/,
      'fd.sip = 300.1.1.1': /is not an IP address/,
      'fd.sip = 10.0.0.0/8': /is not an IP address/,
      'fd.snet = 10.0.0.0': /is not an IP network/,
      'fd.snet = 10.0.0.0/33': /is not an IP network/,
      'fd.snet = ::/0': /is not an IP network/,
      'fd.snet = ::/1': '',
      'fd.sport = https': '',
      'fd.sport = nonsense': /'nonsense' is not a port or the name of a service/,
      'fd.sport = 0x50': /is not a port/,
      'fd.sport = 70000': '',
      'fd.sport = ""': '',
      'fd.sport = -1': /'-1' is not a port/,
      'fd.sport > +1': /'\+1' is not a port/,
      'fd.sport = 99999999999': /is not a port/,
      'proc.pid = " +5"': '',
      'proc.pid = "5 "': /is not a whole number/,
      'proc.pid = "+-5"': /is not a whole number/,
      'proc.pid = "- 5"': /is not a whole number/,
      'fd.sip = 10.0.0.08': /is not an IP address/,
      'fd.snet = 010.0.0.0/8': /is not an IP network/,
      'proc.pid > 0x10': /is not a whole number/,
      'proc.pid > 1e+4': /is not a whole number/,
      'proc.pid > 1.5': /is not a whole number/,
      'proc.pid > 1e3': /^LOAD_ERR_COMPILE_CONDITION/,
      'proc.pid > 99999999999999999999': '',
      'evt.rawarg.data bcontains 4aFF': '',
      'evt.rawarg.data bcontains abc': /not an even number of hexadecimal digits/,
      'evt.rawarg.data bstartswith zz': /not an even number of hexadecimal digits/,
    });
    assert.equal(holds('user.uid > -1', open), false);
    assert.equal(holds('user.loginuid > -2', open), true);
  });

  test('C3 S7 names of events, whatever the operator', () => {
    errors({
      'evt.type = opne': /unknown event type opne: did you mean open\?/,
      'evt.type in (open, opne)': /unknown event type opne/,
      'evt.type startswith exec': /unknown event type exec/,
      'evt.type glob "dup*"': /unknown event type dup\*/,
      'evt.type regex "dup.*"': /unknown event type dup/,
      'evt.type contains dup': '',
      'evt.type = symlink': '',
    });
    const [warning] = load(
      ruleFile('evt.type contains dup').replace('  warn_evttypes: false\n', ''),
    ).warnings;
    assert.equal(warning?.code, 'LOAD_NO_EVTTYPE');
  });

  test('C3 S11 regular expressions', () => {
    errors({
      'proc.name regex "a\\\\d"': /the escape \\d, which POSIX syntax lacks/,
      'proc.name regex "\\\\bx"': /the escape \\b/,
      'proc.name regex "(?i)x"': /has \(\?, which POSIX syntax lacks/,
      'proc.name regex "(?:x)"': /has \(\?/,
      'proc.name regex "(a"': /the regular expression is wrong/,
      'proc.name regex "a)"': /the regular expression is wrong/,
      'proc.name regex "[a"': /lacks a closing \]/,
      'proc.name regex "*a"': /the regular expression is wrong/,
      'proc.name regex "a{2,1}"': /the regular expression is wrong/,
      'proc.name regex "a{1001}"': /the regular expression is wrong/,
      'proc.name regex "[]a]+[[:digit:]]{2,}"': '',
    });
  });

  test('C4 comparison with another field', () => {
    const same = makeSubject(openForRead('/x'), {
      process: makeProcess({ parent: makeProcess({ image: { name: 'node' } }) }),
    });
    for (const [condition, expected] of Object.entries({
      'proc.name = val(proc.pname)': true,
      'proc.name != val(proc.pname)': false,
      'proc.exepath endswith val(proc.name)': true,
      'proc.pid > val(proc.vpid)': true,
      'proc.name in val(proc.pname)': true,
    })) {
      assert.equal(holds(condition, same), expected, condition);
    }
    const orphan = makeSubject(openForRead('/x'), { process: makeProcess() });
    assert.equal(holds('proc.name != val(proc.pname)', orphan), false);
    errors({
      'proc.name = val(proc.pid)': /they cannot be compared/,
      'proc.pid = val(user.uid)': /they cannot be compared/,
      'proc.name in val(fd.types)': /may not stand on the right/,
      'proc.name in getopt(proc.args, "a")': /they cannot be compared/,
      'proc.name = val(proc.aname)': /may not stand on the right/,
      'proc.aname = val(proc.name)': /proc.aname cannot be compared with a field/,
      'fd.sport = val(fd.port)': /may not stand on the right/,
      'fd.snet = val(fd.cnet)': /may not stand on the right|cannot be compared/,
      'fd.name pmatch val(proc.cwd)': /takes no field on its right/,
      'proc.name regex val(proc.pname)': /takes no field on its right/,
      'evt.type = val(proc.name)': /only be compared with names of events/,
      'tolower(evt.type) = open': /hides the event's type/,
    });
  });

  test('C6 S21 what may be meant otherwise is a warning', () => {
    const warning = (condition: string): string => warningsOf(condition).join('\n');
    assert.match(warning('proc.name = proc.pname'), /^LOAD_COMPILE_CONDITION 'proc.pname' is the/);
    assert.match(warning('proc.name in (a, proc.aname[2])'), /'proc.aname\[2\]' is the name of a/);
    assert.match(warning('proc.name = "tolower(x)"'), /looks like a transformer/);
    assert.match(warning('proc.name = "val(x)"'), /looks like a transformer/);
    assert.match(warning('proc.name regex "abc.*"'), /can be had for less/);
    assert.match(warning('proc.name regex "^abc$"'), /can be had for less/);
    assert.match(warning('proc.name regex ".+abc$"'), /can be had for less/);
    assert.deepEqual(warningsOf('proc.name regex "^.*abc"'), []);
    assert.deepEqual(warningsOf('proc.name regex "abc.*$"'), []);
    assert.deepEqual(warningsOf('proc.name regex "a(b|c)"'), []);
    assert.deepEqual(warningsOf('proc.name = proc.nothing'), []);
    assert.deepEqual(warningsOf('proc.name = "len"'), []);
    assert.match(warningsOf('evt.dir = "<"').join(), /^LOAD_DEPRECATED_ITEM field evt.dir/);
  });

  test('E7 G9 how long values may be, and what they may hold', () => {
    errors({
      [`proc.name = ${'x'.repeat(256)}`]: /filter parameter too long: .* more than 255 bytes/,
      [`proc.name = ${'x'.repeat(255)}`]: '',
      [`proc.name = "${'é'.repeat(128)}"`]: /filter parameter too long/,
      [`proc.name = "${'é'.repeat(127)}"`]: '',
      'proc.name = "a\\x00b"': /NUL byte/,
    });
  });

  test('S5 what ends Falco is evaluated', () => {
    const opened = { ...open, event: makeEvent('openat', { params: { fd: 3 } }) };
    for (const [condition, expected] of Object.entries({
      'concat(proc.name,"x") = val(proc.exepath)': false,
      'concat(proc.name,"") = val(proc.name)': true,
      'evt.rawarg.fd > 0': true,
      'evt.rawarg.fd < 0': false,
    })) {
      assert.equal(holds(condition, opened), expected, condition);
    }
  });
});
