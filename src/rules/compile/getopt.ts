/** What an option string such as `nt:` says: the options there are, and which of them take a value. */
export interface OptionString {
  readonly options: ReadonlySet<string>;
  readonly withValue: ReadonlySet<string>;
}

/** Reads an option string of getopt(3). */
export function parseOptionString(text: string): OptionString {
  const options = new Set<string>();
  const withValue = new Set<string>();
  const chars = Array.from(text);
  for (const [index, char] of chars.entries()) {
    if (char === ':') continue;
    options.add(char);
    if (chars[index + 1] === ':') withValue.add(char);
  }
  return { options, withValue };
}

/**
 * The options and their values in a command line's words, in their order: reading ends at `--` and at the first
 * word that is no option, long options are passed over, an option that is not in the string is `?`, and a value
 * that is missing is the empty string in the option's place.
 */
export function getopt(words: readonly string[], { options, withValue }: OptionString): string[] {
  return scan(words, { options, withValue }).flatMap(({ option, value }) =>
    value === undefined ? [option] : value === MISSING ? [''] : [option, value],
  );
}

/** `getopt(…)[t]`: the last value of the option, itself when it takes none; undefined when it is not there. */
export function getoptValue(
  words: readonly string[],
  string: OptionString,
  wanted: string,
): string | undefined {
  const last = scan(words, string).findLast(({ option }) => option === wanted);
  if (last === undefined) return undefined;
  return last.value === MISSING ? '' : (last.value ?? last.option);
}

/** No word's content: the option takes a value and nothing follows it. */
const MISSING = Symbol('missing');

interface Found {
  readonly option: string;
  readonly value: string | typeof MISSING | undefined;
}

function scan(words: readonly string[], { options, withValue }: OptionString): Found[] {
  const found: Found[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (word === '--' || !word.startsWith('-') || word === '-') break;
    if (word.startsWith('--')) continue;
    const chars = Array.from(word);
    for (let at = 1; at < chars.length; at++) {
      const option = chars[at] ?? '';
      if (!options.has(option)) found.push({ option: '?', value: undefined });
      else if (!withValue.has(option)) found.push({ option, value: undefined });
      else {
        const rest = chars.slice(at + 1).join('');
        if (rest === '') index += 1;
        found.push({ option, value: rest === '' ? (words[index] ?? MISSING) : rest });
        break;
      }
    }
  }
  return found;
}
