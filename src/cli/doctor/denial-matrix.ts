import type { AgentConfig } from '../../config/config.ts';
import type { DenialTrial } from '../../plan/denial-test.ts';
import { columns } from '../columns.ts';
import { DENIED_BY } from '../denied-by.ts';
import type { DenialFindings } from './denial.ts';

/** What the response deny can do here for one kind of events. */
export interface DenialRow {
  /** `run a program`, `connect`, … */
  readonly operation: string;
  /** `prevented`: the call fails with EPERM. `killed before the effect`: no instruction of the program ran. */
  readonly guarantee: 'prevented' | 'killed before the effect' | 'killed after the effect';
  /** The hook in the kernel, or the agent. */
  readonly by: string;
}

interface Best extends DenialRow {
  /** Added to the row where the agent kills instead. */
  readonly without: string;
}

const BEST: Readonly<Record<DenialTrial, Best>> = {
  program: {
    operation: 'run a program',
    guarantee: 'killed before the effect',
    by: DENIED_BY.program,
    without: 'SIGKILL by the kernel',
  },
  connection: {
    operation: 'connect, send by UDP',
    guarantee: 'prevented',
    by: DENIED_BY.connection,
    without: 'cgroup/connect4',
  },
  unix: {
    operation: 'connect to a unix socket',
    guarantee: 'prevented',
    by: DENIED_BY.unix,
    without: DENIED_BY.unix,
  },
  file: {
    operation: 'open or change a file',
    guarantee: 'prevented',
    by: DENIED_BY.file,
    without: DENIED_BY.file,
  },
  cgroup: {
    operation: 'bind to an IP address, make a device node',
    guarantee: 'prevented',
    by: DENIED_BY.cgroup,
    without: 'cgroup/bind4',
  },
  call: {
    operation: 'mount, load a module, trace, kill',
    guarantee: 'prevented',
    by: DENIED_BY.call,
    without: DENIED_BY.call,
  },
  memory: {
    operation: 'make memory executable',
    guarantee: 'prevented',
    by: DENIED_BY.memory,
    without: DENIED_BY.memory,
  },
  namespace: {
    operation: 'make a user namespace',
    guarantee: 'prevented',
    by: DENIED_BY.namespace,
    without: DENIED_BY.namespace,
  },
};

const TRIALS = Object.keys(BEST) as readonly DenialTrial[];

const ELSE: DenialRow = {
  operation: 'all other events',
  guarantee: 'killed after the effect',
  by: 'SIGKILL by the agent',
};

/**
 * What this host gives for each kind of events, from what was tried and never from configuration alone. A rule gets it where the
 * kernel can be certain that it matches: `varvel explain RULE`.
 */
export function denialMatrix(config: AgentConfig, findings: DenialFindings): readonly DenialRow[] {
  const rows = TRIALS.map((trial): DenialRow => {
    const { operation, guarantee, by, without } = BEST[trial];
    const tried = findings[trial];
    const found = tried.status === 'fulfilled' ? tried.value : undefined;
    if (!config.probe.kernelVerdicts)
      return { ...ELSE, operation, by: `${ELSE.by} (probe.kernel_verdicts is off)` };
    if (found === 'denied') return { operation, guarantee, by };
    const why = found === 'not tried' ? 'was not tried' : 'does not work here';
    return { ...ELSE, operation, by: `${ELSE.by} (${without} ${why})` };
  });
  return [...rows, ELSE];
}

export function matrixText(rows: readonly DenialRow[]): string {
  const table = columns(
    ['OPERATION', 'GUARANTEE', 'BY'],
    rows.map(({ operation, guarantee, by }) => [operation, guarantee, by]),
  );
  const title =
    'What the response deny does here with the rights of this command, if the kernel is certain of a rule:';
  return [title, ...table.map((line) => `  ${line}`)].join('\n');
}
