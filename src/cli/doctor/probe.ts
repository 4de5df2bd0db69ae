import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { AgentConfig } from '../../config/config.ts';
import type { DenialFindings } from './denial.ts';
import { fail, firstLine, note, ok, readText, warn, type Verdict } from './finding.ts';

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
    await import('../../probe/live.ts');
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
  /** Whether it denied a program, a connection, and to open and change a file. */
  readonly denial: DenialFindings;
}

/** Calls by ia32 (`int 0x80`) and x32, which 64-bit tracepoints do not see. `hooks`: undefined if no probe was loaded. */
export function checkCompatCalls(
  config: AgentConfig,
  hooks: readonly string[] | undefined,
): Verdict {
  if (!config.probe.compatCalls) {
    return warn(
      'Calls by 32-bit (ia32) and x32 programs are not seen, and any program can make some: probe.compat_calls is off.',
      'Set probe.compat_calls: true. It costs every system call of the host 90 to 180 ns while a container is watched.',
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
    'If the kernel has io_uring, upgrade to 5.19 or newer, or disable io_uring: sysctl kernel.io_uring_disabled=2 (Linux 6.6); Docker’s default seccomp profile does since 25.0.',
  );
}
