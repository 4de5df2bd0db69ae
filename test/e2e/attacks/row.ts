import type Docker from 'dockerode';

/** One action of an intruder, and who must notice. */
export interface AttackRow {
  /** Unique; the app of its container is named after it. */
  readonly action: string;
  /** Falco's rule, and which of Falco's files it is in. */
  readonly upstream: string;
  readonly file: UpstreamFile;
  /** Falco's rule is about this and does not see it; why. */
  readonly upstreamMisses?: string;
  /** It is disabled there: the run enables it. */
  readonly disabledUpstream?: true;
  /** Our own rule, or why none of ours is about it. */
  readonly ours: string | { readonly none: string };
  /** An app that has been up for longer than rules are lenient with start scripts does it, as its child. */
  readonly late?: true;
  /** What the container runs: a shell script, or an argument vector. */
  readonly does: string | readonly string[];
  /** Run by `docker exec` with a terminal, while the container waits. */
  readonly inTerminal?: true;
  readonly user?: string;
  readonly host?: Docker.HostConfig;
  /** Why it cannot be done on this machine; undefined where it can. */
  readonly cannot?: () => string | undefined;
}

/** An action that is in the list and cannot be had here. */
export interface ImpossibleRow {
  readonly action: string;
  readonly upstream: string;
  readonly file: UpstreamFile;
  readonly because: string;
}

export type UpstreamFile = 'stable' | 'incubating' | 'sandbox';

export const UPSTREAM_FILES: Readonly<Record<UpstreamFile, string>> = {
  stable: 'falco_rules.yaml',
  incubating: 'falco-incubating_rules.yaml',
  sandbox: 'falco-sandbox_rules.yaml',
};

/** The names under which the attack program is in the image, beside the applets of busybox. */
export const PROGRAMS = [
  'apk',
  'curl',
  'debugfs',
  'httpd',
  'java',
  'kubectl',
  'login',
  'lua',
  'mysqld',
  'nmap',
  'pkexec',
  'scp',
  'server',
  'sha1sum',
  'shop',
  'ssh',
  'sudoedit',
  'xmrig',
] as const;

/** Where they are: not in /bin, whose sha1sum and others are busybox's. */
export const PROGRAM_FOLDER = '/opt/attack';

/** The path of the attack program under that name. */
export function as(name: (typeof PROGRAMS)[number]): string {
  return `${PROGRAM_FOLDER}/${name}`;
}

/** An address that is nobody's (RFC 5737): neither loopback nor private, on the container's own loopback device. */
export const FAR = '198.51.100.7';

/** Another one, which the agent's hosts file names as the API of a cluster. */
export const K8S_API = '198.51.100.8';

/** Lets a container without a network reach `address`; needs CAP_NET_ADMIN. */
export function reach(address: string, port: number): string {
  return `ip addr add ${address}/32 dev lo && ${as('server')} server ${address} ${port}`;
}

export const NET_ADMIN: Docker.HostConfig = { CapAdd: ['NET_ADMIN'] };
