import { linesOf } from '../reading/lines.ts';
import { Pretty } from '../reading/pretty.ts';
import type { ReadingIo } from './io.ts';
import { logSystemOf, readLog } from './log-input.ts';
import { momentOf } from './moment-option.ts';
import { priorityOf } from './priority-option.ts';
import { UserError } from '../shared/user-error.ts';

export interface PrettyArgs {
  /** Logs, one after the other; none, or `-`, is standard input. */
  readonly files: readonly string[];
  readonly priority: string | undefined;
  readonly only: boolean;
  /** Which system the log is from. */
  readonly from: string | undefined;
  readonly source: string | undefined;
  readonly app: string | undefined;
  /** A time, or how long ago. */
  readonly since: string | undefined;
  readonly color: string | undefined;
  readonly json: boolean;
  /** Unix ms: what `--since 2h` counts from. */
  readonly nowMs: number;
}

/**
 * `varvel pretty [FILE…]`: a log with detections in it, for people to read. Lines are shown as they come; at the end what
 * was left out and what is missing goes to stderr. Resolves to the exit code. Throws UserError for a file that cannot be
 * read, and for wrong options.
 */
export async function runPretty(args: PrettyArgs, io: ReadingIo): Promise<number> {
  const pretty = new Pretty({
    // Into a pipe or a file, a line is a line.
    columns: io.isTty ? io.columns : Infinity,
    colour: isColoured(args.color, io),
    minimum: priorityOf(args.priority ?? 'debug'),
    only: args.only,
    from: logSystemOf(args.from),
    sourceType: args.source ?? 'VARVEL',
    app: args.app,
    sinceMs: momentOf('--since', args.since, args.nowMs),
    json: args.json,
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

function isColoured(color: string | undefined, { isTty }: ReadingIo): boolean {
  if (color === undefined || color === 'auto') return isTty;
  if (color === 'always' || color === 'never') return color === 'always';
  throw new UserError(`--color must be auto, always or never; it is "${color.slice(0, 40)}".`, {
    exitCode: 2,
  });
}
