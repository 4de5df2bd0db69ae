import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileOutput, formatOutput } from '../../../src/rules/output/format.ts';
import type { OutputStyle } from '../../../src/rules/output/format.ts';
import {
  CONTAINER,
  CREDENTIALS,
  makeConnect,
  makeEvent,
  makeExec,
  makeProcess,
  makeSubject,
  openForRead,
  RUNTIME,
} from '../../support/rules-subject.ts';

const node = makeProcess({ vpid: 1, parent: RUNTIME, image: { name: 'node', args: ['x.js'] } });
const read = makeSubject(openForRead('/etc/shadow'), { process: makeProcess({ parent: node }) });
const outputOf = (output: string, of = read, style?: OutputStyle) =>
  formatOutput(compileOutput(output, undefined, style), { ...of, claimedPath: false });
const text = (...args: Parameters<typeof outputOf>): string => outputOf(...args).text;

describe('O5 short outputs', () => {
  test('leave out what is absent or empty, and only from the words after a |', () => {
    const pipes = 'tty=%proc.env[A] a | b=%proc.env[A] file=%fd.name';
    assert.equal(text(pipes), 'tty=<NA> a | file=/etc/shadow');
    assert.equal(text('a | x=%proc.env[A] y=%proc.env[A]'), 'a |');
    assert.equal(text('a | file=%fd.name x=%proc.env[A]\ny=%fd.num'), 'a | file=/etc/shadow\ny=3');
  });

  test('keep whatever is no word: parts of words, widths, transformers, prose', () => {
    for (const kept of [
      'a | x=%proc.env[A].',
      'a | x=%5proc.env[A]',
      'a | x=%proc.env[A],y=1',
      'a | (x=%proc.env[A])',
      'a | %proc.env[A]',
      'a | x=%tolower(proc.env[A])',
    ])
      assert.match(text(kept), /<NA>/, kept);
  });

  test('have no field of such a word among output_fields, but the container’s id', () => {
    const output = 'a | raw=%fd.nameraw file=%fd.name id=%container.id x=%proc.env[A]';
    assert.deepEqual(outputOf(output).fields, {
      'fd.name': '/etc/shadow',
      'container.id': CONTAINER.id,
    });
    assert.deepEqual(outputOf(output, read, 'falco').fields, {
      'evt.time': read.event.timeNs,
      'fd.nameraw': '/etc/shadow',
      'fd.name': '/etc/shadow',
      'container.id': CONTAINER.id,
      'proc.env[A]': null,
    });
    const parent = 'a | parent=%proc.pname command=%proc.pcmdline name=%proc.name';
    assert.deepEqual(outputOf(parent, { ...read, process: node }).fields, { 'proc.name': 'node' });
    assert.deepEqual(Object.keys(outputOf(parent).fields), ['proc.pcmdline', 'proc.name']);
    // What the output has elsewhere is no word, and stays.
    assert.deepEqual(outputOf('%proc.env[A] | x=%proc.env[A]').fields, { 'proc.env[A]': null });
  });

  test('leave out the path as passed where it is the file’s', () => {
    const output = 'a | file=%fd.name passed_as=%fd.nameraw';
    assert.equal(text(output), 'a | file=/etc/shadow');
    const relative = makeSubject(openForRead('/etc/shadow', { rawPath: '../shadow' }));
    assert.equal(text(output, relative), 'a | file=/etc/shadow passed_as=../shadow');
    assert.equal(
      text('a | passed_as=%fd.nameraw'),
      'a | passed_as=/etc/shadow',
      'said nowhere else',
    );
  });

  test('leave out the container’s id, and its name where that is the app’s', () => {
    const output = 'a | container=%container.name container_id=%container.id';
    assert.equal(text(output), 'a | container=shop-web-1');
    assert.equal(text(output, { ...read, container: { ...CONTAINER, name: 'shop' } }), 'a |');
  });

  test('leave out the parent’s name before its command, and a runtime as the parent', () => {
    const output = 'a | parent=%proc.pname parent_command=%proc.pcmdline';
    assert.equal(text(output), 'a | parent_command=node x.js');
    assert.equal(text('a | parent=%proc.pname'), 'a | parent=node');
    const entry = { ...read, process: node };
    assert.equal(text(output, entry), 'a |');
    const cgroup = { ...CONTAINER, runtime: 'cgroup' } as const;
    assert.match(text(output, { ...entry, container: cgroup }), /parent_command=containerd-shim/);
    const later = makeProcess({ vpid: 9, pid: 5000, parent: RUNTIME });
    const exec = { ...read, process: later };
    assert.equal(text(`${output} origin=%proc.origin`, exec), 'a | origin=exec');
    // What came from outside, and how is not known.
    const unknown = { ...exec, container: { ...CONTAINER, initPid: 0 } };
    assert.match(text(output, unknown), /parent_command=containerd-shim/);
  });

  test('leave out the parent’s program and command where they are the process’s own', () => {
    const shell = { name: 'sh', args: ['-c', 'cat'], exePath: '/bin/busybox', exe: 'sh' };
    const parent = makeProcess({ vpid: 7, parent: node, image: shell });
    const output =
      'a | command=%proc.cmdline exe=%proc.exepath parent_exe=%proc.pexepath parent_command=%proc.pcmdline';
    const forked = { ...read, process: makeProcess({ vpid: 8, parent, image: shell }) };
    assert.equal(text(output, forked), 'a | command=sh -c cat exe=/bin/busybox');
    assert.deepEqual(Object.keys(outputOf(output, forked).fields), [
      'proc.cmdline',
      'proc.exepath',
    ]);
    const cat = { ...shell, name: 'cat', args: [], exe: 'cat' };
    const run = { ...read, process: makeProcess({ vpid: 8, parent, image: cat }) };
    assert.equal(text(output, run), 'a | command=cat exe=/bin/busybox parent_command=sh -c cat');
    // Said nowhere else.
    assert.equal(text('a | parent=%proc.pcmdline', forked), 'a | parent=sh -c cat');
  });

  test('leave out root’s number, and keep all others: the names are the container’s', () => {
    const output = 'a | user=%user.name uid=%user.uid';
    const of = (uid: number, name?: string) => {
      const event = { ...openForRead('/x'), credentials: { ...CREDENTIALS, uid, euid: uid } };
      return makeSubject(event, { users: { ...read.users, userName: () => name } });
    };
    assert.equal(text(output, of(1000, 'app')), 'a | user=app uid=1000');
    assert.equal(text(output, of(0, 'root')), 'a | user=root');
    assert.equal(text(output, of(0, 'app')), 'a | user=app uid=0');
    assert.equal(text(output, of(1000, 'root')), 'a | user=root uid=1000');
    assert.match(text(output, of(77)), /uid=77$/);
  });

  test('leave out the terminal where there is none', () => {
    const output = 'a | terminal=%proc.tty';
    const of = (tty: number) => outputOf(output, { ...read, process: makeProcess({ tty }) });
    assert.deepEqual([of(0).text, of(0).fields], ['a |', {}]);
    assert.deepEqual(
      [of(34816).text, of(34816).fields],
      ['a | terminal=34816', { 'proc.tty': 34816 }],
    );
    assert.deepEqual(outputOf(output, read, 'falco').fields['proc.tty'], read.process.tty);
  });

  test('keep a parent from outside that is no container runtime', () => {
    const intruder = makeProcess({
      inScope: false,
      image: { name: 'bash', exePath: '/tmp/evil/bash' },
    });
    const process = makeProcess({ vpid: 9, pid: 5000, parent: intruder });
    const output = 'a | parent_exe=%proc.pexepath parent_command=%proc.pcmdline';
    assert.match(
      text(output, { ...read, process }),
      /parent_exe=\/tmp\/evil\/bash parent_command=bash/,
    );
  });

  test('keep what the line does not show whole', () => {
    assert.equal(text('a | x=%basename(fd.name) raw=%fd.nameraw'), 'a | x=shadow raw=/etc/shadow');
    assert.equal(text('a | x=%5fd.name raw=%fd.nameraw'), 'a | x=/etc/ raw=/etc/shadow');
  });

  test('leave out a program’s path as passed, but never the file of another call', () => {
    const output = 'a | exe=%proc.exepath passed_as=%evt.arg.filename';
    const { exePath } = read.process.image;
    const exec = makeSubject(makeEvent('execve', { exec: makeExec({ filename: exePath }) }), {
      process: read.process,
    });
    assert.equal(text(output, exec), `a | exe=${exePath}`);
    const chmod = makeSubject(makeEvent('chmod', { params: { filename: exePath } }));
    assert.equal(text(output, chmod), `a | exe=${exePath} passed_as=${exePath}`);
  });

  test('leave out the result where the arguments begin with it', () => {
    const output = 'a | arguments=%evt.args result=%evt.res';
    const call = makeSubject(makeEvent('ptrace', { result: -1, params: { res: -1, request: 16 } }));
    assert.match(text(output, call), /^a \| arguments=res=-1\S* .*request=\S+ pid=<NA>$/);
    assert.deepEqual(Object.keys(outputOf(output, call).fields), ['evt.args']);
    assert.equal(text('a | result=%evt.res', call), 'a | result=EPERM');
    // Of some calls the result has another name among the arguments, as a descriptor.
    const open = text(output);
    assert.match(open, /^a \| arguments=fd=\S+ .* result=SUCCESS$/);
  });

  test('are not those of the style of Falco', () => {
    const connect = makeSubject(makeEvent('connect', { call: makeConnect() }));
    const output = 'a | x=%proc.env[A] id=%container.id';
    assert.equal(text(output, connect, 'falco'), `a | x=<NA> id=${CONTAINER.id}`);
  });
});
