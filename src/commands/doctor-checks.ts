import {
  accessSync,
  constants,
  existsSync,
  readFileSync,
  readlinkSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { request } from 'node:http';
import { arch, release } from 'node:os';
import { dirname } from 'node:path';

import { detectHierarchy } from '../apps/cgroup-hierarchy.ts';
import { CgroupRuntime } from '../apps/runtimes/cgroup.ts';
import type { AgentConfig } from '../config/config.ts';
import { leastMemory } from '../metrics/own-usage.ts';
import { checkAppendOutput, loadOptions } from '../rules/configured-rules.ts';
import { formatDiagnostic } from '../rules/loader/diagnostics.ts';
import { loadRules, readRuleFile } from '../rules/loader/load.ts';
import { expandRulePaths } from '../rules/loader/rule-files.ts';
import { diskTrouble } from '../shared/disk-trouble.ts';
import { openFilesVerdict } from '../shared/open-files.ts';
import { UserError } from '../shared/user-error.ts';

/** `fail`: the agent will not run, or not watch. `warn`: something will be missing. `note`: good to know. */
export type CheckState = 'ok' | 'note' | 'warn' | 'fail';

/** What one look at the host found. */
export interface Finding {
  readonly check: string;
  readonly state: CheckState;
  /** A sentence. */
  readonly says: string;
  /** What to do about it. */
  readonly advice?: string;
}

type Verdict = Omit<Finding, 'check'>;

const ok = (says: string): Verdict => ({ state: 'ok', says });
const note = (says: string): Verdict => ({ state: 'note', says });
const warn = (says: string, advice: string): Verdict => ({ state: 'warn', says, advice });
const fail = (says: string, advice: string): Verdict => ({ state: 'fail', says, advice });

/** The oldest kernel whose hooks the probe uses. */
const KERNEL_MIN = [5, 15] as const;

/** include/uapi/linux/capability.h */
const CAPABILITIES = {
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

/** include/uapi/linux/nsfs.h: the initial pid namespace always has this inode number. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]';

/** The numbers of lines take most of a MiB, and a spool begins with some. */
const STATE_BYTES = 4 * 1024 * 1024;

/** `release` as uname(2) gives it; `architecture` as Node names it. */
export function checkKernel(version = release(), architecture = arch()): Verdict {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  if (major < KERNEL_MIN[0] || (major === KERNEL_MIN[0] && minor < KERNEL_MIN[1])) {
    return fail(
      `Linux ${version} is too old: the probe needs ${KERNEL_MIN.join('.')} or newer.`,
      'Upgrade the kernel.',
    );
  }
  if (architecture !== 'x64') {
    return fail(
      `Linux ${version} on ${architecture}: varvel is built and tested for x86-64 only.`,
      'Run it on an x86-64 host.',
    );
  }
  return ok(`Linux ${version} on x86-64.`);
}

export function checkBtf(path = '/sys/kernel/btf/vmlinux'): Verdict {
  try {
    accessSync(path, constants.R_OK);
    return ok('The kernel describes its types (BTF).');
  } catch {
    return fail(
      `There is no BTF at ${path}: the probe cannot find its way in this kernel.`,
      'Use a kernel with CONFIG_DEBUG_INFO_BTF=y (every current distribution kernel), and mount /sys.',
    );
  }
}

/** `status` is the content of /proc/self/status. */
export function checkPrivileges(status = readText('/proc/self/status')): Verdict {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  const has = (name: keyof typeof CAPABILITIES): boolean =>
    ((effective >> BigInt(CAPABILITIES[name])) & 1n) === 1n;
  if (!has('CAP_SYS_ADMIN') && !(has('CAP_BPF') && has('CAP_PERFMON'))) {
    return fail(
      'Not allowed to load a probe: neither CAP_SYS_ADMIN nor CAP_BPF with CAP_PERFMON.',
      'Run varvel as root (sudo), in a container with --privileged.',
    );
  }
  if (!has('CAP_SYS_PTRACE')) {
    return warn(
      'CAP_SYS_PTRACE is missing: users and processes of containers cannot be looked up.',
      'Add CAP_SYS_PTRACE, or run varvel as root.',
    );
  }
  return ok('Allowed to load a probe and to look into containers.');
}

/** `link` is what /proc/self/ns/pid points to. */
export function checkNamespace(link = readLink('/proc/self/ns/pid')): Verdict {
  if (link === INITIAL_PID_NAMESPACE) return ok('Sees the host’s processes.');
  return fail(
    'Runs in a pid namespace of its own: /proc shows other pids than the kernel reports.',
    'Start the agent’s container with --pid=host (Kubernetes: hostPID: true).',
  );
}

export function checkLockdown(path = '/sys/kernel/security/lockdown'): Verdict {
  if (readText(path).includes('[confidentiality]')) {
    return fail(
      'Kernel lockdown is "confidentiality": it forbids BPF to read the kernel.',
      'Boot with lockdown=integrity or none.',
    );
  }
  return ok('Kernel lockdown does not forbid BPF.');
}

export function checkTracefs(mountinfo = readText('/proc/self/mountinfo')): Verdict {
  if (/ - tracefs /.test(mountinfo)) return ok('tracefs is mounted.');
  return note('tracefs is not mounted; the agent opens one of its own, which nobody else sees.');
}

export function checkCgroups(config: AgentConfig): Verdict {
  const { kind, mountPoint } = detectHierarchy(config.cgroupHierarchy);
  const patterns = new CgroupRuntime(config.runtimes.cgroup.apps).patterns.length;
  const apps = patterns === 0 ? '' : ` ${patterns} of its patterns are apps of their own.`;
  return ok(`Containers are told apart by cgroup ${kind} at ${mountPoint}.${apps}`);
}

/** The native package is built and loads; that it fits the agent shows in the self-test. */
export async function checkLoader(): Promise<Verdict> {
  const build = 'Build it: npm run build:native (npm run setup installs what that needs).';
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve('ebpf-loader-napi/package.json'));
  } catch {
    return fail('The package ebpf-loader-napi is not installed.', 'Run npm ci.');
  }
  for (const file of ['build/Release/ebpf_loader.node', 'build/probe.bpf.o']) {
    if (!existsSync(`${folder}/${file}`))
      return fail(`The native part is not built: ${folder}/${file} is missing.`, build);
  }
  try {
    await import('../probe/live.ts');
  } catch (error) {
    return fail(`The native part does not load: ${firstLine(error)}`, build);
  }
  return ok('The native part is built and loads.');
}

/**
 * `selfTest` loads the probe, lets a child do what the probe must see, and resolves to the names of what it did
 * not see; it rejects with a UserError when the kernel refuses the probe.
 */
export async function checkSelfTest(selfTest: () => Promise<readonly string[]>): Promise<Verdict> {
  const unseen = await selfTest();
  if (unseen.length > 0) {
    return fail(
      `The probe loads, but the kernel does not report: ${unseen.join(', ')}.`,
      'Check that no other security software forbids it, then report this with your kernel version.',
    );
  }
  return ok('The probe loads, and reports an exec, an open, a connect and an exit of a child.');
}

/** What a probe in the running kernel found out. */
export interface ProbeFindings {
  /** What the self-test's child did that was not reported. */
  readonly unseen: readonly string[];
  /** The hooks that this kernel has tracepoints for. */
  readonly hooks: readonly string[];
}

/** Calls by ia32 (`int 0x80`) and x32, which 64-bit tracepoints do not see. `hooks`: undefined if no probe was loaded. */
export function checkCompatCalls(
  config: AgentConfig,
  hooks: readonly string[] | undefined,
): Verdict {
  if (!config.probe.compatCalls) {
    return warn(
      'Calls by 32-bit (ia32) and x32 programs are not seen, and any program can make some: probe.compat_calls is off.',
      'Set probe.compat_calls: true. It costs every system call some ns while a container is watched.',
    );
  }
  if (hooks === undefined) return note('Not known, because no probe was loaded.');
  if (hooks.includes('compat_exit'))
    return ok('Calls by 32-bit (ia32) and x32 programs are seen like 64-bit ones.');
  return warn(
    'Calls by 32-bit (ia32) and x32 programs are not seen: this kernel has no tracepoint sys_exit.',
    'Use a kernel with CONFIG_HAVE_SYSCALL_TRACEPOINTS=y (every current distribution kernel).',
  );
}

/** `disabled` is the content of /proc/sys/kernel/io_uring_disabled (6.6). */
export function checkIoUring(
  hooks: readonly string[] | undefined,
  disabled = readText('/proc/sys/kernel/io_uring_disabled'),
): Verdict {
  if (hooks?.includes('io_uring') === true)
    return ok(
      'Opens, connects, new sockets and changes of names by io_uring are seen like system calls.',
    );
  if (disabled.trim() === '2') return ok('Nobody can use io_uring: kernel.io_uring_disabled is 2.');
  if (hooks === undefined) return note('Not known, because no probe was loaded.');
  return warn(
    'Opens and connects by io_uring are not seen on this host: its kernel has no io_uring, or does not report its requests in a way that the probe knows (5.19 and newer do).',
    'Unless it has none, upgrade the kernel or forbid it: sysctl kernel.io_uring_disabled=2 (Linux 6.6); Docker’s default seccomp profile does since 25.0.',
  );
}

/** Asks the engine for its version, as the agent will. */
export async function checkDocker(config: AgentConfig): Promise<Verdict> {
  const { enabled, socket } = config.runtimes.docker;
  if (enabled === false) return note('Docker is turned off in the configuration.');
  if (!existsSync(socket)) {
    if (enabled === 'auto')
      return note(`No Docker engine: there is no socket at ${socket}. It is looked for again.`);
    return fail(
      `Docker is enabled, but there is no socket at ${socket}.`,
      'Start dockerd, or set runtimes.docker.socket.',
    );
  }
  try {
    const version = await dockerVersion(socket);
    return ok(`Docker ${version} answers on ${socket}.`);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? firstLine(error);
    const denied = code === 'EACCES' || code === 'EPERM';
    return (enabled === 'auto' ? warn : fail)(
      denied
        ? `Not allowed to use the Docker socket ${socket}.`
        : `Nothing that is Docker answers on ${socket} (${code}).`,
      denied
        ? 'Run varvel as root.'
        : 'Start dockerd, set runtimes.docker.socket, or turn Docker off with runtimes.docker.enabled: false.',
    );
  }
}

function dockerVersion(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(3000);
    const asked = request({ socketPath, path: '/version', agent: false, signal }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
        if (body.length > 65_536) response.destroy(new Error('too long an answer'));
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          const { Version } = JSON.parse(body) as { Version?: unknown };
          if (typeof Version === 'string' && /^[\w.+~-]{1,64}$/.test(Version)) resolve(Version);
          else reject(new Error('not an answer of Docker'));
        } catch {
          reject(new Error('not an answer of Docker'));
        }
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

export function checkRules(config: AgentConfig): Verdict {
  checkAppendOutput(config);
  const files = expandRulePaths(config.rulesFiles);
  const result = loadRules(files.map(readRuleFile), loadOptions(config));
  const [error] = result.errors;
  if (error !== undefined) {
    return fail(
      `The rules have ${count(result.errors.length, 'error')}; the first:\n${formatDiagnostic(error)}`,
      `See them all: varvel check ${files.join(' ')}`,
    );
  }
  const says = `${count(result.loadedRules, 'rule')} from ${files.join(', ')}.`;
  if (result.ruleSet?.rules.some(({ enabled }) => enabled) !== true) {
    const what = `No rule from ${files.join(', ')} is enabled`;
    return config.rulesAllowNone
      ? warn(`${what}; rules_allow_none is on.`, 'Check rules_files, rules and minimum_priority.')
      : fail(
          `${what}: the agent does not start.`,
          'Check rules_files, rules and minimum_priority; or set rules_allow_none: true.',
        );
  }
  if (result.warnings.length > 0) {
    return warn(
      `${says} ${count(result.warnings.length, 'warning')}.`,
      `See them: varvel check ${files.join(' ')}`,
    );
  }
  return ok(says);
}

/** `meminfo` is the content of /proc/meminfo. */
export function checkMemory(config: AgentConfig, meminfo = readText('/proc/meminfo')): Verdict {
  const available = Number(/^MemAvailable:\s*(\d+) kB/m.exec(meminfo)?.[1] ?? 0) * 1024;
  const needed = leastMemory(config.probe);
  const says = `${mebibytes(available)} of memory are available; the agent may use ${mebibytes(needed)}.`;
  if (available >= needed) return ok(says);
  return warn(
    says,
    'Make the rings smaller (probe.exec_ring_bytes, probe.bulk_ring_bytes), or free memory.',
  );
}

/** Whether a process that is started like this one may open enough files. */
export function checkOpenFiles(limits?: string): Verdict {
  const { state, says, advice } = openFilesVerdict(limits);
  return state === 'ok' ? ok(says) : { state, says, advice };
}

/** Folders that the agent writes to: for its socket, its state, and the operator's copy. */
export function checkFolders(config: AgentConfig): Verdict {
  const { metrics, runDir, stateDir, streams } = config;
  const folders = new Set([runDir, stateDir]);
  if (metrics.listen.kind === 'unix') folders.add(dirname(metrics.listen.path));
  if (streams.file.enabled && streams.file.path !== undefined)
    folders.add(dirname(streams.file.path));
  for (const folder of folders) {
    const problem = unwritable(folder);
    if (problem !== undefined)
      return fail(
        problem,
        'Make it writable for the agent, or name another one in the configuration.',
      );
  }
  const poor = poorIn(stateDir);
  if (poor !== undefined)
    return warn(
      `${poor}: the agent watches, but cannot keep the numbers of lines and lines that wait.`,
      'Make room, or name another state_dir.',
    );
  return ok(`Can write to ${[...folders].join(', ')}.`);
}

/** The nearest folder that exists must be one, and writable; what is missing below it is made. */
function unwritable(folder: string): string | undefined {
  const at = nearest(folder);
  if (!statSync(at).isDirectory()) return `${at} is not a folder, so ${folder} cannot be used.`;
  try {
    accessSync(at, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    // The agent starts all the same: see poorIn.
    if (diskTrouble(error) !== undefined) return undefined;
    return `Cannot write to ${at}.`;
  }
}

function nearest(folder: string): string {
  let at = folder;
  while (statSync(at, { throwIfNoEntry: false }) === undefined) at = dirname(at);
  return at;
}

/** Why little or nothing can be kept there, as a clause; undefined when there is room. */
function poorIn(folder: string): string | undefined {
  const at = nearest(folder);
  try {
    accessSync(at, constants.W_OK);
  } catch (error) {
    return `On ${at} ${diskTrouble(error) ?? 'nothing can be written'}`;
  }
  const { bavail, bsize } = statfsSync(at);
  const free = bavail * bsize;
  return free >= STATE_BYTES ? undefined : `The disk of ${at} has ${mebibytes(free)} left`;
}

/** Runs a check; whatever it throws is a failure of the check, not of the doctor. */
export async function examine(
  check: string,
  look: () => Verdict | Promise<Verdict>,
): Promise<Finding> {
  try {
    return { check, ...(await look()) };
  } catch (error) {
    const says =
      error instanceof UserError ? error.toDisplay() : `The check failed: ${firstLine(error)}`;
    return { check, state: 'fail', says };
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n')[0] ?? '';
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
