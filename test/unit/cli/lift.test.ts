import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { answerLift } from '../../../src/agent/lift-request.ts';
import { runLift } from '../../../src/cli/lift.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { Endpoint } from '../../../src/metrics/endpoint.ts';
import { AgentMetrics } from '../../../src/metrics/metrics.ts';
import { Lifts } from '../../../src/responses/lifts.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-lift-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const { config } = loadConfig({
  env: {},
  settings: [
    `metrics.listen=unix:${folder}/metrics.sock`,
    `state_dir=${folder}/state`,
    `probe.bpf_filesystem=${folder}/bpf`,
  ],
  defaultFile: '/nonexistent',
});

interface Asked {
  readonly app?: string;
  readonly rule?: string;
  readonly time?: string;
}

/** What `varvel lift` prints of a lift; `isFile`: a file lifts everything as well. */
async function lift({ app, rule, time }: Asked, isFile = false): Promise<string> {
  const lifts = new Lifts(() => 0);
  lifts.setFile(isFile);
  const responding = {
    lifts,
    lift: lifts.add.bind(lifts),
    endLifts: lifts.end.bind(lifts),
  };
  const rules = [
    { name: 'New program run', priority: 'Warning', tags: [], enabled: true },
  ] as const;
  const endpoint = await Endpoint.open({
    listen: config.metrics.listen,
    metrics: new AgentMetrics('9'),
    status: () => ({}),
    logger: SILENT_LOGGER,
    lift: (query) => answerLift(query, responding, { rules, containers: [] }),
  });
  let out = '';
  const io = {
    stdout: (text: string) => void (out += text),
    stderr: (text: string) => assert.fail(text),
    isTty: false,
    columns: 80,
  };
  try {
    assert.equal(await runLift({ config, json: false, app, rule, time, end: false }, io), 0);
  } finally {
    await endpoint.close();
  }
  return out;
}

test('a lift says by which command it ends, and when it ends by itself', async () => {
  const startedMs = Date.now();
  const timed = await lift({ app: 'shop', time: '30m' });
  assert.match(timed, /^To end this lift: varvel lift --end --app shop$/m);
  const [, at = ''] =
    /^Without that it ends at (\S+), or when the agent ends\.$/m.exec(timed) ?? assert.fail(timed);
  const leftMs = Date.parse(at) - startedMs;
  assert.ok(leftMs > 1_798_000 && leftMs < 1_860_000, at);

  const quoted = await lift({ rule: 'New program*' });
  assert.match(quoted, /^To end this lift: varvel lift --end --rule 'New program\*'$/m);
  assert.match(quoted, /^Without that it ends when the agent ends\.$/m);

  const all = await lift({});
  assert.match(all, /^To end all lifts: varvel lift --end$/m);
  assert.doesNotMatch(all, /remove the file/);
});

test('a lift by the file goes on over --end and the agent’s end', async () => {
  const out = await lift({}, true);
  assert.match(out, /^The lift by the file goes on: to end it, remove the file "lift"\.$/m);
});
