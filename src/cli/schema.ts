import { detectionSchema } from '../streams/detection-schema.ts';
import { UserError } from '../shared/user-error.ts';
import type { Io } from './io.ts';

/** What `varvel schema` can print. */
export const SCHEMAS = ['detection'] as const;

/** `varvel schema detection`: the JSON Schema of a line. Returns the exit code. Throws UserError for another name. */
export function runSchema(name: string | undefined, io: Pick<Io, 'stdout'>): number {
  if (name !== 'detection') {
    const given = name === undefined ? '' : `; it is "${name.slice(0, 100)}"`;
    throw new UserError(
      `Name what the schema is of: varvel schema detection${given}. Of policies: varvel policy --schema.`,
      { exitCode: 2 },
    );
  }
  io.stdout(`${JSON.stringify(detectionSchema(), undefined, 2)}\n`);
  return 0;
}
