// Properties of the BOSH job, as a manifest may set them.

/** What a stream to the platform's log system cannot go without. */
export const TLS = { ca_cert: 'CA', cert: 'CERT', key: 'KEY' };
export const NEEDED = { 'streams.loggregator.tls': TLS };

/** A value of each property that differs from its default. */
export const SET: Readonly<Record<string, unknown>> = {
  mode: 'always',
  'rules.shipped': false,
  'rules.files': ['/var/vcap/jobs/our-rules/config/rules'],
  'rules.inline': '- macro: mine\n  condition: evt.type = open\n',
  'rules.selection': [{ disable: { rule: '*' } }, { enable: { tag: 'network' } }],
  'rules.append_output': [{ extra_output: 'on %evt.hostname' }],
  'rules.minimum_priority': 'warning',
  'rules.matching': 'all',
  'rules.allow_none': true,
  watch_config_files: false,
  'policies.enabled': false,
  'policies.pinned': [{ tag: 'container_escape' }],
  'policies.responses': ['kill'],
  'policies.budget.cpu_percent': 5,
  'policies.budget.at_once': '10ms',
  'garden.socket': '/var/vcap/data/other/garden.sock',
  'garden.cgroup_parents': ['/system.slice/garden'],
  'garden.staging': 'watch',
  cgroup_hierarchy: 'v1',
  rescan_interval: '30s',
  hold_time: '4s',
  'limits.enabled': true,
  'limits.burst': 1,
  'limits.per_minute': 2,
  'limits.app_burst': 3,
  'limits.app_per_minute': 4,
  'limits.summary_interval': '1m',
  'ceilings.cpu_percent': 50,
  'ceilings.memory': '256MiB',
  'ceilings.restore_after': '1m',
  'coverage.enabled': false,
  'coverage.interval': '10m',
  'canary.enabled': true,
  'canary.interval': '6h',
  'canary.timeout': '30s',
  'canary.app.guid': '5711bbdd-ef74-4626-ab17-ed29d72c3f7c',
  'canary.app.name': 'canary',
  'canary.app.space': 'ops',
  'canary.app.org': 'platform',
  'canary.read.log_cache.address': 'https://log-cache.example.org:8083',
  'canary.read.log_cache.server_name': 'log-cache',
  'canary.read.log_cache.token': 'LOG_CACHE TOKEN',
  'canary.read.log_cache.tls.ca_cert': 'LOG_CACHE CA',
  'canary.read.log_cache.tls.cert': 'LOG_CACHE CERT',
  'canary.read.log_cache.tls.key': 'LOG_CACHE KEY',
  'streams.loggregator.enabled': true,
  'streams.loggregator.address': '127.0.0.1:3459',
  'streams.loggregator.server_name': 'agent',
  'streams.loggregator.source_type': 'SECURITY',
  'streams.loggregator.lines_per_second': 100,
  'streams.loggregator.format': 'text',
  'streams.loggregator.metrics.enabled': false,
  'streams.loggregator.metrics.interval': '15s',
  'streams.loggregator.metrics.source_id': 'security',
  'streams.loggregator.tls.ca_cert': 'LOGGREGATOR CA',
  'streams.loggregator.tls.cert': 'LOGGREGATOR CERT',
  'streams.loggregator.tls.key': 'LOGGREGATOR KEY',
  'streams.syslog.url': 'syslog+tls://logs.example.org:6514',
  'streams.syslog.audience': 'tenant',
  'streams.syslog.format': 'text',
  'streams.syslog.source_type': 'SYSLOG',
  'streams.syslog.server_name': 'syslog.example.org',
  'streams.syslog.tls.ca_cert': 'SYSLOG CA',
  'streams.syslog.tls.cert': 'SYSLOG CERT',
  'streams.syslog.tls.key': 'SYSLOG KEY',
  'streams.http.url': 'https://hooks.example.org/falco',
  'streams.http.audience': 'tenant',
  'streams.http.batch': true,
  'streams.http.headers': { 'X-Team': 'payments' },
  'streams.http.token': 'TOKEN',
  'streams.http.server_name': 'http.example.org',
  'streams.http.tls.ca_cert': 'HTTP CA',
  'streams.http.tls.cert': 'HTTP CERT',
  'streams.http.tls.key': 'HTTP KEY',
  'streams.file.enabled': true,
  'streams.file.format': 'text',
  'spool.max_bytes': '128MiB',
  'probe.exec_ring_bytes': '1MiB',
  'probe.bulk_ring_bytes': '8MiB',
  'probe.tick_ms': 3,
  'probe.compat_calls': false,
  'probe.kernel_verdicts': false,
  'context.max_processes': 2048,
  'metrics.listen': '127.0.0.1:9434',
  hostname: 'cell-7',
  log_level: 'debug',
  'bpm.memory': '1G',
  'bpm.open_files': 1024,
};

/** `a.b.c` keys as a manifest writes them. */
export function nested(flat: Readonly<Record<string, unknown>>): object {
  const root: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(flat)) {
    const path = name.split('.');
    let at = root;
    for (const part of path.slice(0, -1)) at = (at[part] ??= {}) as Record<string, unknown>;
    at[path.at(-1) ?? ''] = value;
  }
  return root;
}
