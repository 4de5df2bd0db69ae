import { TELL } from '../../src/rules/loader/runbook.ts';
import type { DefaultRules, DocumentedRule } from './default-rules.ts';
import { anchor, fill, table } from './markdown.ts';

/** Generates manifests/rules/RUNBOOK.md from the page's text. */
export function runbookPage(page: string, rules: DefaultRules): string {
  return fill(page, {
    tell: table([['in the runbook', 'whom'], ...Object.entries(TELL)]),
    index: rules.all.map(({ rule }) => `[${rule.name}](#${anchor(rule.name)})`).join(' ·\n'),
    rules: rules.all.map((rule) => section(rule, rules)).join('\n\n'),
  });
}

function section({ rule, runbook }: DocumentedRule, { off }: DefaultRules): string {
  const { means, look, benign, attack, contain, rotate, keep, tell, except } = runbook;
  const flat = (text: string): string => text.replaceAll(/\s+/g, ' ');
  const reference = `REFERENCE.md#${anchor(rule.name)}`;
  return [
    `## ${rule.name}`,
    `**${rule.priority}**${off.has(rule.name) ? ', off as shipped' : ''}. ${flat(means)}`,
    look.map((text, at) => `${at + 1}. ${flat(text)}`).join('\n'),
    [
      `- **Benign:** ${flat(benign)}`,
      `- **An attack:** ${flat(attack)}`,
      `- **[Contain](#contain):** ${flat(contain)}`,
      ...(rotate === undefined ? [] : [`- **[Rotate](#rotate):** ${flat(rotate)}`]),
      `- **[Keep](#keep-evidence):** ${flat(keep)}`,
      `- **[Tell](#tell):** ${TELL[tell]}.`,
      `- **[Silence](#silence-precisely):** ${off.has(rule.name) ? `it is off as shipped; [reference](${reference})` : `exception \`${except}\`, [ready to paste](${reference})`}.`,
    ].join('\n'),
  ].join('\n\n');
}
