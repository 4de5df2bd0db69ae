// The configuration of an agent that a test starts.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestDockerd } from './dockerd.ts';
import type { UnitCgroup } from './unit-cgroup.ts';

/** What a test configures; everything else is the agent's default, or the test's own folder. */
export interface E2eAgentOptions {
  /** Its Docker engine; a socket path alone for one that does not exist (yet). */
  readonly dockerd?: Pick<TestDockerd, 'socketPath' | 'execRoot'>;
  /** Its Garden, which may not be there (yet). */
  readonly garden?: {
    readonly socketPath: string;
    readonly cgroupParents: readonly string[];
    readonly staging?: 'exclude' | 'watch';
  };
  /** Apps that are cgroups, as a YAML list. */
  readonly cgroupApps?: string;
  /** Its containerd of Kubernetes, whose socket is in its state folder. */
  readonly cri?: { readonly socketPath: string; readonly apps?: 'all' | 'korifi' };
  /** Lines of YAML that are added to the configuration; top-level keys other than those of `writeConfig`. */
  readonly config?: readonly string[];
  /** Below `streams:`, instead of none. */
  readonly streams?: readonly string[];
  /** Rule files by name, written below the agent's folder and loaded after the default rules. */
  readonly rules?: Readonly<Record<string, string>>;
  readonly noDefaultRules?: boolean;
  readonly fileFormat?: 'json' | 'text';
  /** Default: a folder in the agent's own. */
  readonly stateDir?: string;
  /** Also read its stdout, and note when each line came: for `arrivals`. */
  readonly stdout?: boolean;
  /** Lines of an /etc/hosts that only the agent sees. */
  readonly hosts?: readonly string[];
  /** What it may use. */
  readonly unit?: UnitCgroup;
}

const DEFAULT_RULES = join(import.meta.dirname, '../../manifests/rules/varvel_rules.yaml');

/** Where its files are. */
export interface AgentFiles {
  readonly folder: string;
  readonly configFile: string;
  readonly operatorFile: string;
}

/** Writes it, and the files of rules that it names, below the agent's folder. */
export function writeConfig(
  options: E2eAgentOptions,
  { folder, configFile, operatorFile }: AgentFiles,
): void {
  const {
    dockerd,
    garden,
    cri,
    cgroupApps = '[]',
    config = [],
    streams = [],
    rules = {},
  } = options;
  const files = Object.entries(rules).map(([name, text]) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  });
  const defaults = options.noDefaultRules === true ? [] : [DEFAULT_RULES];
  writeFileSync(
    configFile,
    [
      `run_dir: ${folder}`,
      `state_dir: ${options.stateDir ?? join(folder, 'state')}`,
      `rules_files: ${JSON.stringify([...defaults, ...files])}`,
      'runtimes:',
      dockerd === undefined
        ? '  docker: {enabled: false}'
        : `  docker: {enabled: true, socket: ${dockerd.socketPath}, exec_root: ${dockerd.execRoot}}`,
      garden === undefined
        ? '  garden: {enabled: false}'
        : `  garden: {enabled: true, socket: ${garden.socketPath}, cgroup_parents: ${JSON.stringify(garden.cgroupParents)}, staging: ${garden.staging ?? 'exclude'}}`,
      `  cgroup: {apps: ${cgroupApps}}`,
      ...(cri === undefined
        ? []
        : [`  cri: {socket: ${cri.socketPath}, apps: ${cri.apps ?? 'all'}}`]),
      'streams:',
      `  file: {path: ${operatorFile}, format: ${options.fileFormat ?? 'json'}}`,
      ...(options.stdout === true ? ['  stdout: {enabled: true}'] : []),
      ...streams.map((line) => `  ${line}`),
      // Lines that come by themselves: tests that look at them say so.
      ...(config.some((line) => line.startsWith('coverage:'))
        ? []
        : ['coverage: {enabled: false}']),
      ...config,
      '',
    ].join('\n'),
  );
}
