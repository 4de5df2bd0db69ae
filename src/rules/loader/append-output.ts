import type { RuleDefinition } from './rule-definitions.ts';
import { MappedText } from './source.ts';

/** What a deployment adds to the outputs of rules, without touching their files (O4). */
export interface AppendOutput {
  /** Rules that it is for: all that is named must fit. Without it, every rule. */
  readonly match?: {
    /** The rule's whole name. */
    readonly rule?: string;
    readonly source?: string;
    /** All of them must be the rule's. */
    readonly tags?: readonly string[];
  };
  /** Follows the rule's output after a blank. */
  readonly extraOutput?: string;
  /**
   * More keys for `output_fields`: a field's name stands for the field's value as it is, a pair for a text with
   * fields in it.
   */
  readonly extraFields?: readonly (string | Readonly<Record<string, string>>)[];
  /** Adds the fields that say which container an event is from. */
  readonly suggestedOutput?: boolean;
}

/** A key that output_fields has besides the output's own. */
export interface ExtraField {
  readonly key: string;
  readonly text: MappedText;
  /** The one field's value as it is, not a text. */
  readonly raw: boolean;
}

/** Those that Falco's container plugin suggests for outputs, with their names there. */
const SUGGESTED_FIELDS = [
  'container.id',
  'container.name',
  'container.image.repository',
  'container.image.tag',
  'k8s.pod.name',
  'k8s.ns.name',
] as const;

const SUGGESTED_OUTPUT = SUGGESTED_FIELDS.map(
  (field) => `${field.replaceAll('.', '_')}=%${field}`,
).join(' ');

/** What the entries add to a rule's output, in their order. Errors in it point into the entries' own text. */
export function outputAdditions(
  rule: RuleDefinition,
  entries: readonly AppendOutput[],
): MappedText[] {
  const added: MappedText[] = [];
  for (const entry of entries) {
    if (!fits(rule, entry.match)) continue;
    if (entry.extraOutput !== undefined && entry.extraOutput !== '') {
      added.push(configured(entry.extraOutput));
    }
    if (entry.suggestedOutput === true) added.push(configured(SUGGESTED_OUTPUT));
  }
  return added;
}

/** The further keys that the entries give a rule. The last one of a name counts. */
export function extraFields(rule: RuleDefinition, entries: readonly AppendOutput[]): ExtraField[] {
  const fields = new Map<string, ExtraField>();
  for (const entry of entries) {
    if (!fits(rule, entry.match)) continue;
    for (const field of entry.extraFields ?? []) {
      if (typeof field === 'string') {
        fields.set(field, { key: field, text: configured(`%${field}`), raw: true });
        continue;
      }
      for (const [key, format] of Object.entries(field)) {
        fields.set(key, { key, text: configured(format), raw: false });
      }
    }
  }
  return [...fields.values()];
}

function fits(rule: RuleDefinition, match: AppendOutput['match']): boolean {
  if (match === undefined) return true;
  const { source = '', rule: name = '', tags = [] } = match;
  return (
    (source === '' || rule.source === source) &&
    (name === '' || rule.name === name) &&
    tags.every((tag) => rule.tags.has(tag))
  );
}

function configured(text: string): MappedText {
  const source = { name: 'append_output', text };
  return MappedText.of(
    text,
    source,
    Int32Array.from({ length: text.length }, (_, index) => index),
  );
}
