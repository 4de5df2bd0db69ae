import { PRIORITIES } from '../detection.ts';
import type { Priority } from '../detection.ts';
import { nearestWord } from '../../shared/nearest.ts';
import type { Named } from './definitions.ts';
import type { Diagnostics } from './diagnostics.ts';
import { checkException, isGiven, readExceptions } from './exceptions.ts';
import type { ExceptionDefinition } from './exceptions.ts';
import { invalid, misshapen, NoSuchItem } from './items.ts';
import type { Item } from './items.ts';
import { checkNamed, checkUnnamed, readOverrides } from './overrides.ts';
import type { Overridable } from './overrides.ts';
import type { MappedText, Place } from './source.ts';

/** The only source of events there is. */
const KNOWN_SOURCE = 'syscall';

export interface RuleDefinition extends Named {
  /** Of these three, what was appended to each other. */
  readonly condition: MappedText[];
  readonly output: MappedText[];
  readonly description: string[];
  exceptions: ExceptionDefinition[];
  priority: Priority;
  readonly source: string;
  /** Its source is unknown: it is kept for what refers to it, and never compiled (R9). */
  readonly unknownSource: boolean;
  enabled: boolean;
  tags: Set<string>;
  warnEvttypes: boolean;
  skipIfUnknownFilter: boolean;
  /** Accepted for Falco's sake: there are no captures here. */
  capture: boolean;
  captureDurationMs: number;
}

const RULE_OVERRIDES: Overridable = {
  append: ['condition', 'output', 'desc', 'tags', 'exceptions'],
  replace: [
    'condition',
    'output',
    'desc',
    'tags',
    'exceptions',
    'priority',
    'capture',
    'capture_duration',
    'enabled',
    'warn_evttypes',
    'skip-if-unknown-filter',
  ],
};

/**
 * Takes a rule's item: a definition, a change to an earlier one, or the switch of one. `index` is its place in the
 * order of all items. Throws ItemError for what is wrong with it, in the order in which Falco comes to it.
 */
export function takeRule(
  item: Item,
  rules: Map<string, RuleDefinition>,
  index: number,
  diagnostics: Diagnostics,
): void {
  const { name } = item;
  const source = readSource(item);
  const overrides = readOverrides(item, RULE_OVERRIDES, diagnostics);
  const known = rules.get(name);
  if (overrides === 'append') {
    const keys = new Set(['condition', 'exceptions'].filter((key) => item.has(key)));
    appendTo(item, known, source, keys, diagnostics).visibility = index;
  } else if (overrides !== undefined) {
    const { append, replace } = overrides;
    if (append.size > 0) {
      checkNamed(item, append);
      const from = append.has('condition') ? source : undefined;
      appendTo(item, known, from, append, diagnostics).visibility = index;
    }
    if (replace.size > 0) {
      checkNamed(item, replace);
      const from = replace.has('condition') ? source : undefined;
      replaceIn(item, known, from, replace, diagnostics).visibility = index;
    }
    checkUnnamed(item, RULE_OVERRIDES, overrides);
  } else if (['condition', 'output', 'desc', 'priority'].some((key) => item.has(key))) {
    rules.set(name, define(item, known, index, diagnostics));
  } else enableOnly(item, known, diagnostics);
}

/** The source that an item names; undefined when it names none. */
function readSource(item: Item): string | undefined {
  const node = item.node('source');
  const isEmpty = node?.kind === 'scalar' && (node.isNull || node.text === '');
  return isEmpty ? undefined : item.scalar('source')?.text;
}

function define(
  item: Item,
  known: RuleDefinition | undefined,
  index: number,
  diagnostics: Diagnostics,
): RuleDefinition {
  const { name, place } = item;
  const condition = item.required('condition', 'a rule').mapped();
  const output = item.required('output', 'a rule').mapped().trim();
  const description = item.required('desc', 'a rule').text;
  item.required('priority', 'a rule');
  const priority = readPriority(item);
  const source = item.scalar('source')?.text ?? KNOWN_SOURCE;
  const unknownSource = source !== KNOWN_SOURCE;
  const rule: RuleDefinition = {
    name,
    place,
    index: known?.index ?? index,
    visibility: index,
    condition: [condition],
    output: [output],
    description: [description.trim()],
    priority,
    source,
    unknownSource,
    enabled: item.boolean('enabled', true),
    capture: item.boolean('capture', false),
    captureDurationMs: item.unsigned('capture_duration', 0),
    warnEvttypes: item.boolean('warn_evttypes', true),
    skipIfUnknownFilter: item.boolean('skip-if-unknown-filter', false),
    tags: readTags(item),
    exceptions: readExceptions(item, false, diagnostics),
  };
  checkSource(item, known, source);
  if (unknownSource) {
    diagnostics.warn(
      'LOAD_UNKNOWN_SOURCE',
      `there is no source '${source}': the rule is left out`,
      item.scalar('source')?.place ?? place,
      item.owner,
    );
  }
  for (const exception of rule.exceptions) checkException(exception, !unknownSource);
  return rule;
}

/** A rule that no file defines. */
export function madeRule(
  name: string,
  condition: MappedText,
  place: Place,
  index: number,
): RuleDefinition {
  return {
    name,
    place,
    index,
    visibility: index,
    condition: [condition],
    output: [condition.slice(0, 0)],
    description: [''],
    priority: 'Debug',
    source: KNOWN_SOURCE,
    unknownSource: false,
    enabled: true,
    capture: false,
    captureDurationMs: 0,
    warnEvttypes: false,
    skipIfUnknownFilter: false,
    tags: new Set<string>(),
    exceptions: [],
  };
}

function checkSource(
  item: Item,
  known: RuleDefinition | undefined,
  source: string | undefined,
): void {
  if (known === undefined || source === undefined || known.source === source) return;
  throw invalid(
    `rule "${item.name}" was defined for source '${known.source}' before`,
    item.keyPlace('source'),
  );
}

function enableOnly(item: Item, known: RuleDefinition | undefined, diagnostics: Diagnostics): void {
  if (!item.has('enabled')) {
    throw misshapen("a rule needs 'condition', 'output', 'desc' and 'priority'", item.place);
  }
  const enabled = item.boolean('enabled', true);
  diagnostics.warn(
    'LOAD_DEPRECATED_ITEM',
    "a rule with 'enabled' alone is deprecated: add 'override: {enabled: replace}'",
    item.keyPlace('enabled'),
    item.owner,
  );
  if (known === undefined) {
    throw new NoSuchItem(item, enabled ? 'enable' : 'disable');
  }
  known.enabled = enabled;
}

function appendTo(
  item: Item,
  known: RuleDefinition | undefined,
  source: string | undefined,
  keys: ReadonlySet<string>,
  diagnostics: Diagnostics,
): RuleDefinition {
  const text = (key: string) => (keys.has(key) ? item.required(key, 'a rule') : undefined);
  const condition = text('condition');
  const exceptions = keys.has('exceptions') ? readExceptions(item, true, diagnostics) : [];
  const output = text('output');
  const description = text('desc');
  const tags = keys.has('tags') ? readTags(item) : [];
  checkSource(item, known, source);
  const rule = existing(item, known, 'append to');
  if (keys.size === 0) {
    throw invalid("there is nothing to append: 'condition' or 'exceptions'", item.place);
  }
  if (condition !== undefined) rule.condition.push(condition.mapped());
  if (output !== undefined) rule.output.push(output.mapped());
  if (description !== undefined) rule.description.push(description.text.trim());
  for (const tag of tags) rule.tags.add(tag);
  for (const exception of exceptions) addException(rule, exception);
  return rule;
}

/** An exception of a known name adds values to it; another one is new. */
function addException(rule: RuleDefinition, exception: ExceptionDefinition): void {
  const { name, fields, comps, values, place } = exception;
  const known = rule.exceptions.find((other) => other.name === name);
  if (known === undefined) {
    if (!isGiven(fields)) {
      throw invalid(`there is no exception '${name}' yet: a new one needs 'fields'`, place);
    }
    if (values.length === 0) {
      throw invalid(`there is no exception '${name}' yet: a new one needs 'values'`, place);
    }
    checkException(exception, !rule.unknownSource);
    rule.exceptions.push(exception);
    return;
  }
  for (const [key, part] of Object.entries({ fields, comps })) {
    if (!isGiven(part)) continue;
    throw invalid(
      `exception '${name}' is there already: only values can be appended to it, not ${key}`,
      part.place,
    );
  }
  for (const value of values) known.values.push(value);
}

function replaceIn(
  item: Item,
  known: RuleDefinition | undefined,
  source: string | undefined,
  keys: ReadonlySet<string>,
  diagnostics: Diagnostics,
): RuleDefinition {
  const text = (key: string) => (keys.has(key) ? item.required(key, 'a rule') : undefined);
  const condition = text('condition');
  const exceptions = keys.has('exceptions') ? readExceptions(item, false, diagnostics) : undefined;
  const output = text('output');
  const description = text('desc');
  const tags = keys.has('tags') ? readTags(item) : undefined;
  const priority = text('priority') === undefined ? undefined : readPriority(item);
  const flag = (key: string) => (text(key) === undefined ? undefined : item.boolean(key, false));
  const capture = flag('capture');
  const captureDurationMs =
    text('capture_duration') === undefined ? undefined : item.unsigned('capture_duration', 0);
  const enabled = flag('enabled');
  const warnEvttypes = flag('warn_evttypes');
  const skipIfUnknownFilter = flag('skip-if-unknown-filter');
  checkSource(item, known, source);
  const rule = existing(item, known, 'change');
  for (const exception of exceptions ?? []) checkException(exception, !rule.unknownSource);
  if (condition !== undefined) rule.condition.splice(0, Infinity, condition.mapped());
  if (output !== undefined) rule.output.splice(0, Infinity, output.mapped().trim());
  if (description !== undefined) rule.description.splice(0, Infinity, description.text.trim());
  rule.exceptions = exceptions ?? rule.exceptions;
  rule.tags = tags ?? rule.tags;
  rule.priority = priority ?? rule.priority;
  rule.capture = capture ?? rule.capture;
  rule.captureDurationMs = captureDurationMs ?? rule.captureDurationMs;
  rule.enabled = enabled ?? rule.enabled;
  rule.warnEvttypes = warnEvttypes ?? rule.warnEvttypes;
  rule.skipIfUnknownFilter = skipIfUnknownFilter ?? rule.skipIfUnknownFilter;
  return rule;
}

function existing(
  item: Item,
  known: RuleDefinition | undefined,
  verb: 'append to' | 'change',
): RuleDefinition {
  if (known !== undefined) return known;
  throw new NoSuchItem(item, verb);
}

const PRIORITY_WORDS: ReadonlyMap<string, Priority> = new Map([
  ...PRIORITIES.map((priority) => [priority.toLowerCase(), priority] as const),
  ['info', 'Informational'],
]);

/** A priority by its name in any case (R5); undefined when there is none of that name. */
export function parsePriority(word: string): Priority | undefined {
  return PRIORITY_WORDS.get(word.toLowerCase());
}

function readPriority(item: Item): Priority {
  const scalar = item.required('priority', 'a rule');
  const priority = parsePriority(scalar.text);
  if (priority !== undefined) return priority;
  const close = nearestWord(scalar.text, PRIORITY_WORDS.keys());
  throw misshapen(
    `Invalid priority '${scalar.text}'${close === undefined ? '' : `: did you mean '${close}'?`}`,
    scalar.place,
  );
}

function readTags(item: Item): Set<string> {
  return new Set((item.scalars('tags') ?? []).map((tag) => tag.text));
}
