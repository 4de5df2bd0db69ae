import { writeFileSync } from 'node:fs';
import { DEFAULT_RULES_FILE } from '../config/config.ts';
import { linesOf } from '../reading/lines.ts';
import { IncidentCollector } from '../reading/report/collector.ts';
import { momentOf } from './moment-option.ts';
import { MAX_LOG_BYTES } from '../reading/report/incident.ts';
import type { Incident } from '../reading/report/incident.ts';
import { renderReport } from '../reading/report/page.ts';
import { counted } from '../reading/report/parts.ts';
import { ruleGuide } from '../reading/report/rule-guide.ts';
import { formatDiagnostic } from '../rules/loader/diagnostics.ts';
import { loadRules, readRuleFile } from '../rules/loader/load.ts';
import { expandRulePaths } from '../rules/loader/rule-files.ts';
import { Runbooks } from '../rules/loader/runbook.ts';
import { UserError } from '../shared/user-error.ts';
import type { ReadingIo } from './io.ts';
import { logSystemOf, readLog } from './log-input.ts';

export interface ReportArgs {
  /** The log; undefined or `-` is standard input. */
  readonly file: string | undefined;
  /** Where the page goes; undefined is standard output. */
  readonly output: string | undefined;
  readonly since: string | undefined;
  readonly until: string | undefined;
  readonly app: string | undefined;
  readonly id: string | undefined;
  /** Rule files besides those that come with varvel: what their rules are for. */
  readonly rules: readonly string[];
  /** Which system the log is from. */
  readonly from: string | undefined;
  readonly source: string | undefined;
  readonly version: string;
  /** Unix ms: what `--since 2h` counts from. */
  readonly nowMs: number;
}

/**
 * `varvel report LOGFILE`: an incident as one page of HTML. Resolves to the exit code: 0, or 1 when there is no such
 * detection or the rule files have errors. Throws UserError for what cannot be read or written, and for wrong options.
 */
export async function runReport(args: ReportArgs, io: ReadingIo): Promise<number> {
  const { file = '-', output, app, id, version, nowMs } = args;
  if (output === undefined && io.isTty) {
    throw usage('The page would go to this terminal. Name a file: varvel report -o report.html …');
  }
  const sinceMs = momentOf('--since', args.since, nowMs);
  const untilMs = momentOf('--until', args.until, nowMs);
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs > untilMs)
    throw usage('--since is after --until: nothing is in between.');
  const paths = [DEFAULT_RULES_FILE, ...expandRulePaths(args.rules)];
  const { ruleSet, errors } = loadRules(paths.map(readRuleFile));
  if (ruleSet === undefined) {
    io.stderr(errors.map((error) => `${formatDiagnostic(error)}\n`).join(''));
    return 1;
  }
  const runbooks = new Runbooks();
  const guide = ruleGuide(ruleSet.rules, (rule) => runbooks.of(rule));
  const [from, sourceType] = [logSystemOf(args.from), args.source ?? 'VARVEL'];
  const collector = new IncidentCollector({
    sinceMs,
    untilMs,
    app,
    id,
    from,
    sourceType,
    knownRules: new Set(guide.keys()),
  });
  const reading = { unread: false };
  for await (const line of linesOf(firstBytes(readLog(file, io), reading))) collector.line(line);
  const incident = collector.end(reading.unread);
  if (incident === undefined) {
    io.stderr(
      `varvel: There is no detection with the id ${(id ?? '').slice(0, 100)} in this log. Ids are in the agent’s lines ("id"), and in what varvel report shows of one.\n`,
    );
    return 1;
  }
  const page = renderReport(incident, { guide, version, asked: askedOf(args) });
  if (output === undefined) io.stdout(page);
  else write(output, page);
  io.stderr(`${summaryOf(incident)}${output === undefined ? '' : ` The report is ${output}.`}\n`);
  return 0;
}

async function* firstBytes(
  chunks: AsyncIterable<Buffer>,
  reading: { unread: boolean },
): AsyncGenerator<Buffer> {
  let left = MAX_LOG_BYTES;
  for await (const chunk of chunks) {
    yield chunk.subarray(0, left);
    reading.unread = chunk.length > left;
    if (reading.unread) return;
    left -= chunk.length;
  }
}

function summaryOf({ groups, lines }: Incident): string {
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  return `${counted(total, 'detection')} of ${counted(groups.length, 'rule')} in ${counted(lines, 'line')}.`;
}

function askedOf({ since, until, app, id }: ReportArgs): string {
  return Object.entries({ since, until, app, id })
    .flatMap(([name, value]) => (value === undefined ? [] : [`--${name} ${value}`]))
    .join(' ');
}

function write(file: string, page: string): void {
  try {
    writeFileSync(file, page);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: 'its folder is not there; make it, or name another',
      EACCES: 'permission denied; name another place',
      EISDIR: 'it is a directory; name a file',
      ENOSPC: 'the disk is full',
    };
    throw new UserError(`Cannot write the report: ${reasons[code ?? ''] ?? message}.`, {
      position: { file },
      exitCode: 2,
      cause: error,
    });
  }
}

function usage(message: string): UserError {
  return new UserError(message, { exitCode: 2 });
}
