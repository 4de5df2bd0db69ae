// The recording rules and the alerts about cells without an agent, run over scenarios by Prometheus's own promtool.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';

import { AgentMetrics } from '../../src/metrics/metrics.ts';

const DASHBOARDS = join(import.meta.dirname, '../../manifests/dashboards');
const RULES = ['recording.yaml', 'alerts.yaml'].map((name) => join(DASHBOARDS, name));
const folder = mkdtempSync(join(tmpdir(), 'varvel-recording-'));
after(() => rmSync(folder, { recursive: true }));

/** `[series, values]`, a value each minute in promtool's notation. */
type Input = readonly [string, string];
/** At this time the expression has these series (with their labels) and no other. */
type Expected = readonly [
  at: string,
  expr: string,
  found: readonly (readonly [labels: string, value: number])[],
];

/** What promtool says against it; empty when all is as expected. */
function promtool(inputs: readonly Input[], expected: readonly Expected[]): string {
  const document = {
    rule_files: RULES,
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: inputs.map(([series, values]) => ({ series, values })),
        promql_expr_test: expected.map(([at, expr, found]) => ({
          eval_time: at,
          expr,
          exp_samples: found.map(([labels, value]) => ({ labels, value })),
        })),
      },
    ],
  };
  // JSON is YAML.
  const file = join(folder, 'test.yaml');
  writeFileSync(file, JSON.stringify(document));
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], {
    encoding: 'utf8',
  });
  return status === 0 ? '' : stdout + stderr;
}

function holds(inputs: readonly Input[], expected: readonly Expected[]): void {
  assert.equal(promtool(inputs, expected), '');
}

const detections = (instance: string, rule = 'R', priority = 'Warning'): string =>
  `varvel_detections_total{instance="${instance}",rule="${rule}",priority="${priority}"}`;

const HOUR = 'rule_priority:varvel_detections:increase1h';
const DAY = 'rule_priority:varvel_detections:increase1d';
const of = (metric: string, rule = 'R', priority = 'Warning'): string =>
  `${metric}{rule="${rule}",priority="${priority}"}`;

test('promtool takes the rules, and these tests can fail', () => {
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', ...RULES], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout + stderr);
  assert.match(promtool([[detections('a'), '0+1x60']], [['50m', HOUR, []]]), /FAILED/);
});

/** An agent that is scraped, and whose process started at this second of the scenario. */
const scraped = (instance: string, values: string, startedAt = '-90000'): Input[] => [
  [`varvel_build_info{instance="${instance}",version="1.0.0"}`, values],
  [
    `process_start_time_seconds{instance="${instance}"}`,
    values.replaceAll(/\b1x/g, `${startedAt}x`),
  ],
];

describe('detections', () => {
  test('the first one of a rule on a host counts, for as long as the window', () => {
    holds(
      [...scraped('a', '1x1700'), [detections('a'), '_x1500 1x200']],
      [
        ['1499m', HOUR, []],
        ...['1500m', '1501m', '1555m'].map((at): Expected => [at, HOUR, [[of(HOUR), 1]]]),
        ['1570m', HOUR, [[of(HOUR), 0]]],
        ['1502m', DAY, [[of(DAY), 1]]],
        ['1690m', DAY, [[of(DAY), 1]]],
      ],
    );
  });

  test('all of an agent that has just started count, and none that were before Prometheus knew it', () => {
    holds(
      [
        ...scraped('new', '_x100 1x100', '6000'),
        [detections('new'), '_x100 3x100'],
        ...scraped('old', '_x100 1x100'),
        [detections('old', 'Old'), '_x100 10000x100'],
      ],
      [
        [
          '102m',
          `round(${HOUR})`,
          [
            ['{rule="R",priority="Warning"}', 3],
            ['{rule="Old",priority="Warning"}', 0],
          ],
        ],
        ['190m', `round(${HOUR}{rule="R"})`, [['{rule="R",priority="Warning"}', 0]]],
      ],
    );
  });

  test('hosts are added up, rules and priorities are not', () => {
    holds(
      [
        [detections('a'), '0+1x200'],
        [detections('b'), '5+2x200'],
        [detections('b', 'R2', 'Critical'), '7x200'],
      ],
      [
        [
          '180m',
          HOUR,
          [
            [of(HOUR), 180],
            [of(HOUR, 'R2', 'Critical'), 0],
          ],
        ],
        [
          '180m',
          'round(60 * rule_priority:varvel_detections:rate5m)',
          [
            ['{rule="R",priority="Warning"}', 3],
            ['{rule="R2",priority="Critical"}', 0],
          ],
        ],
        [
          '180m',
          'sum by (instance) (instance_rule_priority:varvel_detections:increase1h)',
          [
            ['{instance="a"}', 60],
            ['{instance="b"}', 120],
          ],
        ],
      ],
    );
  });

  test('after an agent starts again, what it counts as often as before still counts', () => {
    // The restart is at minute 100. One more is detected at once, and an hour and a half later.
    const restarted: Input[] = [
      ['varvel_build_info{instance="a",version="1.0.0"}', '1x400'],
      ['process_start_time_seconds{instance="a"}', '-90000x99 6000x300'],
    ];
    holds(
      [...restarted, [detections('a'), '1x400']],
      [
        ['99m', HOUR, [[of(HOUR), 0]]],
        ['102m', HOUR, [[of(HOUR), 1]]],
        ['170m', HOUR, [[of(HOUR), 0]]],
      ],
    );
    holds(
      [...restarted, [detections('a'), '1x99 stale _x89 1x200']],
      [
        ['189m', HOUR, []],
        ['195m', HOUR, [[of(HOUR), 1]]],
        ['260m', HOUR, [[of(HOUR), 0]]],
      ],
    );
    holds(
      [...restarted, [detections('a'), '9x99 1x300']],
      [['102m', `round(${HOUR})`, [['{rule="R",priority="Warning"}', 1]]]],
    );
  });

  test('an agent that was not scraped for half an hour counts nothing twice', () => {
    holds(
      [...scraped('a', '1x100 _x29 1x200'), [detections('a'), '10000x100 _x29 10000x200']],
      // At minute 175 the start of the window is in the gap.
      ['120m', '140m', '175m', '185m', '195m'].map((at): Expected => [at, HOUR, [[of(HOUR), 0]]]),
    );
  });
});

test('what hosts and apps lost, and which agents there are', () => {
  holds(
    [
      ['varvel_build_info{instance="a",version="1.0.0"}', '1x100'],
      ['varvel_build_info{instance="b",version="1.1.0"}', '1x100'],
      ['varvel_build_info{instance="c",version="1.1.0"}', '1x100'],
      ['varvel_records_dropped_total{instance="a"}', '0+1x100'],
      ['varvel_stream_deliveries_total{instance="a",stream="file",result="failed"}', '0+1x100'],
      ['varvel_stream_deliveries_total{instance="a",stream="syslog",result="dropped"}', '0+1x100'],
      ['varvel_stream_deliveries_total{instance="a",stream="file",result="delivered"}', '0+9x100'],
      ['varvel_detections_suppressed_total{instance="b"}', '0+2x100'],
      ['varvel_cgroups{instance="b",state="unwatched"}', '3x100'],
      ['varvel_cgroups{instance="b",state="watched"}', '40x100'],
      ['varvel_unwatched_seconds{instance="c"}', '12x100'],
      ['varvel_app_records_dropped_total{instance="a",org="o",space="s",app="shop"}', '0+1x100'],
      ['varvel_app_records_dropped_total{instance="b",org="o",space="s",app="shop"}', '0+1x100'],
    ],
    [
      [
        '90m',
        'version:varvel_build_info:count',
        [
          ['version:varvel_build_info:count{version="1.0.0"}', 1],
          ['version:varvel_build_info:count{version="1.1.0"}', 2],
        ],
      ],
      ...(
        [
          ['instance:varvel_records_dropped:increase1h', '{instance="a"}', 60],
          ['instance:varvel_stream_deliveries_lost:increase1h', '{instance="a"}', 120],
          ['instance:varvel_detections_suppressed:increase1h', '{instance="b"}', 120],
          ['instance:varvel_cgroups_unwatched:sum', '{instance="b"}', 3],
          ['instance:varvel_unwatched_seconds:max', '{instance="c"}', 12],
          ['app:varvel_app_records_dropped:increase1h', '{org="o",space="s",app="shop"}', 120],
        ] as const
      ).map(([metric, labels, value]): Expected => ['90m', metric, [[metric + labels, value]]]),
    ],
  );
});

test('the metric by which the firehose shows an agent is one that the agent sends there', async () => {
  const sent = await new AgentMetrics('1.0.0').samples();
  assert.deepEqual(
    sent.filter(({ name }) => name === 'process_resident_memory_bytes').map(({ kind }) => kind),
    ['gauge'],
  );
});

describe('cells without an agent', () => {
  const ABSENT = 'cell:varvel_absent:group';
  const cellOf = (ip: string): string =>
    `bosh_deployment="cf",bosh_job_name="diego-cell",bosh_job_id="id-${ip}",bosh_job_ip="${ip}"`;
  const byBosh = (ip: string, values = '1x200', process = 'rep'): Input => [
    `bosh_job_process_healthy{${cellOf(ip)},bosh_job_process_name="${process}",environment="e"}`,
    values,
  ];
  const byFirehose = (ip: string, values = '250x200'): Input => [
    `firehose_value_metric_rep_capacity_total_containers{${cellOf(ip)},origin="rep",unit="Metric"}`,
    values,
  ];
  const agent = (instance: string, values = '1x200'): Input => [
    `varvel_build_info{instance="${instance}",job="varvel",version="1.0.0"}`,
    values,
  ];
  const absent = (ip: string): readonly [string, number] => [
    `${ABSENT}{cell="${ip}",bosh_deployment="cf",bosh_job_name="diego-cell",bosh_job_id="id-${ip}"}`,
    1,
  ];
  const FIRING = 'count by (cell) (ALERTS{alertname="VarvelCellWithoutAgent",alertstate="firing"})';
  const firing = (cell: string): readonly [string, number] => [`{cell="${cell}"}`, 1];

  for (const [name, cell] of [
    ['BOSH', byBosh],
    ['the firehose', byFirehose],
  ] as const)
    test(`as ${name} tells them, by address: with, without and with one that ends`, () => {
      holds(
        [
          cell('10.0.0.1'),
          cell('10.0.0.2'),
          cell('10.0.0.3'),
          cell('10.0.0.4'),
          agent('10.0.0.1:9434'),
          agent('10.0.0.3:9434', '1x60 stale'),
          agent('10.0.0.4'),
        ],
        [
          ['5m', ABSENT, [absent('10.0.0.2')]],
          ['5m', FIRING, []],
          ['30m', FIRING, [firing('10.0.0.2')]],
          ['63m', ABSENT, [absent('10.0.0.2'), absent('10.0.0.3')]],
          ['65m', FIRING, [firing('10.0.0.2')]],
          ['75m', FIRING, [firing('10.0.0.2'), firing('10.0.0.3')]],
        ],
      );
    });

  test('told by both, a cell is one; an agent that is seen in the firehose only is there', () => {
    holds(
      [
        byBosh('10.0.0.1'),
        byFirehose('10.0.0.1'),
        byBosh('10.0.0.2'),
        byFirehose('10.0.0.2'),
        [
          `firehose_value_metric_varvel_process_resident_memory_bytes{${cellOf('10.0.0.1')},origin="varvel",unit="bytes"}`,
          '9e7x200',
        ],
      ],
      [
        ['30m', 'count(cell:varvel_expected:group)', [['{}', 2]]],
        ['30m', ABSENT, [absent('10.0.0.2')]],
      ],
    );
  });

  test('one that starts again within ten minutes does not page; hosts that are no cells are not asked for', () => {
    holds(
      [
        byBosh('10.0.0.1'),
        agent('10.0.0.1:9434', '1x60 stale _x6 1x100'),
        byBosh('10.0.0.7', '1x200', 'gorouter'),
        byBosh('10.0.0.8', '0x200'),
        [
          'firehose_value_metric_rep_capacity_total_containers{bosh_job_name="windows2019-cell",bosh_job_ip="10.0.0.9"}',
          '1x200',
        ],
      ],
      [
        ['65m', ABSENT, [absent('10.0.0.1')]],
        ...['65m', '70m', '75m', '90m'].map((at): Expected => [at, FIRING, []]),
      ],
    );
  });

  test('when the platform’s metrics go away, that is told; where there never were any, nothing is', () => {
    const UNKNOWN = 'ALERTS{alertname="VarvelCellsUnknown",alertstate="firing"}';
    const told: readonly [string, number] = [
      'ALERTS{alertname="VarvelCellsUnknown",alertstate="firing",severity="warning"}',
      1,
    ];
    holds(
      [byBosh('10.0.0.1', '1x60 stale'), agent('10.0.0.1:9434')],
      [
        ['60m', UNKNOWN, []],
        ['80m', UNKNOWN, [told]],
      ],
    );
    holds([agent('10.0.0.1:9434')], [['100m', UNKNOWN, []]]);
  });

  describe('on Kubernetes', () => {
    const node = (name: string, os = 'Ubuntu 24.04'): Input => [
      `kube_node_info{node="${name}",os_image="${os}",internal_ip="10.1.0.1"}`,
      '1x2000',
    ];
    const daemonSet = (values: string): Input => [
      'kube_daemonset_status_desired_number_scheduled{namespace="varvel",daemonset="varvel"}',
      values,
    ];
    const pod = (name: string, on: string, ready: string): Input[] => [
      [
        `kube_pod_info{namespace="varvel",pod="${name}",node="${on}",created_by_kind="DaemonSet",created_by_name="varvel"}`,
        '1x2000',
      ],
      [`kube_pod_status_ready{namespace="varvel",pod="${name}",condition="true"}`, ready],
    ];

    test('nodes without a ready pod of the DaemonSet', () => {
      holds(
        [
          node('n1'),
          node('n2'),
          node('n3'),
          node('w1', 'Windows Server 2022'),
          daemonSet('3x2000'),
          ...pod('varvel-a', 'n1', '1x2000'),
          ...pod('varvel-b', 'n2', '1x60 0x2000'),
        ],
        [
          ['30m', FIRING, [firing('n3')]],
          ['75m', FIRING, [firing('n2'), firing('n3')]],
        ],
      );
    });

    test('a DaemonSet that is deleted is missed for a day; a cluster that never had one is not', () => {
      holds(
        [node('n1'), daemonSet('1x60 stale'), ...pod('varvel-a', 'n1', '1x60 stale')],
        [
          ['60m', FIRING, []],
          ['90m', FIRING, [firing('n1')]],
          ['1450m', FIRING, [firing('n1')]],
          ['1520m', FIRING, []],
        ],
      );
      holds([node('n1')], [['30m', 'cell:varvel_expected:group', []]]);
    });
  });
});

describe('the alert on a canary that does not come through', () => {
  const FIRING = 'ALERTS{alertname="VarvelCanaryNotSeen",alertstate="firing"}';
  const told = (instance: string): readonly [string, number] => [
    `ALERTS{alertname="VarvelCanaryNotSeen",alertstate="firing",instance="${instance}",severity="warning"}`,
    1,
  ];
  const canary = (instance: string, run: string, seen: string): Input[] => [
    [`varvel_canary_last_run_timestamp_seconds{instance="${instance}"}`, run],
    [`varvel_canary_last_seen_timestamp_seconds{instance="${instance}"}`, seen],
  ];

  test('fires when it was tried again, and is over with the next run that is seen', () => {
    holds(
      [
        ...canary('a', '100x19 1200x99', '100x59 1200x59'),
        ...canary('b', '100x59 1200x59', '100x59 1200x59'),
      ],
      [
        ['19m', FIRING, []],
        ['25m', FIRING, []],
        ['40m', FIRING, [told('a')]],
        ['61m', FIRING, []],
      ],
    );
  });

  test('is silent before the first run, and fires for one that never came through', () => {
    holds(canary('a', '0x9 600x60', '0x70'), [
      ['9m', FIRING, []],
      ['20m', FIRING, []],
      ['30m', FIRING, [told('a')]],
    ]);
  });

  test('a run that failed once and was seen ten minutes later pages nobody', () => {
    holds(
      canary('a', '100x9 600x9 1200x80', '100x19 1200x80'),
      ['15m', '20m', '30m', '60m'].map((at): Expected => [at, FIRING, []]),
    );
  });
});

test('the alert on lines that wait fires when a receiver takes nothing for minutes, and not for one that is slow', () => {
  const FIRING = 'ALERTS{alertname="VarvelLinesWait",alertstate="firing"}';
  const oldest = (stream: string, values: string): Input => [
    `varvel_spool_oldest_timestamp_seconds{instance="a",stream="${stream}"}`,
    values,
  ];
  holds(
    [
      // Since the start the same line waits; from the twentieth minute on none does.
      oldest('down', '0x19 stale'),
      // The oldest line is always two minutes old.
      oldest('slow', '-120+60x40'),
    ],
    [
      ['5m', FIRING, []],
      [
        '9m',
        FIRING,
        [
          [
            'ALERTS{alertname="VarvelLinesWait",alertstate="firing",instance="a",severity="warning",stream="down"}',
            1,
          ],
        ],
      ],
      ['30m', FIRING, []],
    ],
  );
});
