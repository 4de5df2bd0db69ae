import { PRIORITIES } from '../detection.ts';
import type { Priority } from '../detection.ts';
import type { FieldSource } from '../compile/read.ts';
import { BoundedFileError, readRegularFile } from '../../shared/bounded-file.ts';
import { atOnce, type Steps } from '../../shared/turns.ts';
import { UserError } from '../../shared/user-error.ts';
import type { LoadedRule, RuleSet } from '../rule-set.ts';
import type { AppendOutput } from './append-output.ts';
import type { OutputStyle } from '../output/format.ts';
import { KnownTexts, RuleCompiler } from './compile-rules.ts';
import { Definitions } from './definitions.ts';
import { Diagnostics } from './diagnostics.ts';
import type { Diagnostic } from './diagnostics.ts';
import { readItems } from './items.ts';
import type { Item } from './items.ts';
import { enabledBy, selectRules } from './selection.ts';
import type { RuleSelection } from './selection.ts';
import type { RuleDefinition } from './rule-definitions.ts';
import type { RuleSource } from './source.ts';
import { formatVersion, missingPlugin } from './versions.ts';
import { readYaml } from './yaml.ts';
import { YamlError } from './yaml-node.ts';
import type { YamlNode } from './yaml-node.ts';

/** Largest rule file that is read; upstream's three are below 100 KB. */
export const MAX_RULE_FILE_BYTES = 16 * 1024 * 1024;

export interface LoadOptions {
  /** Less severe rules are left out (R5). Default: Debug, so none is. */
  readonly minimumPriority?: Priority;
  /** What is added to the rules' outputs (O4). */
  readonly appendOutput?: readonly AppendOutput[];
  /** Default `short`. */
  readonly outputStyle?: OutputStyle | undefined;
  /** Switches rules on and off over what their files say, one after the other. */
  readonly selection?: readonly RuleSelection[];
  /** Where fields' values come from. Default: the event. */
  readonly fieldSource?: FieldSource;
}

/** What was found when one file was loaded on top of those before it: what Falco reports of it. */
export interface FileResult {
  readonly name: string;
  readonly errors: readonly Diagnostic[];
  /** Also about earlier files: with each file all that is defined by then is compiled anew. */
  readonly warnings: readonly Diagnostic[];
}

/** What loading found. A set with any error must not be used: what it watches is not what was written. */
export interface LoadResult {
  /** Undefined when there are errors. */
  readonly ruleSet: RuleSet | undefined;
  /** How many rules loaded and how many there are, with those left out. */
  readonly loadedRules: number;
  readonly definedRules: number;
  readonly definedMacros: number;
  readonly definedLists: number;
  /** The newest engine version that the files ask for, as `0.57.0`; undefined when none does. */
  readonly requiredEngineVersion: string | undefined;
  /** In the order in which Falco would come to them: it reports the first one. */
  readonly errors: readonly Diagnostic[];
  /** Those of reading each file, and those of compiling what all of them define. */
  readonly warnings: readonly Diagnostic[];
  /** How many more there were: of each kind MAX_DIAGNOSTICS are kept for a file. */
  readonly omittedErrors: number;
  readonly omittedWarnings: number;
  readonly files: readonly FileResult[];
  /** What the files define, for rules of an app's own to build on. */
  readonly definitions: Definitions;
}

/**
 * Loads rules from texts, later ones on top of earlier ones. Each must load with those before it alone, as in Falco.
 * Never throws for what is in them.
 */
export function loadRules(sources: readonly RuleSource[], options: LoadOptions = {}): LoadResult {
  return atOnce(loadSteps(sources, options));
}

/** The same in steps, for who has other things to do meanwhile: a file is read in one, a rule compiled in one. */
export function* loadSteps(
  sources: readonly RuleSource[],
  options: LoadOptions = {},
): Steps<LoadResult> {
  const definitions = new Definitions();
  const known = new KnownTexts();
  const isEnabled = isEnabledIn(options);
  const documents: (YamlNode[] | YamlError)[] = [];
  for (const source of sources) {
    documents.push(parseSource(source));
    yield;
  }
  const macrosOfFiles = documents.map(macroNames);
  const errors = new Map<string, Diagnostic>();
  const warnings: Diagnostic[] = [];
  const files: FileResult[] = [];
  let rules: LoadedRule[] = [];
  let omittedErrors = 0;
  let omittedWarnings = 0;
  for (const [index, parsed] of documents.entries()) {
    const source = sources[index];
    const name = source?.name ?? '';
    const reading = new Diagnostics();
    if (parsed instanceof YamlError) {
      reading.error('LOAD_ERR_YAML_PARSE', parsed.message, parsed.place);
    } else {
      if (source !== undefined && parsed.every(isEmpty) && !source.text.includes('#'))
        reading.warn('LOAD_EMPTY_FILE', EMPTY, { source, start: 0, end: 0 });
      readItems(parsed, reading, (item: Item) => definitions.add(item, reading));
    }
    const compiling = new Diagnostics();
    const laterNames = new Set(macrosOfFiles.slice(index + 1).flat());
    rules = yield* new RuleCompiler(definitions, compiling, {
      appendOutput: options.appendOutput ?? [],
      outputStyle: options.outputStyle,
      allRead: errors.size === 0 && reading.errors.length === 0,
      laterNames,
      fieldSource: options.fieldSource,
      known,
      isEnabled,
    }).steps();
    // Falco asks for plugins when a file is loaded.
    for (const plugin of definitions.plugins) {
      const missing = missingPlugin(plugin);
      if (missing !== undefined) compiling.error(missing.code, missing.message, missing.place);
    }
    for (const error of [...reading.errors, ...compiling.errors]) {
      // What is wrong with an earlier file is found again with each later one.
      const { file, offset, code, message } = error;
      const key = `${file}\n${offset}\n${code}\n${message}`;
      if (!errors.has(key)) errors.set(key, error);
    }
    warnings.push(...reading.warnings);
    omittedErrors += reading.omittedErrors + compiling.omittedErrors;
    omittedWarnings += reading.omittedWarnings;
    if (index === documents.length - 1) {
      warnings.push(...compiling.warnings);
      omittedWarnings += compiling.omittedWarnings;
    }
    files.push({
      name,
      errors: [...reading.errors, ...compiling.errors],
      warnings: [...reading.warnings, ...compiling.warnings],
    });
  }
  const least = PRIORITIES.indexOf(options.minimumPriority ?? 'Debug');
  const severe = rules.filter((rule) => PRIORITIES.indexOf(rule.priority) <= least);
  const { engineVersion } = definitions;
  return {
    ruleSet:
      errors.size === 0 ? { rules: selectRules(severe, options.selection ?? []) } : undefined,
    loadedRules: severe.length,
    definedRules: definitions.rules.size,
    definedMacros: definitions.macros.size,
    definedLists: definitions.lists.size,
    requiredEngineVersion: engineVersion === undefined ? undefined : formatVersion(engineVersion),
    errors: [...errors.values()],
    warnings,
    omittedErrors,
    omittedWarnings,
    files,
    definitions,
  };
}

/** Of a file that says nothing about why: one with a comment is meant to be filled in. */
const EMPTY = 'the file has no rule, macro or list';

const isEmpty = (document: YamlNode): boolean =>
  document.kind === 'sequence' &&
  document.items.every((item) => item.kind === 'scalar' && item.isNull);

/** Whether a rule is in force once selections and the least priority have been looked at. */
function isEnabledIn({
  minimumPriority = 'Debug',
  selection = [],
}: LoadOptions): (rule: RuleDefinition) => boolean {
  const least = PRIORITIES.indexOf(minimumPriority);
  const isEnabled = enabledBy(selection);
  return ({ name, tags, enabled, priority }) =>
    PRIORITIES.indexOf(priority) <= least && isEnabled({ name, tags: [...tags], enabled });
}

function parseSource(source: RuleSource): YamlNode[] | YamlError {
  try {
    return readYaml(source);
  } catch (error) {
    if (error instanceof YamlError) return error;
    throw error;
  }
}

function macroNames(documents: YamlNode[] | YamlError): string[] {
  if (documents instanceof YamlError) return [];
  const names: string[] = [];
  for (const document of documents) {
    for (const item of document.kind === 'sequence' ? document.items : []) {
      if (item.kind !== 'map') continue;
      const macro = item.entries.find((entry) => entry.key.text === 'macro')?.value;
      if (macro?.kind === 'scalar') names.push(macro.text);
    }
  }
  return names;
}

/** Reads a rule file; throws as readRuleBytes. */
export function readRuleFile(path: string): RuleSource {
  return toRuleSource(path, readRuleBytes(path));
}

export function toRuleSource(path: string, bytes: Buffer): RuleSource {
  return { name: path, text: decode(bytes).replace(/^\ufeff/, '') };
}

/**
 * UTF-8, UTF-16 or UTF-32: by the byte order mark, or by where the zero bytes of the first character are, which is ASCII in
 * any rule file (YAML 1.2, 5.2).
 */
function decode(bytes: Buffer): string {
  const zeros = Array.from({ length: 4 }, (_, at) => (bytes[at] === 0 ? '0' : 'x')).join('');
  const mark = bytes.toString('hex', 0, 4);
  if (bytes.length >= 4 && bytes.length % 4 === 0) {
    if (mark === 'fffe0000' || zeros === 'x000') return decodeUtf32(bytes, 'readUInt32LE');
    if (mark === '0000feff' || zeros === '000x') return decodeUtf32(bytes, 'readUInt32BE');
  }
  if (bytes.length >= 2 && bytes.length % 2 === 0) {
    if (mark.startsWith('fffe') || zeros.startsWith('x0')) return bytes.toString('utf16le');
    if (mark.startsWith('feff') || zeros.startsWith('0x'))
      return Buffer.from(bytes).swap16().toString('utf16le');
  }
  return bytes.toString('utf8');
}

function decodeUtf32(bytes: Buffer, read: 'readUInt32LE' | 'readUInt32BE'): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    const point = bytes[read](at);
    parts.push(point <= 0x10ffff ? String.fromCodePoint(point) : '\ufffd');
  }
  return parts.join('');
}

/**
 * The bytes of a rule file, or of another `what` that people write. Throws UserError, a sentence with what to do, when
 * it cannot be read, is no regular file or is larger than MAX_RULE_FILE_BYTES.
 */
export function readRuleBytes(path: string, what = 'rule file'): Buffer {
  try {
    return readRegularFile(path, MAX_RULE_FILE_BYTES);
  } catch (error) {
    const reason =
      error instanceof BoundedFileError
        ? error.reason === 'too large'
          ? `it is larger than ${MAX_RULE_FILE_BYTES / 1024 / 1024} MiB`
          : 'it is not a regular file'
        : reasonOf(error);
    throw unreadable(path, what, reason, error);
  }
}

function unreadable(path: string, what: string, reason: string, cause?: unknown): UserError {
  return new UserError(`Cannot read the ${what}: ${reason}.`, {
    position: { file: path },
    exitCode: 2,
    cause,
  });
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ENOENT':
      return 'there is no such file; check the path';
    case 'EACCES':
      return 'permission denied; run as a user who may read it';
    case 'EISDIR':
      return 'it is a directory; name the files in it';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
