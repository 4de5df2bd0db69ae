// The BOSH release without a director: its templates by real ERB, and what BOSH's and bpm's documentation say of its files.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { boshTemplate, BOSH_SETTINGS, NO_PROPERTY } from '../../manifests/docs/bosh.ts';
import { VALUE_PATHS } from '../../src/config/schema.ts';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { TLS, NEEDED, SET, nested } from '../support/bosh-properties.ts';
import { spec, yaml } from '../support/bosh-spec.ts';
import { BOSH, JOB, renderJob } from '../support/bosh-vm.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-manifests-'));
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The rendered configuration as the agent reads it. */
function load(properties: object): LoadedConfig {
  const file = join(folder, 'varvel.yml');
  writeFileSync(file, renderJob(properties).files['config/varvel.yml'] ?? '');
  return loadConfig({ file, env: {} });
}

const configOf = (properties: object): object =>
  parse(renderJob(properties).files['config/varvel.yml'] ?? '') as object;

describe('the job', () => {
  test('its spec and its files name each other', () => {
    const templates = Object.keys(spec.templates).sort();
    assert.deepEqual(readdirSync(join(JOB, 'templates')).sort(), templates);
    assert.equal(new Set(Object.values(spec.templates)).size, templates.length);
    assert.deepEqual([...spec.packages].sort(), readdirSync(join(BOSH, 'packages')).sort());
    for (const [name, { description, default: value }] of Object.entries(spec.properties)) {
      assert.ok(description.length > 5, name);
      const says = /Without it|Needed|private key of cert|where it is not/.test(description);
      assert.ok(value !== undefined || says, `${name} has neither a default nor a word about none`);
    }
  });

  test('templates look at exactly the properties that are declared', () => {
    const declared = Object.keys(spec.properties).sort();
    assert.deepEqual(Object.keys(SET).sort(), declared, 'the test sets every property');
    assert.deepEqual([...renderJob(nested(SET)).asked].sort(), declared);
  });

  test('every setting of the agent is a property, or has a reason not to be', () => {
    const declared = Object.keys(spec.properties);
    for (const [setting, property] of BOSH_SETTINGS)
      assert.ok(declared.includes(property), `${setting}: the spec has no property ${property}`);
    const names = VALUE_PATHS.map((path) => path.join('.'));
    for (const left of Object.keys(NO_PROPERTY))
      assert.ok(
        names.some((name) => name === left || name.startsWith(`${left}.`)),
        `${left} is no setting any more`,
      );
    const template = readFileSync(join(JOB, 'templates/varvel.yml.erb'), 'utf8');
    assert.equal(template, boshTemplate(template), 'npm run generate');
  });

  test('its defaults are the agent’s own', () => {
    const job = load(nested(NEEDED)).config;
    const own = loadConfig({ env: {}, defaultFile: join(folder, 'none') }).config;
    const same = [
      ...(['mode', 'ruleSelection', 'appendOutput', 'minimumPriority', 'ruleMatching'] as const),
      ...(['cgroupHierarchy', 'rescanIntervalMs', 'holdTimeMs', 'limits', 'coverage'] as const),
      ...(['policies', 'ceilings', 'watchConfigFiles'] as const),
      ...(['canary', 'probe', 'context', 'spoolMaxBytes', 'hostname', 'logLevel'] as const),
    ] as const;
    for (const key of same) assert.deepEqual(job[key], own[key], key);
    const { loggregator, syslog, http, otlp, file, container, appFile } = job.streams;
    assert.deepEqual(
      { ...loggregator, enabled: false, ca: undefined, cert: undefined, key: undefined },
      own.streams.loggregator,
    );
    assert.deepEqual(
      [loggregator, file, syslog, http, otlp, container, appFile].map(({ enabled }) => enabled),
      [true, true, false, false, false, false, false],
    );
    assert.deepEqual(job.runtimes.garden, { ...own.runtimes.garden, enabled: true });
    assert.equal(job.runtimes.docker.enabled, false);
  });

  test('every property reaches the agent', () => {
    const all = load(nested(SET));
    assert.deepEqual(all.warnings, []);
    assert.deepEqual(all.config.rulesFiles, [
      '/var/vcap/jobs/our-rules/config/rules',
      '/var/vcap/jobs/varvel/config/rules.yaml',
    ]);
    // Alone, each changes what is rendered; what a stream has needs the stream.
    const base = {
      ...NEEDED,
      'streams.syslog.url': 'syslog+tls://logs:6514',
      'streams.http.url': 'https://hooks/',
      'streams.otlp.url': 'https://collector/',
      'canary.app.guid': 'another',
      'canary.read.log_cache.address': 'https://log-cache',
    };
    const before = JSON.stringify(renderJob(nested(base)).files);
    const never = ['limits.enabled', 'streams.loggregator.enabled', 'streams.file.enabled'];
    for (const [name, value] of Object.entries(SET)) {
      const changed = never.includes(name) ? false : value;
      const more = name === 'rules.shipped' ? { 'rules.files': ['/var/vcap/x'] } : {};
      const { files } = renderJob(nested({ ...base, ...more, [name]: changed }));
      assert.notEqual(JSON.stringify(files), before, name);
    }
    const { files } = renderJob(nested(SET));
    for (const stream of ['loggregator', 'syslog', 'http', 'otlp', 'log_cache'])
      for (const [file, what] of [
        ['_ca.crt', 'CA'],
        ['.crt', 'CERT'],
        ['.key', 'KEY'],
      ] as const)
        assert.equal(
          files[`config/certs/${stream}${file}`],
          `${stream.toUpperCase()} ${what}\n`,
          `${stream}${file}`,
        );
    assert.equal(files['config/certs/http_token'], 'TOKEN\n');
    assert.equal(files['config/certs/otlp_token'], 'OTLP TOKEN\n');
    assert.equal(files['config/certs/log_cache_token'], 'LOG_CACHE TOKEN\n');
    const certs = '/var/vcap/jobs/varvel/config/certs';
    assert.deepEqual(all.config.canary, {
      enabled: true,
      intervalMs: 6 * 3_600_000,
      timeoutMs: 30_000,
      app: {
        name: 'canary',
        guid: SET['canary.app.guid'],
        space: 'ops',
        org: 'platform',
      },
      logCache: {
        address: { secure: true, host: 'log-cache.example.org', port: 8083, path: '/' },
        tls: {
          ca: `${certs}/log_cache_ca.crt`,
          cert: `${certs}/log_cache.crt`,
          key: `${certs}/log_cache.key`,
          serverName: 'log-cache',
        },
        tokenFile: `${certs}/log_cache_token`,
      },
    });
    assert.equal(files['config/rules.yaml']?.trim(), String(SET['rules.inline']).trim());
  });

  /** Other texts are refused. */
  const PATHS_FOR_BPM = ['garden.socket', 'probe.bpf_filesystem'];

  test('no value breaks a file', () => {
    const hostile = [
      `it's "quoted" \\ two\nlines: [ #{no}: {comment} # x <%= raise "run" %> \u2028\u0007\u007f\u{1f600}`,
      '- &a *b !!c | >',
    ];
    const texts = Object.entries(SET).filter(
      ([name, value]) => typeof value === 'string' && !PATHS_FOR_BPM.includes(name),
    );
    const filesWith = (name: string, text: string): Readonly<Record<string, string>> =>
      renderJob(nested({ ...SET, [name]: text })).files;
    for (const [name] of texts) {
      const plain = filesWith(name, 'MARK');
      for (const text of hostile) {
        const files = filesWith(name, text);
        for (const [file, content] of Object.entries(files)) {
          const was = plain[file] ?? '';
          if (/varvel\.yml$|bpm\.yml$/.test(file)) {
            const want = JSON.stringify(parse(was)).replace('"MARK"', () => JSON.stringify(text));
            assert.equal(JSON.stringify(parse(content)), want, `${name} in ${file}`);
          } else
            assert.equal(
              content,
              was.replace('MARK', () => text),
              `${name} in ${file}`,
            );
        }
      }
    }
    const inline = [{ rule: `a "b"\n'c': <%= 1 %>`, desc: '{[' }];
    const { files } = renderJob(nested({ ...SET, 'rules.inline': inline }));
    assert.deepEqual(parse(files['config/rules.yaml'] ?? ''), inline);
  });

  test('what cannot work is said when it is rendered', () => {
    const says = (properties: object, message: RegExp): void =>
      assert.throws(() => renderJob(properties), { message });
    says(
      {},
      /streams\.loggregator\.tls\.ca_cert, cert, key: a certificate that loggregator_ca has/,
    );
    says(nested({ 'streams.loggregator.tls': { ...TLS, key: null } }), /tls\.key: a certificate/);
    says(nested({ ...NEEDED, 'rules.shipped': false }), /has no rules/);
    for (const path of ['relative', '/a b', '/a/$(touch x)', '/a/../b', '/*/x', '/a\n/b', 7])
      says(nested({ ...NEEDED, 'rules.files': [path] }), /must be an absolute path/);
    says(nested({ ...NEEDED, 'canary.enabled': true }), /the canary needs canary\.app\.guid/);
    says(nested({ ...NEEDED, 'garden.socket': "/a'/b" }), /must be an absolute path/);
    says(nested({ ...SET, 'probe.bpf_filesystem': "/a'/b" }), /must be an absolute path/);
    assert.equal(
      load(nested({ 'streams.loggregator.enabled': false })).config.streams.loggregator.enabled,
      false,
    );
    assert.throws(() => load(nested({ ...NEEDED, mode: 'alwys' })), /Did you mean "always"/);
    assert.doesNotThrow(() => configOf(nested(NEEDED)));
  });

  test('bpm.yml is what bpm’s documentation knows', () => {
    const keys = {
      process: [
        'name',
        'executable',
        'args',
        'env',
        'workdir',
        'hooks',
        'capabilities',
        'limits',
      ].concat([
        'ephemeral_disk',
        'persistent_disk',
        'additional_volumes',
        'unsafe',
        'shutdown_signal',
      ]),
      limits: ['memory', 'open_files', 'processes', 'core_file_size'],
      unsafe: ['privileged', 'unrestricted_volumes', 'host_pid_namespace'],
      volume: ['path', 'writable', 'allow_executions', 'mount_only', 'shared'],
    };
    type Volume = Readonly<Record<string, unknown>> & { path: string; mount_only?: boolean };
    const only = (what: object, allowed: readonly string[]): void => {
      for (const key of Object.keys(what)) assert.ok(allowed.includes(key), key);
    };
    for (const [properties, writable] of [
      [NEEDED, ['/sys/fs/cgroup']],
      [SET, ['/sys/fs/cgroup', SET['probe.bpf_filesystem']]],
    ] as const) {
      const text = renderJob(nested(properties)).files['config/bpm.yml'] ?? '';
      const { processes, ...rest } = parse(text) as {
        processes: Record<string, never>[];
      };
      assert.deepEqual(rest, {});
      assert.equal(processes.length, 1);
      const [process] = processes as unknown as {
        name: string;
        executable: string;
        args: string[];
        limits: { memory: string; open_files: number };
        unsafe: { unrestricted_volumes: Volume[] };
        additional_volumes: Volume[];
      }[];
      assert.ok(process);
      only(process, keys.process);
      only(process.limits, keys.limits);
      only(process.unsafe, keys.unsafe);
      assert.match(process.limits.memory, /^\d+[KMGT]$/);
      assert.ok(Number.isInteger(process.limits.open_files));
      assert.ok(process.args.every((argument) => typeof argument === 'string'));
      for (const volume of process.unsafe.unrestricted_volumes) {
        only(volume, keys.volume);
        // Otherwise bpm gives the folder to its own user.
        assert.equal(volume.mount_only, true, volume.path);
      }
      const { unrestricted_volumes: volumes } = process.unsafe;
      const opened = volumes.filter((volume) => volume['writable'] === true);
      assert.deepEqual(
        opened.map(({ path }) => path),
        writable,
      );
      for (const volume of process.additional_volumes) {
        only(volume, keys.volume);
        assert.ok(volume.path.startsWith('/var/vcap/'));
      }
      assert.equal(process.executable, '/var/vcap/packages/varvel/bin/varvel');
    }
    const monit = readFileSync(join(JOB, 'monit'), 'utf8');
    assert.match(
      monit,
      /^check process varvel\n {2}with pidfile \/var\/vcap\/sys\/run\/bpm\/varvel\/varvel\.pid\n/,
    );
    for (const command of ['start', 'stop'])
      assert.ok(
        monit.includes(`${command} program "/var/vcap/jobs/bpm/bin/bpm ${command} varvel"`),
      );
    assert.match(monit, /\n {2}group vcap\n$/);
  });
});

test('the add-on and the ops file give what the job takes, and a leaf of loggregator_ca for a client', () => {
  interface Addon {
    include: unknown;
    jobs: { name: string; release: string; properties: object }[];
  }
  interface Variable {
    name: string;
    type: string;
    options: Record<string, unknown>;
  }
  const runtime = yaml(join(BOSH, 'runtime-config.yml')) as {
    releases: { name: string }[];
    addons: Addon[];
    variables: Variable[];
  };
  const ops = yaml(join(BOSH, 'operations/add-varvel.yml')) as {
    type: string;
    path: string;
    value: unknown;
  }[];
  assert.deepEqual(
    ops.map(({ type, path }) => [type, path]),
    [
      ['replace', '/releases/name=varvel?'],
      ['replace', '/addons/name=varvel?'],
      ['replace', '/variables/name=varvel_loggregator_tls?'],
    ],
  );
  for (const [addon, variable, prefix] of [
    [runtime.addons[0], runtime.variables[0], '((cf_namespace))/'],
    [ops[1]?.value, ops[2]?.value, ''],
  ] as [Addon, Variable, string][]) {
    assert.deepEqual(addon.include, { jobs: [{ name: 'rep', release: 'diego' }] });
    const [job] = addon.jobs;
    assert.deepEqual([job?.name, job?.release], ['varvel', 'varvel']);
    const { files } = renderJob(job?.properties ?? {});
    const name = `${prefix}varvel_loggregator_tls`;
    for (const [file, part] of [
      ['loggregator_ca.crt', 'ca'],
      ['loggregator.crt', 'certificate'],
      ['loggregator.key', 'private_key'],
    ] as const)
      assert.equal(files[`config/certs/${file}`], `((${name}.${part}))\n`);
    assert.equal(variable.name, name);
    assert.equal(variable.type, 'certificate');
    assert.deepEqual(variable.options, {
      ca: `${prefix}loggregator_ca`,
      common_name: 'varvel',
      alternative_names: ['varvel'],
      extended_key_usage: ['client_auth'],
    });
  }
});
