import { someTest } from '../compile/checked.ts';
import type { Read } from '../compile/checked.ts';
import { isOwnField } from '../fields/registry.ts';
import type { LoadedRule } from '../rule-set.ts';
import { appended } from './definitions.ts';
import type { Definitions } from './definitions.ts';
import { lineAt } from './source.ts';
import type { MappedText, Place } from './source.ts';
import { formatVersion, isOlder } from './versions.ts';
import type { Version } from './versions.ts';

/** That of Falco 0.44, the newest release that this language was compared with. */
export const RELEASED_ENGINE: Version = { major: 0, minor: 62, patch: 0 };

/** Something that loads here and not in a Falco. */
export interface EngineNote {
  readonly file: string;
  readonly line: number;
  /** `rule "Shell in app container"` */
  readonly item: string;
  /** The rest of a sentence about the item. */
  readonly message: string;
}

/** `\xHH` in quotes came with it. */
const ESCAPES_SINCE: Version = { major: 0, minor: 63, patch: 0 };
const ESCAPE = /(["'])(?:(?!\1)[^\\]|\\[^x])*\\x[0-9a-fA-F]{2}/s;

/** What a Falco of that engine would not load of rules that loaded here, in the order of the rules. */
export function engineNotes(
  definitions: Definitions,
  rules: readonly LoadedRule[],
  version: Version,
): EngineNote[] {
  const notes: EngineNote[] = [];
  const note = (place: Place, item: string, message: string): void => {
    const { line } = lineAt(place.source, place.start);
    notes.push({ file: place.source.name, line, item, message });
  };
  const { engineVersion, enginePlace } = definitions;
  if (engineVersion !== undefined && enginePlace !== undefined && isOlder(version, engineVersion))
    note(enginePlace, 'required_engine_version', `asks for engine ${formatVersion(engineVersion)}`);
  if (isOlder(version, ESCAPES_SINCE)) {
    const all = [
      ...[...definitions.macros.values()].map((one) => ['macro', one] as const),
      ...[...definitions.rules.values()].map((one) => ['rule', one] as const),
    ];
    for (const [kind, { name, condition, place }] of all) {
      const text: MappedText = appended(condition);
      if (!text.text.includes('\\x') || !ESCAPE.test(text.text)) continue;
      note(place, `${kind} "${name}"`, 'has an escape \\xHH, which that engine refuses');
    }
  }
  for (const rule of rules) {
    const own = ownFields(rule);
    if (own.length === 0) continue;
    const message = `has ${own.join(', ')}, which no Falco has`;
    notes.push({ file: rule.file, line: rule.line, item: `rule "${rule.name}"`, message });
  }
  return notes;
}

function ownFields({ condition, output, extraFields = [] }: LoadedRule): string[] {
  const names = new Set<string>();
  const note = (read: Read | undefined): void => {
    for (const name of read?.fields ?? []) if (isOwnField(name)) names.add(name);
  };
  someTest(condition, ({ left, right }) => {
    note(left);
    note(right);
    return false;
  });
  for (const { fields } of [output, ...extraFields.map(({ format }) => format)])
    for (const { read, plain } of fields) [read, ...plain].forEach(note);
  return [...names].sort();
}
