import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Evidence } from '../../../src/agent/evidence.ts';
import type { ProcessLook } from '../../../src/context/process-look.ts';
import type { DoneResponse, Respondable } from '../../../src/responses/responder.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { makeProcess, RUNTIME } from '../../support/rules-subject.ts';
import { detection } from '../responses/responder-fixture.ts';
import { containerOf, deliveryOf } from '../streams/delivery-fixture.ts';

const LOOK: ProcessLook = {
  isThere: true,
  open: 2,
  files: ['0 /dev/null'],
  sockets: ['3 tcp 10.0.0.1:4000->192.0.2.1:80 established'],
  program: undefined,
  mounts: undefined,
  missing: [],
};
const KILLED: DoneResponse = { name: 'kill', outcome: 'done', guarantee: 'after the effect' };
const WHY = 'sha256 of the executable: its inode is not known';

function world(look: Partial<ProcessLook> = {}) {
  const time = { ms: 0 };
  const said: Detection[] = [];
  const looked: number[] = [];
  const evidence = new Evidence({
    nowMs: () => time.ms,
    say: (line) => said.push(line),
    look: (pid) => {
      looked.push(pid);
      return { ...LOOK, ...look };
    },
  });
  let pid = 100;
  /** Another process is killed. */
  const killed = (changes: Partial<Respondable> = {}): Respondable => {
    const process = makeProcess({ pid: ++pid, image: { exeIno: 0 } });
    const one = detection({ process, eventNum: pid, ...changes });
    evidence.before(one);
    evidence.after(one, [KILLED]);
    return one;
  };
  const number = ({ eventNum, matched }: Respondable, seq = 7): void =>
    evidence.onNumbered(deliveryOf({ eventNum, rule: matched.name }, { seq, id: 'ID' }));
  return { evidence, killed, looked, number, said, time };
}

test('one line for a detection, once its number is known; it is joined to it by time and rule', () => {
  const { evidence, killed, number, said } = world();
  const parent = makeProcess({
    pid: 1,
    vpid: 1,
    parent: RUNTIME,
    image: { name: 'sh', exePath: '/bin/sh' },
  });
  const process = makeProcess({ pid: 5, vpid: 15, parent, image: { exeIno: 0 } });
  const one = killed({ process, timeNs: 1_700_000_000_000_000_001n });
  assert.deepEqual(said, []);
  number({ ...one, eventNum: one.eventNum + 1 });
  number({ ...one, matched: { ...one.matched, name: 'Another rule' } });
  assert.deepEqual(said, []);
  number(one);
  number(one);
  assert.equal(said.length, 1);
  const { output, outputFields, rule, timeNs, priority, source } = said[0]!;
  assert.deepEqual(
    [rule, priority, source, timeNs],
    ['Varvel: evidence', 'Informational', 'varvel', one.timeNs],
  );
  assert.equal(
    output,
    'Evidence of the process 15 (node) for line 7, "Reverse shell", not all of it',
  );
  assert.deepEqual(outputFields, {
    'evidence.of': 7,
    'evidence.id': 'ID',
    'evidence.rule': 'Reverse shell',
    'evidence.responses': 'kill done',
    'evidence.missing': [WHY],
    'evidence.exe': '/usr/local/bin/node',
    'evidence.exe_sha256': null,
    'evidence.exe_bytes': null,
    'evidence.processes': ['15 node /usr/local/bin/node', '1 sh /bin/sh'],
    'evidence.sockets': LOOK.sockets,
    'evidence.open': 2,
    'evidence.files': LOOK.files,
  });
  assert.deepEqual(evidence.counts(), { written: 1, partly: 1, limited: 0 });
});

test('only if a response was applied, or the kernel had prevented it: then it is looked at afterwards', () => {
  const { evidence, looked, number, said } = world({
    isThere: false,
    open: undefined,
    files: [],
    sockets: [],
  });
  const process = makeProcess({ pid: 5, image: { exeIno: 0 } });
  const one = detection({ process });
  evidence.after(one, []);
  evidence.after(one, [{ name: 'kill', outcome: 'monitored', guarantee: 'after the effect' }]);
  number(one);
  assert.deepEqual([looked, said], [[], []]);
  evidence.after(one, [
    { name: 'deny', outcome: 'prevented', guarantee: 'before the effect', denied: 'program' },
  ]);
  number(one);
  assert.deepEqual(looked, [5]);
  assert.deepEqual(said[0]!.outputFields['evidence.missing'], [
    'open files and sockets: the process had ended',
    WHY,
  ]);
});

test('several responses to a detection have one evidence, and a process has one in a minute', () => {
  const { evidence, killed, looked, number, said, time } = world();
  const one = killed();
  number(one);
  const both = detection({ process: one.process, eventNum: 2 });
  const respond = (): void => {
    evidence.before(both);
    evidence.before(both);
    evidence.after(both, [KILLED, { ...KILLED, name: 'isolate' }]);
    number(both);
  };
  respond();
  assert.equal(looked.length, 1);
  time.ms = 60_000;
  respond();
  assert.equal(looked.length, 2);
  assert.equal(said[1]!.outputFields['evidence.responses'], 'kill done, isolate done');
});

test('six in a minute of a container, thirty of a host; the others are counted', () => {
  const { evidence, killed, looked, time } = world();
  const containers = [1, 2, 3, 4, 5, 6].map((id) => containerOf({ fullId: `c${id}` }));
  for (const container of containers) for (let n = 0; n < 7; n++) killed({ container });
  assert.equal(looked.length, 30);
  assert.equal(evidence.counts().limited, 12);
  time.ms = 60_000;
  killed({ container: containers[0]! });
  assert.equal(looked.length, 31);
  evidence.close();
});

test('what waits is written at the end, and a detection that gets no number has its evidence too', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { evidence, killed, number, said } = world();
  killed();
  evidence.close();
  assert.equal(said[0]!.outputFields['evidence.of'], null);
  const late = killed();
  t.mock.timers.tick(999);
  assert.equal(said.length, 1);
  t.mock.timers.tick(1);
  assert.equal(said.length, 2);
  number(late);
  assert.equal(said.length, 2);
  const ending = detection({ process: makeProcess({ pid: 9 }), eventNum: 9 });
  evidence.before(ending);
  evidence.after(ending, [{ ...KILLED, name: 'restart' }]);
  t.mock.timers.tick(500);
  assert.equal(said.length, 3, 'the log of a container takes no line after its end');
});

test('whatever the process has chosen, it is one line that is not too long', () => {
  const name = '\n"}\u001b[31m\u202e';
  const long = `/tmp/${name}${'x'.repeat(5000)}`;
  const { killed, number, said } = world({
    files: Array.from({ length: 128 }, (_, fd) => `${fd} ${long}`),
    sockets: Array.from({ length: 32 }, (_, fd) => `${fd} unix @${long} listening`),
    missing: Array.from({ length: 20 }, () => `open files: ${long}`),
  });
  const image = { name, exePath: long, exeIno: 0 };
  number(killed({ process: makeProcess({ pid: 7, parent: makeProcess({ image }), image }) }));
  const delivery = deliveryOf(said[0]);
  const [json, text] = [
    formatLine(delivery, { format: 'json' }),
    formatLine(delivery, { format: 'text' }),
  ];
  for (const line of [json, text]) assert.doesNotMatch(line, /[\n\u001b\u202e]/);
  const { output_fields: fields } = JSON.parse(json) as { output_fields: Record<string, unknown> };
  assert.ok((fields['evidence.exe'] as string).endsWith('…'));
  assert.ok(json.length < 4096, String(json.length));
  assert.ok(text.length < 2048, String(text.length));
});
