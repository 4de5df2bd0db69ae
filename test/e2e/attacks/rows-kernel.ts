import { as, FAR, K8S_API, NET_ADMIN, reach, type AttackRow, type ImpossibleRow } from './row.ts';

const UNCONFINED = { SecurityOpt: ['seccomp=unconfined'] };
const CONNECTS = { none: 'apps connect to hosts that no rule of ours can know' };
const METADATA = '169.254.169.254';

/** Connections, sockets, namespaces, users, and what else only a system call shows. */
export const KERNEL_ROWS: readonly AttackRow[] = [
  {
    action: 'unshare',
    upstream: 'Change namespace privileges via unshare',
    file: 'incubating',
    ours: 'Namespace made or entered',
    does: 'unshare -U true || true',
  },
  {
    action: 'setns',
    upstream: 'Change thread namespace',
    file: 'incubating',
    ours: 'Namespace made or entered',
    does: [as('shop'), 'setns'],
    host: { CapAdd: ['SYS_ADMIN', 'SYS_PTRACE'] },
  },
  {
    action: 'EC2 metadata',
    upstream: 'Contact EC2 Instance Metadata Service From Container',
    file: 'incubating',
    ours: 'Cloud metadata service contacted',
    does: `${reach(METADATA, 80)} && /bin/nc ${METADATA} 80 </dev/null`,
    host: NET_ADMIN,
  },
  {
    action: 'EC2 metadata without connect',
    upstream: 'Contact EC2 Instance Metadata Service From Container',
    upstreamMisses: 'of what is sent without connect(2) it looks at datagrams only',
    file: 'incubating',
    ours: 'Cloud metadata service contacted',
    does: `${reach(METADATA, 80)} && ${as('shop')} fastopen ${METADATA} 80`,
    host: NET_ADMIN,
  },
  {
    action: 'ssh other port',
    upstream: 'Disallowed SSH Connection Non Standard Port',
    file: 'stable',
    ours: CONNECTS,
    does: `${reach(FAR, 443)} && ${as('ssh')} connect ${FAR} 443`,
    host: NET_ADMIN,
  },
  {
    action: 'interpreter inbound',
    upstream: 'Interpreted procs inbound network activity',
    file: 'sandbox',
    disabledUpstream: true,
    ours: { none: 'this is what web apps do' },
    does: `ip addr add ${FAR}/32 dev lo && ${as('lua')} accept ${FAR} 8080`,
    host: NET_ADMIN,
  },
  {
    action: 'interpreter outbound',
    upstream: 'Interpreted procs outbound network activity',
    file: 'sandbox',
    disabledUpstream: true,
    ours: CONNECTS,
    does: `${reach(FAR, 8080)} && ${as('lua')} connect ${FAR} 8080`,
    host: NET_ADMIN,
  },
  {
    action: 'java class download',
    upstream: 'Java Process Class File Download',
    file: 'sandbox',
    disabledUpstream: true,
    ours: { none: 'TLS hides it, and what it costs to look at every answer is too much' },
    does: `${reach(FAR, 80)} && ${as('java')} fetch ${FAR} 80`,
    host: NET_ADMIN,
  },
  {
    action: 'setuid',
    upstream: 'Non sudo setuid',
    file: 'incubating',
    ours: 'Ordinary user tries to become root',
    late: true,
    does: [as('shop'), 'setuid'],
    user: 'app',
  },
  {
    action: 'packet socket',
    upstream: 'Packet socket created in container',
    file: 'stable',
    ours: 'Raw network access',
    does: [as('shop'), 'packet'],
  },
  {
    action: 'ptrace anti-debug',
    upstream: 'PTRACE anti-debug attempt',
    file: 'stable',
    ours: { none: 'programs that look after themselves do it' },
    does: [as('shop'), 'traceme'],
  },
  {
    action: 'ptrace attach',
    upstream: 'PTRACE attached to process',
    file: 'stable',
    ours: 'Another process traced or changed',
    does: [as('shop'), 'attach'],
  },
  {
    action: 'setuid bit',
    upstream: 'Set Setuid or Setgid bit',
    file: 'incubating',
    ours: 'Set-user-id bit set',
    does: 'cp /bin/busybox /tmp/rootsh && chmod u+s /tmp/rootsh',
  },
  {
    action: 'system program on network',
    upstream: 'System procs network activity',
    file: 'incubating',
    ours: CONNECTS,
    does: `${reach(FAR, 8080)} && ${as('sha1sum')} connect ${FAR} 8080`,
    host: NET_ADMIN,
  },
  {
    action: 'UDP out',
    upstream: 'Unexpected UDP Traffic',
    file: 'incubating',
    ours: CONNECTS,
    does: `ip addr add ${FAR}/32 dev lo && ${as('shop')} datagram ${FAR} 5555`,
    host: NET_ADMIN,
  },
  {
    action: 'userfaultfd',
    upstream: 'Unprivileged Delegation of Page Faults Handling to a Userspace Process',
    file: 'sandbox',
    ours: 'Page faults handled by a program',
    does: [as('shop'), 'userfaultfd'],
    user: 'app',
    host: UNCONFINED,
  },
  {
    action: 'output to a connection',
    upstream: 'Redirect STDOUT/STDIN to Network Connection in Container',
    file: 'stable',
    ours: 'Standard input or output put on a connection',
    does: `${reach(FAR, 4444)} && ${as('shop')} redirect ${FAR} 4444`,
    host: NET_ADMIN,
  },
  {
    action: 'shell on a connection',
    upstream: 'Run shell untrusted',
    file: 'stable',
    ours: 'Shell on a network connection',
    does: `ip addr add ${FAR}/32 dev lo && ${as('httpd')} wait 16 shell ${FAR} 4445`,
    host: NET_ADMIN,
  },
  {
    action: 'Kubernetes API',
    upstream: 'Contact K8S API Server From Container',
    file: 'stable',
    ours: { none: 'many apps in a cluster use its API' },
    does: `${reach(K8S_API, 443)} && ${as('shop')} connect ${K8S_API} 443`,
    host: NET_ADMIN,
  },
  {
    action: 'kernel module',
    upstream: 'Linux Kernel Module Injection Detected',
    file: 'stable',
    ours: 'Kernel module loaded or removed',
    does: [as('shop'), 'module'],
    host: { CapAdd: ['SYS_MODULE'] },
  },
];

/** What cannot be done here by anyone, or not seen by design. */
export const IMPOSSIBLE_ROWS: readonly ImpossibleRow[] = [
  {
    action: 'network tool, host',
    upstream: 'Launch Suspicious Network Tool on Host',
    file: 'incubating',
    because:
      'host only (its condition says "not container"): the agent watches app containers, not the host',
  },
  {
    action: 'user management',
    upstream: 'User mgmt binaries',
    file: 'incubating',
    because:
      'host only (its condition says "not container"): the agent watches app containers, not the host',
  },
];
