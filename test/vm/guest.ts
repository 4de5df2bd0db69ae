import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { GuestKernel } from './guest-kernel.ts';
import { packInitramfs } from './initramfs.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const MEMORY = '2048M';
/** A guest that takes longer hangs. Beside another one and other work, on two cores, one was not done in half of it. */
const LIMIT_MS = 3_600_000;

/** What is mounted at /sys/fs/cgroup: v2 alone, v1 with v2 at `unified`, v1 alone. */
export type CgroupLayout = 'v2' | 'hybrid' | 'v1';

/** What a guest does. */
export interface GuestOptions {
  readonly kernel: GuestKernel;
  readonly cgroups: CgroupLayout;
  /** A shell script, run by root in the repository. */
  readonly command: string;
  /** PID 1 is this machine's systemd (cgroups are v2 then), and /etc, /opt, /usr/local and /var can be written to. */
  readonly systemd?: boolean;
  /** Its clock counts instructions, 1 ns each, on one processor: what it measures depends on nothing else. */
  readonly countsInstructions?: boolean;
}

/** How it ended. */
export interface GuestRun {
  /** The command's. */
  readonly code: number;
  /** Its console: the kernel's messages, and what the command wrote to its output and its error output. */
  readonly output: string;
  readonly ms: number;
}

/**
 * Boots the kernel in qemu, with this machine's root file system read-only (over 9p) and /tmp, /var/tmp, /run and
 * /root empty in memory, and runs the command there. Nothing that it does outlives it. Needs qemu-system-x86_64
 * and a static /bin/busybox; uses KVM where there is one. Throws an Error with the console's output when the guest
 * ends without an exit code (it panicked) or is not done in an hour.
 */
export async function runInGuest(options: GuestOptions): Promise<GuestRun> {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-vm-'));
  try {
    const initramfs = join(folder, 'initramfs');
    const exitCode = join(folder, 'exit-code');
    writeFileSync(initramfs, packGuest(options));
    const started = performance.now();
    const { output, timedOut } = await runQemu(qemuArguments(options, initramfs, exitCode));
    const ms = performance.now() - started;
    const said = existsSync(exitCode) ? readFileSync(exitCode, 'latin1') : '';
    const code = /^(\d+)\r?\n$/.exec(said)?.[1];
    if (timedOut || code === undefined) {
      const how = timedOut ? `was not done after ${LIMIT_MS / 1000} s` : 'ended on its own';
      throw new Error(`The guest (Linux ${options.kernel.release}) ${how}:\n${output}`);
    }
    return { code: Number(code), output, ms };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function packGuest({ kernel, command }: GuestOptions): Buffer {
  return packInitramfs(
    [
      { path: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 },
      {
        path: 'init',
        content: readFileSync(join(import.meta.dirname, 'guest-init.sh')),
        mode: 0o755,
      },
      { path: 'command', content: Buffer.from(`${command}\n`) },
      ...kernel.modules.map((path, index) => ({
        path: `modules/${String(index).padStart(2, '0')}-${basename(path)}`,
        content: readFileSync(path),
      })),
    ],
    ['proc', 'dev', 'host'],
  );
}

function qemuArguments(options: GuestOptions, initramfs: string, exitCode: string): string[] {
  const { kernel, cgroups, countsInstructions = false } = options;
  const counting = ['-accel', 'tcg,thread=single,tb-size=512', '-icount', 'shift=0,sleep=off'];
  const usual = ['-accel', hasHardwareKvm() ? 'kvm' : 'tcg,thread=multi,tb-size=512'];
  return [
    ...(countsInstructions ? counting : usual),
    '-cpu',
    'max',
    '-smp',
    countsInstructions ? '1' : '2',
    '-m',
    MEMORY,
    '-nodefaults',
    '-no-user-config',
    '-no-reboot',
    '-display',
    'none',
    '-serial',
    'stdio',
    '-serial',
    `file:${exitCode}`,
    '-kernel',
    kernel.image,
    '-initrd',
    initramfs,
    '-virtfs',
    'local,path=/,mount_tag=host,security_model=passthrough,readonly=on,multidevs=remap',
    '-append',
    // maxcpus=1: guest-init.sh starts the second processor, once all devices are set up. Before that, Debian 13's qemu
    // (10.0) can crash: a processor uses a map of the memory that another's set-up of PCI has just freed.
    `console=ttyS0 quiet maxcpus=1 panic=-1 mitigations=off guest.cgroups=${cgroups} guest.cwd=${REPOSITORY}${options.systemd === true ? ' guest.init=systemd' : ''}`,
  ];
}

/** A /dev/kvm alone says little: one that shadows page tables in software does not get through a kernel's start. */
function hasHardwareKvm(): boolean {
  return (
    existsSync('/dev/kvm') &&
    ['kvm_intel', 'kvm_amd'].some((name) => existsSync(`/sys/module/${name}`))
  );
}

async function runQemu(args: readonly string[]): Promise<{ output: string; timedOut: boolean }> {
  // A test process that dies takes its guest along.
  const qemu = spawn('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let timedOut = false;
  for (const stream of [qemu.stdout, qemu.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text.replaceAll('\r', '');
    });
  }
  const timer = setTimeout(() => {
    timedOut = true;
    qemu.kill('SIGKILL');
  }, LIMIT_MS);
  await once(qemu, 'close');
  clearTimeout(timer);
  return { output, timedOut };
}
