/** The MITRE ATT&CK (Enterprise) techniques in tags of the default rules. */
export const TECHNIQUES: Readonly<Record<string, string>> = {
  T1003: 'OS Credential Dumping',
  'T1003.007': 'Proc Filesystem',
  'T1003.008': '/etc/passwd and /etc/shadow',
  T1006: 'Direct Volume Access',
  T1014: 'Rootkit',
  'T1027.004': 'Compile After Delivery',
  T1033: 'System Owner/User Discovery',
  T1036: 'Masquerading',
  'T1036.004': 'Masquerade Task or Service',
  T1040: 'Network Sniffing',
  T1041: 'Exfiltration Over C2 Channel',
  T1046: 'Network Service Discovery',
  T1048: 'Exfiltration Over Alternative Protocol',
  T1049: 'System Network Connections Discovery',
  'T1053.003': 'Cron',
  T1055: 'Process Injection',
  'T1055.008': 'Ptrace System Calls',
  T1057: 'Process Discovery',
  T1059: 'Command and Scripting Interpreter',
  'T1059.004': 'Unix Shell',
  'T1059.006': 'Python',
  T1068: 'Exploitation for Privilege Escalation',
  'T1070.002': 'Clear Linux or Mac System Logs',
  'T1070.003': 'Clear Command History',
  'T1070.004': 'File Deletion',
  T1071: 'Application Layer Protocol',
  T1082: 'System Information Discovery',
  T1083: 'File and Directory Discovery',
  T1095: 'Non-Application Layer Protocol',
  T1098: 'Account Manipulation',
  'T1098.004': 'SSH Authorized Keys',
  T1105: 'Ingress Tool Transfer',
  'T1134.004': 'Parent PID Spoofing',
  'T1136.001': 'Local Account',
  T1140: 'Deobfuscate/Decode Files or Information',
  'T1204.002': 'Malicious File',
  T1218: 'System Binary Proxy Execution',
  'T1222.002': 'Linux and Mac File and Directory Permissions Modification',
  T1485: 'Data Destruction',
  T1496: 'Resource Hijacking',
  'T1505.003': 'Web Shell',
  T1528: 'Steal Application Access Token',
  T1543: 'Create or Modify System Process',
  'T1543.002': 'Systemd Service',
  'T1546.004': 'Unix Shell Configuration Modification',
  'T1547.006': 'Kernel Modules and Extensions',
  T1548: 'Abuse Elevation Control Mechanism',
  'T1548.001': 'Setuid and Setgid',
  'T1548.003': 'Sudo and Sudo Caching',
  'T1552.001': 'Credentials In Files',
  'T1552.004': 'Private Keys',
  'T1552.005': 'Cloud Instance Metadata API',
  T1554: 'Compromise Host Software Binary',
  T1555: 'Credentials from Password Stores',
  T1562: 'Impair Defenses',
  'T1562.001': 'Disable or Modify Tools',
  'T1565.001': 'Stored Data Manipulation',
  T1572: 'Protocol Tunneling',
  'T1574.006': 'Dynamic Linker Hijacking',
  T1609: 'Container Administration Command',
  T1610: 'Deploy Container',
  T1611: 'Escape to Host',
  T1620: 'Reflective Code Loading',
  T1622: 'Debugger Evasion',
};

/** Describes the tags of a rule for people: its kinds, then ATT&CK's tactics, then its techniques. */
export function describeTags(tags: readonly string[]): { kinds: string; attack: string } {
  const isTactic = (tag: string): boolean => tag.startsWith('mitre_');
  const isTechnique = (tag: string): boolean => /^T\d/.test(tag);
  const tactics = tags.filter(isTactic).map((tag) => tag.slice(6).replaceAll('_', ' '));
  const techniques = tags.filter(isTechnique).map((id) => {
    const name = TECHNIQUES[id];
    if (name === undefined) throw new Error(`techniques.ts has no name for the tag ${id}`);
    return `${id} ${name}`;
  });
  return {
    kinds: tags.filter((tag) => !isTactic(tag) && !isTechnique(tag)).join(', '),
    attack: [tactics.join(', '), techniques.join('; ')].filter((part) => part !== '').join(': '),
  };
}
