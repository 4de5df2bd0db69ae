import { linesOf } from '../reading/lines.ts';
import { Pretty } from '../reading/pretty.ts';
import type { ReadingIo } from './io.ts';
import { logSystemOf, readLog } from './log-input.ts';
import { priorityOf } from './priority-option.ts';

export interface PrettyArgs {
  /** Logs, one after the other; none, or `-`, is standard input. */
  readonly files: readonly string[];
  readonly priority: string | undefined;
  readonly only: boolean;
  /** Which system the log is from. */
  readonly from: string | undefined;
  readonly source: string | undefined;
}

/**
 * `varvel pretty [FILE…]`: a log with detections in it, for people to read. Lines are shown as they come; at the end what
 * was left out and what is missing goes to stderr. Resolves to the exit code. Throws UserError for a file that cannot be
 * read, a priority that is none and a log system that is not known.
 */
export async function runPretty(args: PrettyArgs, io: ReadingIo): Promise<number> {
  const pretty = new Pretty({
    columns: io.columns,
    colour: io.isTty,
    minimum: priorityOf(args.priority ?? 'debug'),
    only: args.only,
    from: logSystemOf(args.from),
    sourceType: args.source ?? 'VARVEL',
  });
  // `cf logs app | varvel pretty --from cf` is ended by one Ctrl-C for both: the end of the input is ours.
  const onInterrupt = (): void => undefined;
  process.once('SIGINT', onInterrupt);
  try {
    for (const file of args.files.length === 0 ? ['-'] : args.files) {
      for await (const line of linesOf(readLog(file, io))) {
        const shown = pretty.line(line);
        if (shown !== '') io.stdout(shown);
      }
    }
  } finally {
    process.off('SIGINT', onInterrupt);
  }
  io.stderr(pretty.end());
  return 0;
}
