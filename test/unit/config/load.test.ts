import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { CONFIG_MAX_BYTES } from '../../../src/config/yaml-file.ts';
import { DEFAULT_RULES_FILE, RULE_KEYS } from '../../../src/config/config.ts';
import { changedKeys, loadConfig } from '../../../src/config/load.ts';
import type { LoadedConfig } from '../../../src/config/load.ts';
import { VALUE_PATHS } from '../../../src/config/schema.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { PRIORITIES } from '../../../src/rules/detection.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-config-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'varvel.yaml');

function load(
  yaml: string | Buffer,
  env: Record<string, string> = {},
  settings: string[] = [],
): LoadedConfig {
  writeFileSync(path, yaml);
  return loadConfig({ file: path, env, settings });
}

/** What `varvel` would print. */
function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.toDisplay().replaceAll(folder, '');
  }
  return assert.fail('it should not load');
}

test('no file is needed', () => {
  const { config, file, warnings, settings } = loadConfig({ env: {}, defaultFile: '/nonexistent' });
  assert.equal(file, undefined);
  assert.deepEqual(warnings, []);
  assert.deepEqual(config, {
    rulesFiles: [DEFAULT_RULES_FILE],
    ruleSelection: [],
    appendOutput: [],
    minimumPriority: 'Debug',
    ruleMatching: 'first',
    watchConfigFiles: true,
    mode: 'opt-in',
    runtimes: {
      docker: {
        enabled: 'auto',
        socket: '/var/run/docker.sock',
        execRoot: '/run/docker',
        cgroupParents: [],
      },
      cgroup: { apps: [] },
    },
    cgroupHierarchy: 'auto',
    rescanIntervalMs: 20_000,
    holdTimeMs: 5000,
    streams: {
      container: { enabled: true, format: 'json' },
      appFile: { enabled: true, format: 'json' },
      file: { enabled: false, path: undefined, format: 'json' },
      stdout: { enabled: false, format: 'json' },
    },
    probe: { execRingBytes: 2 * 1024 ** 2, bulkRingBytes: 4 * 1024 ** 2, tickMs: 2 },
    context: { maxProcesses: 65_536 },
    metrics: { listen: { kind: 'unix', path: '/run/varvel/metrics.sock' } },
    runDir: '/run/varvel',
    hostname: hostname(),
    logLevel: 'info',
  });
  assert.ok(settings.every((it) => it.source === 'default'));
  const shown = (key: string): unknown => settings.find((it) => it.key === key)?.value;
  assert.equal(shown('metrics.listen'), 'unix:/run/varvel/metrics.sock');
  assert.equal(shown('rescan_interval'), '20s');
  assert.deepEqual(shown('rules_files'), [DEFAULT_RULES_FILE]);
  assert.ok(existsSync(join(DEFAULT_RULES_FILE, '../../..', 'package.json')));
});

test('an empty file and sections that hold only comments are defaults', () => {
  const defaults = loadConfig({ env: {}, defaultFile: '/nonexistent' }).config;
  assert.deepEqual(load('').config, defaults);
  assert.deepEqual(load('# nothing\n').config, defaults);
  assert.deepEqual(load('streams:\n  # container:\nruntimes:\n  docker:\n').config, defaults);
});

test('the result is frozen throughout', () => {
  const { config } = load('runtimes: {cgroup: {apps: [{pattern: /a/*}]}}');
  assert.throws(() => ((config as { mode: string }).mode = 'always'), TypeError);
  assert.ok(Object.isFrozen(config.runtimes.cgroup.apps[0]));
  assert.ok(Object.isFrozen(config.streams.file));
});

test('a whole file', () => {
  const { config, settings } = load(`
rules_files: [rules/a.yaml, /etc/b.yaml]
minimum_priority: INFO
rule_matching: all
mode: always
runtimes:
  docker: {enabled: false, exec_root: /x/run, cgroup_parents: [apps.slice]}
  cgroup:
    apps:
      - pattern: /my-apps/*
        app: '{handle}'
        space: dev
        log_file: /var/log/apps/{handle}.log
rescan_interval: 1.5s
streams:
  file: {path: out.jsonl, format: text}
probe: {exec_ring_bytes: 65536, bulk_ring_bytes: 8MiB}
metrics: {listen: '127.0.0.1:9464'}
hostname: cell-7
`);
  assert.deepEqual(config.rulesFiles, [join(folder, 'rules/a.yaml'), '/etc/b.yaml']);
  assert.equal(config.minimumPriority, 'Informational');
  assert.ok(PRIORITIES.includes(config.minimumPriority));
  assert.equal(config.ruleMatching, 'all');
  assert.equal(config.runtimes.docker.enabled, false);
  assert.deepEqual(config.runtimes.docker.cgroupParents, ['apps.slice']);
  const [app] = config.runtimes.cgroup.apps;
  assert.equal(app?.space, 'dev');
  assert.equal(app.logFile, '/var/log/apps/{handle}.log');
  assert.deepEqual(app.position, { file: path, line: 10, column: 18 });
  assert.equal(config.rescanIntervalMs, 1500);
  assert.deepEqual(config.streams.file, {
    enabled: true,
    path: join(folder, 'out.jsonl'),
    format: 'text',
  });
  assert.equal(config.probe.execRingBytes, 65_536);
  assert.equal(config.probe.bulkRingBytes, 8 * 1024 ** 2);
  assert.deepEqual(config.metrics.listen, { kind: 'tcp', host: '127.0.0.1', port: 9464 });
  assert.equal(settings.find((it) => it.key === 'mode')?.source, `${path}:5`);
});

test('every priority of Falco’s is one of ours', () => {
  for (const priority of PRIORITIES)
    assert.equal(load(`minimum_priority: ${priority}`).config.minimumPriority, priority);
});

test('environment over file, flags over environment, each named as the source', () => {
  const { config, settings } = load(
    'log_level: warn\nmode: always\n',
    {
      VARVEL_LOG_LEVEL: 'debug',
      VARVEL_RULES_FILES: '/a.yaml, /b.yaml',
      VARVEL_STREAMS_FILE_PATH: '/var/log/x',
      VARVEL_STREAMS_STDOUT_ENABLED: 'yes',
      VARVEL_RUNTIMES_DOCKER_ENABLED: 'auto',
      VARVEL_RUNTIMES_CGROUP_APPS: '[{"pattern": "/x/*", "app": "x"}]',
      VARVEL_PROBE_TICK_MS: '5',
      VARVEL_PROBE_EXEC_RING_BYTES: '1MiB',
      VARVEL_DEBUG: '1',
      PATH: '/bin',
    },
    ['log_level=error', 'rules_files=["/c,d.yaml"]'],
  );
  assert.equal(config.logLevel, 'error');
  assert.deepEqual(config.rulesFiles, ['/c,d.yaml']);
  assert.equal(config.mode, 'always');
  assert.equal(config.streams.file.path, '/var/log/x');
  assert.equal(config.streams.file.enabled, true);
  assert.equal(config.streams.stdout.enabled, true);
  assert.equal(config.runtimes.docker.enabled, 'auto');
  assert.equal(config.probe.tickMs, 5);
  assert.equal(config.probe.execRingBytes, 1024 ** 2);
  assert.deepEqual(config.runtimes.cgroup.apps[0]?.position, {
    file: 'VARVEL_RUNTIMES_CGROUP_APPS',
  });
  const source = (key: string): string | undefined => settings.find((it) => it.key === key)?.source;
  assert.equal(source('log_level'), '--set log_level');
  assert.equal(source('probe.tick_ms'), 'VARVEL_PROBE_TICK_MS');
  assert.equal(source('mode'), `${path}:2`);
  assert.equal(source('hold_time'), 'default');
});

test('relative paths start at the file that names them, or where varvel runs', () => {
  mkdirSync(join(folder, 'deep'), { recursive: true });
  writeFileSync(join(folder, 'deep/v.yaml'), 'runtimes: {docker: {exec_root: state}}\n');
  const { config } = loadConfig({
    file: join(folder, 'deep/v.yaml'),
    env: { VARVEL_RUN_DIR: 'run' },
  });
  assert.equal(config.runtimes.docker.execRoot, join(folder, 'deep/state'));
  assert.equal(config.runDir, join(process.cwd(), 'run'));
  assert.deepEqual(config.metrics.listen, {
    kind: 'unix',
    path: join(process.cwd(), 'run/metrics.sock'),
  });
});

test('the file is named by flag, by variable, or is where one expects it', () => {
  writeFileSync(path, 'mode: always\n');
  assert.equal(loadConfig({ env: { VARVEL_CONFIG: path } }).config.mode, 'always');
  assert.equal(loadConfig({ env: {}, defaultFile: path }).config.mode, 'always');
  const flag = loadConfig({ file: '/dev/null', env: { VARVEL_CONFIG: path } });
  assert.equal(flag.config.mode, 'opt-in');
});

test('unknown variables are warned of, except those that Kubernetes makes', () => {
  const { warnings } = load('', {
    VARVEL_LOGLEVEL: 'debug',
    VARVEL_SERVICE_HOST: '10.0.0.1',
    VARVEL_PORT: 'tcp://10.0.0.1:80',
    VARVEL_PORT_80_TCP: 'x',
  });
  assert.deepEqual(warnings, [
    'The variable VARVEL_LOGLEVEL is not one of varvel\'s. Did you mean "VARVEL_LOG_LEVEL"?',
  ]);
});

test('no stream at all is warned of', () => {
  const off = 'streams: {container: {enabled: false}, app_file: {enabled: false}}';
  assert.equal(load(off).warnings.length, 1);
});

test('rules are switched on and off, and outputs added to, as in falco.yaml', () => {
  const { config } = load(`
rules:
  - disable:
      rule: '*'
  - enable: {tag: network}
  - enable: {rule: Shell*, tag: shell}
append_output:
  - suggested_output: true
  - match:
      source: syscall
      tags: [persistence]
      rule: some rule name
    extra_output: on %evt.hostname
    extra_fields:
      - home: fixed
        ran: '%proc.cmdline'
      - evt.hostname
`);
  const at = (line: number, column: number) => ({ file: path, line, column });
  assert.deepEqual(config.ruleSelection, [
    { enable: false, rule: '*', position: at(4, 7) },
    { enable: true, tag: 'network', position: at(5, 13) },
    { enable: true, rule: 'Shell*', tag: 'shell', position: at(6, 13) },
  ]);
  assert.deepEqual(config.appendOutput, [
    { suggestedOutput: true, position: at(8, 5) },
    {
      match: { source: 'syscall', tags: ['persistence'], rule: 'some rule name' },
      extraOutput: 'on %evt.hostname',
      extraFields: [{ home: 'fixed', ran: '%proc.cmdline' }, 'evt.hostname'],
      position: at(9, 5),
    },
  ]);
  const flags = load('', { VARVEL_RULES: '[{"disable": {"tag": "x"}}]' }, [
    'watch_config_files=off',
    'append_output=[{"extra_output": "x"}]',
  ]).config;
  assert.deepEqual(flags.ruleSelection, [
    { enable: false, tag: 'x', position: { file: 'VARVEL_RULES' } },
  ]);
  assert.equal(flags.appendOutput[0]?.extraOutput, 'x');
  assert.equal(flags.watchConfigFiles, false);
});

test('what a reload does not change is named; a reload changes every setting of the rules', () => {
  const before = load('mode: always\nlog_level: warn\n');
  const after = load(
    'mode: opt-out\nlog_level: warn\nhold_time: 1s\nrules: [{disable: {rule: x}}]\nrule_matching: all\nminimum_priority: error\nappend_output: [{suggested_output: true}]\nrules_files: [/x]\nwatch_config_files: false\n',
  );
  assert.deepEqual(changedKeys(before, after), ['mode', 'hold_time']);
  assert.deepEqual(changedKeys(before, before), []);
  for (const key of RULE_KEYS)
    assert.ok(
      VALUE_PATHS.some((at) => at.join('.') === key),
      key,
    );
});

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
    '/varvel.yaml:1:11: There is no key "metrics.zzzzzz". There are: listen.',
  ],
  [
    'a mistyped value',
    '\nmode: opt_in\n',
    '/varvel.yaml:2:7: "mode" must be one of opt-in, opt-out, always; it is "opt_in". Did you mean "opt-in"?',
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
    failure(() => load('', { VARVEL_RUN_DIR: `/${'x'.repeat(120)}` })),
    /^VARVEL_RUN_DIR: "run_dir" is too long for a socket/,
  );
  assert.match(
    failure(() => load('streams: 5\n', { VARVEL_STREAMS_FILE_PATH: '/x' })),
    /:1:10: "streams" must be/,
  );
});
