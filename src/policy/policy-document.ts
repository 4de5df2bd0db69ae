import { MAX_POLICY_BYTES } from '../container-files/policy-text.ts';
import { PRIORITIES } from '../rules/detection.ts';
import type { Priority } from '../rules/detection.ts';
import { Diagnostics, ItemError } from '../rules/loader/diagnostics.ts';
import type { Diagnostic } from '../rules/loader/diagnostics.ts';
import { Keyed, misshapen } from '../rules/loader/items.ts';
import { parsePriority } from '../rules/loader/rule-definitions.ts';
import type { RuleSelection } from '../rules/loader/selection.ts';
import { POLICY_RESPONSE_NAMES } from '../shared/response-names.ts';
import type { ResponseName } from '../shared/response-names.ts';
import type { Place, RuleSource } from '../rules/loader/source.ts';
import { readYaml } from '../rules/loader/yaml.ts';
import { YamlError } from '../rules/loader/yaml-node.ts';
import type { YamlNode } from '../rules/loader/yaml-node.ts';
import { nearestWord } from '../shared/nearest.ts';
import { readEnforced, type Enforced } from './enforced.ts';
import { readVariables } from './policy-variables.ts';
import type { PolicyVariable } from './policy-variables.ts';

/** Limit on YAML nodes, with aliases expanded. */
const MAX_NODES = 20_000;
export const MAX_SELECTIONS = 100;

/** One entry of `rules`, and its position. */
export interface PolicySelection extends RuleSelection {
  readonly place: Place;
}

/** One entry of `responses`, and its position. */
export interface PolicyResponse {
  readonly response: ResponseName;
  readonly rule?: string;
  readonly tag?: string;
  readonly place: Place;
}

/** A `varvel.yml` as written: its shape is valid, names are not looked up yet. */
export interface PolicyDocument {
  readonly source: RuleSource;
  /** Detections of lower priority produce no lines in the app's log; undefined: the operator's setting. */
  readonly minimumPriority: Priority | undefined;
  /** Switches rules on and off, in order: the last match counts. */
  readonly selections: readonly PolicySelection[];
  /** The responses to detections. */
  readonly responses: readonly PolicyResponse[];
  /** Properties of the app, for rules that use them. */
  readonly variables: readonly PolicyVariable[];
  /** Those of its variables beside which nothing may happen. Each is listed. */
  readonly enforced: readonly Enforced[];
  /** A list of items in Falco's syntax. */
  readonly customRules: YamlNode | undefined;
}

/** The result of reading: with any error there is no document. */
export interface ReadPolicy {
  readonly document: PolicyDocument | undefined;
  readonly errors: readonly Diagnostic[];
}

const KEYS = [
  'minimum_priority',
  'rules',
  'responses',
  'variables',
  'enforce',
  'custom_rules',
] as const;

/** Reads a policy file. Never throws because of its content; time and memory are bounded by its length. */
export function readPolicy(source: RuleSource): ReadPolicy {
  const diagnostics = new Diagnostics();
  const document = attempt(diagnostics, () => documentOf(source, diagnostics));
  const { errors } = diagnostics;
  return { document: errors.length > 0 ? undefined : document, errors };
}

function attempt<T>(diagnostics: Diagnostics, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof YamlError) {
      diagnostics.error('LOAD_ERR_YAML_PARSE', error.message, error.place);
    } else if (error instanceof ItemError) {
      diagnostics.error(error.code, error.message, error.place);
    } else throw error;
    return undefined;
  }
}

function documentOf(source: RuleSource, diagnostics: Diagnostics): PolicyDocument {
  const empty = {
    source,
    minimumPriority: undefined,
    selections: [],
    responses: [],
    variables: [],
    enforced: [],
    customRules: undefined,
  };
  if (Buffer.byteLength(source.text) > MAX_POLICY_BYTES) {
    throw misshapen(`at most ${MAX_POLICY_BYTES / 1024} KiB are read`, {
      source,
      start: 0,
      end: 1,
    });
  }
  const [first, second] = readYaml(source, MAX_NODES);
  if (first === undefined) return empty;
  if (second !== undefined)
    throw misshapen('there must be one document, not several', second.place);
  if (first.kind !== 'map') {
    throw misshapen(`a policy has keys: ${KEYS.join(', ')}`, first.place);
  }
  const seen = new Set<string>();
  for (const { key } of first.entries) {
    if (seen.has(key.text)) {
      diagnostics.error('LOAD_ERR_YAML_VALIDATE', `'${key.text}' is there twice`, key.place);
    } else if (!(KEYS as readonly string[]).includes(key.text)) {
      const near = nearestWord(key.text, KEYS);
      const hint =
        near === undefined ? `: it can be ${KEYS.join(', ')}` : `: did you mean '${near}'?`;
      diagnostics.error('LOAD_ERR_YAML_VALIDATE', `unknown key '${key.text}'${hint}`, key.place);
    }
    seen.add(key.text);
  }
  const keyed = new Keyed(first);
  const customRules = keyed.node('custom_rules');
  const isNull = customRules?.kind === 'scalar' && customRules.isNull;
  if (customRules !== undefined && !isNull && customRules.kind !== 'sequence') {
    throw misshapen("'custom_rules' must be a list, as in a rule file", customRules.place);
  }
  const variables =
    attempt(diagnostics, () =>
      readVariables(keyed.node('variables'), diagnostics, (read) => attempt(diagnostics, read)),
    ) ?? [];
  return {
    source,
    minimumPriority: attempt(diagnostics, () => priorityOf(keyed)),
    selections: selectionsOf(keyed.node('rules'), diagnostics),
    responses: responsesOf(keyed.node('responses'), diagnostics),
    variables,
    enforced: enforcedOf(keyed.node('enforce'), variables, diagnostics),
    customRules: isNull ? undefined : customRules,
  };
}

function enforcedOf(
  node: YamlNode | undefined,
  variables: readonly PolicyVariable[],
  diagnostics: Diagnostics,
): readonly Enforced[] {
  const enforced = attempt(diagnostics, () => readEnforced(node, diagnostics)) ?? [];
  const valuesOf = (variable: string) => variables.find(({ name }) => name === variable)?.values;
  for (const { variable, mayBeEmpty, needs, place } of enforced) {
    const refuse = (why: string): void =>
      diagnostics.error(
        'LOAD_ERR_YAML_VALIDATE',
        `'${variable}' can be enforced only if ${why}`,
        place,
      );
    const values = valuesOf(variable);
    if (values === undefined || (!mayBeEmpty && values.length === 0))
      refuse(`it is listed under variables${mayBeEmpty ? '' : ', with at least one value'}`);
    else if (needs !== undefined && !valuesOf(needs.variable)?.length)
      refuse(`'${needs.variable}' under variables says ${needs.says}`);
  }
  return enforced;
}

function priorityOf(keyed: Keyed): Priority | undefined {
  const scalar = keyed.scalar('minimum_priority');
  if (scalar === undefined) return undefined;
  const priority = parsePriority(scalar.text);
  if (priority !== undefined) return priority;
  const names = PRIORITIES.map((name) => name.toLowerCase());
  const near = nearestWord(scalar.text, names);
  const hint = near === undefined ? `it can be ${names.join(', ')}` : `did you mean '${near}'?`;
  throw misshapen(`'${scalar.text}' is no priority: ${hint}`, scalar.place);
}

function selectionsOf(node: YamlNode | undefined, diagnostics: Diagnostics): PolicySelection[] {
  const verbs = ['enable', 'disable'] as const;
  const example = '{disable: {rule: NAME}} or {enable: {tag: TAG}}';
  return entriesOf(node, 'rules', verbs, example, diagnostics).map(({ verb, ...which }) => ({
    enable: verb === 'enable',
    ...which,
  }));
}

function responsesOf(node: YamlNode | undefined, diagnostics: Diagnostics): PolicyResponse[] {
  const example = '{kill: {rule: NAME}} or {deny: {tag: TAG}}';
  return entriesOf(node, 'responses', POLICY_RESPONSE_NAMES, example, diagnostics).map(
    ({ verb: response, ...which }) => ({ response, ...which }),
  );
}

interface VerbEntry<Verb> {
  readonly verb: Verb;
  readonly rule?: string;
  readonly tag?: string;
  readonly place: Place;
}

/** The valid entries of a list of `{VERB: {rule: …, tag: …}}`. */
function entriesOf<Verb extends string>(
  node: YamlNode | undefined,
  name: string,
  verbs: readonly Verb[],
  example: string,
  diagnostics: Diagnostics,
): VerbEntry<Verb>[] {
  const entries = attempt(diagnostics, () => {
    if (node === undefined || (node.kind === 'scalar' && node.isNull)) return [];
    if (node.kind !== 'sequence') throw misshapen(`'${name}' must be a list`, node.place);
    if (node.items.length > MAX_SELECTIONS) {
      throw misshapen(
        `'${name}' has ${node.items.length} entries: at most ${MAX_SELECTIONS} are taken`,
        node.place,
      );
    }
    return node.items;
  });
  return (entries ?? []).flatMap(
    (entry) => attempt(diagnostics, () => entryOf(entry, verbs, example)) ?? [],
  );
}

function entryOf<Verb extends string>(
  entry: YamlNode,
  verbs: readonly Verb[],
  example: string,
): VerbEntry<Verb> {
  const [first, ...more] = entry.kind === 'map' ? entry.entries : [];
  const verb = verbs.find((one) => one === first?.key.text);
  if (first === undefined || more.length > 0 || verb === undefined) {
    throw misshapen(`an entry is ${example}`, entry.place);
  }
  const what = first.value;
  if (what.kind !== 'map' || what.entries.length === 0) {
    throw misshapen(`an entry is ${example}`, what.place);
  }
  const given: { rule?: string; tag?: string } = {};
  for (const { key, value } of what.entries) {
    const name = key.text;
    if (name !== 'rule' && name !== 'tag') {
      throw misshapen(`'${name}' is neither 'rule' nor 'tag'`, key.place);
    }
    if (value.kind !== 'scalar' || value.isNull || value.text === '') {
      throw misshapen(`'${name}' must be one name`, value.place);
    }
    given[name] = value.text;
  }
  return { verb, place: entry.place, ...given };
}
