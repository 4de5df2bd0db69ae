import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { conditionError, holds } from '../../support/rules-load.ts';
import { makeEvent, makeProcess, makeSubject, openForRead } from '../../support/rules-subject.ts';

const open = makeSubject(openForRead('/etc/ssl/Certs/ca.pem'));

const orphan = makeSubject(openForRead('/x'), { process: makeProcess() });

function all(subject: ReturnType<typeof makeSubject>, conditions: Record<string, boolean>): void {
  for (const [condition, expected] of Object.entries(conditions)) {
    assert.equal(holds(condition, subject), expected, condition);
  }
}

const running = (name: string, args: string[] = []): ReturnType<typeof makeSubject> =>
  makeSubject(openForRead('/x'), { process: makeProcess({ image: { name, args } }) });

describe('C5 transformers', () => {
  test('change texts, on either side and within each other', () => {
    all(open, {
      'tolower(fd.name) = /etc/ssl/certs/ca.pem': true,
      'toupper(proc.name) = NODE': true,
      'basename(fd.name) = ca.pem': true,
      'toupper(basename(fd.name)) = CA.PEM': true,
      'basename(toupper(fd.name)) in (CA.PEM)': true,
      'proc.name = tolower(proc.name)': true,
      'tolower(proc.name) = toupper(proc.name)': false,
      'tolower(fd.name) startswith anyof (/usr, /etc/ssl/certs)': true,
      'tolower(proc.name) exists': true,
    });
    all(orphan, {
      'tolower(proc.pname) exists': false,
      'tolower(proc.pname) != x': false,
      'proc.name = tolower(proc.pname)': false,
    });
    all(makeSubject(openForRead('/a/')), { 'basename(fd.name) = ""': true });
    // ASCII only, as the C library does it in its own locale
    all(running('\u00c9A'), { 'tolower(proc.name) = "\u00c9a"': true });
  });

  test('S19 b64 decodes, padded or not; what it cannot decode is absent', () => {
    all(running('bm9kZQ=='), { 'b64(proc.name) = node': true });
    all(running('bm9kZQ'), { 'b64(proc.name) = node': true, 'b64(b64(proc.name)) exists': true });
    all(running('bm9kZQ='), { 'b64(proc.name) exists': true });
    for (const broken of ['bm9kZ', 'b*9k', '====', 'bm9kZR==']) {
      all(running(broken), { 'b64(proc.name) exists': false, 'b64(proc.name) != x': false });
    }
    all(running(''), { 'b64(proc.name) = ""': true });
  });

  test('len counts bytes of a text and items of a list', () => {
    all(open, { 'len(proc.name) = 4': true, 'len(proc.name) > 4': false });
    all(running('\u00e9'), { 'len(proc.name) = 2': true });
    all(open, { 'len((proc.name, "x", fd.name)) = 3': true, 'len(fd.types) exists': false });
  });

  test('join and concat', () => {
    all(open, {
      'join("-", (proc.name, "x", fd.num)) = node-x-3': true,
      'join("", (proc.name)) = node': true,
      'join(proc.name, ("a", "b")) = anodeb': true,
      'concat(proc.name, ":", basename(fd.name)) = node:ca.pem': true,
      'tolower(concat("A", "B")) = ab': true,
    });
    all(orphan, {
      'join("-", (proc.name, proc.pname)) exists': false,
      'concat(proc.name, proc.pname) exists': false,
      'len((proc.name, proc.pname)) exists': false,
    });
  });

  test('getopt reads a command line by its own words', () => {
    const curl = running('curl', ['-k', '-o', '/tmp/a b', '-XPOST', 'http://x', '-z']);
    all(curl, {
      'getopt(proc.args, "ko:X:")[k] exists': true,
      'getopt(proc.args, "ko:X:")[o] = "/tmp/a b"': true,
      'getopt(proc.args, "ko:X:")[X] = POST': true,
      'getopt(proc.args, "ko:X:z")[z] exists': false,
      'getopt(proc.args, "ko:X:") intersects (POST)': true,
      'getopt(proc.args, "ko:X:") in (k, o, "/tmp/a b", X, POST)': true,
      'getopt(proc.args, "q")[q] exists': false,
      'tolower(getopt(proc.args, "ko:X:")[X]) = post': true,
    });
    all(running('x', ['--long', '-a', '--', '-b']), {
      'getopt(proc.args, "ab")[a] = a': true,
      'getopt(proc.args, "ab")[b] exists': false,
    });
  });

  test('what they do not take', () => {
    for (const [condition, error] of Object.entries({
      'tolower(fd.num) = 3': /tolower\(\) takes a string, not fd.num/,
      'tolower(proc.aname) = x': /proc.aname/,
      'len(fd.num) = 3': /len\(\) takes a string, bytes or a list, not fd.num/,
      'b64(proc.pid) = x': /b64\(\) takes a string/,
      'concat(proc.name) = x': /concat\(\) takes at least two strings/,
      'concat(proc.name, fd.num) = x': /concat\(\) takes strings, not fd.num/,
      'join(proc.name) = x': /join\(\) takes a separator and a list/,
      'join("-", proc.name) = x': /join\(\) takes a list/,
      'getopt(proc.args) = x': /getopt\(\) takes a list and a string of options/,
      'getopt(proc.args, "a")[ab] = x': /one option's character/,
      'tolower(proc.name, fd.name) = x': /tolower\(\) takes one operand/,
      'tolower(evt.rawarg.res) = x': /takes no transformer/,
      'tolower(proc.name)[x] = x': /takes no argument in brackets/,
      'nope(proc.name) = x': /^LOAD_ERR_COMPILE_CONDITION/,
    })) {
      assert.match(conditionError(condition), error, condition);
    }
  });

  test('keep the value of the event they are computed for', () => {
    const failed = makeSubject(makeEvent('openat', { result: -2 }));
    all(failed, { 'tolower(evt.res) = enoent': true });
  });
});
