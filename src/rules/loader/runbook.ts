import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from '../../shared/user-error.ts';
import { Diagnostics, formatDiagnostic, ItemError } from './diagnostics.ts';
import { Keyed, misshapen } from './items.ts';
import { readRuleFile } from './load.ts';
import { expandRulePaths } from './rule-files.ts';
import type { RuleSource } from './source.ts';
import { readYaml } from './yaml.ts';
import { YamlError } from './yaml-node.ts';
import type { YamlNode } from './yaml-node.ts';

/** Whom to tell, and when. */
export const TELL = {
  'operator-now':
    'the platform’s operator now (other apps of the host may be affected), and the app’s team',
  'team-now':
    'the app’s team now; the operator too if the app cannot be stopped or the platform’s credentials are involved',
  team: 'the app’s team, in working hours',
  nobody: 'nobody, if what is said above explains it',
} as const;

/** What to do when a rule fires: sentences, in which `label=` is a word of the rule's output. */
export interface RunbookEntry {
  readonly rule: string;
  /** What it means, for someone who was woken. */
  readonly means: string;
  /** The first three things to look at. */
  readonly look: readonly [string, string, string];
  /** How a harmless cause looks. */
  readonly benign: string;
  /** How an attack looks. */
  readonly attack: string;
  readonly contain: string;
  /** Undefined: no credentials are at stake. */
  readonly rotate: string | undefined;
  /** What to save before it is gone. */
  readonly keep: string;
  readonly tell: keyof typeof TELL;
  /** The rule's exception that silences a harmless cause most precisely. */
  readonly except: string;
}

// prettier-ignore
const KEYS: readonly string[] = [
  'rule', 'means', 'look', 'benign', 'attack', 'contain', 'rotate', 'keep', 'tell', 'except',
];

/**
 * Reads a runbook file: a YAML list of entries. Throws UserError with the place of the first thing that is wrong.
 */
export function readRunbook(source: RuleSource): readonly RunbookEntry[] {
  try {
    const [list] = readYaml(source);
    if (list?.kind !== 'sequence') {
      throw misshapen('a runbook is a list of entries', { source, start: 0, end: 1 });
    }
    return list.items.map(entryOf);
  } catch (error) {
    if (!(error instanceof ItemError) && !(error instanceof YamlError)) throw error;
    const diagnostics = new Diagnostics();
    const code = error instanceof ItemError ? error.code : 'LOAD_ERR_YAML_PARSE';
    diagnostics.error(code, error.message, error.place);
    throw new UserError(diagnostics.errors.map(formatDiagnostic).join('\n'), { cause: error });
  }
}

/**
 * The entries for a rule file's rules, by name: those of the folder `runbook` beside it; none without such a folder.
 * Throws UserError when one cannot be read or two are for one rule.
 */
export function runbookBeside(ruleFile: string): ReadonlyMap<string, RunbookEntry> {
  const folder = join(dirname(ruleFile), 'runbook');
  const entries = new Map<string, RunbookEntry>();
  if (!existsSync(folder) || !statSync(folder).isDirectory()) return entries;
  for (const path of expandRulePaths([folder])) {
    for (const entry of readRunbook(readRuleFile(path))) {
      if (entries.has(entry.rule)) {
        throw new UserError(`${path}: there are two entries for the rule "${entry.rule}".`);
      }
      entries.set(entry.rule, entry);
    }
  }
  return entries;
}

/** What to do about rules, as it is written beside their files. */
export class Runbooks {
  readonly #byFile = new Map<string, ReadonlyMap<string, RunbookEntry>>();

  /** The rule's entry; undefined without one. Throws UserError as `runbookBeside` does. */
  of({ name, file }: { readonly name: string; readonly file: string }): RunbookEntry | undefined {
    const entries = this.#byFile.get(file) ?? runbookBeside(file);
    this.#byFile.set(file, entries);
    return entries.get(name);
  }
}

/** The page that the words of entries refer to. */
export const RUNBOOK_PAGE =
  'How to look into a container, to contain, to collect evidence, to rotate and to silence: RUNBOOK.md beside the rules.';

/** Whom to tell, as a sentence. */
export function tellText({ tell }: Pick<RunbookEntry, 'tell'>): string {
  return `${TELL[tell].charAt(0).toUpperCase()}${TELL[tell].slice(1)}.`;
}

/** How to silence a harmless cause, as a sentence. */
export function silenceText({ except }: Pick<RunbookEntry, 'except'>): string {
  return `By the exception \`${except}\`, for the one app and cause: REFERENCE.md beside the rules has it ready to paste.`;
}

function entryOf(node: YamlNode): RunbookEntry {
  if (node.kind !== 'map') throw misshapen('an entry has keys', node.place);
  const unknown = node.entries.find(({ key }) => !KEYS.includes(key.text));
  if (unknown !== undefined) {
    const { key } = unknown;
    throw misshapen(`unknown key '${key.text}': it can be ${KEYS.join(', ')}`, key.place);
  }
  const keyed = new Keyed(node);
  const text = (key: string): string => keyed.required(key, 'an entry').text.trim();
  return {
    rule: text('rule'),
    means: text('means'),
    look: lookOf(keyed),
    benign: text('benign'),
    attack: text('attack'),
    contain: text('contain'),
    rotate: keyed.scalar('rotate')?.text.trim(),
    keep: text('keep'),
    tell: tellOf(keyed),
    except: text('except'),
  };
}

function lookOf(keyed: Keyed): RunbookEntry['look'] {
  const node = keyed.node('look');
  const items = node?.kind === 'sequence' ? node.items : [];
  const texts = items.flatMap((item) => (item.kind === 'scalar' ? [item.text.trim()] : []));
  const [first, second, third] = texts;
  const isShort = first === undefined || second === undefined || third === undefined;
  if (isShort || items.length > 3) {
    throw misshapen("'look' has three texts", node?.place ?? keyed.place);
  }
  return [first, second, third];
}

function tellOf(keyed: Keyed): RunbookEntry['tell'] {
  const { text, place } = keyed.required('tell', 'an entry');
  if (Object.hasOwn(TELL, text)) return text as RunbookEntry['tell'];
  throw misshapen(`'tell' can be ${Object.keys(TELL).join(', ')}`, place);
}
