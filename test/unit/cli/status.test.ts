import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runStatus } from '../../../src/cli/status.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { Endpoint } from '../../../src/metrics/endpoint.ts';
import { AgentMetrics } from '../../../src/metrics/metrics.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import type { StreamResults } from '../../../src/streams/stream.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-status-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const socket = join(folder, 'docker.sock');

const none = { events: 0, cpuMs: 0, pauses: 0, cutEvents: 0, failures: 0, untold: 0 };
const docker = (connected: boolean, connects: number) => ({
  name: 'docker',
  connected,
  message: 'So it is.',
  counters: { connects },
});

/** What an agent answers with which all is well. */
const WELL = {
  hostname: 'host',
  pid: 1,
  startedAtMs: 0,
  hooks: [],
  rules: {
    loaded: 1,
    enabled: 1,
    digest: 'd',
    loadedAtMs: 0,
    reloads: { ok: 0, failed: 0 },
    stale: false,
  },
  apps: {
    mode: 'always',
    hierarchy: { kind: 'v2' },
    containers: [],
    rescanTruncated: false,
    runtimes: [docker(true, 1)],
  },
  kernel: {
    emitted: 1,
    dropped: 0,
    prefiltered: 7,
    scopeFull: 0,
    skipped: 0,
    deniedDropped: 0,
    denialEnded: [] as object[],
    verdicts: {
      containers: 1,
      tables: 1,
      waiting: 0,
      certain: { confirmed: 0, unconfirmed: 0 },
      denying: { containers: 0, rules: [], afterEffect: [], givenUp: [], inVain: 0, tooYoung: 0 },
    },
  },
  waiting: { events: { held: 0, dropped: 0 }, detections: { held: 0, dropped: 0 } },
  engine: { detections: {} },
  responses: [],
  evidence: { written: 0, partly: 0, limited: 0 },
  isolation: { containers: [], packetsDropped: 0, connectsRefused: 0 },
  pauses: { containers: [] as object[] },
  lifts: [],
  ruleCosts: [],
  policies: { inForce: 0, refused: 0, totals: none, containers: [] },
  ceilings: { ceilings: {}, cpuPercent: 1, memoryBytes: 1, shed: [], rulesOff: 0, sheds: 0 },
  continuity: { troubles: [] as object[], unwatched: { seconds: 0, containers: 0 } },
  canary: undefined as object | undefined,
  processes: { processes: 1, imageBytes: 0, imagesCut: 0, evicted: 0 },
  delivery: { suppressed: 0, streams: {} as Record<string, StreamResults> },
  streams: {} as object,
};
type Answer = typeof WELL;

/** `varvel status` of an agent that answers so. */
async function status(
  answer: Partial<Answer>,
  { rules = false, settings = [] }: { rules?: boolean; settings?: readonly string[] } = {},
): Promise<{ code: number; out: string; err: string }> {
  const { config } = loadConfig({
    env: {},
    settings: [
      `metrics.listen=unix:${folder}/metrics.sock`,
      `runtimes.docker.socket=${socket}`,
      ...settings,
    ],
    defaultFile: '/nonexistent',
  });
  const endpoint = await Endpoint.open({
    listen: config.metrics.listen,
    metrics: new AgentMetrics('9'),
    status: () => ({ ...WELL, ...answer }),
    logger: SILENT_LOGGER,
  });
  let [out, err] = ['', ''];
  try {
    const io = {
      stdout: (text: string) => void (out += text),
      stderr: (text: string) => void (err += text),
      isTty: false,
      columns: 80,
    };
    return { code: await runStatus({ config, json: false, rules }, io), out, err };
  } finally {
    await endpoint.close();
  }
}

const { apps, kernel, rules } = WELL;
const STALE = { ...rules, stale: true, lastFailure: { atMs: 0, reason: 'x.yaml:1:1: no' } };
const WRONG = { ...kernel.verdicts, denying: { ...kernel.verdicts.denying, inVain: 2 } };
const SPOOLED = { spooled: 8, sent: 4, refused: 0, failed: 0, dropped: 0, waiting: 2 };
const canary = (result: string) => ({
  canary: { runs: {}, last: { result, atMs: 0, hop: 'kernel', says: 'It went so.' } },
});

test('nothing is wrong', async () => {
  const { code, out, err } = await status(canary('delivered'));
  assert.deepEqual([code, err], [0, '']);
  assert.match(out, /^runtime docker: connected\. So it is\.$/m);
  assert.match(out, /^records: 1 from the kernel, 0 lost, 7 filtered in the kernel$/m);
  assert.match(out, /can match \(1 rule tables\)$/m);
  assert.match(out, /identity \(dropped for lack of room: 0\)$/m);
});

test('containers whose table is still to be made are counted', async () => {
  const waiting = { kernel: { ...kernel, verdicts: { ...kernel.verdicts, waiting: 3 } } };
  const { code, out } = await status({ ...waiting, ...canary('delivered') });
  assert.equal(code, 0);
  assert.match(out, /can match \(1 rule tables; 3 wait for another\)$/m);
});

test('containers that are too young for what is denied by their age are counted', async () => {
  const denying = { ...kernel.verdicts.denying, tooYoung: 2 };
  const { out } = await status({
    kernel: { ...kernel, verdicts: { ...kernel.verdicts, denying } },
  });
  assert.match(
    out,
    /^only killed after the effect in 2 containers: what rules match that ask for /m,
  );
});

test('what became of lines, by stream: only what is written by then is called delivered', async () => {
  const file = { delivered: 5, failed: 2, dropped: 0, waiting: 1 };
  const { code, out } = await status({
    engine: { detections: { A: 9 } },
    delivery: { suppressed: 1, streams: { file, http: SPOOLED } },
  });
  assert.match(
    out,
    /^detections: 9, 1 of them counted instead of written; file: 5 delivered, 2 failed, 0 dropped; http: 8 spooled, 4 sent, 0 refused, 0 failed, 0 dropped$/m,
  );
  // A log of an app that has ended takes nothing: that is no trouble of the agent's.
  assert.equal(code, 0);
});

test('what waited for a former url, and what became of it', async () => {
  const spool = { waiting: 0, bytes: 0, maxBytes: 1, refused: 0, dropped: 0, inMemory: 0 };
  const of = (former: object): object => ({ http: { spool: { ...spool, former } } });
  const where = 'unix:/a\u001bb';
  const kept = await status({ streams: of({ where, records: 3, kept: true }) });
  assert.match(
    kept.out,
    /^spool http: 3 lines that waited for unix:\/a\ufffdb go to the new url \(on_url_change: keep\)$/m,
  );
  assert.equal(kept.code, 0);
  const dropped = await status({ streams: of({ where, records: 3, kept: false }) });
  assert.match(
    dropped.out,
    /^spool http: 3 lines that waited for unix:\/a\ufffdb LOST: the url has changed \(on_url_change: drop\)$/m,
  );
});

test('what was done about detections', async () => {
  const { out } = await status({
    evidence: { written: 3, partly: 1, limited: 2 },
    pauses: { containers: [{ id: 'c1', app: 'shop', rule: 'A\u001brule', sinceMs: 0 }] },
  });
  assert.match(
    out,
    /^evidence: written 3 times, 1 of them not whole, 2 times over the limit and not written$/m,
  );
  assert.match(out, /^PAUSED: container c1 of shop since 1970-.*, by "A\ufffdrule"$/m);
});

test('what is wrong makes the exit code 1', async () => {
  for (const [answer, says] of [
    [{ apps: { ...apps, runtimes: [docker(false, 3)] } }, /^runtime docker: NOT CONNECTED\./m],
    [canary('failed'), /^CANARY FAILED at /m],
    [canary('not_seen'), /^CANARY NOT SEEN at /m],
    [{ kernel: { ...kernel, verdicts: WRONG } }, /^DENIED WRONGLY: 2 /m],
    [
      {
        continuity: {
          ...WELL.continuity,
          troubles: [{ part: 'numbers', sinceMs: 0, why: 'it is full', means: 'So.' }],
        },
      },
      /^NOT KEPT ON DISK since .*numbers/m,
    ],
    [{ rules: STALE }, /^RULES NOT RELOADED/m],
    [{ kernel: { ...kernel, dropped: 1 } }, /^records: .* 1 lost/m],
    [{ kernel: { ...kernel, skipped: 2 } }, /^NOT SEEN: 2 events so far/m],
    [
      { delivery: { suppressed: 0, streams: { http: { ...SPOOLED, refused: 1 } } } },
      /^detections: 0; http: 8 spooled, 4 sent, 1 refused, 0 failed, 0 dropped$/m,
    ],
    [
      { delivery: { suppressed: 0, streams: { http: { ...SPOOLED, dropped: 1 } } } },
      /^detections: 0; http: 8 spooled, 4 sent, 0 refused, 0 failed, 1 dropped$/m,
    ],
  ] as readonly [Partial<Answer>, RegExp][]) {
    const { code, out } = await status(answer);
    assert.match(out, says);
    assert.equal(code, 1, out);
  }
});

test('Docker on auto that never was here is not missed', async () => {
  const answer = { apps: { ...apps, runtimes: [docker(false, 0)] } };
  const absent = await status(answer);
  assert.equal(absent.code, 0, absent.out);
  assert.match(absent.out, /^runtime docker: not on this host\. So it is\.$/m);
  const wanted = await status(answer, { settings: ['runtimes.docker.enabled=true'] });
  assert.equal(wanted.code, 1);
  writeFileSync(socket, '');
  assert.equal((await status(answer)).code, 1, 'there is a socket, and no answer');
  rmSync(socket);
});

test('with --rules only changed rules that were refused count', async () => {
  const well = await status({ kernel: { ...kernel, dropped: 1 } }, { rules: true });
  assert.deepEqual([well.code, well.err], [0, '']);
  const stale = await status({ rules: STALE }, { rules: true });
  assert.equal(stale.code, 1);
  assert.match(stale.out, /^No rule was measured yet\.$/m);
  assert.match(stale.err, /^RULES NOT RELOADED .*\n {2}x\.yaml:1:1: no$/m);
});

test('an app for which denial is off', async () => {
  const { out } = await status({
    kernel: { ...kernel, denialEnded: [{ app: 'shop', why: 'so it was' }, { why: 'it is' }] },
  });
  assert.match(
    out,
    /^DENIAL IS OFF for app shop: so it was\. Reload the rules \(SIGHUP\) to turn it on again$/m,
  );
  assert.match(out, /^DENIAL IS OFF for containers without an app: it is\./m);
});
