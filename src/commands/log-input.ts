import { createReadStream } from 'node:fs';
import { UserError } from '../shared/user-error.ts';
import type { ReadingIo } from './io.ts';

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
