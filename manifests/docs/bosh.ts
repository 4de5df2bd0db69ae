import { VALUE_PATHS } from '../../src/config/schema.ts';

// The settings of the BOSH job, from the agent's own schema: each new one is a property, or has a reason not to be.

/** Settings whose property has another name. */
const RENAMED: Readonly<Record<string, string>> = {
  rules: 'rules.selection',
  append_output: 'rules.append_output',
  output_style: 'rules.output_style',
  minimum_priority: 'rules.minimum_priority',
  rule_matching: 'rules.matching',
  rules_allow_none: 'rules.allow_none',
  'runtimes.garden.socket': 'garden.socket',
  'runtimes.garden.cgroup_parents': 'garden.cgroup_parents',
  'runtimes.garden.staging': 'garden.staging',
};

/** Settings (or sections of them) without a property, and why. */
export const NO_PROPERTY: Readonly<Record<string, string>> = {
  rules_files: 'made of rules.shipped, rules.files and rules.inline',
  'runtimes.docker': 'a cell has Garden only',
  'runtimes.cri': 'a cell has Garden only',
  'runtimes.cgroup': 'a cell has Garden only',
  'runtimes.garden.enabled': 'always on',
  'canary.read.log_cache.ca': 'a file of the job: canary.read.log_cache.tls',
  'canary.read.log_cache.cert': 'a file of the job: canary.read.log_cache.tls',
  'canary.read.log_cache.key': 'a file of the job: canary.read.log_cache.tls',
  'canary.read.log_cache.token_file': 'a file of the job: canary.read.log_cache.token',
  'streams.container': 'Garden gives no way into a container’s log',
  'streams.app_file': 'apps have no files on a cell',
  'streams.stdout': 'bpm has it for the agent’s own log',
  'streams.file.path': 'the job’s log folder',
  'streams.syslog.enabled': 'on with streams.syslog.url',
  'streams.http.enabled': 'on with streams.http.url',
  'streams.http.format': 'a receiver of Falco’s JSON',
  'streams.http.socket': 'bpm mounts no folder for it',
  'streams.loggregator.ca': 'a file of the job: streams.loggregator.tls',
  'streams.loggregator.cert': 'a file of the job: streams.loggregator.tls',
  'streams.loggregator.key': 'a file of the job: streams.loggregator.tls',
  'streams.syslog.ca': 'a file of the job: streams.syslog.tls',
  'streams.syslog.cert': 'a file of the job: streams.syslog.tls',
  'streams.syslog.key': 'a file of the job: streams.syslog.tls',
  'streams.http.ca': 'a file of the job: streams.http.tls',
  'streams.http.cert': 'a file of the job: streams.http.tls',
  'streams.http.key': 'a file of the job: streams.http.tls',
  'streams.http.token_file': 'a file of the job: streams.http.token',
  'streams.otlp.enabled': 'on with streams.otlp.url',
  'streams.otlp.ca': 'a file of the job: streams.otlp.tls',
  'streams.otlp.cert': 'a file of the job: streams.otlp.tls',
  'streams.otlp.key': 'a file of the job: streams.otlp.tls',
  'streams.otlp.token_file': 'a file of the job: streams.otlp.token',
  'metrics.scrape_socket': 'a cell’s metrics agent asks on loopback: metrics.listen',
  run_dir: 'a folder of the job',
  state_dir: 'a folder of the job',
};

const BEGIN = '# Made by `npm run generate` from src/config/schema.ts: setting => property.\n';
const END = '# End of what is made.\n';

/** Pairs of setting and property, in schema order. */
export const BOSH_SETTINGS: readonly (readonly [setting: string, property: string])[] =
  VALUE_PATHS.map((path) => path.join('.'))
    .filter((name) => !isLeftOut(name))
    .map((name) => [name, RENAMED[name] ?? name]);

function isLeftOut(name: string): boolean {
  return Object.keys(NO_PROPERTY).some((left) => name === left || name.startsWith(`${left}.`));
}

/** Fills the list of settings into the job's template. Throws if the template has no place for them. */
export function boshTemplate(template: string): string {
  const [from, to] = [template.indexOf(BEGIN), template.indexOf(END)];
  if (from < 0 || to < from) throw new Error('varvel.yml.erb has no place for the settings');
  const rows = BOSH_SETTINGS.map(([setting, property]) => `  '${setting}' => '${property}',\n`);
  const list = `settings = {\n${rows.join('')}}\n`;
  return template.slice(0, from) + BEGIN + list + template.slice(to);
}
