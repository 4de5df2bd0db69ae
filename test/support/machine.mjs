// What the layers of the tests need of a machine, each by a try of it, as a table. No package is needed for it, and nothing is left.
//   machine.mjs [--out FILE]   prints the table; FILE gets the layers that run here, one a line
// `npm test` does it first. It needs `npm run setup` for the probe: what is not built cannot be loaded.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readlinkSync, rmdirSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** include/uapi/linux/nsfs.h: the initial pid namespace always has this inode number. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]';

const runs = (command, ...args) =>
  spawnSync(command, args, { stdio: 'ignore', timeout: 60_000 }).status === 0;
const missing = (...commands) => commands.filter((name) => !runs('sh', '-c', `command -v ${name}`));
const needsPackages = (names) =>
  names.length === 0 ? undefined : `missing: ${names.join(', ')} (npm run setup:test as root)`;

/** Each resolves to undefined if it is there, or else to what is not, as a clause. */
const TRIES = {
  root: () => (process.getuid?.() === 0 ? undefined : 'not root'),
  mount: () =>
    runs('unshare', '--mount', 'mount', '-t', 'tmpfs', 'varvel-try', '/tmp')
      ? undefined
      : 'no right to mount',
  cgroup: () => {
    const parent = existsSync('/sys/fs/cgroup/cgroup.controllers') ? '' : '/pids';
    const folder = `/sys/fs/cgroup${parent}/varvel-try-${process.pid}`;
    try {
      mkdirSync(folder);
      rmdirSync(folder);
      return undefined;
    } catch (error) {
      return `no cgroup can be made (${error.code})`;
    }
  },
  namespace: () => {
    const own = readlinkSync('/proc/self/ns/pid');
    return own === INITIAL_PID_NAMESPACE
      ? undefined
      : 'a container with process numbers of its own';
  },
  bpf: () => {
    // The doctor loads the probe into the kernel, and has it report a child.
    const { stdout } = spawnSync(process.execPath, ['dist/main.js', 'doctor', '--json'], {
      encoding: 'utf8',
      timeout: 120_000,
    });
    let findings;
    try {
      ({ findings } = JSON.parse(stdout));
    } catch {
      return 'the agent is not built (npm run setup)';
    }
    const of = (check) => findings.find((finding) => finding.check === check);
    const failed = ['kernel', 'types', 'privileges', 'loader', 'self-test']
      .map(of)
      .find((finding) => finding?.state === 'fail');
    if (failed !== undefined) return `no BPF: ${failed.says}`;
    return of('self-test')?.state === 'ok' ? undefined : 'no BPF: its self-test was not run';
  },
  docker: () => needsPackages(missing('dockerd', 'docker', 'containerd', 'runc')),
  receivers: () => needsPackages(missing('rsyslogd', 'promtool', 'prometheus', 'openssl')),
  guests: () => needsPackages(missing('qemu-system-x86_64', 'xz')),
  browser: () => needsPackages(missing('chromium')),
  modules: () => (existsSync('node_modules/tsx') ? undefined : 'npm packages are missing (npm ci)'),
};

const PROBE = ['modules', 'root', 'namespace', 'mount', 'cgroup', 'bpf'];
/** In the order of the table. A `part` is tests of the layers above that are skipped without it. */
export const LAYERS = [
  { layer: 'unit', needs: ['modules'] },
  { layer: 'property', needs: ['modules'] },
  { layer: 'fuzz', needs: ['modules'] },
  { layer: 'disk', part: 'unit and property tests on a disk that is full', needs: ['mount'] },
  { layer: 'scale', needs: ['modules'] },
  { layer: 'kernel', needs: PROBE },
  { layer: 'e2e/no-engine', needs: [...PROBE, 'receivers'] },
  { layer: 'integration', needs: [...PROBE, 'receivers'] },
  { layer: 'integration/engine', needs: [...PROBE, 'docker'] },
  { layer: 'e2e', needs: [...PROBE, 'docker', 'receivers'] },
  { layer: 'vm', needs: ['modules', 'root', 'mount', 'guests'] },
  {
    layer: 'browser',
    part: 'the page of a report in Chromium',
    needs: [...PROBE, 'receivers', 'browser'],
  },
];

const found = new Map();

/** What this machine lacks of a need, as a clause; undefined if it is there. Each is tried once. */
export function lackOf(need) {
  if (!found.has(need)) found.set(need, TRIES[need]());
  return found.get(need);
}

/** What each layer lacks here: none if it runs. */
export function examine() {
  return LAYERS.map(({ layer, part, needs }) => {
    // Without the first of them the next ones cannot be tried.
    const first = needs.find((need) => lackOf(need) !== undefined);
    return { layer, part, lacks: first && lackOf(first) };
  });
}

/** Lines for people. */
export function tableOf(rows) {
  const width = Math.max(...rows.map(({ layer }) => layer.length));
  return rows.map(({ layer, part, lacks }) => {
    const what = part === undefined ? '' : ` (${part})`;
    const outcome = lacks === undefined ? `runs${what}` : `LEFT OUT${what}: ${lacks}`;
    return `  ${layer.padEnd(width)}  ${outcome}`;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const rows = examine();
  console.log(['What this machine can run of the tests:', ...tableOf(rows)].join('\n'));
  const at = process.argv.indexOf('--out');
  if (at > 0) {
    const lines = rows.map(
      ({ layer, lacks }) => `${lacks === undefined ? 'runs' : 'out'}\t${layer}\t${lacks ?? ''}`,
    );
    writeFileSync(process.argv[at + 1], `${lines.join('\n')}\n`);
  }
}
