import { PRIORITIES } from '../rules/detection.ts';
import { nearestWord } from '../shared/nearest.ts';
import { UserError } from '../shared/user-error.ts';

/** The priority that `--priority TEXT` means: its name, or at least the first three letters. Throws UserError for others. */
export function priorityOf(text: string): (typeof PRIORITIES)[number] {
  const found = PRIORITIES.find((name) => name.toLowerCase().startsWith(text.toLowerCase()));
  if (found !== undefined && text.length > 2) return found;
  const names = PRIORITIES.map((name) => name.toLowerCase());
  const near = nearestWord(text, names);
  const help = near === undefined ? '' : ` Did you mean ${near}?`;
  throw new UserError(
    `--priority must be one of ${names.join(', ')}; it is "${text.slice(0, 40)}".${help}`,
    { exitCode: 2 },
  );
}
