import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runEvents } from '../../../src/cli/events.ts';
import { runFields } from '../../../src/cli/fields.ts';
import type { Io } from '../../../src/cli/io.ts';
import { EVENT_NAMES, EVENT_TABLE } from '../../../src/events/table.gen.ts';
import { eventStatus, isEventName } from '../../../src/rules/fields/events.ts';
import {
  FALCO_EVENT_NAMES,
  falcoEvent,
  falcoParams,
  falcoParamTypes,
  isFalcoEvent,
  isFalcoParam,
  isSyscall,
} from '../../../src/rules/fields/falco-events.ts';
import { servicePort, serviceName } from '../../../src/rules/fields/services.ts';

describe("Falco's events", () => {
  test("E8: the probe's own table agrees in categories, params, order and types", () => {
    // What the probe has otherwise, on purpose: words kept apart, ids of users known as such, and execveat's file
    // name, which Falco lacks. Rules see Falco's types.
    const additions = new Set(['execveat filename']);
    const falcoType = (event: string, param: string, type: string): string => {
      if (param === 'args') return 'BYTEBUF';
      return /^clone|fork$/.test(event) && /^[ug]id$/.test(param) ? 'UINT32' : type;
    };
    for (const name of EVENT_NAMES) {
      const falco = falcoEvent(name);
      assert.ok(falco, name);
      assert.equal(EVENT_TABLE[name].category, falco.category, name);
      const own = EVENT_TABLE[name].params
        .filter(([param]) => !additions.has(`${name} ${param}`))
        .map(([param, type]) => `${param}:${falcoType(name, param, type)}`);
      // Calls that Falco knows by name only have nothing to agree with.
      if (falco.params[0]?.name === 'ID') continue;
      const theirs = falco.params.map(({ name: param, type }) => `${param}:${type}`);
      assert.deepEqual(
        own,
        theirs.filter((param) => own.includes(param)),
        name,
      );
    }
  });

  test('each is well formed', () => {
    assert.equal(new Set(FALCO_EVENT_NAMES).size, FALCO_EVENT_NAMES.length);
    for (const name of FALCO_EVENT_NAMES) {
      const event = falcoEvent(name);
      assert.match(name, /^\w+$/);
      assert.match(
        event?.category ?? '',
        /^(other|file|net|IPC|memory|process|sleep|system|signal|user|time|wait|scheduler|internal|io-(read|write|other))$/,
        name,
      );
      const params = falcoParams(name).map((param) => param.name);
      assert.equal(new Set(params).size, params.length, name);
      for (const param of falcoParams(name)) assert.match(param.type, /^[A-Z]+\d*$/, name);
    }
  });

  test('S7: names that conditions may compare evt.type with', () => {
    for (const name of ['openat', 'getpid', 'procexit', 'container', 'pread64', 'syscall']) {
      assert.ok(isFalcoEvent(name), name);
    }
    for (const name of ['opnat', '', 'toString', 'OPEN', 'na_1']) {
      assert.ok(!isFalcoEvent(name), name);
    }
    assert.ok(isEventName('openat'));
    assert.ok(!isEventName('getpid'));
  });

  test('system calls, and others', () => {
    assert.ok(isSyscall('openat'));
    assert.ok(isSyscall('getpid'));
    for (const name of ['procexit', 'container', 'switch', 'drop', 'nothing']) {
      assert.ok(!isSyscall(name), name);
    }
    assert.equal(eventStatus('execve'), 'reported');
    assert.equal(eventStatus('procexit'), 'reported');
    assert.equal(eventStatus('unlinkat'), 'reported');
    assert.equal(eventStatus('getpid'), 'not yet');
    assert.equal(eventStatus('s390_sthyi'), 'not here');
    assert.equal(eventStatus('container'), 'not here');
  });

  test('E8: types of params, the one that evt.rawarg is compiled with first', () => {
    const first = (name: string) => [...falcoParamTypes(name)][0];
    assert.equal(first('flags'), 'FLAGS32');
    assert.equal(first('res'), 'ERRNO');
    assert.equal(first('addr'), 'SOCKADDR');
    // ioctl's, before ptrace's; and a clone of old.
    assert.equal(first('request'), 'UINT64');
    assert.equal(first('fdlimit'), 'UINT64');
    assert.ok(falcoParamTypes('res').has('FD'));
    assert.equal(falcoParamTypes('toString').size, 0);
    assert.ok(isFalcoParam('newpath'));
    assert.ok(!isFalcoParam('no_such'));
  });

  test('reads, writes and waits', () => {
    assert.deepEqual(
      ['read', 'sendto', 'poll', 'openat'].map((name) => {
        const event = falcoEvent(name);
        return [event?.readsFromFd, event?.writesToFd, event?.waits];
      }),
      [
        [true, false, false],
        [false, true, false],
        [false, false, true],
        [false, false, false],
      ],
    );
  });
});

test('C3: services and their ports', () => {
  assert.equal(servicePort('http'), 80);
  assert.equal(servicePort('www'), 80);
  assert.equal(servicePort('https'), 443);
  assert.equal(servicePort('ssh'), 22);
  assert.equal(servicePort('domain'), 53);
  assert.equal(servicePort('postgresql'), 5432);
  assert.equal(servicePort('HTTP'), undefined);
  assert.equal(servicePort('constructor'), undefined);
  assert.equal(serviceName(6379), 'redis');
  // TCP's before UDP's.
  assert.equal(serviceName(514), 'shell');
  assert.equal(serviceName(64_000), undefined);
});

class Recorder implements Io {
  out = '';
  err = '';
  readonly isTty = false;
  readonly columns = 80;
  stdout(text: string): void {
    this.out += text;
  }
  stderr(text: string): void {
    this.err += text;
  }
}

describe('varvel events', () => {
  test('what rules can match comes first, in 80 columns', async () => {
    const io = new Recorder();
    assert.equal(await runEvents({}, io), 0);
    const lines = io.out.split('\n');
    assert.equal(lines[0], 'reported: rules can match these');
    assert.ok(
      lines.some((line) =>
        /^ {2}connect +net +res:ERRNO tuple:SOCKTUPLE fd:FD addr:SOCKADDR$/.test(line),
      ),
    );
    assert.deepEqual(
      lines.filter((line) => line.length > 80),
      [],
    );
    for (const name of FALCO_EVENT_NAMES) assert.match(io.out, new RegExp(`\\b${name}\\b`));
  });

  test('by a param, and nothing at all', async () => {
    const io = new Recorder();
    assert.equal(await runEvents({ filter: 'sem_num' }, io), 0);
    assert.match(io.out, /^not yet: .*\n {2}semop {2}process {2}res:ERRNO nsops:UINT32/);
    assert.doesNotMatch(io.out, /reported/);
    const none = new Recorder();
    assert.equal(await runEvents({ filter: 'no such' }, none), 1);
    assert.equal(none.out, '');
    assert.match(none.err, /No event has 'no such'/);
  });

  test('as JSON', async () => {
    const io = new Recorder();
    assert.equal(await runEvents({ filter: 'close_range', json: true }, io), 0);
    assert.deepEqual(JSON.parse(io.out), [
      {
        name: 'close_range',
        status: 'not yet',
        syscall: true,
        category: 'io-other',
        params: [
          { name: 'res', type: 'ERRNO' },
          { name: 'first', type: 'UINT32' },
          { name: 'last', type: 'UINT32' },
          { name: 'flags', type: 'FLAGS32' },
        ],
      },
    ]);
    const none = new Recorder();
    assert.equal(await runEvents({ filter: 'no such', json: true }, none), 1);
    assert.equal(none.out, '[]\n');
  });
});

describe('varvel fields', () => {
  test('all of it in 80 columns', async () => {
    const io = new Recorder();
    assert.equal(await runFields({ status: true }, io), 0);
    assert.deepEqual(
      io.out.split('\n').filter((line) => line.length > 80),
      [],
    );
  });

  test('says what a field is not for', async () => {
    const io = new Recorder();
    assert.equal(await runFields({ filter: 'fd.net' }, io), 0);
    assert.match(io.out.replace(/\s+/g, ' '), /Not for val\(\), transformers or outputs\./);
    const deprecated = new Recorder();
    assert.equal(await runFields({ filter: 'evt.dir' }, deprecated), 0);
    assert.match(deprecated.out, /Deprecated\./);
  });

  test('says where to find what is not supported yet', async () => {
    const io = new Recorder();
    assert.equal(await runFields({ filter: 'evt.reltime.ns' }, io), 1);
    assert.match(io.err, /With --status there is one\./);
  });

  test('as JSON, with types, arguments and limits', async () => {
    const io = new Recorder();
    assert.equal(await runFields({ filter: 'evt.rawarg', json: true, status: true }, io), 0);
    const [evt] = JSON.parse(io.out) as { fields: object[] }[];
    assert.deepEqual(evt?.fields, [
      {
        name: 'evt.rawarg',
        type: 'DYNAMIC',
        argument: 'required',
        dotArgument: true,
        status: 'compared',
        compared_with: ['the program’s own report'],
        description: "One of the event's params with its own type, by name: evt.rawarg.res.",
        noVal: true,
        noTransformer: true,
        filterOnly: false,
        deprecated: false,
      },
    ]);
  });
});
