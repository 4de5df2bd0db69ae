import { createReadStream } from 'node:fs';
import { LOG_SYSTEMS } from '../reading/read-log-line.ts';
import type { LogSystem } from '../reading/read-log-line.ts';
import { UserError } from '../shared/user-error.ts';
import type { ReadingIo } from './io.ts';

/** The log system that `--from` names. Throws UserError (exit code 2) for one that is not known. */
export function logSystemOf(name: string | undefined): LogSystem | undefined {
  const known = LOG_SYSTEMS.find((system) => system === name);
  if (name === undefined || known !== undefined) return known;
  throw new UserError(
    `--from must be ${LOG_SYSTEMS.slice(0, -1).join(', ')} or ${LOG_SYSTEMS.at(-1)}, the system that wrote the log; it is "${name.slice(0, 40)}".`,
    { exitCode: 2 },
  );
}

/** The bytes of a log: a file's, or standard input's for `-`. Throws UserError (exit code 2) for what cannot be read. */
export async function* readLog(file: string, io: Pick<ReadingIo, 'stdin'>): AsyncGenerator<Buffer> {
  if (file === '-') {
    yield* io.stdin();
    return;
  }
  try {
    for await (const chunk of createReadStream(file)) yield chunk as Buffer;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: 'there is no such file; check the path',
      EACCES: 'permission denied; run as a user who may read it',
      EISDIR: 'it is a directory; name a file',
    };
    throw new UserError(`Cannot read the log: ${reasons[code ?? ''] ?? message}.`, {
      position: { file },
      exitCode: 2,
    });
  }
}
