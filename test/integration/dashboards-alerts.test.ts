// The alerts about agents that are down, cells without one, canaries and lines that wait or are lost, run over scenarios by Prometheus's own promtool.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AgentMetrics } from '../../src/metrics/metrics.ts';
import { holds, type Expected, type Input } from '../support/promtool.ts';

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

describe('agents that do not answer', () => {
  const FIRING =
    'count by (job, instance) (ALERTS{alertname="VarvelAgentDown",alertstate="firing"})';
  const down = (job: string, instance: string): readonly [string, number] => [
    `{job="${job}",instance="${instance}"}`,
    1,
  ];
  const target = (job: string, instance: string, values: string): Input => [
    `up{job="${job}",instance="${instance}"}`,
    values,
  ];
  const agent = (job: string, instance: string, values: string): Input => [
    `varvel_build_info{job="${job}",instance="${instance}",version="1.0.0"}`,
    values,
  ];

  test('one that is down pages, whatever its scrape job is called; one that is restarted, and another program, do not', () => {
    holds(
      [
        target('varvel', 'a', '1x40 0x2000'),
        agent('varvel', 'a', '1x40 stale'),
        target('varvel', 'b', '1x40 0x2 1x2000'),
        agent('varvel', 'b', '1x40 stale _x1 1x2000'),
        target('cells', 'c', '1x40 0x2000'),
        agent('cells', 'c', '1x40 stale'),
        target('cells', 'd', '0x2000'),
        target('varvel', 'never', '0x2000'),
      ],
      [
        ['3m', FIRING, []],
        ['43m', FIRING, [down('varvel', 'never')]],
        ['50m', FIRING, [down('cells', 'c'), down('varvel', 'a'), down('varvel', 'never')]],
        // By another job it is known as an agent for a day.
        ['1400m', FIRING, [down('cells', 'c'), down('varvel', 'a'), down('varvel', 'never')]],
        ['1600m', FIRING, [down('varvel', 'a'), down('varvel', 'never')]],
      ],
    );
  });

  test('when no agent is known at all, that is told; one that only the firehose shows is known', () => {
    const NONE = 'ALERTS{alertname="VarvelNoAgents",alertstate="firing"}';
    const told: readonly [string, number] = [
      'ALERTS{alertname="VarvelNoAgents",alertstate="firing",severity="critical"}',
      1,
    ];
    holds(
      [target('varvel', 'a', '1x40 stale'), agent('varvel', 'a', '1x40 stale')],
      [
        ['39m', NONE, []],
        ['50m', NONE, []],
        ['60m', NONE, [told]],
      ],
    );
    holds([target('other', 'a', '1x100')], [['20m', NONE, [told]]]);
    const memory = 'firehose_value_metric_varvel_process_resident_memory_bytes';
    holds([[`${memory}{bosh_job_ip="10.0.0.1"}`, '9e7x100']], [['60m', NONE, []]]);
  });
});

test('the alert on lost lines fires for what a receiver refuses too, by stream and result, and not for what is on its way', () => {
  const FIRING = 'ALERTS{alertname="VarvelLinesLost",alertstate="firing"}';
  const lines = (stream: string, result: string, values: string): Input => [
    `varvel_stream_deliveries_total{instance="a",stream="${stream}",result="${result}"}`,
    values,
  ];
  const told = (stream: string, result: string): readonly [string, number] => [
    `ALERTS{alertname="VarvelLinesLost",alertstate="firing",instance="a",severity="warning",stream="${stream}",result="${result}"}`,
    1,
  ];
  holds(
    [
      lines('file', 'delivered', '0+9x60'),
      lines('http', 'spooled', '0+9x60'),
      lines('http', 'sent', '0x60'),
      lines('http', 'refused', '0x20 3x40'),
      lines('http', 'failed', '2x60'),
      lines('syslog', 'dropped', '0x20 3x40'),
      lines('container', 'failed', '0x20 3x40'),
    ],
    [
      ['19m', FIRING, []],
      [
        '25m',
        FIRING,
        [told('http', 'refused'), told('syslog', 'dropped'), told('container', 'failed')],
      ],
      ['40m', FIRING, []],
    ],
  );
});

test('the alert on events of nobody fires when they were given up, or waited too long', () => {
  const FIRING =
    'count by (instance) (ALERTS{alertname="VarvelEventsOfNobody",alertstate="firing"})';
  const events = (instance: string, dropped: string, expired: string): Input[] => [
    [`varvel_held_events_dropped_total{instance="${instance}"}`, dropped],
    [`varvel_held_events_expired_total{instance="${instance}"}`, expired],
  ];
  holds(
    [
      ...events('a', '0x20 4x40', '1x60'),
      ...events('b', '0x60', '0x20 4x40'),
      ...events('c', '5x60', '5x60'),
    ],
    [
      ['19m', FIRING, []],
      [
        '25m',
        FIRING,
        [
          ['{instance="a"}', 1],
          ['{instance="b"}', 1],
        ],
      ],
      ['40m', FIRING, []],
    ],
  );
});
