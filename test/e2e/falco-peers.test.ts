// What reads Falco's events takes ours: the decoders of Falcosidekick, Falco Talon and Falcosidekick UI, where their sources are
// given (see CONTRIBUTING.md), with the lines that a real agent posts.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';
import { decodeAs, whyNoPeer, type PeerEvent, type PeerName } from '../support/falco-peers.ts';
import { HttpService } from '../support/http-receiver.ts';

/** One of each kind of event, with values of each type, of any length, and absent ones. */
const RULES = `
- rule: New program run
  desc: A test's own.
  condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.is_exe_upper_layer = true
  output: new program %proc.exepath
  priority: ERROR
- rule: Long arguments
  desc: A test's own.
  condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.args startswith "long-"
  output: long %proc.args (%proc.cmdline of %proc.pcmdline, %proc.exeline)
  priority: NOTICE
  tags: [process, é]
- rule: Data file made
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and fd.name startswith /data/
  output: made %fd.name (fd=%fd.num write=%evt.is_open_write pid=%proc.pid at=%evt.rawtime flags=%evt.arg.flags address=%fd.sip)
  priority: INFO
- rule: Connected to itself
  desc: A test's own.
  condition: evt.type = connect and fd.sip = 127.0.0.1
  output: connected to %fd.sip:%fd.sport (%fd.rip:%fd.rport) by %proc.name
  priority: NOTICE
`;
const POLICY = `
custom_rules:
  - rule: Group read
    desc: The shop's own.
    condition: evt.type in (open, openat, openat2) and fd.name = /etc/group
    output: group read by %proc.exepath
    priority: EMERGENCY
`;
/** A newline, a forged line, terminal codes, quotes, letters of other scripts, a bidi control, bytes that are no UTF-8. */
const NASTY = String.raw`a\n{"rule":"forged"}\r\033[2J\007"\\ \303\251\346\274\242\360\237\246\205 \342\200\256x\377\376end`;
const MAKE = `mkdir -p /data; f="/data/$(printf '${NASTY}')"; : > "$f"`;
const CONNECT = 'nc -l -p 7777 >/dev/null & until nc 127.0.0.1 7777 </dev/null; do :; done';
/** Longer than a line that has all of it twice, and than any line. */
const LONG = [2_000, 20_000].map((length) => `long-é${'x'.repeat(length)}`);
const TOLD = [
  'Sensitive file read',
  'New program run',
  'Long arguments',
  'Data file made',
  'Connected to itself',
  'Group read',
  'Varvel: coverage',
  'Varvel: policy',
];

const NAMES: readonly PeerName[] = ['falcosidekick', 'talon', 'ui'];
const skip = Object.fromEntries(NAMES.map((name) => [name, whyNoPeer(name) ?? false]));
/** As they were posted. */
let posted: readonly string[] = [];
let lines: readonly DetectionLine[] = [];

before(async () => {
  if (!Object.values(skip).includes(false)) return;
  await using engine = await startDockerd();
  await engine.importBusybox();
  const service = await HttpService.start();
  after(() => service.stop());
  posted = await postedBy(engine, service);
  lines = posted.map((text) => JSON.parse(text) as DetectionLine);
});

/** The lines of an app that does all that the rules are about. */
async function postedBy(engine: TestDockerd, service: HttpService): Promise<readonly string[]> {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    rules: { 'own.yaml': RULES },
    streams: ['container: {enabled: false}', `http: {url: 'http://127.0.0.1:${service.port}/'}`],
    config: [
      'coverage: {interval: 5m}',
      'rules: [{disable: {rule: New program dropped and run}}]',
      'responses: [{match: {rule: New program run}, do: deny, mode: enforce}]',
    ],
  });
  const told = (): string[] =>
    service.requests.map(({ body }) => (JSON.parse(body) as DetectionLine).rule);
  const app = await runContainer(engine, 'exec sleep 600', {
    labels: {
      'varvel.enable': 'true',
      'varvel.app': 'shop',
      'varvel.space': 'prod',
      'varvel.policy': POLICY,
    },
  });
  try {
    await until('its policy is in force', () => told().includes('Varvel: policy'));
    await until(
      'the kernel denies',
      async () => (await agent.snapshot()).kernel.verdicts.denying.containers === 1,
    );
    const run = async (script: string): Promise<number> => await execInContainer(app, script);
    assert.equal(await run('cat /etc/shadow /etc/group'), 0);
    assert.equal(await run(CONNECT), 0);
    assert.equal(await run(MAKE), 0);
    for (const text of LONG) assert.equal(await execInContainer(app, ['/bin/echo', text]), 0);
    const drop = 'mkdir -p /tmp/new; cp /bin/busybox /tmp/new/busybox; /tmp/new/busybox true';
    assert.equal(await run(drop), 137);
    await until('all is told', () => TOLD.every((rule) => told().includes(rule)));
    await until('both are told', () => told().filter((it) => it === 'Long arguments').length > 1);
  } finally {
    await app.remove({ force: true });
  }
  return service.requests.map(({ body }) => body);
}

/** Falco's keys of a line, as Go writes a time. */
function eventOf(line: DetectionLine & { readonly tags?: readonly string[] }): PeerEvent {
  const { time, rule, priority, source, hostname, output, output_fields, tags = [] } = line;
  return {
    time: time.replace(/\.?0*Z$/, 'Z'),
    ...{ rule, priority, source, hostname, output, output_fields, tags },
  };
}

const PREFIX = /^\d\d:\d\d:\d\d\.\d{9}: [A-Z][a-z]+ /;

/** Without the time and the priority, as far as they cut these off: of Informational, also of Falco's, they leave an end. */
function assertShown(shown: string, line: DetectionLine): void {
  const message = line.output.replace(PREFIX, '');
  assert.ok(shown.endsWith(message) && line.output.endsWith(shown), shown);
  assert.match(shown.slice(0, -message.length), /^(?:rmational)? ?$/);
}

test(
  'Falcosidekick takes each line, and hands on all that it shows',
  { skip: skip['falcosidekick'] },
  () => {
    for (const [index, { error, accepted, event }] of decodeAs('falcosidekick', posted).entries()) {
      const line = lines[index]!;
      assert.deepEqual([error, accepted], [undefined, true], posted[index]);
      assert.match(event.uuid ?? '', /^[0-9a-f-]{36}$/);
      const shown = { ...event, uuid: undefined, tags: event.tags ?? [] };
      assert.deepEqual(shown, { ...eventOf(line), uuid: undefined });
      // Only so can it be given another form (its outputfieldformat).
      assert.match(line.output, PREFIX);
      // It takes these for texts, and ends if they are none.
      for (const field of ['k8s.ns.name', 'k8s.pod.name'])
        assert.match(typeof line.output_fields[field], /^(?:string|undefined)$/);
      assert.equal(event.output_fields['app.name'], line.app?.['name']);
      assert.equal(event.output_fields['app.space'], line.app?.['space']);
      assert.equal(event.output_fields['varvel.incident'], line.incident);
      assert.equal(event.output_fields['varvel.id'], line.id);
      assert.equal(event.output_fields['varvel.seq'], line.seq);
    }
  },
);

test('Falco Talon takes each line, and finds what it acts on', { skip: skip['talon'] }, () => {
  for (const [index, { error, event, ip, port }] of decodeAs('talon', posted).entries()) {
    const line = lines[index]!;
    assert.equal(error, undefined, posted[index]);
    const expected = eventOf(line);
    for (const key of ['rule', 'priority', 'source', 'hostname', 'time', 'tags'] as const)
      assert.deepEqual(event[key], expected[key]);
    assert.deepEqual(event.output_fields, expected.output_fields);
    assertShown(event.output, line);
    if (line.rule === 'Connected to itself') assert.deepEqual([ip, port], ['127.0.0.1', '7777']);
  }
});

test(
  'Falcosidekick UI refuses no line that Falcosidekick sends on, and shows it whole',
  { skip: skip['ui'] },
  () => {
    const uuid = '6ba7b810-9dad-41d1-80b4-00c04fd430c8';
    const events =
      skip['falcosidekick'] === false
        ? decodeAs('falcosidekick', posted).map(({ event }) => event)
        : lines.map((line) => ({ ...eventOf(line), uuid }));
    const sent = events.map((event) => JSON.stringify({ event, outputs: ['webui'] }));
    for (const [index, { error, event }] of decodeAs('ui', sent).entries()) {
      const line = lines[index]!;
      assert.equal(error, undefined, posted[index]);
      assertShown(event.output, line);
      const tags = event.tags ?? [];
      assert.deepEqual({ ...event, tags }, { ...eventOf(line), uuid, output: event.output });
    }
  },
);
