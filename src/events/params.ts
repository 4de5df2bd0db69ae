import type { RecordBytes } from './batch.ts';
import { cloneFlagsText } from './call-names.ts';
import { callParam, descriptorParam, statDev } from './call-params.ts';
import type { KernelEvent, ParamValue } from './event.ts';
import { execFlagsText, openFlagsText, resolveFlagsText } from './flags.ts';
import { EXEC, OPEN } from './table.gen.ts';

/** The event with its record: what parameters are read from. */
interface RecordedEvent extends KernelEvent {
  readonly records: RecordBytes;
  readonly at: number;
}

function openParam(event: RecordedEvent, name: string): ParamValue | undefined {
  const open = event.open;
  if (open === undefined) return undefined;
  switch (name) {
    case 'fd':
      return event.result;
    case 'dirfd':
      return event.type === 'openat' || event.type === 'openat2'
        ? descriptorParam(open.dirFd)
        : undefined;
    case 'name':
      return open.file?.path ?? open.rawPath;
    case 'flags':
    case 'creat_flags':
      if (event.type === 'creat') return undefined;
      return openFlagsText(open.flags, event.records.number(event.at + OPEN.file_flags));
    case 'mode':
      return open.mode;
    case 'resolve':
      return event.type === 'openat2' ? resolveFlagsText(open.resolve) : undefined;
    case 'dev':
      return open.file && statDev(open.file);
    case 'ino':
      return open.file?.ino;
    default:
      return undefined;
  }
}

function execParam(event: RecordedEvent, name: string): ParamValue | undefined {
  const exec = event.exec;
  if (exec === undefined) return undefined;
  switch (name) {
    case 'exe':
      return exec.argv[0] ?? '';
    case 'args':
      return exec.argv.slice(1);
    case 'cwd':
      return exec.cwd;
    case 'comm':
      return event.comm;
    case 'tty':
      return event.tty;
    case 'vpgid':
      return exec.vpgid;
    case 'pgid':
      return exec.pgid;
    case 'loginuid':
      return event.credentials.loginUid;
    case 'flags':
      return execFlagsText(event.records.number(event.at + EXEC.file_flags), exec.writable);
    case 'cap_inheritable':
      return event.credentials.capInheritable;
    case 'cap_permitted':
      return event.credentials.capPermitted;
    case 'cap_effective':
      return event.credentials.capEffective;
    case 'exe_ino':
      return exec.file?.ino;
    case 'uid':
      return event.credentials.euid;
    case 'gid':
      return event.credentials.egid;
    case 'trusted_exepath':
      return exec.file?.path;
    case 'filename':
      return exec.filename;
    default:
      return undefined;
  }
}

function cloneParam(event: RecordedEvent, name: string): ParamValue | undefined {
  const clone = event.clone;
  if (clone === undefined) return undefined;
  switch (name) {
    case 'flags':
      return cloneFlagsText(Number(clone.flags & 0xffffffffn) | 0);
    case 'uid':
      return event.credentials.euid;
    case 'gid':
      return event.credentials.egid;
    case 'vtid':
      return event.vtid;
    case 'vpid':
      return event.vpid;
    default:
      return undefined;
  }
}

function exitParam(event: RecordedEvent, name: string): ParamValue | undefined {
  const status = event.exit?.status;
  if (status === undefined) return undefined;
  switch (name) {
    case 'status':
      return status;
    case 'ret':
      return (status >> 8) & 0xff;
    case 'sig':
      return status & 0x7f;
    default:
      return undefined;
  }
}

/** See KernelEvent.param. */
export function readParam(event: RecordedEvent, name: string): ParamValue | undefined {
  if (event.call !== undefined) return callParam(event, name);
  const own =
    openParam(event, name) ??
    execParam(event, name) ??
    cloneParam(event, name) ??
    exitParam(event, name);
  if (own !== undefined) return own;
  const inTaskEvents = event.exec !== undefined || event.clone !== undefined;
  if (!inTaskEvents) return undefined;
  switch (name) {
    case 'res':
      return event.result;
    case 'tid':
      return event.tid;
    case 'pid':
      return event.pid;
    case 'ptid':
      return event.ppid;
    default:
      return undefined;
  }
}
