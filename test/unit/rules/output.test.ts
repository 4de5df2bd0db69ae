import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LanguageError } from '../../../src/rules/language/errors.ts';
import { uptimeOf } from '../../../src/rules/fields/uptime.ts';
import { compileOutput, formatOutput } from '../../../src/rules/output/format.ts';
import {
  makeConnect,
  makeEvent,
  makeProcess,
  makeSubject,
  openForRead,
  RUNTIME,
} from '../../support/rules-subject.ts';

const subject = makeSubject(openForRead('/etc/shadow'));
const text = (format: string, of = subject): string =>
  formatOutput(compileOutput(format), { ...of, claimedPath: false }).text;
const fields = (format: string, of = subject): unknown =>
  formatOutput(compileOutput(format), { ...of, claimedPath: false }).fields;
const error = (format: string): string => {
  try {
    compileOutput(format);
  } catch (thrown) {
    assert.ok(thrown instanceof LanguageError);
    return `${thrown.span.start}: ${thrown.code} ${thrown.message}`;
  }
  return '';
};

describe('output', () => {
  test('O1 fields, arguments, width', () => {
    assert.equal(text('a %proc.name b'), 'a node b');
    assert.equal(text('%proc.name'), 'node');
    assert.equal(text('no field'), 'no field');
    assert.equal(text('%proc.aname[1]|%proc.aname[9]'), 'node|<NA>');
    assert.equal(text('%evt.arg.flags %evt.arg[flags]'), '<NA> <NA>');
    assert.equal(text('%container.label[team].'), 'checkout.');
    assert.equal(text('[%10proc.name]'), '[node      ]');
    assert.equal(text('%toupper(proc.name) %toupper(basename(fd.name))'), 'NODE SHADOW');
    assert.equal(text('%fd.num %evt.failed %proc.duration'), '3 false 100000000000');
    assert.equal(text('%proc.uptime'), '100s');
  });

  test('S13 cut, extra text, and errors', () => {
    assert.equal(text('%2proc.name'), 'no');
    assert.equal(text('%proc.nameextra'), 'nodeextra');
    assert.equal(text('%proc.name.'), 'node.');
    assert.match(error('%%'), /^0: LOAD_ERR_COMPILE_OUTPUT '%' must be followed by a field/);
    assert.match(error('100%'), /^3: LOAD_ERR_COMPILE_OUTPUT/);
    assert.match(error('%-8proc.name'), /LOAD_ERR_COMPILE_OUTPUT/);
    assert.match(
      error('x %nope.x'),
      /^2: LOAD_ERR_COMPILE_OUTPUT nonexistent field nope.x in the output/,
    );
    assert.match(error('%tolower(proc.name'), /LOAD_ERR_COMPILE_OUTPUT expected ',' or '\)'/);
    assert.match(error('%tolower(nope.x)'), /LOAD_ERR_COMPILE_OUTPUT filter_check called with/);
    assert.match(error('%tolower(fd.num)'), /LOAD_ERR_COMPILE_OUTPUT tolower\(\) takes a string/);
    assert.match(error('%'), /^0: LOAD_ERR_COMPILE_OUTPUT/);
    assert.match(error('%5'), /^0: LOAD_ERR_COMPILE_OUTPUT/);
    assert.match(error('%evt.arg'), /LOAD_ERR_COMPILE_OUTPUT field evt.arg needs an argument/);
  });

  test('O1: brackets that are no argument of the field are text', () => {
    assert.equal(text('%proc.name[%proc.pid]'), 'node[4242]');
    assert.equal(text('%proc.name[0]|%proc.name['), 'node[0]|node[');
    assert.equal(
      text('%proc.aname[x]|%proc.aname[1'),
      'node containerd-shim[x]|node containerd-shim[1',
    );
    assert.equal(text('%proc.aname[1][2]|%proc.aname["1"]'), 'node[2]|node');
    assert.equal(text('%proc.args[]'), `${text('%proc.args')}[]`);
    assert.equal(text('%toupper(proc.name)[x]'), 'NODE[x]');
    assert.equal(
      text('%getopt(proc.args, "n")[%proc.pid]'),
      `${text('%getopt(proc.args, "n")')}[4242]`,
    );
    assert.match(error('%evt.arg['), /LOAD_ERR_COMPILE_OUTPUT field evt.arg needs an argument/);
    assert.match(error('%evt.arg[nope]'), /LOAD_ERR_COMPILE_OUTPUT field evt.arg has no param/);
  });

  test('O1: a width of 0 is none; a field for conditions only is absent', () => {
    assert.equal(text('%0proc.name|%00010proc.name|'), 'node|node      |');
    const connect = makeSubject(makeEvent('connect', { call: makeConnect() }));
    assert.equal(text('%fd.ip %fd.sip', connect), '<NA> 93.184.216.34');
    assert.deepEqual(fields('%fd.port', connect), {
      'fd.port': null,
    });
  });

  test('O1 O3 absent is <NA> in the text and null among the fields; numbers stay numbers', () => {
    const orphan = makeSubject(openForRead('/x'), { process: makeProcess() });
    assert.equal(text('p=%proc.pname', orphan), 'p=<NA>');
    assert.deepEqual(
      fields('%proc.pname %fd.num %evt.failed %toupper(proc.name) %user.loginname', orphan),
      {
        'proc.pname': null,
        'fd.num': 3,
        'evt.failed': false,
        'proc.name': 'node',
        'user.loginname': '<NA>',
      },
    );
  });

  test('O3 the time is among the fields where the output has it, and in the style of Falco', () => {
    const time = { 'evt.time': 1_764_033_409_123_456_789n };
    assert.deepEqual(fields('%evt.time a'), time);
    const falco = compileOutput('a', undefined, 'falco');
    assert.deepEqual(formatOutput(falco, { ...subject, claimedPath: false }).fields, time);
    assert.deepEqual(fields('a'), {});
  });

  test('fields with several values', () => {
    const chain = makeSubject(makeEvent('connect', { call: makeConnect() }), {
      process: makeProcess({ parent: makeProcess({ parent: RUNTIME }) }),
    });
    assert.equal(text('%proc.aname', chain), 'node containerd-shim');
    assert.deepEqual(fields('%proc.apid %fd.sip %fd.sport', chain), {
      'proc.apid': 4242,
      'fd.sip': '93.184.216.34',
      'fd.sport': 443,
    });
  });

  test('S13 transformers change the text only, and their numbers are not printed', () => {
    assert.equal(text('%len(proc.name)|%toupper(proc.name)'), '<NA>|NODE');
    assert.equal(
      text('%join("-", (proc.name, "x"))|%concat(proc.name, ":", fd.name)'),
      'node-x|node:/etc/shadow',
    );
    assert.equal(text('%6toupper(proc.name).'), 'NODE  .');
    assert.deepEqual(fields('%concat(proc.name, fd.name) %len(proc.exepath)'), {
      'proc.name': 'node',
      'fd.name': '/etc/shadow',
      'proc.exepath': '/usr/local/bin/node',
    });
  });

  test("the text is as it came: escaping is the stream's", () => {
    const hostile = makeSubject(openForRead('/a "b"\ufffd%proc.name'));
    assert.equal(text('file=%fd.name', hostile), 'file=/a "b"\ufffd%proc.name');
  });

  test('a field named like a property of every object does no harm', () => {
    assert.match(error('%__proto__.x'), /LOAD_ERR_COMPILE_OUTPUT/);
    assert.match(error('%constructor'), /LOAD_ERR_COMPILE_OUTPUT/);
  });
});

test('an uptime has the largest unit of which there are two', () => {
  const of = (seconds: number): string => uptimeOf(BigInt(seconds) * 1_000_000_000n + 999_999_999n);
  assert.deepEqual([0, 119, 120, 7199, 7200, 172_799, 172_800].map(of), [
    '0s',
    '119s',
    '2m',
    '119m',
    '2h',
    '47h',
    '2d',
  ]);
  assert.equal(uptimeOf(-1n), '0s');
});
