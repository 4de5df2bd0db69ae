import { accessSync, constants, readlinkSync, statfsSync, statSync } from 'node:fs';
import { arch, release } from 'node:os';
import { dirname } from 'node:path';
import { detectHierarchy } from '../../apps/cgroup-hierarchy.ts';
import { compileRules } from '../../apps/runtimes/cgroup.ts';
import type { AgentConfig } from '../../config/config.ts';
import { leastMemory } from '../../metrics/own-usage.ts';
import { kernelTooOld } from '../../probe/kernel-version.ts';
import { diskTrouble } from '../../shared/disk-trouble.ts';
import { openFilesVerdict } from '../../shared/open-files.ts';
import { hasCapability, statusText } from './capabilities.ts';
import { fail, note, ok, readText, warn, type Verdict } from './finding.ts';

/** include/uapi/linux/nsfs.h: the initial pid namespace always has this inode number. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]';

/** What `docker run` has to be told for a container that watches its host. */
const CONTAINER_OPTIONS =
  '--privileged --pid=host --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup';

/** The numbers of lines take most of a MiB, and a spool begins with some. */
const STATE_BYTES = 4 * 1024 * 1024;

/** `release` as uname(2) gives it; `architecture` as Node names it. */
export function checkKernel(version = release(), architecture = arch()): Verdict {
  const tooOld = kernelTooOld(version);
  if (tooOld !== undefined) return fail(tooOld, 'Upgrade the kernel.');
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
      `There is no BTF at ${path}: without it the probe cannot read this kernel’s data.`,
      'Use a kernel with CONFIG_DEBUG_INFO_BTF=y (every current distribution kernel), and mount /sys.',
    );
  }
}

/** `status` is the content of /proc/self/status; `link` what /proc/self/ns/pid points to. */
export function checkPrivileges(
  status = statusText(),
  link = readLink('/proc/self/ns/pid'),
): Verdict {
  const has = (name: Parameters<typeof hasCapability>[0]): boolean => hasCapability(name, status);
  if (!has('CAP_SYS_ADMIN') && !(has('CAP_BPF') && has('CAP_PERFMON'))) {
    const lacks = 'neither CAP_SYS_ADMIN nor CAP_BPF with CAP_PERFMON';
    return link === INITIAL_PID_NAMESPACE
      ? fail(
          `Not allowed to load a probe: ${lacks}.`,
          'Run varvel as root (sudo); in a container, start it with --privileged.',
        )
      : fail(
          `This is a container without the right to load BPF programs: ${lacks}.`,
          `Run it like this: docker run ${CONTAINER_OPTIONS} …; or on the host itself, as root.`,
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
  const patterns = compileRules(config.runtimes.cgroup.apps).length;
  const apps = patterns === 0 ? '' : ` Patterns that name apps by cgroup path: ${patterns}.`;
  return ok(`Containers are told apart by cgroup ${kind} at ${mountPoint}.${apps}`);
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
  if (metrics.scrapeSocket !== undefined) folders.add(dirname(metrics.scrapeSocket.path));
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

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
