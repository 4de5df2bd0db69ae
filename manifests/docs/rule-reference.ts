import { findField } from '../../src/rules/fields/registry.ts';
import type { DefaultRules, DocumentedRule } from './default-rules.ts';
import { exampleOf, exceptionPolicy, selectionPolicy } from './example.ts';
import { leftOut } from './left-out.ts';
import { anchor, code, fill, table } from './markdown.ts';
import { describeTags } from './techniques.ts';

/** Generates manifests/rules/REFERENCE.md from the page's text. */
export function ruleReference(page: string, rules: DefaultRules): string {
  return fill(page, {
    index: index(rules),
    words: words(rules.all),
    rules: rules.all.map((rule) => section(rule, rules)).join('\n\n'),
  });
}

function index({ all, off }: DefaultRules): string {
  const rows = all.map(({ rule: { name, priority, events } }) => [
    `[${name}](#${anchor(name)})`,
    priority,
    off.has(name) ? 'off' : 'on',
    [...events].sort().join(', '),
    `[runbook](RUNBOOK.md#${anchor(name)})`,
  ]);
  return table([['rule', 'priority', 'as shipped', 'events', 'when it fires'], ...rows]);
}

/** The labels of all outputs: a label may stand for different fields in different rules. */
function words(all: readonly DocumentedRule[]): string {
  const fields = new Map<string, Set<string>>();
  for (const { label, field } of all.flatMap((rule) => rule.words)) {
    fields.set(label, (fields.get(label) ?? new Set()).add(field));
  }
  const rows = [...fields].sort(([left], [right]) => (left < right ? -1 : 1));
  return table([
    ['word', 'field', 'what it is'],
    ...rows.map(([label, names]) => [
      code(`${label}=`),
      [...names].map(code).join(', '),
      [...new Set([...names].map(describeField))].join(' '),
    ]),
  ]);
}

function describeField(name: string): string {
  const found = findField(/^[^[]+/.exec(name)?.[0] ?? name);
  if (found === undefined) throw new Error(`there is no field ${name}`);
  const { field, dotArgument } = found;
  if (dotArgument !== undefined) return `The call’s parameter ${code(dotArgument)}.`;
  return field.description;
}

function section(documented: DocumentedRule, rules: DefaultRules): string {
  const { rule, runbook, condition, exceptions } = documented;
  const isOff = rules.off.has(rule.name);
  const { kinds, attack } = describeTags(rule.tags);
  const example = exampleOf(documented, rules.underTest);
  const [sees = ''] = rule.description.split(/\s*What to do:/);
  const without = leftOut(condition);
  return [
    `## ${rule.name}`,
    `**${rule.priority}**, ${isOff ? 'off' : 'on'} as shipped. Tags: ${kinds}.${attack === '' ? '' : ` ATT&CK: ${attack}.`} [When it fires](RUNBOOK.md#${anchor(rule.name)}).`,
    sees.trim().replaceAll(/\s+/g, ' '),
    [
      `- Events: ${[...rule.events].sort().map(code).join(', ')}.`,
      ...(without.length === 0 ? [] : [`- Leaves out: ${without.join('; ')}.`]),
      `- Known benign causes: ${runbook.benign.replaceAll(/\s+/g, ' ')}`,
      `- Exceptions it takes: ${exceptions.map(({ name, fields }) => `${code(name)} (${fields.join(', ')})`).join(', ')}.`,
    ].join('\n'),
    `\`\`\`text\n${example.output}\n\`\`\``,
    ...(isOff
      ? ['On, in a `varvel.yml`:', `\`\`\`yaml\n${selectionPolicy(documented, true)}\n\`\`\``]
      : [
          'Not for exactly this, in a `varvel.yml`:',
          `\`\`\`yaml\n${exceptionPolicy(documented, example)}\n\`\`\``,
        ]),
  ].join('\n\n');
}
