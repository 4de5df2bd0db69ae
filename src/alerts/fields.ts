import { UserError } from '../shared/user-error.ts';
import type { FieldName, Fields } from './alert-request.ts';

/**
 * The fields of a platform with the user's own names for them. Names go into queries as they are: `shape` is what the
 * platform's language takes there. Throws UserError for others, and for fields that the platform has none of.
 */
export function checkedFields<Name extends FieldName>(
  usual: Readonly<Record<Name, string>>,
  given: Fields,
  shape: RegExp,
): Readonly<Record<Name, string>> {
  const fields: Record<Name, string> = { ...usual };
  for (const [name, path] of Object.entries(given)) {
    if (!Object.hasOwn(usual, name)) {
      const names = Object.keys(usual).join(', ');
      const help = names === '' ? 'there is none to be named.' : `it can name ${names}.`;
      throw wrong(`--field ${name} has no meaning for this platform; ${help}`);
    }
    if (path.length > 200 || !shape.test(path)) {
      throw wrong(
        `--field ${name}: "${path.slice(0, 100)}" cannot be the name of a field there; it has to fit ${shape.source}.`,
      );
    }
    fields[name as Name] = path;
  }
  return fields;
}

function wrong(message: string): UserError {
  return new UserError(message, { exitCode: 2 });
}
