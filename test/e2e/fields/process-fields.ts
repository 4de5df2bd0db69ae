// What the host says of a process: what its fields are compared with.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import {
  above,
  argumentsOf,
  capabilities,
  commandLine,
  entryOf,
  environmentOf,
  exeStat,
  innermost,
  linkOf,
  onHost,
  parentOf,
  procStat,
  procStatus,
  loginUid,
  startOf,
  TICK_TOLERANCE_NS,
} from './proc-facts.ts';
import { isInLayer, LAYERS, type Comparison, type Truth, type World } from './scenario.ts';

type Fields = Comparison['fields'];
type Field = Fields[string];

/** A field that only the process decides: `of` gets its host pid. */
export const by =
  (source: string, name: string, of: (pid: number) => Truth['value']): Field =>
  (world) => ({ source, value: of(world.pid(name)) });

const CMDLINE = '/proc/PID/cmdline';
export const COMM = '/proc/PID/stat: comm';
export const EXE = 'readlink /proc/PID/exe';
const STATUS = '/proc/PID/status';
const START = '/proc/PID/stat: starttime';

const slashed = (path: string): string => (path.endsWith('/') ? path : `${path}/`);

/** The leader of the process's session or group. */
const leader = (pid: number, key: 'NSsid' | 'NSpgid'): number => onHost(pid, key);

const start =
  (name: string, level: number): Field =>
  (world) => ({
    source: START,
    value: startOf(above(world.pid(name), level)),
    within: TICK_TOLERANCE_NS,
  });

/** From its start to the event. */
const duration =
  (name: string, level: number): Field =>
  (world, line) => ({
    source: START,
    value: BigInt(line['evt.rawtime']!) - startOf(above(world.pid(name), level)),
    within: TICK_TOLERANCE_NS,
  });

export const layers = (name: string): Fields => ({
  'proc.is_exe_upper_layer': (world) => ({
    source: LAYERS,
    value: isInLayer(world, linkOf(world.pid(name), 'exe'), 'UpperDir'),
  }),
  'proc.is_exe_lower_layer': (world) => ({
    source: LAYERS,
    value:
      !isInLayer(world, linkOf(world.pid(name), 'exe'), 'UpperDir') &&
      isInLayer(world, linkOf(world.pid(name), 'exe'), 'LowerDir'),
  }),
  'proc.is_exe_from_memfd': by(EXE, name, (pid) => linkOf(pid, 'exe').startsWith('/memfd:')),
});

/** What a process is, by the host's /proc. */
export const identity = (name: string): Fields => ({
  'proc.pid': by('/proc', name, (pid) => pid),
  'proc.vpid': by(`${STATUS}: NSpid`, name, (pid) => innermost(pid, 'NSpid')),
  'proc.name': by(COMM, name, (pid) => procStat(pid).comm),
  'proc.exe': by(CMDLINE, name, (pid) => argumentsOf(pid)[0]!),
  'proc.exepath': by(EXE, name, (pid) => linkOf(pid, 'exe')),
  'proc.args': by(CMDLINE, name, (pid) => argumentsOf(pid).slice(1).join(' ')),
  'proc.args[1]': by(CMDLINE, name, (pid) => argumentsOf(pid)[2]!),
  'proc.cmdline': by(CMDLINE, name, commandLine),
  'proc.exeline': by(CMDLINE, name, (pid) => argumentsOf(pid).join(' ')),
  'proc.cmdnargs': by(CMDLINE, name, (pid) => argumentsOf(pid).length - 1),
  'proc.cmdlenargs': by(CMDLINE, name, (pid) =>
    argumentsOf(pid)
      .slice(1)
      .reduce((sum, word) => sum + Buffer.byteLength(word), 0),
  ),
  'proc.cwd': by('readlink /proc/PID/cwd', name, (pid) => slashed(linkOf(pid, 'cwd'))),
  'proc.env': by('/proc/PID/environ', name, (pid) => environmentOf(pid).join(' ')),
  'proc.env[SECRET]': by('/proc/PID/environ', name, (pid) =>
    environmentOf(pid)
      .find((word) => word.startsWith('SECRET='))!
      .slice('SECRET='.length),
  ),
  'proc.tty': by('/proc/PID/stat: tty_nr', name, (pid) => procStat(pid).tty),
  'proc.sid': by(`${STATUS}: NSsid`, name, (pid) => innermost(pid, 'NSsid')),
  'proc.pgid': by(`${STATUS}: NSpgid`, name, (pid) => onHost(pid, 'NSpgid')),
  'proc.vpgid': by(`${STATUS}: NSpgid`, name, (pid) => innermost(pid, 'NSpgid')),
  'proc.is_sid_leader': by(`${STATUS}: NSsid`, name, (pid) => onHost(pid, 'NSsid') === pid),
  'proc.is_pgid_leader': by(`${STATUS}: NSpgid`, name, (pid) => onHost(pid, 'NSpgid') === pid),
  'proc.is_vpgid_leader': by(`${STATUS}: NSpgid`, name, (pid) => {
    return innermost(pid, 'NSpgid') === innermost(pid, 'NSpid');
  }),
  'proc.pid.ts': start(name, 0),
  'proc.duration': duration(name, 0),
  'thread.tid': by(`${STATUS}: Pid`, name, (pid) => Number(procStatus(pid, 'Pid')[0])),
  'thread.vtid': by(`${STATUS}: NSpid`, name, (pid) => innermost(pid, 'NSpid')),
  'thread.name': by(COMM, name, (pid) => procStat(pid).comm),
  'thread.nametid': by(COMM, name, (pid) => `${procStat(pid).comm}${pid}`),
  ...layers(name),
});

/**
 * The parent and those above it, whose names are all different. Not of a container's first process: the runtime that
 * made it stays its parent here, though it has ended and /proc names another.
 */
export const family = (name: string): Fields => ({
  'proc.pvpid': by(`${STATUS}: NSpid`, name, (pid) => innermost(parentOf(pid), 'NSpid')),
  'proc.ppid': by(`${STATUS}: PPid`, name, parentOf),
  'proc.pname': by(COMM, name, (pid) => procStat(parentOf(pid)).comm),
  'proc.pexe': by(CMDLINE, name, (pid) => argumentsOf(parentOf(pid))[0]!),
  'proc.pexepath': by(EXE, name, (pid) => linkOf(parentOf(pid), 'exe')),
  'proc.pcmdline': by(CMDLINE, name, (pid) => commandLine(parentOf(pid))),
  'proc.ppid.ts': start(name, 1),
  'proc.ppid.duration': duration(name, 1),
  ...Object.fromEntries(
    [1, 2, 3, 4, 5, 6, 7].map((level) => [
      `proc.aname[${level}]`,
      (world: World): Truth => ({ source: COMM, value: world.nameAbove(name, level) }),
    ]),
  ),
  'proc.apid[2]': by(`${STATUS}: PPid`, name, (pid) => above(pid, 2)),
  'proc.aexe[2]': by(CMDLINE, name, (pid) => argumentsOf(above(pid, 2))[0]!),
  'proc.aexepath[2]': by(EXE, name, (pid) => linkOf(above(pid, 2), 'exe')),
  'proc.acmdline[2]': by(CMDLINE, name, (pid) => commandLine(above(pid, 2))),
  'proc.aargs[2]': by(CMDLINE, name, (pid) => argumentsOf(above(pid, 2)).slice(1).join(' ')),
  'proc.aenv[2]': by('/proc/PID/environ', name, (pid) => environmentOf(above(pid, 2)).join(' ')),
  'proc.sname': by(COMM, name, (pid) => procStat(leader(pid, 'NSsid')).comm),
  'proc.sid.exe': by(CMDLINE, name, (pid) => argumentsOf(leader(pid, 'NSsid'))[0]!),
  'proc.sid.exepath': by(EXE, name, (pid) => linkOf(leader(pid, 'NSsid'), 'exe')),
  'proc.vpgid.name': by(COMM, name, (pid) => procStat(leader(pid, 'NSpgid')).comm),
  'proc.vpgid.exe': by(CMDLINE, name, (pid) => argumentsOf(leader(pid, 'NSpgid'))[0]!),
  'proc.vpgid.exepath': by(EXE, name, (pid) => linkOf(leader(pid, 'NSpgid'), 'exe')),
  'proc.pgid.name': by(COMM, name, (pid) => procStat(leader(pid, 'NSpgid')).comm),
  'proc.pgid.exe': by(CMDLINE, name, (pid) => argumentsOf(leader(pid, 'NSpgid'))[0]!),
  'proc.pgid.exepath': by(EXE, name, (pid) => linkOf(leader(pid, 'NSpgid'), 'exe')),
});

/** The file that it runs. */
export const runningFile = (name: string): Fields => ({
  'proc.exe_ino': by('stat(2)', name, (pid) => exeStat(pid).ino),
  'proc.exe_ino.ctime': by('stat(2)', name, (pid) => exeStat(pid).ctimeNs),
  'proc.exe_ino.mtime': by('stat(2)', name, (pid) => exeStat(pid).mtimeNs),
  'proc.exe_ino.ctime_duration_proc_start': (world) => {
    const pid = world.pid(name);
    return {
      source: `stat(2), ${START}`,
      value: startOf(pid) - exeStat(pid).ctimeNs,
      within: TICK_TOLERANCE_NS,
    };
  },
  'proc.pidns_init_start_ts': (world) => ({
    source: START,
    value: startOf(world.init),
    within: TICK_TOLERANCE_NS,
  }),
});

/** Of a process that waits: what it has in use does not change. */
export const usage = (name: string): Fields => ({
  'proc.nthreads': by(`${STATUS}: Threads`, name, (pid) => Number(procStatus(pid, 'Threads')[0])),
  'proc.nchilds': by(
    `${STATUS}: Threads`,
    name,
    (pid) => Number(procStatus(pid, 'Threads')[0]) - 1,
  ),
  'proc.vmswap': by(`${STATUS}: VmSwap`, name, (pid) => Number(procStatus(pid, 'VmSwap')[0])),
  'proc.fdopencount': by('/proc/PID/fd', name, (pid) => readdirSync(`/proc/${pid}/fd`).length),
  'proc.fdlimit': by('prlimit(1)', name, (pid) => {
    const columns = ['--noheadings', '--raw', '--output', 'SOFT', '--nofile'];
    return Number(
      execFileSync('prlimit', ['--pid', String(pid), ...columns], { encoding: 'utf8' }),
    );
  }),
  'thread.cgroup.memory': by('/proc/PID/cgroup', name, (pid) => {
    const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    return (/^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(lines) ??
      /^0::(.*)$/m.exec(lines))![1]!;
  }),
});

export const isOutside = (pid: number): boolean =>
  linkOf(parentOf(pid), 'ns/pid') !== linkOf(pid, 'ns/pid');

export const USER_OF = 'the container’s passwd';

export const users = (name: string): Fields => ({
  'user.uid': by(`${STATUS}: Uid`, name, (pid) => Number(procStatus(pid, 'Uid')[1])),
  'user.name': by(USER_OF, name, (pid) => entryOf(pid, 'passwd', uidOf(pid))[0]!),
  'user.homedir': by(USER_OF, name, (pid) => entryOf(pid, 'passwd', uidOf(pid))[5]!),
  'user.shell': by(USER_OF, name, (pid) => entryOf(pid, 'passwd', uidOf(pid))[6]!),
  'user.loginuid': by('/proc/PID/loginuid', name, loginUid),
  'group.gid': by(`${STATUS}: Gid`, name, (pid) => Number(procStatus(pid, 'Gid')[1])),
  'group.name': by('the container’s group', name, (pid) => {
    return entryOf(pid, 'group', Number(procStatus(pid, 'Gid')[1]))[0]!;
  }),
});

/** The container's standard input and output: files and pipes. */
export const standardTypes = (name: string): Fields =>
  Object.fromEntries(
    ['stdin', 'stdout', 'stderr'].map((field, fd) => [
      `proc.${field}.type`,
      by('stat(2)', name, (pid) => {
        const status = statSync(`/proc/${pid}/fd/${fd}`);
        return status.isFIFO() ? 'pipe' : status.isSocket() ? 'unix' : 'file';
      }),
    ]),
  );

const uidOf = (pid: number): number => Number(procStatus(pid, 'Uid')[1]);

export const capabilitySets = (name: string): Fields => ({
  'thread.cap_effective': by(`${STATUS}: CapEff`, name, (pid) => capabilities(pid, 'CapEff')),
  'thread.cap_permitted': by(`${STATUS}: CapPrm`, name, (pid) => capabilities(pid, 'CapPrm')),
  'thread.cap_inheritable': by(`${STATUS}: CapInh`, name, (pid) => capabilities(pid, 'CapInh')),
});

/** The file was made after the container's first process, which it then became. */
export function newFile(name: string): Fields {
  return {
    'proc.exe_ino.ctime': by('stat(2)', name, (pid) => exeStat(pid).ctimeNs),
    'proc.exe_ino.mtime': by('stat(2)', name, (pid) => exeStat(pid).mtimeNs),
    'proc.exe_ino.ctime_duration_pidns_start': (world: World): Truth => ({
      source: `stat(2), ${START}`,
      value: exeStat(world.pid(name)).ctimeNs - startOf(world.init),
      within: TICK_TOLERANCE_NS,
    }),
  };
}
