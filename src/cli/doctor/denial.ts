import type { AgentConfig } from '../../config/config.ts';
import { asksToDeny } from '../../responses/deny.ts';
import type { DenialOutcome, DenialTrial } from '../../plan/denial-test.ts';
import type { RefusedCall } from '../../responses/response.ts';
import { firstLine, note, ok, warn, type Verdict } from './finding.ts';

/** What became of each trial. */
export type DenialFindings = Readonly<Record<DenialTrial, PromiseSettledResult<DenialOutcome>>>;

interface Words {
  readonly what: string;
  readonly works: string;
  readonly why: Readonly<Record<Exclude<DenialOutcome, 'denied'>, string>>;
}

const WORDS: Readonly<Record<DenialTrial, Words>> = {
  program: {
    what: 'Programs',
    works: 'one was ended before its first instruction',
    why: {
      untold: 'in a test a program was ended, but the kernel reported nothing of it',
      'not denied': 'in a test a program ran although it was to be denied',
      'not tried': 'the test’s program, /bin/true, could not be run',
    },
  },
  connection: {
    what: 'Connections',
    works: 'one was refused before it was made',
    why: {
      untold: 'in a test a connection was refused, but the kernel reported nothing of it',
      'not denied': 'in a test a connection was made although it was to be refused',
      'not tried': 'the test’s program could not be run',
    },
  },
  unix: {
    what: 'Connections to unix sockets',
    works: 'one was refused before it was made',
    why: {
      untold: 'in a test one was refused, but the kernel reported nothing of it',
      'not denied': 'in a test one was made although it was to be refused',
      'not tried': 'the test’s program could not be run',
    },
  },
  file: {
    what: 'Opens and changes of files',
    works: 'one of each was refused',
    why: {
      untold: 'in a test both were refused, but the kernel reported nothing of it',
      'not denied':
        'in a test a file was opened, or a directory was to be removed, although that was to be refused',
      'not tried': 'the test’s program could not be run',
    },
  },
  cgroup: {
    what: 'Binds and device nodes',
    works: 'a bind was refused by cgroup v2',
    why: {
      untold: 'in a test a bind was refused, but the kernel reported nothing of it',
      'not denied': 'in a test a bind was made although it was to be refused',
      'not tried': 'the test’s program could not be run',
    },
  },
  call: {
    what: 'Mounts, modules and other calls',
    works: 'a call was refused by who made it',
    why: {
      untold: 'in a test a call was refused, but the kernel reported nothing of it',
      'not denied': 'in a test a call was made although it was to be refused',
      'not tried': 'the test’s program could not be run',
    },
  },
  memory: {
    what: 'Calls that make memory executable',
    works: 'one was refused',
    why: {
      untold: 'in a test one was refused, but the kernel reported nothing of it',
      'not denied': 'in a test memory was made executable although that was to be refused',
      'not tried': 'the test’s program could not be run',
    },
  },
  namespace: {
    what: 'New user namespaces',
    works: 'one was refused',
    why: {
      untold: 'in a test one was refused, but the kernel reported nothing of it',
      'not denied': 'in a test one was made although it was to be refused',
      'not tried': 'the test’s program, /usr/bin/unshare, could not make one',
    },
  },
};

/** Of calls that are refused: what is said where what does so does not load, and what can be done then. */
const UNLOADED: Readonly<Record<RefusedCall, Unloaded>> = {
  connection: {
    says: 'The response deny cannot refuse connections on this host; it kills the process afterwards',
    advice:
      'Give the agent CAP_NET_ADMIN and a mounted cgroup v2, or use the response kill, which makes that explicit.',
  },
  unix: {
    says: 'The response deny cannot refuse connections to unix sockets on this host; it kills the process afterwards',
    advice:
      'Use a kernel that lets BPF programs change results, as Debian’s does, or the response kill, which makes that explicit.',
  },
  file: {
    says: 'The response deny cannot refuse to open or change files on this host; it kills the process afterwards',
    advice:
      'Use a kernel that lets BPF programs change results, as Debian’s does, or the response kill, which makes that explicit.',
  },
  cgroup: {
    says: 'The response deny cannot refuse binds and device nodes by cgroup v2 on this host; where the check "calls" fails, too, it kills the process afterwards',
    advice:
      'Give the agent CAP_NET_ADMIN and a mounted cgroup v2, or use the response kill, which makes that explicit.',
  },
  call: {
    says: 'The response deny cannot refuse mounts, modules and other calls on this host; it kills the process afterwards',
    advice:
      'Use a kernel that lets BPF programs change results, as Debian’s does, or the response kill, which makes that explicit.',
  },
  memory: {
    says: 'The response deny cannot refuse to make memory executable on this host; it kills the process afterwards',
    advice:
      'Use a kernel that lets BPF programs change results, as Debian’s does, or the response kill, which makes that explicit.',
  },
  namespace: {
    says: 'The response deny cannot refuse new user namespaces on this host; it kills the process afterwards',
    advice:
      'Use Linux 6.1 or newer that lets BPF programs change results, or the response kill, which makes that explicit.',
  },
};
interface Unloaded {
  readonly says: string;
  readonly advice: string;
}

/** Whether programs, connections, calls on files or other calls can be denied here. `tried`: what became of the test; undefined: no probe was loaded. */
export function checkDenial(
  config: AgentConfig,
  trial: DenialTrial,
  tried: PromiseSettledResult<DenialOutcome> | undefined,
): Verdict {
  const isAsked = asksToDeny(config);
  const { what, works, why } = WORDS[trial];
  if (!config.probe.kernelVerdicts) {
    const says = `${what} are not denied (the response deny), only killed after the effect: probe.kernel_verdicts is off.`;
    return isAsked ? warn(says, 'Set probe.kernel_verdicts: true.') : note(says);
  }
  if (tried === undefined) return note('Not known, because no probe was loaded.');
  const outcome = tried.status === 'fulfilled' ? tried.value : undefined;
  if (outcome === 'denied')
    return ok(`${what} can be denied (the response deny): in a test ${works}.`);
  if (outcome === 'not denied' || outcome === 'untold')
    return warn(
      `${what} may not be denied (the response deny), only killed after the effect: ${why[outcome]}.`,
      'Use another response, and report this with your kernel version.',
    );
  const reason =
    tried.status === 'fulfilled' ? why['not tried'] : firstLine(tried.reason).replace(/\.$/, '');
  if (trial !== 'program' && outcome === undefined) {
    const { says, advice } = UNLOADED[trial];
    return isAsked ? warn(`${says}: ${reason}.`, advice) : note(`${says}: ${reason}.`);
  }
  const says = `It was not tried whether ${what.toLowerCase()} can be denied (the response deny): ${reason}.`;
  return isAsked ? warn(says, 'Begin with the response in monitor mode.') : note(says);
}
