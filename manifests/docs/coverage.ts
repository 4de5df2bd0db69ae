import { FIELD_CLASSES } from '../../src/rules/fields/registry.ts';
import { COMPARED_FIELDS } from '../../src/rules/fields/compared.gen.ts';
import { eventStatus } from '../../src/rules/fields/events.ts';
import { FALCO_EVENT_NAMES, falcoEvent } from '../../src/rules/fields/falco-events.ts';
import type { FieldDefinition } from '../../src/rules/fields/field.ts';
import { EVENT_NAMES, EVENT_TABLE } from '../../src/events/table.gen.ts';
import type { EventName } from '../../src/events/table.gen.ts';
import type { AttackRow, ImpossibleRow } from '../../test/e2e/attacks/row.ts';
import { MOST, type LineLengths } from '../../test/e2e/attacks/line-lengths.ts';
import type { Denial, DeniedRun } from '../../test/e2e/attacks/denied.ts';
import type { DefaultRules } from './default-rules.ts';
import { anchor, code, fill, table } from './markdown.ts';

/** The tables in native/schema of how a call is entered; the modules have no types of their own. */
export interface CallTables {
  readonly CALLS: readonly {
    readonly name: string;
    readonly event?: string;
    readonly nr: number;
    readonly nr32?: number;
  }[];
  readonly OWN_CALLS: readonly (readonly [name: string, nr: number, ia32: number])[];
  readonly OLD_IA32: readonly (readonly [ia32: number, nr: number])[];
  readonly SOCKETCALL: Readonly<Record<string, readonly [nr: number, count: number]>>;
  readonly IO_URING_CALLS: Readonly<Record<string, number>>;
}

/** The actions of test/e2e/attacks. */
export interface Attacks {
  readonly rows: readonly AttackRow[];
  readonly impossible: readonly ImpossibleRow[];
}

/** Generates manifests/COVERAGE.md from the page's text. */
export function coveragePage(
  page: string,
  rules: DefaultRules,
  calls: CallTables,
  attacks: Attacks,
  denied: DeniedRun,
  withTrampolines: DeniedRun,
  lengths: LineLengths,
): string {
  return fill(page, {
    events: events(rules, calls),
    'other events': otherEvents(),
    fields: fields(),
    'attack counts': attackCounts(attacks),
    'line lengths': lineLengths(lengths),
    attacks: attackTable(attacks),
    'denied counts': deniedCounts(denied),
    denied: deniedTable(denied, withTrampolines),
    'trampoline counts': trampolineCounts(withTrampolines, denied),
    'no rule': reasons(attacks),
    impossible: attacks.impossible
      .map(({ action, upstream, because }) => `- ${action} (${upstream}): ${because}.`)
      .join('\n'),
  });
}

function deniedCounts({ kernel, rows }: DeniedRun): string {
  const count = (wanted: Denial): number => rows.filter(({ denial }) => denial === wanted).length;
  return [
    `On Linux ${kernel}, of ${rows.length} actions ${count('refused')} were refused (EPERM). In ${count('ended first')} the program was`,
    `ended before its first instruction, in ${count('killed after')} the process was killed after the effect.`,
    `${count('reported')} were only reported, by rules below ERROR. For ${count('silent')} no rule fired.`,
  ].join('\n');
}

/** Of those that are killed on the first kernel, what another one does that lets programs refuse calls. */
function trampolineCounts({ kernel, rows }: DeniedRun, first: DeniedRun): string {
  const count = (wanted: Denial, among: DeniedRun['rows']): number =>
    among.filter(({ denial }) => denial === wanted).length;
  const stopped = (among: DeniedRun['rows']): number =>
    count('refused', among) + count('ended first', among);
  const severe = stopped(first.rows) + count('killed after', first.rows);
  return [
    `On Linux ${kernel}, which lets programs refuse calls, ${stopped(rows)} of those ${rows.length} that are killed here were stopped before`,
    `their effect. So ${stopped(first.rows) + stopped(rows)} of the ${severe} attacks that trip a rule of ERROR or above are.`,
  ].join('\n');
}

function deniedTable({ rows, kernel }: DeniedRun, other: DeniedRun): string {
  const there = new Map(other.rows.map(({ action, denial }) => [action, denial]));
  return table([
    ['action', `Linux ${kernel}`, `Linux ${other.kernel}`, 'by'],
    ...rows.flatMap(({ action, denial, rules }) =>
      denial === 'silent' || denial === 'reported'
        ? []
        : [[action, DENIAL_WORDS[denial], wordsOf(there.get(action) ?? denial), rules.join('; ')]],
    ),
  ]);
}

const wordsOf = (denial: Denial): string =>
  denial === 'silent' || denial === 'reported' ? denial : DENIAL_WORDS[denial];

const DENIAL_WORDS = {
  refused: 'refused (EPERM)',
  'ended first': 'program ended before its first instruction',
  'killed after': 'killed after the effect',
};

/** The ways into the kernel, besides 64-bit calls, by which an event is seen. */
function waysOf(event: EventName, calls: CallTables): { ia32: boolean; uring: boolean } | 'any' {
  const { hook } = EVENT_TABLE[event];
  if (hook === 'fork' || hook === 'exit') return 'any';
  const own = calls.OWN_CALLS.filter(([name]) => name === event).map(([, nr]) => nr);
  const listed = calls.CALLS.filter((call) => (call.event ?? call.name) === event);
  const numbers = [...own, ...listed.map(({ nr }) => nr)];
  if (numbers.length === 0) throw new Error(`native/schema has no call for the event ${event}`);
  const old = [
    ...calls.OLD_IA32.map(([, nr]) => nr),
    ...Object.values(calls.SOCKETCALL).map(([nr]) => nr),
  ];
  const uring = Object.values(calls.IO_URING_CALLS);
  return {
    ia32: own.length > 0 || listed.some(({ nr, nr32 }) => nr32 !== undefined || old.includes(nr)),
    // A rename request with flags is renameat2.
    uring: numbers.some((nr) => uring.includes(nr)) || event === 'renameat2',
  };
}

function events({ all, off }: DefaultRules, calls: CallTables): string {
  const groups = new Map<string, string[]>();
  for (const event of [...EVENT_NAMES].sort()) {
    const ways = waysOf(event, calls);
    const entered =
      ways === 'any'
        ? 'however it comes about'
        : [
            '64-bit',
            ...(ways.ia32 ? ['ia32'] : []),
            'x32',
            ...(ways.uring ? ['io_uring'] : []),
          ].join(', ');
    const on = all.filter(({ rule }) => rule.events.has(event) && !off.has(rule.name)).length;
    const key = [entered, on === 0 ? 'none' : 'some'].join('|');
    const text = on === 0 ? code(event) : `${code(event)} (${on})`;
    groups.set(key, [...(groups.get(key) ?? []), text]);
  }
  const rows = [...groups].sort(([left], [right]) => (left < right ? -1 : 1));
  return table([
    ['entered by', 'default rules', 'events (and by how many default rules)'],
    ...rows.map(([key, names]) => {
      const [entered = '', some = ''] = key.split('|');
      return [entered, some === 'none' ? 'none; yours can' : 'yes', names.join(', ')];
    }),
  ]);
}

function otherEvents(): string {
  const known = FALCO_EVENT_NAMES.map(falcoEvent).filter((event) => event !== undefined);
  const missing = known.filter(({ name }) => eventStatus(name) === 'not yet');
  const named = missing.filter(({ params }) => params[0]?.type !== 'SYSCALLID');
  return [
    `Falco knows ${missing.length} more system calls of x86-64. Rules may name them, and never match: ${named.length} with parameters`,
    `(${named.map(({ name }) => code(name)).join(', ')}), and ${missing.length - named.length} by name only.`,
  ].join('\n');
}

function fields(): string {
  const isCompared = ({ name }: FieldDefinition): boolean =>
    Object.keys(COMPARED_FIELDS).some(
      (key) => key === name || (/^evt\.(raw)?arg$/.test(name) && key.startsWith(`${name}.`)),
    );
  const list = (some: readonly FieldDefinition[]): string =>
    some.length === 0 ? '' : some.map(({ name }) => code(name)).join(', ');
  return table([
    ['class', 'compared', 'not compared', 'not yet'],
    ...FIELD_CLASSES.map(({ name, fields: all }) => {
      const there = all.filter(({ status }) => status === 'available');
      return [
        code(name),
        String(there.filter(isCompared).length),
        String(there.filter((field) => !isCompared(field)).length),
        list(all.filter(({ status }) => status === 'not yet')),
      ];
    }),
  ]);
}

function attackCounts({ rows, impossible }: Attacks): string {
  const ours = rows.filter((row) => typeof row.ours === 'string');
  return `${rows.length + impossible.length} actions: ${rows.length} can be done in a container, and ${ours.length} of them fire a default rule.`;
}

function lineLengths({ lines, text, json }: LineLengths): string {
  return [
    `They make ${lines} lines of default rules. A line of text has ${text.median} bytes in the median and ${text.longest} at most, one of JSON`,
    `${json.median} and ${json.longest.toLocaleString('en')}. \`npm run attacks\` fails if a median is above ${MOST.text.median} or ${MOST.json.median}, or a line of JSON has more`,
    `than ${MOST.json.longest.toLocaleString('en')} bytes.`,
  ].join('\n');
}

function attackTable({ rows }: Attacks): string {
  return table([
    ['action', 'Falco’s rule', 'of its file', 'default rule'],
    ...rows.map(({ action, upstream, upstreamMisses, file, ours }) => [
      action,
      upstreamMisses === undefined ? upstream : `${upstream}: no, ${upstreamMisses}`,
      file,
      typeof ours === 'string' ? `[${ours}](rules/RUNBOOK.md#${anchor(ours)})` : 'none, see below',
    ]),
  ]);
}

function reasons({ rows }: Attacks): string {
  const byReason = new Map<string, string[]>();
  for (const { action, ours } of rows) {
    if (typeof ours === 'string') continue;
    byReason.set(ours.none, [...(byReason.get(ours.none) ?? []), action]);
  }
  return [...byReason].map(([reason, actions]) => `- ${actions.join(', ')}: ${reason}.`).join('\n');
}
