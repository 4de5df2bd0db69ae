import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { CONFIG_MAX_BYTES } from '../../../src/config/yaml-file.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { failure, folder, load } from './load-fixture.ts';

const MISTAKES: readonly (readonly [title: string, yaml: string, says: string])[] = [
  [
    'a mistyped key',
    'mode: always\nstreams:\n  contaner: {enabled: true}\n',
    '/varvel.yaml:3:3: There is no key "streams.contaner". Did you mean "streams.container"?',
  ],
  [
    'a mistyped key deep down',
    'runtimes:\n  cgroup:\n    apps:\n      - pattern: /a/*\n        logfile: /x\n',
    '/varvel.yaml:5:9: There is no key "runtimes.cgroup.apps[0].logfile". Did you mean "runtimes.cgroup.apps[0].log_file"?',
  ],
  [
    'a key in the wrong section',
    'listen: off\n',
    '/varvel.yaml:1:1: There is no key "listen". Did you mean "metrics.listen"?',
  ],
  [
    'a key like nothing',
    'metrics: {zzzzzz: 1}\n',
    '/varvel.yaml:1:11: There is no key "metrics.zzzzzz". There are: listen, scrape_socket.',
  ],
  [
    'a mistyped value',
    '\nmode: opt_in\n',
    '/varvel.yaml:2:7: "mode" must be one of opt-in, opt-out, always; it is "opt_in". Did you mean "opt-in"?',
  ],
  [
    'to enforce before it is known who wants to be watched',
    'policies: {before_identity: enforce}\n',
    '/varvel.yaml:1:29: policies.before_identity cannot be enforce with "mode: opt-in": most containers may not be asked for there, and before it is known of one, it must be left alone. Set mode to always or opt-out, or before_identity to report.',
  ],
  [
    'a time without an agent that is none',
    'probe: {deny_without_agent: forever}\n',
    '/varvel.yaml:1:29: "probe.deny_without_agent" must be 0s, keep, or a duration from 10s to 720h, such as 30s, 20m or 2h; it is "forever".',
  ],
  [
    'a number that is a word',
    'probe: {tick_ms: fast}\n',
    '/varvel.yaml:1:18: "probe.tick_ms" must be a whole number from 1 to 100; it is "fast".',
  ],
  [
    'a number out of range',
    'context: {max_processes: 7}\n',
    '/varvel.yaml:1:26: "context.max_processes" must be a whole number from 1024 to 1048576; it is 7.',
  ],
  [
    'YAML’s old booleans',
    'streams: {stdout: {enabled: yes}}\n',
    '/varvel.yaml:1:29: "streams.stdout.enabled" must be true or false; it is "yes".',
  ],
  [
    'a duration without a unit',
    'hold_time: 5\n',
    '/varvel.yaml:1:12: "hold_time" must be a duration from 100ms to 1m, such as 500ms, 20s or 2m; it is 5.',
  ],
  [
    'a ring that is no power of two',
    'probe: {exec_ring_bytes: 3MiB}\n',
    '/varvel.yaml:1:26: "probe.exec_ring_bytes" must be a power of two from 64KiB to 1GiB, such as 4MiB; it is "3MiB".',
  ],
  [
    'a section that is a value',
    'streams: container\n',
    '/varvel.yaml:1:10: "streams" must be a section with keys such as container, app_file, file; it is "container".',
  ],
  [
    'an app without its pattern',
    'runtimes: {cgroup: {apps: [{app: x}]}}\n',
    '/varvel.yaml:1:28: The key "runtimes.cgroup.apps[0].pattern" is missing: it must be a cgroup path with one * such as /my-apps/*.',
  ],
  [
    'a list with something else in it',
    'rules_files:\n  - a.yaml\n  - 7\n',
    '/varvel.yaml:3:5: "rules_files[1]" must be a list of paths of rule files; it is 7.',
  ],
  [
    'a selection of nothing',
    'rules:\n  - disable: {}\n',
    '/varvel.yaml:2:14: "rules[0].disable" needs a rule or a tag, such as {rule: "*"} or {tag: network}.',
  ],
  [
    'a selection that is neither',
    'rules: [{}]\n',
    '/varvel.yaml:1:9: "rules[0]" needs either enable or disable, such as {disable: {rule: "*"}}.',
  ],
  [
    'a mistyped selection',
    'rules: [{enable: {rul: x}}]\n',
    '/varvel.yaml:1:19: There is no key "rules[0].enable.rul". Did you mean "rules[0].enable.rule"?',
  ],
  [
    'a selection that is a name',
    'rules: [{enable: x}]\n',
    '/varvel.yaml:1:18: "rules[0].enable" must be a section with keys such as rule, tag; it is "x".',
  ],
  [
    'rules where their files belong',
    'rules: /etc/x.yaml\n',
    '/varvel.yaml:1:8: "rules" must be a list of at most 256 entries, each enable or disable with a rule or a tag; it is "/etc/x.yaml".',
  ],
  [
    'a response to every detection of an app',
    'responses:\n  - match: {app: shop}\n    do: kill\n',
    '/varvel.yaml:2:12: "responses[0].match" needs a rule, a tag or a priority, such as {rule: "Shell on a network*"}.',
  ],
  [
    'a response that there is not',
    'responses: [{match: {tag: x}, do: stop}]\n',
    '/varvel.yaml:1:35: "responses[0].do" must be one of kill, deny, isolate, pause, restart; it is "stop".',
  ],
  [
    'a response that cannot fall back',
    'responses: [{match: {tag: x}, do: kill, fall_back: false}]\n',
    '/varvel.yaml:1:13: "responses[0]" needs "do: deny" where it has "fall_back".',
  ],
  [
    'a share of what is only monitored',
    'responses: [{match: {tag: x}, do: kill, percent: 10}]\n',
    '/varvel.yaml:1:13: "responses[0]" needs "mode: enforce" where it has "percent".',
  ],
  [
    'a guarantee of what never gives one',
    'responses: [{match: {tag: x}, do: kill, guarantee: before the effect}]\n',
    '/varvel.yaml:1:13: "responses[0]" needs "do: deny" where it has "guarantee".',
  ],
  [
    'a guarantee that there is not',
    'responses: [{match: {tag: x}, do: deny, guarantee: certain}]\n',
    '/varvel.yaml:1:52: "responses[0].guarantee" must be one of before the effect, after the effect; it is "certain".',
  ],
  [
    'a share of nothing',
    'responses: [{match: {tag: x}, do: kill, mode: enforce, percent: 0}]\n',
    '/varvel.yaml:1:65: "responses[0].percent" must be a whole number from 1 to 100: the share of an app’s instances; it is 0.',
  ],
  [
    'a response that is not said',
    'responses: [{match: {tag: x}}]\n',
    '/varvel.yaml:1:13: The key "responses[0].do" is missing: it must be one of kill, deny, isolate, pause, restart.',
  ],
  [
    'an output that adds nothing',
    'append_output:\n  - match: {rule: x}\n',
    '/varvel.yaml:2:5: "append_output[0]" needs something to add: extra_output, extra_fields or suggested_output.',
  ],
  [
    'a field that is a number',
    'append_output: [{extra_fields: [7]}]\n',
    '/varvel.yaml:1:33: "append_output[0].extra_fields[0]" must be a list of fields, such as evt.hostname, and of keys with a text',
  ],
  [
    'a network address',
    "metrics:\n  listen: '0.0.0.0:9000'\n",
    '/varvel.yaml:2:11: "metrics.listen" must be a loopback address (127.0.0.1, [::1]), since it tells about every app on this host without asking who is there; it is "0.0.0.0:9000".',
  ],
  [
    'a file stream without a file',
    'streams:\n  file:\n    enabled: true\n',
    '/varvel.yaml:3:14: streams.file is enabled but has no path: set streams.file.path.',
  ],
  [
    'a list at the top',
    '- a\n',
    '/varvel.yaml: The configuration must be keys with values, such as "mode: opt-in".',
  ],
  [
    'a null value',
    'mode:\n',
    '/varvel.yaml:1:6: "mode" must be one of opt-in, opt-out, always; it is null.',
  ],
  ['a prototype', '__proto__: {mode: always}\n', '/varvel.yaml:1:1: There is no key "__proto__".'],
  ['a constructor', 'constructor: 1\n', '/varvel.yaml:1:1: There is no key "constructor".'],
];
for (const [title, yaml, says] of MISTAKES) {
  test(`mistake: ${title}`, () => {
    const said = failure(() => load(yaml));
    assert.ok(said.startsWith(says), said);
  });
}

test('broken YAML says where', () => {
  assert.match(
    failure(() => load('mode: [a\nx: 1')),
    /^\/varvel\.yaml:2:\d+: This is not valid YAML: .+\.$/,
  );
  assert.match(
    failure(() => load('a: 1\na: 2\n')),
    /^\/varvel\.yaml:2:1: This is not valid YAML: Map keys must be unique\.$/,
  );
  assert.match(
    failure(() => load('mode: x\n---\nmode: y\n')),
    /:2:1: This is not valid YAML: /,
  );
  assert.match(
    failure(() => load('mode: "\\x1')),
    /^\/varvel\.yaml:1:\d+: This is not valid YAML/,
  );
});

test('a document that grows when its aliases are followed is refused', () => {
  let bomb = 'a0: &a0 [x, x, x, x, x, x, x, x]\n';
  for (let i = 1; i < 12; i++)
    bomb += `a${i}: &a${i} [${Array.from({ length: 8 }, () => `*a${i - 1}`).join(', ')}]\n`;
  assert.match(
    failure(() => load(bomb)),
    /^\/varvel\.yaml:1:1: This YAML cannot be used: /,
  );
});

test('binary, huge, missing, unreadable files', () => {
  assert.match(
    failure(() => load(Buffer.from([0xff, 0xfe, 0, 1, 2, 3]))),
    /^\/varvel\.yaml/,
  );
  assert.match(
    failure(() => load(Buffer.alloc(CONFIG_MAX_BYTES + 1, '#'))),
    /larger than 1 MiB/,
  );
  assert.equal(
    failure(() => loadConfig({ file: join(folder, 'none.yaml'), env: {} })),
    'Cannot read the configuration /none.yaml: there is no such file. Check the path after --config or in VARVEL_CONFIG.',
  );
  assert.equal(
    failure(() => loadConfig({ file: folder, env: {} })),
    'The configuration  is a folder; name a file.',
  );
  assert.match(
    failure(() => loadConfig({ file: '/dev/zero', env: {} })),
    /larger than 1 MiB/,
  );
});

test('mistakes in variables and flags name them', () => {
  assert.equal(
    failure(() => load('mode: always\n', { VARVEL_MODE: 'alway' })),
    'VARVEL_MODE: "mode" must be one of opt-in, opt-out, always; it is "alway". Did you mean "always"?',
  );
  assert.equal(
    failure(() => load('', { VARVEL_PROBE_TICK_MS: '1e3' })),
    'VARVEL_PROBE_TICK_MS: "probe.tick_ms" must be a whole number from 1 to 100; it is "1e3".',
  );
  assert.equal(
    failure(() => load('', { VARVEL_RUNTIMES_CGROUP_APPS: '/x/*' })),
    'VARVEL_RUNTIMES_CGROUP_APPS: This must be JSON, such as [{"pattern": "/my-apps/*"}].',
  );
  assert.match(
    failure(() => load('', { VARVEL_RUNTIMES_CGROUP_APPS: '[{"patern": "/x/*"}]' })),
    /^VARVEL_RUNTIMES_CGROUP_APPS: There is no key "runtimes\.cgroup\.apps\[0\]\.patern"\. Did you mean/,
  );
  assert.match(
    failure(() => load('', {}, ['log_levl=debug'])),
    /no key "log_levl"\. Did you mean "log_level"\?/,
  );
  assert.match(
    failure(() => load('', {}, ['log_level'])),
    /KEY=VALUE/,
  );
  assert.match(
    failure(() => load('', {}, ['metrics.listen=eth0:1'])),
    /^--set metrics\.listen: /,
  );
  assert.match(
    failure(() => load('metrics: {scrape_socket: /run/varvel/metrics.sock}\n')),
    /:1:26: "metrics\.scrape_socket" must be another socket than metrics\.listen; it is/,
  );
  assert.match(
    failure(() => load('', {}, [`metrics.scrape_socket=/${'x'.repeat(120)}`])),
    /"metrics\.scrape_socket" must be a socket path of at most 107 bytes; it is/,
  );
  assert.match(
    failure(() => load('', { VARVEL_RUN_DIR: `/${'x'.repeat(120)}` })),
    /^VARVEL_RUN_DIR: "run_dir" is too long for a socket/,
  );
  assert.match(
    failure(() => load('streams: 5\n', { VARVEL_STREAMS_FILE_PATH: '/x' })),
    /:1:10: "streams" must be/,
  );
});

test('all mistakes are told, mistyped keys first, each with its place', () => {
  const text = 'mode: bogus\nfoo: 1\nprobe: {tick_ms: fast, x: 1}\nhold_time: 5x\n';
  const lines = failure(() => load(text)).split('\n');
  assert.deepEqual(
    lines.map((line) => line.replace(/(\d+:\d+:(?: \S+){5}).*/, '$1')),
    [
      '/varvel.yaml:2:1: There is no key "foo".',
      '/varvel.yaml:3:24: There is no key "probe.x".',
      '/varvel.yaml:1:7: "mode" must be one of',
      '/varvel.yaml:3:18: "probe.tick_ms" must be a whole',
      '/varvel.yaml:4:12: "hold_time" must be a duration',
    ],
  );
  const many = Array.from({ length: 14 }, (_, n) => `key${n}: 1\n`).join('');
  const told = failure(() => load(many)).split('\n');
  assert.deepEqual([told.length, told.at(-1)], [11, 'And 4 more mistakes.']);
});

test('a configuration of Falco is recognised, and says what stands in its keys’ place', () => {
  const falco =
    'rules_files: [/etc/falco/falco_rules.yaml]\njson_output: true\npriority: debug\nengine: {kind: modern_ebpf}\n';
  assert.equal(
    failure(() => load(falco)),
    '/varvel.yaml: This is a configuration of Falco (json_output, priority, engine): varvel has one of its own. rules_files, rules, append_output and rule_matching are the same here. In their place: json_output → streams.*.format: json, which is the default; priority → minimum_priority. See manifests/docs/falco.md.',
  );
  assert.match(
    failure(() => load('json_output: true\n')),
    /There is no key "json_output"/,
  );
});
