import { readFileSync } from 'node:fs';
import { UserError } from './user-error.ts';

/** What Node itself needs to load a command. */
const TO_LOAD = 128;
/** The probe (some 90 without a container, twice that with all hooks), containers that are looked into, receivers, clients. */
const TO_WATCH = 512;
/** And 256 log files of apps, each with its folder. */
const FOR_ALL = TO_WATCH + 512;

const ADVICE = `Set LimitNOFILE=${FOR_ALL} or more in the service's unit, --ulimit nofile=${FOR_ALL} for a container, or "ulimit -n ${FOR_ALL}" before the start.`;

/** Whether this process may open enough files, in sentences. */
export interface OpenFilesVerdict {
  readonly state: 'ok' | 'warn' | 'fail';
  readonly says: string;
  readonly advice: string;
}

/** `limits` is the content of /proc/self/limits. Node has raised the soft limit to the hard one already. */
export function openFilesVerdict(limits = readLimits()): OpenFilesVerdict {
  const limit = limitIn(limits);
  const may = `A process may open ${limit === Infinity ? 'any number of' : limit} files here (ulimit -n)`;
  if (limit < TO_WATCH)
    return {
      state: 'fail',
      advice: ADVICE,
      says: `${may}: too few for the agent, which needs ${TO_WATCH}, and ${FOR_ALL} with many apps that have a log file each.`,
    };
  if (limit < FOR_ALL)
    return {
      state: 'warn',
      advice: ADVICE,
      says: `${may}: enough for the agent itself, but not for 256 apps that have a log file each, which needs ${FOR_ALL}.`,
    };
  return { state: 'ok', says: `${may}; the agent needs ${FOR_ALL} at most.`, advice: '' };
}

/** Throws UserError when the process may not open enough files for this command. To be called before anything is opened. */
export function requireOpenFiles(command: 'agent' | 'other', limits = readLimits()): void {
  if (limitIn(limits) >= (command === 'agent' ? TO_WATCH : TO_LOAD)) return;
  const { says, advice } = openFilesVerdict(limits);
  throw new UserError(`${says} ${advice}`);
}

function limitIn(limits: string): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft);
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}
