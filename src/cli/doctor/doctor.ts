import { loadConfig } from '../../config/load.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { UserError } from '../../shared/user-error.ts';
import { checkDocker } from './docker.ts';
import { examine, type CheckState, type Finding } from './finding.ts';
import {
  checkBtf,
  checkCgroups,
  checkFolders,
  checkKernel,
  checkLockdown,
  checkMemory,
  checkNamespace,
  checkOpenFiles,
  checkPrivileges,
  checkTracefs,
} from './host.ts';
import {
  checkCompatCalls,
  checkIoUring,
  checkLoader,
  checkSelfTest,
  type ProbeFindings,
} from './probe.ts';
import type { RuleSet } from '../../rules/rule-set.ts';
import { checkRules } from './rules.ts';
import { checkKill } from './kill.ts';
import { checkResponses } from './responses.ts';
import { checkVerdicts } from './verdicts.ts';
import { checkDenial } from './denial.ts';
import { denialMatrix, matrixText, type DenialRow } from './denial-matrix.ts';
import { checkIsolation } from './isolation.ts';
import type { openIsolation } from '../../responses/network-isolation.ts';
import { checkCri } from './cri.ts';
import { checkGarden } from './garden.ts';
import type { Io } from '../io.ts';

export interface DoctorArgs {
  readonly config?: string | undefined;
  /** `KEY=VALUE` each. */
  readonly settings: readonly string[];
  readonly json?: boolean;
  /** Also prints the configuration in effect. */
  readonly showConfig?: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: loads the probe and tests it, see `self-test.ts`. Tests may not be root. */
  readonly selfTest?: (config: LoadedConfig['config']) => Promise<ProbeFindings>;
  /** Default: tries to cut a cgroup off from the network. */
  readonly isolation?: typeof openIsolation;
}

/**
 * `varvel doctor`: looks at everything the agent needs on this host and says what to do about what is missing. The verdict comes
 * last. Resolves to the exit code: 0, or 1 when the agent cannot work here.
 */
export async function runDoctor(args: DoctorArgs, io: Io): Promise<number> {
  const findings: Finding[] = [];
  const look: typeof examine = async (check, verdict) => {
    const finding = await examine(check, verdict);
    findings.push(finding);
    return finding;
  };

  await look('kernel', () => checkKernel());
  await look('types', () => checkBtf());
  const privileges = await look('privileges', () => checkPrivileges());
  const namespace = await look('namespace', () => checkNamespace());
  await look('lockdown', () => checkLockdown());
  await look('tracefs', () => checkTracefs());
  await look('open files', () => checkOpenFiles());
  const loader = await look('loader', () => checkLoader());

  let loaded: LoadedConfig | undefined;
  let matrix: readonly DenialRow[] = [];
  await look('configuration', () => {
    loaded = loadConfig({
      file: args.config,
      env: args.env,
      settings: args.settings,
    });
    const [warning] = loaded.warnings;
    const from = loaded.file === undefined ? 'No file, so defaults.' : `Read from ${loaded.file}.`;
    return warning === undefined
      ? { state: 'ok', says: from }
      : { state: 'warn', says: `${from} ${warning}` };
  });
  if (loaded !== undefined) {
    const { config } = loaded;
    await look('cgroups', () => checkCgroups(config));
    const able = [privileges, namespace, loader].every((finding) => finding.state !== 'fail');
    let found: ProbeFindings | undefined;
    await look('self-test', () =>
      able
        ? checkSelfTest(async () => {
            found = await (args.selfTest ?? defaultSelfTest)(config);
            return found.unseen;
          })
        : { state: 'note', says: 'Not run, because of the failure above.' },
    );
    await look('32-bit calls', () => checkCompatCalls(config, found?.hooks));
    await look('io_uring', () => checkIoUring(found?.hooks));
    await look('denial', () => checkDenial(config, 'program', found?.denial.program));
    await look('refusals', () => checkDenial(config, 'connection', found?.denial.connection));
    await look('unix sockets', () => checkDenial(config, 'unix', found?.denial.unix));
    await look('files', () => checkDenial(config, 'file', found?.denial.file));
    await look('binds', () => checkDenial(config, 'cgroup', found?.denial.cgroup));
    await look('calls', () => checkDenial(config, 'call', found?.denial.call));
    await look('exec memory', () => checkDenial(config, 'memory', found?.denial.memory));
    await look('userns', () => checkDenial(config, 'namespace', found?.denial.namespace));
    if (found !== undefined) matrix = denialMatrix(config, found.denial);
    await look('isolation', () =>
      able
        ? checkIsolation(config, args.isolation)
        : { state: 'note', says: 'Not tried, because of the failure above.' },
    );
    await look('docker', () => checkDocker(config));
    await look('garden', () => checkGarden(config));
    await look('cri', () => checkCri(config));
    let ruleSet: RuleSet | undefined;
    await look('rules', () => checkRules(config, (loadedRules) => (ruleSet = loadedRules)));
    await look('filter', () => checkVerdicts(config, ruleSet));
    await look('responses', () => checkResponses(config, ruleSet));
    await look('kill', () => checkKill(config));
    await look('folders', () => checkFolders(config));
    await look('memory', () => checkMemory(config));
  }

  const failed = findings.filter((finding) => finding.state === 'fail').length;
  if (args.json === true) {
    const settings = loaded?.settings ?? [];
    const all = { ok: failed === 0, findings, deny: matrix, settings };
    io.stdout(`${JSON.stringify(all, undefined, 2)}\n`);
  } else {
    const tables = [
      ...(matrix.length === 0 ? [] : [matrixText(matrix)]),
      ...(args.showConfig === true ? [settingsText(loaded)] : []),
    ];
    io.stdout(`${toText(findings, tables, io)}\n`);
  }
  return failed === 0 ? 0 : 1;
}

async function defaultSelfTest(config: LoadedConfig['config']): Promise<ProbeFindings> {
  try {
    const { runProbeSelfTest } = await import('./self-test.ts');
    return await runProbeSelfTest(config);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`The self-test could not run: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

const COLOURS: Readonly<Record<CheckState, string>> = {
  ok: '32',
  note: '36',
  warn: '33',
  fail: '1;31',
};

function toText(findings: readonly Finding[], tables: readonly string[], io: Io): string {
  const colour = (state: CheckState, text: string): string =>
    io.isTty ? `\x1b[${COLOURS[state]}m${text}\x1b[0m` : text;
  const width = Math.max(...findings.map(({ check }) => check.length));
  const indent = 6 + width + 2;
  const lines = findings.map(({ check, state, says, advice }) => {
    const text = [says, ...(advice === undefined ? [] : [`→ ${advice}`])]
      .flatMap((part) => part.split('\n'))
      .map((line) => wrap(line, io.columns - indent))
      .flat()
      .join(`\n${' '.repeat(indent)}`);
    return `${colour(state, state.padEnd(4))}  ${check.padEnd(width)}  ${text}`;
  });
  const count = (state: CheckState): number =>
    findings.filter((finding) => finding.state === state).length;
  const failed = count('fail');
  const warned = count('warn');
  const verdict =
    failed === 0
      ? colour('ok', 'The agent can watch this host.')
      : colour(
          'fail',
          `The agent cannot work here yet: ${failed === 1 ? 'one check fails' : `${failed} checks fail`}.`,
        );
  const warnings = warned === 0 ? '' : ` Warnings: ${warned}.`;
  return [lines.join('\n'), ...tables, `${verdict}${warnings}`].join('\n\n');
}

function settingsText(loaded: LoadedConfig | undefined): string {
  const settings = (loaded?.settings ?? []).map(({ key, value, source }) => {
    const shown = value === undefined ? 'not set' : JSON.stringify(value);
    return `  ${key}: ${shown}${source === 'default' ? '' : `  (${source})`}`;
  });
  return ['Configuration in effect:', ...settings].join('\n');
}

/** Breaks a line at blanks; too narrow a column is left to the terminal. */
function wrap(line: string, width: number): string[] {
  if (width < 30) return [line];
  const lines: string[] = [];
  let at = '';
  for (const word of line.split(' ')) {
    if (at !== '' && at.length + 1 + word.length > width) {
      lines.push(at);
      at = word;
    } else at = at === '' ? word : `${at} ${word}`;
  }
  lines.push(at);
  return lines;
}
