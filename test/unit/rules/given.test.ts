import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { evaluateGiven } from '../../../src/rules/given/evaluate-given.ts';
import { GivenFieldError } from '../../../src/rules/given/given-fields.ts';
import type { Given } from '../../../src/rules/given/given-fields.ts';
import { LanguageError } from '../../../src/rules/language/errors.ts';

type Fields = Readonly<Record<string, Given>>;

const holds = (condition: string, fields: Fields = {}): boolean =>
  evaluateGiven(condition, fields).holds;

const reasons = (condition: string, fields: Fields = {}): string[] =>
  evaluateGiven(condition, fields).decidedBy.map((one) => `${one.holds} ${one.condition}`);

describe('given fields', () => {
  test('E1 what is not given, or null, is absent: every comparison with it is false', () => {
    for (const fields of [{}, { 'proc.name': null }]) {
      assert.equal(holds('proc.name = cat', fields), false);
      assert.equal(holds('proc.name != cat', fields), false);
      assert.equal(holds('not proc.name = cat', fields), true);
      assert.equal(holds('proc.name exists', fields), false);
    }
  });

  test('values of every kind', () => {
    assert.equal(holds('proc.name = cat', { 'proc.name': 'cat' }), true);
    assert.equal(holds('proc.pid > 6 and proc.pid < 8', { 'proc.pid': 7 }), true);
    assert.equal(holds('proc.pid = 7', { 'proc.pid': '7' }), true);
    assert.equal(holds('evt.failed = true', { 'evt.failed': true }), true);
    assert.equal(holds('fd.sip = ::1', { 'fd.sip': '0:0::1' }), true);
    assert.equal(holds('fd.snet = 10.0.0.0/8', { 'fd.snet': '10.1.2.3' }), true);
    const fields = { 'evt.rawtime': '1764033409123456789' };
    assert.equal(holds('evt.rawtime = 1764033409123456789', fields), true);
    assert.equal(holds('evt.rawtime = 1764033409123456788', fields), false);
  });

  test('bytes are compared as bytes', () => {
    assert.equal(holds('evt.buffer bcontains CAFE', { 'evt.buffer': '\u02fe' }), false);
    assert.equal(holds('evt.buffer contains é', { 'evt.buffer': 'café' }), true);
    assert.equal(holds('evt.buffer bcontains c3a9', { 'evt.buffer': 'café' }), true);
  });

  test('E2 a backslash escapes in the globs of pmatch, and is itself in other components', () => {
    const below = (path: string, name: string): boolean =>
      holds(`fd.name pmatch (${path})`, { 'fd.name': name });
    assert.equal(below('/a\\b', '/a\\b/c'), true);
    assert.equal(below('/a\\b', '/ab'), false);
    assert.equal(below('/a\\\\*', '/a\\b/c'), true);
    assert.equal(below('/a\\*', '/a\\b/c'), false);
  });

  test('an argument in brackets and after a dot is the same', () => {
    const flags = { 'evt.arg.flags': 'O_RDONLY' };
    assert.equal(holds('evt.arg[flags] = O_RDONLY', flags), true);
    assert.equal(holds('evt.arg.flags = O_RDONLY', { 'evt.arg[flags]': 'O_RDONLY' }), true);
    assert.equal(holds('container.label.team = x', { 'container.label[team]': 'x' }), true);
  });

  test('S2 fd.ip, fd.port and fd.net exist where there is a descriptor, with an address or without', () => {
    for (const name of ['fd.ip', 'fd.port', 'fd.net']) {
      const exists = (fields: Fields): boolean => holds(`${name} exists`, fields);
      assert.equal(exists({ 'fd.name': '/etc/passwd' }), true, name);
      assert.equal(exists({ 'fd.num': 3 }), true, name);
      assert.equal(exists({ 'fd.num': -1, 'fd.name': '/none' }), false, name);
      assert.equal(exists({ 'fd.sip': '10.0.0.1' }), true, name);
      assert.equal(exists({ 'proc.name': 'x' }), false, name);
      assert.equal(
        holds(
          `${name} != ${name === 'fd.net' ? '10.0.0.0/8' : name === 'fd.ip' ? '1.1.1.1' : '1'}`,
          { 'fd.name': '/x' },
        ),
        false,
      );
    }
  });

  test('S9 control characters and bytes that are no text are what they are', () => {
    const fields = { 'proc.args': 'a\nb\udcff' };
    assert.equal(holds('proc.args contains "a\\nb"', fields), true);
    assert.equal(holds('proc.args endswith "\\xff"', fields), true);
    assert.equal(holds('proc.args contains "\ufffd"', fields), false);
  });

  test('what is wrong with them is said with the key', () => {
    const wrong: readonly (readonly [fields: Fields, message: string])[] = [
      [{ 'proc.nme': 'x' }, 'there is no field proc.nme: did you mean proc.name?'],
      [
        { 'proc.pid': 'x' },
        'proc.pid needs a whole number from -9223372036854775808 to 9223372036854775807, not "x"',
      ],
      [{ 'user.uid': -1 }, 'user.uid needs a whole number from 0 to 4294967295, not -1'],
      [{ 'fd.sport': 65536 }, 'fd.sport needs a whole number from 0 to 65535, not 65536'],
      [
        { 'proc.pid': 1.5 },
        'proc.pid needs a whole number from -9223372036854775808 to 9223372036854775807, not 1.5',
      ],
      [{ 'evt.failed': 1 }, 'evt.failed needs true or false, not 1'],
      [{ 'fd.sip': 'localhost' }, 'fd.sip needs an IP address, not "localhost"'],
      [{ 'evt.rawtime': 'now' }, 'evt.rawtime needs a whole number of nanoseconds, not "now"'],
      [{ 'proc.name': ['a'] }, 'proc.name has one value, not a list'],
      [{ 'proc.name[1]': 'a' }, 'proc.name takes no argument'],
      [{ 'evt.arg': 'a' }, 'evt.arg needs an argument, such as evt.arg[…]'],
      [{ 'proc.aname[x]': 'a' }, 'proc.aname takes an index such as [2], not [x]'],
      [
        { 'evt.arg.falgs': 'a' },
        "evt.arg has no param 'falgs' in any event: did you mean 'flags'?",
      ],
      [
        { 'evt.type': 'opnat' },
        'evt.type needs the name of an event, not "opnat": did you mean openat?',
      ],
      [{ __proto__x: 'a' }, 'there is no field __proto__x'],
    ];
    for (const [fields, message] of wrong) {
      const [key] = Object.keys(fields);
      assert.throws(
        () => holds('evt.num exists', fields),
        (error) => {
          assert.ok(error instanceof GivenFieldError, String(error));
          assert.equal(error.message, message);
          assert.equal(error.key, key);
          return true;
        },
      );
    }
  });

  test('a condition may name no macro', () => {
    assert.throws(
      () => holds('proc.name = x and spawned_process'),
      (error) =>
        error instanceof LanguageError &&
        error.code === 'LOAD_ERR_VALIDATE' &&
        error.span.start === 18,
    );
  });
});

describe('what follows from given fields', () => {
  test('both ends of a descriptor (E5)', () => {
    const ends = { 'fd.cip': '10.0.0.1', 'fd.sip': '10.0.0.2', 'fd.cport': 40000, 'fd.sport': 80 };
    assert.equal(holds('fd.ip = 10.0.0.1 and fd.ip = 10.0.0.2', ends), true);
    assert.equal(holds('fd.ip != 10.0.0.1', ends), false);
    assert.equal(holds('fd.port in (80) and fd.net = 10.0.0.0/31', ends), true);
    assert.equal(holds('fd.snet = 10.0.0.2/32 and not fd.cnet = 10.0.0.2/32', ends), true);
    assert.equal(holds('fd.ip = 10.0.0.3', { 'fd.lip': '10.0.0.3', 'fd.rip': '10.0.0.4' }), true);
    assert.equal(holds('fd.ip = 10.0.0.4', { 'fd.ip': ['10.0.0.3', '10.0.0.4'] }), true);
  });

  test('E6 ancestors from a list, one by one, and from the parent', () => {
    const many: readonly Fields[] = [
      { 'proc.aname': ['bash', 'sshd'] },
      { 'proc.aname[1]': 'bash', 'proc.aname[2]': 'sshd' },
      { 'proc.pname': 'bash', 'proc.aname[2]': 'sshd' },
    ];
    for (const fields of many) {
      assert.equal(holds('proc.aname = sshd and proc.aname = bash', fields), true);
      assert.equal(holds('proc.aname[1] = bash and proc.aname[2] = sshd', fields), true);
      assert.equal(holds('proc.pname = bash', fields), true);
      assert.equal(holds('proc.aname[3] exists', fields), false);
      assert.equal(holds('proc.aname != bash', fields), true);
    }
    assert.equal(holds('proc.aname[0] = cat', { 'proc.name': 'cat' }), true);
    assert.equal(holds('proc.aname = cat', { 'proc.name': 'cat' }), false);
    assert.equal(holds('proc.apid[1] = 5', { 'proc.ppid': 5 }), true);
  });

  test('S1 words of a command line and of an environment: a missing one is empty', () => {
    const fields = { 'proc.args': '-l /etc', 'proc.env': 'A=1 B=x=y' };
    assert.equal(holds('proc.args[0] = -l and proc.args[1] = /etc', fields), true);
    assert.equal(holds('proc.args[99] exists and proc.args[99] = ""', fields), true);
    assert.equal(holds('proc.env[B] = "x=y" and proc.env[NOPE] exists', fields), true);
    assert.equal(holds('proc.args[0] exists or proc.env[A] exists'), false);
    assert.equal(holds('getopt(proc.args, "ab:")[b] = c', { 'proc.args': '-a -b c' }), true);
  });

  test('parts of a path, and the result', () => {
    const fields = { 'fd.name': '/etc/ssh/key', 'evt.rawres': -13, 'evt.type': 'openat' };
    assert.equal(holds('fd.directory = /etc/ssh and fd.filename = key', fields), true);
    assert.equal(holds('fd.nameraw = /etc/ssh/key', fields), true);
    assert.equal(holds('evt.failed = true and evt.res = EACCES', fields), true);
    assert.equal(holds('evt.res = SUCCESS', { 'evt.rawres': 3 }), true);
    assert.equal(holds('syscall.type = openat', fields), true);
    assert.equal(holds('syscall.type exists', { 'evt.type': 'procexit' }), false);
    assert.equal(holds('fd.directory exists', { 'fd.name': '10.0.0.1:1->10.0.0.2:2' }), false);
  });

  test('what is given wins over what follows', () => {
    assert.equal(holds('fd.filename = x', { 'fd.name': '/a/b', 'fd.filename': 'x' }), true);
    assert.equal(holds('fd.filename exists', { 'fd.name': '/a/b', 'fd.filename': null }), false);
    assert.equal(holds('evt.num = 0', { 'evt.num': 0 }), true);
    assert.equal(holds('evt.num = 0'), false);
  });
});

describe('what decided', () => {
  test('the first that settles a chain, or all of it', () => {
    const fields = { 'proc.name': 'a', 'proc.pid': 1 };
    const no = 'false proc.name = b';
    const yes = 'true proc.pid = 1';
    assert.deepEqual(reasons('proc.pid = 1 and proc.name = b and proc.name = c', fields), [no]);
    assert.deepEqual(reasons('proc.name = b or proc.pid = 1 or proc.pid = 2', fields), [yes]);
    assert.deepEqual(reasons('proc.pid = 1 and not proc.name = b', fields), [yes, no]);
    assert.deepEqual(reasons('proc.name = b or proc.pid = 2', fields), [no, 'false proc.pid = 2']);
    assert.deepEqual(reasons('not (proc.pid = 1 and proc.name = b)', fields), [no]);
  });

  test('with the values that were seen, of both sides', () => {
    const { decidedBy } = evaluateGiven('proc.name = val(proc.pname) or fd.ip = 10.0.0.1', {
      'proc.name': 'a',
      'fd.ip': ['10.0.0.2', '10.0.0.3'],
    });
    assert.deepEqual(
      decidedBy.map(({ values }) => values),
      [{ 'proc.name': 'a', 'proc.pname': null }, { 'fd.ip': ['10.0.0.2', '10.0.0.3'] }],
    );
  });

  test('two thousand comparisons', () => {
    const many = Array.from({ length: 2000 }, (_, at) => `proc.pid = ${at + 1}`).join(' or ');
    assert.deepEqual(reasons(many, { 'proc.pid': 2000 }), ['true proc.pid = 2000']);
    assert.equal(reasons(many, { 'proc.pid': 0 }).length, 2000);
  });

  test('many comparisons of the type of the event, which is given like any other field', () => {
    const many = Array.from({ length: 20 }, (_, at) => `proc.pid = ${at}`).join(' or ');
    const condition = `evt.type = openat and (${many})`;
    const fields = { 'evt.type': 'openat', 'proc.pid': 19 };
    assert.deepEqual(reasons(condition, fields), ['true evt.type = openat', 'true proc.pid = 19']);
    const absent = Array.from({ length: 20 }, () => 'not evt.type exists').join(' and ');
    assert.equal(holds(absent), true);
  });

  test('the same comparison twice is said once for each place', () => {
    assert.deepEqual(reasons('proc.pid = 1 or proc.pid = 1'), [
      'false proc.pid = 1',
      'false proc.pid = 1',
    ]);
  });
});
