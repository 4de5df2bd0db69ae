import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { UserError } from '../../../src/shared/user-error.ts';
import { DEFAULT_RULES_FILE, RULE_KEYS } from '../../../src/config/config.ts';
import { changedKeys, loadConfig } from '../../../src/config/load.ts';
import { VALUE_PATHS } from '../../../src/config/schema.ts';
import { PRIORITIES } from '../../../src/rules/detection.ts';
import { failure, folder, load, path } from './load-fixture.ts';

test('no file is needed', () => {
  const { config, file, warnings, settings } = loadConfig({ env: {}, defaultFile: '/nonexistent' });
  assert.equal(file, undefined);
  assert.deepEqual(warnings, []);
  assert.deepEqual(config, {
    rulesFiles: [DEFAULT_RULES_FILE],
    rulesAllowNone: false,
    ruleSelection: [],
    appendOutput: [],
    outputStyle: 'short',
    minimumPriority: 'Debug',
    responses: [],
    policies: {
      enabled: true,
      pinned: [],
      responses: [],
      beforeIdentity: 'report',
      budget: { cpuPercent: 2, atOnceMs: 20 },
    },
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
      garden: {
        enabled: 'auto',
        socket: '/var/vcap/data/garden/garden.sock',
        cgroupParents: [],
        staging: 'exclude',
      },
      cri: {
        enabled: false,
        socket: undefined,
        stateDir: '/run/containerd',
        apps: 'all',
        cgroupParents: [],
      },
      cgroup: { apps: [] },
    },
    cgroupHierarchy: 'auto',
    rescanIntervalMs: 20_000,
    holdTimeMs: 5000,
    limits: { burst: 50, perMinute: 60, appBurst: 500, appPerMinute: 600, summaryMs: 30_000 },
    coverage: { enabled: true, intervalMs: 300_000 },
    canary: {
      enabled: false,
      intervalMs: 86_400_000,
      timeoutMs: 60_000,
      app: { name: 'varvel-canary', guid: undefined, space: undefined, org: undefined },
      logCache: undefined,
    },
    streams: {
      container: { enabled: true, format: 'json' },
      appFile: { enabled: true, format: 'json' },
      file: { enabled: false, path: undefined, format: 'json' },
      stdout: { enabled: false, format: 'json' },
      syslog: {
        enabled: false,
        audience: 'operator',
        format: 'json',
        address: undefined,
        onUrlChange: 'keep',
        sourceType: 'VARVEL',
        tls: { ca: undefined, cert: undefined, key: undefined, serverName: undefined },
      },
      http: {
        enabled: false,
        audience: 'operator',
        format: 'falco',
        address: undefined,
        socket: undefined,
        onUrlChange: 'keep',
        batch: false,
        headers: {},
        tokenFile: undefined,
        tls: { ca: undefined, cert: undefined, key: undefined, serverName: undefined },
      },
      otlp: {
        enabled: false,
        audience: 'operator',
        protocol: 'http/protobuf',
        address: undefined,
        onUrlChange: 'keep',
        compression: 'none',
        timeoutMs: 10_000,
        headers: {},
        tokenFile: undefined,
        tls: { ca: undefined, cert: undefined, key: undefined, serverName: undefined },
      },
      loggregator: {
        enabled: false,
        format: 'json',
        address: 'localhost:3458',
        ca: undefined,
        cert: undefined,
        key: undefined,
        serverName: 'metron',
        sourceType: 'VARVEL',
        linesPerSecond: 2000,
        metrics: { enabled: true, intervalMs: 30_000, sourceId: 'varvel' },
      },
    },
    probe: {
      execRingBytes: 2 * 1024 ** 2,
      bulkRingBytes: 4 * 1024 ** 2,
      tickMs: 2,
      compatCalls: true,
      kernelVerdicts: true,
      denyWithoutAgentMs: 0,
      bpfFileSystem: '/sys/fs/bpf',
    },
    context: { maxProcesses: 65_536 },
    metrics: {
      listen: { kind: 'unix', path: '/run/varvel/metrics.sock' },
      scrapeSocket: undefined,
    },
    runDir: '/run/varvel',
    stateDir: '/var/lib/varvel',
    ceilings: { cpuPercent: undefined, memoryBytes: undefined, restoreAfterMs: 30_000 },
    spoolMaxBytes: 64 * 1024 ** 2,
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

test('Loggregator needs the files for mutual TLS, and an address', () => {
  const on = 'streams:\n  loggregator: {enabled: true, ca: a.crt, cert: b.crt';
  assert.equal(load(`${on}, key: b.key}`).config.streams.loggregator.key, join(folder, 'b.key'));
  assert.throws(
    () => load(`${on}}`),
    (error) =>
      error instanceof UserError &&
      /streams\.loggregator is enabled but has no key: .*Set streams\.loggregator\.key/.test(
        error.message,
      ) &&
      error.toDisplay().includes(':2:'),
  );
  assert.throws(
    () => load(`${on}, key: b.key, address: metron}`),
    /a host and a port, such as localhost:3458/,
  );
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
      VARVEL_PROBE_COMPAT_CALLS: 'false',
      VARVEL_PROBE_EXEC_RING_BYTES: '1MiB',
      VARVEL_DEBUG: '1',
      VARVEL_PROGRAM: '/opt/varvel/varvel/bin/varvel',
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
  assert.equal(config.probe.compatCalls, false);
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

test('the runtime of Kubernetes is on when it has a socket; containerd’s state is where the socket is', () => {
  const cri = (yaml: string) => load(`runtimes: {cri: ${yaml}}\n`).config.runtimes.cri;
  const socket = '/run/k3s/containerd/containerd.sock';
  const on = {
    enabled: true,
    socket,
    stateDir: '/run/k3s/containerd',
    apps: 'all',
    cgroupParents: [],
  };
  assert.deepEqual(cri(`{socket: ${socket}}`), on);
  assert.deepEqual(cri(`{socket: ${socket}, enabled: false}`), { ...on, enabled: false });
  const whole = cri(
    `{socket: c.sock, state_dir: state, apps: korifi, cgroup_parents: [/kubelet/kubepods]}`,
  );
  assert.deepEqual(whole, {
    enabled: true,
    socket: join(folder, 'c.sock'),
    stateDir: join(folder, 'state'),
    apps: 'korifi',
    cgroupParents: ['/kubelet/kubepods'],
  });
  const says = (yaml: string) => failure(() => cri(yaml));
  assert.match(
    says('{enabled: true}'),
    /:1:.*runtimes\.cri is enabled but has no socket: set runtimes\.cri\.socket/,
  );
  assert.match(says('{socket: 5}'), /"runtimes\.cri\.socket" must be the path of a unix socket/);
  assert.match(says('{sockett: /x}'), /Did you mean "runtimes\.cri\.socket"/);
  assert.match(says('{apps: korify}'), /Did you mean "korifi"/);
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
    'mode: opt-out\nlog_level: warn\nhold_time: 1s\nrules: [{disable: {rule: x}}]\nrule_matching: all\nminimum_priority: error\nappend_output: [{suggested_output: true}]\nrules_files: [/x]\nwatch_config_files: false\nresponses: [{match: {tag: x}, do: kill}]\npolicies: {pinned: [{tag: x}]}\n',
  );
  assert.deepEqual(changedKeys(before, after), ['mode', 'hold_time']);
  assert.deepEqual(changedKeys(before, before), []);
  for (const key of RULE_KEYS)
    assert.ok(
      VALUE_PATHS.some((at) => at.join('.') === key),
      key,
    );
});
