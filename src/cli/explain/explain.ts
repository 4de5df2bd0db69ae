import { existsSync } from 'node:fs';

import { DEFAULT_RULES_FILE } from '../../config/config.ts';
import { milliseconds } from '../../rules/cost/budget.ts';
import { formatDiagnostic } from '../../rules/loader/diagnostics.ts';
import { loadRules, readRuleFile } from '../../rules/loader/load.ts';
import { expandRulePaths } from '../../rules/loader/rule-files.ts';
import { RUNBOOK_PAGE, Runbooks, silenceText, tellText } from '../../rules/loader/runbook.ts';
import type { RunbookEntry } from '../../rules/loader/runbook.ts';
import type { LoadedRule } from '../../rules/rule-set.ts';
import { nearestWord } from '../../shared/nearest.ts';
import { RESPONSE_NAMES } from '../../shared/response-names.ts';
import { replaceControls } from '../../shared/text.ts';
import { NOTICE_RULES } from '../../streams/notice-rules.ts';
import { UserError } from '../../shared/user-error.ts';
import { canFillIn, filledIn, filledInLines } from './condition-layout.ts';
import type { Io } from '../io.ts';
import { jsonDocument } from '../reason-text.ts';
import { DENIAL, denialSection, kernelJson, kernelSection } from './kernel-text.ts';
import { factsOf } from './rule-facts.ts';
import type { FieldFact, OpenFacts, RuleFacts } from './rule-facts.ts';
import { textTable, wrap } from '../text-table.ts';

export interface ExplainArgs {
  /** The rule's name, then rule files; with `all` only rule files. Without files, the rules that come with varvel. */
  readonly operands: readonly string[];
  /** Every rule instead of one. */
  readonly all: boolean;
  /** Only what it is about and what to do when it fires. */
  readonly runbook: boolean;
  /** Only what this response does: `deny`. */
  readonly response: string | undefined;
  /** One JSON document for machines instead of text. */
  readonly json: boolean;
}

/**
 * `varvel explain RULE [FILE…]`: what to do when a rule fires, what it asks for, which events it is run for, what it reads and costs.
 * Resolves to the exit code: 0, or 1 when the rule files have errors. Throws UserError (exit code 2) for an unknown
 * rule and files that cannot be read.
 */
// Asynchronous like every command.
// eslint-disable-next-line @typescript-eslint/require-await
export async function runExplain(args: ExplainArgs, io: Io): Promise<number> {
  const [name] = args.operands;
  const only = onlyOf(args);
  if (!args.all && name === undefined) {
    throw usage('Name a rule, in quotes, or say --all: varvel explain RULE [FILE…].');
  }
  const given = args.all ? args.operands : args.operands.slice(1);
  const missing = given.find((path) => !existsSync(path));
  if (missing !== undefined) {
    const hint = args.all ? '' : ' A name of several words needs quotes.';
    throw usage(`There is no rule file ${missing}.${hint}`);
  }
  const files = given.length === 0 ? [DEFAULT_RULES_FILE] : expandRulePaths(given);
  const { ruleSet, errors, warnings } = loadRules(files.map(readRuleFile));
  if (ruleSet === undefined) {
    io.stderr(errors.map((error) => `${formatDiagnostic(error)}\n`).join(''));
    return 1;
  }
  const runbook = new Runbooks();
  const text = (rule: LoadedRule): string => toText(rule, runbook.of(rule), only, io);
  if (args.all || name === undefined) {
    const { rules } = ruleSet;
    if (args.json) io.stdout(jsonDocument(rules.map((rule) => toJson(rule, runbook.of(rule)))));
    else io.stdout(rules.map(text).join('\n'));
    return 0;
  }
  const leftOut = warnings.find((one) => LEFT_OUT.includes(one.code) && one.owner?.name === name);
  if (leftOut !== undefined) {
    throw usage(
      `The rule "${name}" is left out, so that there is nothing to explain.\n${formatDiagnostic(leftOut)}`,
    );
  }
  const rule = find(name, ruleSet.rules, files);
  io.stdout(args.json ? jsonDocument(toJson(rule, runbook.of(rule))) : text(rule));
  return 0;
}

/** A part that is asked for alone. */
type Part = 'runbook' | 'deny';

function onlyOf({ runbook, response }: ExplainArgs): Part | undefined {
  if (response === undefined) return runbook ? 'runbook' : undefined;
  if (runbook) throw usage('Say --runbook or --response, not both: each asks for one part alone.');
  if (response === 'deny') return 'deny';
  const others = RESPONSE_NAMES.filter((name) => name !== 'deny').join(', ');
  throw usage(
    `--response must be deny; it is "${response.slice(0, 40)}". What the others (${others}) do is the same for each rule.`,
  );
}

/** Warnings that say that a rule is not loaded. */
const LEFT_OUT: readonly string[] = ['LOAD_UNKNOWN_SOURCE', 'LOAD_UNKNOWN_FILTER'];

function find(name: string, rules: readonly LoadedRule[], files: readonly string[]): LoadedRule {
  const exact = rules.find((rule) => rule.name === name);
  if (exact !== undefined) return exact;
  const alike = rules.filter((rule) => rule.name.toLowerCase() === name.toLowerCase());
  const [only] = alike;
  if (only !== undefined && alike.length === 1) return only;
  const close = nearestWord(
    name,
    rules.map((rule) => rule.name),
  );
  const hint = close === undefined ? '' : ` Did you mean "${close}"?`;
  const notice = NOTICE_RULES.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (notice !== undefined) {
    throw usage(
      `"${notice.name}" is not a rule but a notice from the agent. ${notice.means} RUNBOOK.md beside the rules has what to do.`,
    );
  }
  const where = files.length === 1 ? (files[0] ?? '') : `these ${files.length} files`;
  throw usage(`There is no rule "${name.slice(0, 200)}" in ${where}.${hint}`);
}

function usage(message: string): UserError {
  return new UserError(message, { exitCode: 2 });
}

function toJson(rule: LoadedRule, runbook: RunbookEntry | undefined): object {
  const { name, description, priority, tags, enabled, file, line } = rule;
  const { events, anyEvent, conditionFields, outputFields, ...costs } = factsOf(rule);
  const { hooks, opens, kernel, denial, comparisons, costly, worstCaseUs } = costs;
  return {
    rule: name,
    description,
    priority,
    source: 'syscall',
    tags,
    enabled,
    file,
    line,
    condition: filledIn(rule.condition),
    macros_filled_in: canFillIn(rule.condition),
    events: events.map((event) => event.name),
    any_event: anyEvent,
    events_not_reported: events.filter(({ status }) => status !== 'reported').map((e) => e.name),
    condition_fields: conditionFields,
    output_fields: outputFields,
    kernel: kernel === undefined ? null : kernelJson(kernel),
    denial: denial ?? null,
    runbook: runbook ?? null,
    cost: { hooks, opens: opens ?? null, comparisons, costly, worst_case_us: worstCaseUs },
  };
}

function toText(
  rule: LoadedRule,
  runbook: RunbookEntry | undefined,
  only: Part | undefined,
  io: Io,
): string {
  const width = io.columns - 2;
  const name = replaceControls(rule.name);
  const title = io.isTty ? `\x1b[1m${name}\x1b[0m` : name;
  const head = [
    [`${rule.file}:${rule.line}`],
    [
      rule.priority,
      'source syscall',
      `tags ${rule.tags.length === 0 ? 'none' : rule.tags.join(', ')}`,
      ...(rule.enabled
        ? []
        : ['disabled in its file: the operator’s `rules` or an app’s policy can enable it']),
    ],
  ].map((parts) => parts.join('; '));
  const sections: readonly Section[] = [
    [
      '',
      [...head.flatMap((line) => wrap(line, width)), '', ...wrap(rule.description.trim(), width)],
    ],
    ...(only === 'deny' ? denialAlone(rule, width) : runbookSections(runbook, only, width)),
    ...(only === undefined ? languageSections(rule, io.columns) : []),
  ];
  const text = sections.flatMap(([heading, lines]) => [
    ...(heading === '' ? [] : ['', `${heading}:`]),
    ...lines.map((line) => replaceControls(line === '' ? '' : `  ${line}`)),
  ]);
  return `${[title, ...text].join('\n')}\n`;
}

type Section = readonly [heading: string, lines: readonly string[]];

function denialAlone(rule: LoadedRule, width: number): Section[] {
  const sections = denialSection(factsOf(rule), width, Infinity);
  const none =
    'It kills the process after the event: of no call that the rule is about can the kernel refuse or end one.';
  return sections.length > 0 ? sections : [[DENIAL, wrap(none, width)]];
}

function runbookSections(
  entry: RunbookEntry | undefined,
  only: Part | undefined,
  width: number,
): Section[] {
  if (entry === undefined) {
    const none =
      'This rule has no runbook entry. To add one, see "The runbook" in manifests/rules/README.md.';
    return only === 'runbook' ? [['Runbook', wrap(none, width)]] : [];
  }
  const { means, look, benign, attack, contain, rotate, keep } = entry;
  const numbered = look.flatMap((text, at) =>
    wrap(text, width - 3).map((line, row) => `${row === 0 ? `${at + 1}.` : '  '} ${line}`),
  );
  const parts: readonly (readonly [heading: string, text: string | undefined])[] = [
    ['Benign', benign],
    ['An attack', attack],
    ['Contain', contain],
    ['Rotate', rotate],
    ['Keep as evidence', keep],
    ['Tell', tellText(entry)],
    ['Silence', silenceText(entry)],
  ];
  return [
    ['When it fires', wrap(means, width)],
    ['Look first at', numbered],
    ...parts.flatMap(([heading, text]): Section[] =>
      text === undefined ? [] : [[heading, wrap(text, width)]],
    ),
    ['More', wrap(RUNBOOK_PAGE, width)],
  ];
}

/** What the rule is in the language: its condition, what it is run for, reads and costs. */
function languageSections(rule: LoadedRule, columns: number): Section[] {
  const facts = factsOf(rule);
  return [
    [
      canFillIn(rule.condition) ? 'Condition' : 'Condition (too long to fill its macros in)',
      filledInLines(rule.condition, columns - 2),
    ],
    ['Events', eventLines(facts, columns - 2)],
    ...kernelSection(facts, columns - 2),
    ...denialSection(facts, columns - 2),
    ['Fields of the condition', fieldLines(facts.conditionFields, columns)],
    ['Fields of the output besides', fieldLines(facts.outputFields, columns)],
    ['Cost', costLines(facts, columns)],
  ];
}

/** More names than this say nothing to anyone. */
const MAX_LISTED = 100;

function eventLines({ events, anyEvent }: RuleFacts, width: number): string[] {
  if (events.length === 0) return ['none: the condition holds for no event'];
  if (anyEvent && events.length > MAX_LISTED) {
    return wrap(
      `any: the condition holds for ${events.length} types of events, so that the rule is run for every event. Compare evt.type.`,
      width,
    );
  }
  const names = (some: RuleFacts['events']): string => some.map(({ name }) => name).join(', ');
  const silent = events.filter(({ status }) => status !== 'reported');
  const note =
    silent.length === 0
      ? []
      : silent.length === events.length
        ? ['The agent reports none of them yet: the rule never matches.']
        : wrap(`Not reported by the agent yet: ${names(silent)}.`, width);
  return [...wrap(names(events), width), ...note];
}

function fieldLines(fields: readonly FieldFact[], columns: number): string[] {
  if (fields.length === 0) return ['none'];
  return textTable(
    fields.map(({ key, type, status }) => ({
      cells: [key, type],
      text: status === 'available' ? status : 'not yet: absent in every event',
    })),
    columns,
  ).map((line) => line.slice(2));
}

function costLines(facts: RuleFacts, columns: number): string[] {
  const { hooks, opens, comparisons, costly, worstCaseUs } = facts;
  const rows = [
    {
      cells: ['hooks'],
      text:
        hooks.length === 0
          ? 'none of its own'
          : `${hooks.join(', ')}: attached while a container is in scope`,
    },
    ...(opens === undefined ? [] : [{ cells: ['opens'], text: opensText(opens) }]),
    {
      cells: ['comparisons'],
      text: `at most ${comparisons} an event, fewer where one settles it`,
    },
    {
      cells: ['patterns'],
      text: costly.length === 0 ? 'none' : costly.join('; '),
    },
    {
      cells: ['worst case'],
      text: `${milliseconds(worstCaseUs.condition * 1000)} for an event, ${milliseconds(worstCaseUs.output * 1000)} more for a detection: an estimate, for texts as long as they can be`,
    },
  ];
  return textTable(rows, columns).map((line) => line.slice(2));
}

function opensText({ read, write, failed }: OpenFacts): string {
  const kinds = [...(read ? ['reading'] : []), ...(write ? ['writing'] : [])];
  if (kinds.length === 0) {
    return failed
      ? 'the kernel hands over only those that failed'
      : 'none can match: the kernel hands over none for this rule';
  }
  const all = read && write && failed;
  if (all) return 'the kernel hands over all of them';
  return `the kernel hands over only those for ${kinds.join(' or ')}${failed ? ', or that failed' : ' that succeed'}`;
}
