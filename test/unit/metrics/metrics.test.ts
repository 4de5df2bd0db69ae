import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ProcFs } from '../../../src/context/proc-fs.ts';
import { ProcessTree } from '../../../src/context/process-tree.ts';
import { APP_SERIES_MAX, AppTotals } from '../../../src/metrics/app-totals.ts';
import { RULE_SERIES_MAX } from '../../../src/metrics/detection-metrics.ts';
import { AgentMetrics } from '../../../src/metrics/metrics.ts';
import type { AppIdentity } from '../../../src/apps/identity.ts';

const app = (name: string, rest: Partial<AppIdentity> = {}): AppIdentity => ({
  name,
  guid: undefined,
  space: undefined,
  org: undefined,
  processType: undefined,
  instance: undefined,
  ...rest,
});

/** The value of one series. */
async function series(metrics: AgentMetrics, name: string): Promise<string | undefined> {
  const text = await metrics.text();
  const line = text.split('\n').find((it) => it.startsWith(`${name} `));
  return line?.slice(name.length + 1);
}

test('events, detections and latencies are counted', async () => {
  const metrics = new AgentMetrics('1.2.3', {
    events: () => [
      ['openat', 3],
      ['execve', 1],
    ],
    filtered: () => [['dup2', 7]],
    responses: () => [{ name: 'kill', outcome: 'done', count: 3 }],
  });
  metrics.countDetection('Read a "secret"\nfile', 'Warning');
  metrics.countDetection('Read a "secret"\nfile', 'Warning');
  metrics.observeLatency(1_500_000n);
  metrics.observeLatency(7_000_000_000n);
  assert.equal(await series(metrics, 'varvel_events_total{type="openat"}'), '3');
  assert.equal(
    await series(metrics, 'varvel_events_total{type="openat"}'),
    '3',
    'asking changes nothing',
  );
  assert.equal(await series(metrics, 'varvel_events_total{type="execve"}'), '1');
  assert.equal(await series(metrics, 'varvel_events_filtered_total{type="dup2"}'), '7');
  assert.equal(
    await series(metrics, 'varvel_responses_total{response="kill",outcome="done"}'),
    '3',
  );
  assert.equal(
    await series(
      metrics,
      'varvel_detections_total{rule="Read a \\"secret\\"\\nfile",priority="Warning"}',
    ),
    '2',
  );
  const bucket = (le: string): Promise<string | undefined> =>
    series(metrics, `varvel_detection_latency_seconds_bucket{le="${le}"}`);
  assert.equal(await bucket('0.001'), '0');
  assert.equal(await bucket('0.002'), '1');
  assert.equal(await bucket('5'), '1');
  assert.equal(await bucket('+Inf'), '2');
  assert.equal(await series(metrics, 'varvel_build_info{version="1.2.3"}'), '1');
  assert.ok(Number(await series(metrics, 'process_resident_memory_bytes')) > 1e6);
  assert.ok(Number(await series(metrics, 'process_cpu_seconds_total')) > 0);
});

test('what others count is asked for at the scrape', async () => {
  const totals = new AppTotals();
  const tree = new ProcessTree({ reader: new ProcFs('/nonexistent') });
  let held = 7;
  const metrics = new AgentMetrics('1', {
    apps: () => totals.totals(),
    probe: () => ({
      emitted: 10,
      dropped: 2,
      skipped: 6,
      readErrors: 1,
      scopeFull: 0,
      deniedDropped: 3,
    }),
    held: () => ({ held, dropped: 3, expired: 4 }),
    cgroups: () => ({ pending: 1, included: 2, excluded: 3 }),
    streams: () => [
      ['file', { delivered: 5, failed: 1, dropped: 2, waiting: 9 }],
      ['http', { spooled: 8, sent: 4, refused: 3, failed: 2, dropped: 1, waiting: 9 }],
    ],
    context: () => tree.counters(),
    logLinesDropped: () => 9,
  });
  totals.observe(1, app('shop', { space: 'dev', org: 'acme' }), {
    emitted: 5,
    dropped: 1,
    prefiltered: 2,
  });
  const labels = '{app="shop",space="dev",org="acme"}';
  assert.equal(await series(metrics, `varvel_app_records_emitted_total${labels}`), '5');
  assert.equal(await series(metrics, `varvel_app_records_dropped_total${labels}`), '1');
  assert.equal(await series(metrics, `varvel_app_records_prefiltered_total${labels}`), '2');
  assert.equal(await series(metrics, 'varvel_records_dropped_total'), '2');
  assert.equal(await series(metrics, 'varvel_probe_skipped_total'), '6');
  assert.equal(await series(metrics, 'varvel_held_events'), '7');
  held = 0;
  assert.equal(await series(metrics, 'varvel_held_events'), '0');
  assert.equal(await series(metrics, 'varvel_cgroups{state="pending"}'), '1');
  const deliveries = [...(await metrics.text()).matchAll(/^varvel_stream_deliveries_total(.*)$/gm)];
  assert.deepEqual(
    deliveries.map(([, rest]) => rest),
    [
      '{stream="file",result="delivered"} 5',
      '{stream="file",result="failed"} 1',
      '{stream="file",result="dropped"} 2',
      '{stream="http",result="spooled"} 8',
      '{stream="http",result="sent"} 4',
      '{stream="http",result="refused"} 3',
      '{stream="http",result="failed"} 2',
      '{stream="http",result="dropped"} 1',
    ],
  );
  assert.equal(await series(metrics, 'varvel_context_processes'), '0');
  assert.equal(await series(metrics, 'varvel_context_proc_reads_refused_total'), '0');
  assert.equal(await series(metrics, 'varvel_log_lines_dropped_total'), '9');
});

test('what waits for receivers, and what runtimes were asked', async () => {
  let waiting = 3;
  const bounds = { bytes: 4096, maxBytes: 1 << 20 };
  const losses = { unreadBytes: 5, refused: 7, dropped: 8, givenUp: 12 };
  const counts = { recovered: 2, ...losses, inMemory: 1, setAside: 4 };
  const metrics = new AgentMetrics('1', {
    spools: () => [
      {
        name: 'http',
        counters: {
          retries: 11,
          spool: { waiting, ...bounds, ...counts, ...(waiting > 0 ? { oldestMs: 1500 } : {}) },
        },
      },
    ],
    runtimes: () => [
      {
        name: 'garden',
        connected: true,
        message: '',
        counters: { connects: 1, questions: 20, failures: 3, refused: 4 },
      },
      {
        name: 'docker',
        connected: true,
        message: '',
        counters: { connects: 1, questions: 0, failures: 0, refused: 0, oversized: 6 },
      },
      { name: 'cgroup', connected: true, message: '' },
    ],
  });
  const of = (name: string): Promise<string | undefined> => series(metrics, name);
  const spool = '{stream="http"}';
  assert.equal(await of(`varvel_spool_lines${spool}`), '3');
  assert.equal(await of(`varvel_spool_bytes${spool}`), '4096');
  assert.equal(await of(`varvel_spool_max_bytes${spool}`), '1048576');
  assert.equal(await of(`varvel_spool_oldest_timestamp_seconds${spool}`), '1.5');
  assert.equal(await of(`varvel_spool_recovered_lines_total${spool}`), '2');
  assert.equal(await of(`varvel_spool_unread_bytes_total${spool}`), '5');
  assert.equal(await of(`varvel_spool_refused_lines_total${spool}`), '7');
  assert.equal(await of(`varvel_spool_dropped_lines_total${spool}`), '8');
  assert.equal(await of(`varvel_spool_given_up_lines_total${spool}`), '12');
  assert.equal(await of(`varvel_spool_memory_lines${spool}`), '1');
  assert.equal(await of(`varvel_spool_set_aside_files_total${spool}`), '4');
  assert.equal(await of(`varvel_stream_retries_total${spool}`), '11');
  waiting = 0;
  assert.equal(await of(`varvel_spool_oldest_timestamp_seconds${spool}`), undefined);
  const garden = '{runtime="garden"}';
  assert.equal(await of(`varvel_runtime_connected${garden}`), '1');
  assert.equal(await of('varvel_runtime_connected{runtime="cgroup"}'), '1');
  assert.equal(await of(`varvel_runtime_connects_total${garden}`), '1');
  assert.equal(await of(`varvel_runtime_questions_total${garden}`), '20');
  assert.equal(await of(`varvel_runtime_failures_total${garden}`), '3');
  assert.equal(await of(`varvel_runtime_refused_total${garden}`), '4');
  assert.equal(await of('varvel_runtime_questions_total{runtime="cgroup"}'), undefined);
  assert.equal(await of('varvel_runtime_oversized_total{runtime="docker"}'), '6');
  assert.equal(await of(`varvel_runtime_oversized_total${garden}`), undefined);
});

test('an app’s totals only grow, while its cgroups come and go', () => {
  const totals = new AppTotals();
  const of = (name: string) => totals.totals().find((it) => it.app === name);
  totals.observe(1, app('a'), { emitted: 10, dropped: 0, prefiltered: 0 });
  totals.observe(2, app('a'), { emitted: 5, dropped: 1, prefiltered: 0 });
  totals.observe(1, app('a'), { emitted: 12, dropped: 0, prefiltered: 3 });
  assert.deepEqual(of('a'), {
    app: 'a',
    space: '',
    org: '',
    emitted: 17,
    dropped: 1,
    prefiltered: 3,
  });
  totals.forget(1);
  assert.equal(of('a')?.emitted, 17);
  totals.observe(1, app('b'), { emitted: 4, dropped: 0, prefiltered: 0 });
  assert.equal(of('b')?.emitted, 4);
  assert.equal(of('a')?.emitted, 17);
  totals.observe(2, app('a', { org: 'x' }), { emitted: 5, dropped: 1, prefiltered: 0 });
  assert.equal(totals.totals().filter((it) => it.app === 'a').length, 2, 'same name, other org');
});

test('series are bounded: apps beyond the bound and rules beyond it are "other"', async () => {
  const totals = new AppTotals();
  for (let i = 0; i < APP_SERIES_MAX + 50; i++)
    totals.observe(i, app(`a${i}`), { emitted: 1, dropped: 0, prefiltered: 0 });
  const all = totals.totals();
  assert.equal(all.length, APP_SERIES_MAX + 1);
  assert.equal(all.find((it) => it.app === 'other')?.emitted, 50);
  const metrics = new AgentMetrics('1');
  for (let i = 0; i < RULE_SERIES_MAX + 5; i++) metrics.countDetection(`r${i}`, 'Debug');
  metrics.countDetection('r0', 'Debug');
  assert.equal(
    await series(metrics, 'varvel_detections_total{rule="other",priority="Debug"}'),
    '5',
  );
  assert.equal(await series(metrics, 'varvel_detections_total{rule="r0",priority="Debug"}'), '2');
});

test('the rules in force and their reloads', async () => {
  const state = {
    loaded: 5,
    enabled: 3,
    digest: 'abc',
    loadedAtMs: 1_500_000_000_500,
    reloads: { ok: 2, failed: 0 },
    stale: false,
  };
  const metrics = new AgentMetrics('1', { rules: () => state });
  assert.equal(await series(metrics, 'varvel_rules{state="enabled"}'), '3');
  assert.equal(await series(metrics, 'varvel_rules{state="disabled"}'), '2');
  assert.equal(await series(metrics, 'varvel_rules_info{digest="abc"}'), '1');
  assert.equal(await series(metrics, 'varvel_rules_reloads_total{result="ok"}'), '2');
  assert.equal(await series(metrics, 'varvel_rules_last_reload_successful'), '1');
  assert.equal(await series(metrics, 'varvel_rules_loaded_timestamp_seconds'), '1500000000.5');
  Object.assign(state, { digest: 'def', stale: true, reloads: { ok: 2, failed: 1 } });
  assert.equal(await series(metrics, 'varvel_rules_info{digest="abc"}'), undefined);
  assert.equal(await series(metrics, 'varvel_rules_info{digest="def"}'), '1');
  assert.equal(await series(metrics, 'varvel_rules_reloads_total{result="failed"}'), '1');
  assert.equal(await series(metrics, 'varvel_rules_last_reload_successful'), '0');
});

test('what rules cost, and whose own are paused', async () => {
  const metrics = new AgentMetrics('1.2.3', {
    costs: () => ({
      rules: [{ rule: 'Shell "x"', evaluations: 512, seconds: 0.25, failures: 1 }],
      failedEvents: 2,
      policies: {
        inForce: 3,
        refused: 1,
        paused: 1,
        totals: { events: 9, cpuMs: 1500, pauses: 4, cutEvents: 5, failures: 6 },
      },
    }),
  });
  const expected = {
    'varvel_rule_evaluations_total{rule="Shell \\"x\\""}': '512',
    'varvel_rule_evaluation_seconds_total{rule="Shell \\"x\\""}': '0.25',
    'varvel_rule_failures_total{rule="Shell \\"x\\""}': '1',
    varvel_events_failed_total: '2',
    varvel_policies_in_force: '3',
    varvel_policies_refused: '1',
    varvel_policies_paused: '1',
    varvel_policy_events_total: '9',
    varvel_policy_cpu_seconds_total: '1.5',
    varvel_policy_pauses_total: '4',
    varvel_policy_cut_events_total: '5',
    varvel_policy_failures_total: '6',
  };
  for (const [name, value] of Object.entries(expected))
    assert.equal(await series(metrics, name), value, name);
});

test('series of rules are bounded', async () => {
  const rules = Array.from({ length: RULE_SERIES_MAX + 5 }, (_, n) => ({
    rule: `r${n}`,
    evaluations: 1,
    seconds: 1,
    failures: 0,
  }));
  const totals = { events: 0, cpuMs: 0, pauses: 0, cutEvents: 0, failures: 0 };
  const metrics = new AgentMetrics('1.2.3', {
    costs: () => ({
      rules,
      failedEvents: 0,
      policies: { inForce: 0, refused: 0, paused: 0, totals },
    }),
  });
  assert.equal(await series(metrics, 'varvel_rule_evaluations_total{rule="other"}'), '5');
});

test('what was not watched before this agent, and what the disk does not take', async () => {
  let troubles = [{ part: 'the sign of life' }];
  const metrics = new AgentMetrics('1', {
    continuity: () => ({ troubles, unwatched: { seconds: 1.5, containers: 2 } }),
  });
  assert.equal(await series(metrics, 'varvel_unwatched_seconds'), '1.5');
  assert.equal(await series(metrics, 'varvel_unwatched_containers'), '2');
  const kept = 'varvel_state_not_kept{part="the sign of life"}';
  assert.equal(await series(metrics, kept), '1');
  assert.equal(await series(metrics, 'varvel_state_parts_not_kept'), '1');
  troubles = [];
  assert.equal(await series(metrics, 'varvel_state_parts_not_kept'), '0');
  assert.equal(await series(metrics, kept), undefined);
});

test('the canary: times of 0 before a run, no duration before one that arrived, and counts for the platform', async () => {
  const runs = { seen: 0, not_seen: 0 };
  let status: object = {};
  const metrics = new AgentMetrics('1', { canary: () => ({ runs, ...status }) });
  const of = (name: string): Promise<string | undefined> =>
    series(metrics, `varvel_canary_${name}`);
  assert.deepEqual(
    [await of('last_run_timestamp_seconds'), await of('last_seen_timestamp_seconds')],
    ['0', '0'],
  );
  assert.equal(await of('seconds'), undefined);
  runs.not_seen = 1;
  status = { last: { atMs: 9000 } };
  assert.equal(await of('last_run_timestamp_seconds'), '9');
  assert.equal(await of('last_seen_timestamp_seconds'), '0');
  runs.seen = 2;
  status = { last: { atMs: 20_000 }, lastGood: { atMs: 20_000, seconds: 1.5 } };
  assert.equal(await of('last_seen_timestamp_seconds'), '20');
  assert.equal(await of('seconds'), '1.5');
  assert.equal(await of('runs_total{result="seen"}'), '2');
  const samples = (await metrics.samples()).filter(({ name }) => name.includes('canary'));
  assert.deepEqual(
    samples.map(({ name, tags, value }) => [name, tags, value]),
    [
      ['varvel_canary_runs_total', { result: 'seen' }, 2],
      ['varvel_canary_runs_total', { result: 'not_seen' }, 1],
    ],
  );
});
