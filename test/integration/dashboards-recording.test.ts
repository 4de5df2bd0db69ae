// The recording rules, run over scenarios by Prometheus's own promtool.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { holds, promtool, RULES, type Expected, type Input } from '../support/promtool.ts';

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
      ['varvel_stream_deliveries_total{instance="a",stream="http",result="refused"}', '0+1x100'],
      ['varvel_stream_deliveries_total{instance="a",stream="file",result="delivered"}', '0+9x100'],
      ['varvel_stream_deliveries_total{instance="a",stream="http",result="spooled"}', '0+9x100'],
      ['varvel_stream_deliveries_total{instance="a",stream="http",result="sent"}', '0+9x100'],
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
          ['instance:varvel_stream_deliveries_lost:increase1h', '{instance="a"}', 180],
          ['instance:varvel_detections_suppressed:increase1h', '{instance="b"}', 120],
          ['instance:varvel_cgroups_unwatched:sum', '{instance="b"}', 3],
          ['instance:varvel_unwatched_seconds:max', '{instance="c"}', 12],
          ['app:varvel_app_records_dropped:increase1h', '{org="o",space="s",app="shop"}', 120],
        ] as const
      ).map(([metric, labels, value]): Expected => ['90m', metric, [[metric + labels, value]]]),
    ],
  );
});
