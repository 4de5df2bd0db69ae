import type { SeenAddress } from '../agent/app-profiles.ts';
import { APPS_MAX } from '../agent/app-profiles.ts';
import { SEEN_MAX, type Seen, type SeenReport } from '../agent/seen-values.ts';
import type { Suggestion } from '../agent/suggest-request.ts';
import { MAX_POLICY_BYTES } from '../container-files/policy-text.ts';
import { MAX_VALUE_CHARS } from '../policy/policy-variables.ts';
import { replaceControls } from '../shared/text.ts';

/** Limits in bytes on what grows, of both lists each: with the rest, a policy stays below MAX_POLICY_BYTES. */
const LIST_BYTES = 20 * 1024;
const DETECTED_BYTES = 8 * 1024;
/** Comments begin in one column, at most in this one. */
const COLUMN_MAX = 48;
/** Characters of a name in a comment. */
const NAME_MAX = 100;

const PROGRAMS_SAY = [
  'Programs that it ran, with how often. Rules about shells, tools and new programs leave these out:',
  'remove what the app does not need.',
];
const ADDRESSES_SAY = [
  'Addresses that it connected to, and the minimum number of connections; a domain name is better where there is one.',
  'Connections to any other host are reported.',
];
const ENFORCE_SAYS = [
  '# Without the # in the next line nothing else may be run or reached, where the operator allows that',
  '# (policies.responses). What is left out below would be denied, too.',
];
const LEFT_OUT = '# Left out:';
const LEFT_OUT_SAYS = [
  '# Left out. A detection says what was done, not that it is bad: a shell of the app’s own is reported, too.',
  '# What the app does by design can be added above.',
];

/** One of the policy's lists. */
interface Kind<Entry extends Seen> {
  readonly variable: string;
  readonly says: readonly string[];
  readonly noun: readonly [one: string, more: string];
  readonly seen: SeenReport<Entry>;
  /** What is told of an entry besides its count; '' for nothing. */
  readonly tell: (entry: Entry) => string;
}

/** The lines of a list, and what is told of values that are not in it. */
interface Lines {
  readonly list: readonly string[];
  /** The variable's name, if the list is one that the app could be held to. */
  readonly enforced: readonly string[];
  readonly detected: readonly string[];
  readonly others: readonly string[];
}

/**
 * An app's `varvel.yml`, made of what it did: at most MAX_POLICY_BYTES. Values and names are hostile: a value is in quotes
 * unless it is plain to every reader of YAML; a comment has no character that ends its line or changes what people see of it.
 */
export function suggestedPolicy(suggestion: Suggestion): string {
  const { programs, addresses, seesPrograms, seesConnections, forgottenApps } = suggestion;
  const lines = [
    seesPrograms
      ? linesOf<Seen>({
          variable: 'expected_executables',
          says: PROGRAMS_SAY,
          noun: ['program', 'programs'],
          seen: programs,
          tell: () => '',
        })
      : notReported('Programs'),
    // What was seen before a reload of the rules, for example, is no whole list.
    seesConnections
      ? linesOf<SeenAddress>({
          variable: 'outbound_hosts',
          says: ADDRESSES_SAY,
          noun: ['address', 'addresses'],
          seen: addresses,
          tell: portsOf,
        })
      : notReported('Connections'),
  ];
  const enforced = lines.flatMap((one) => one.enforced);
  const detected = lines.flatMap((one) => one.detected);
  const others = lines.flatMap((one) => one.others);
  if (forgottenApps > 0)
    others.push(
      `# - perhaps what it did before that: ${plural(forgottenApps, ['app was', 'apps were'])} forgotten, as at most ${APPS_MAX.toLocaleString('en')} are remembered`,
    );
  return [
    heading(suggestion),
    'variables:',
    ...lines.flatMap((one) => one.list),
    ...(enforced.length > 0 ? [...ENFORCE_SAYS, `# enforce: [${enforced.join(', ')}]`] : []),
    ...(detected.length > 0 ? LEFT_OUT_SAYS : others.length > 0 ? [LEFT_OUT] : []),
    ...detected,
    ...others,
    '',
  ].join('\n');
}

function heading({ kind, name, space, org, hostname, containers, sinceMs }: Suggestion): string {
  const place = [
    ...(space === undefined ? [] : [` of space ${quoted(space)}`]),
    ...(org === undefined ? [] : [` of org ${quoted(org)}`]),
  ].join('');
  const since = new Date(sinceMs).toISOString().replace(/\.\d+Z$/, 'Z');
  const where = `on ${safe(hostname)} in ${plural(containers, ['container', 'containers'])}`;
  return `# Suggested by varvel from what ${kind} ${quoted(name)}${place} did ${where} since ${since}. Read it before you commit it.`;
}

const notReported = (what: string): Lines => ({
  list: [`  # ${what} are not reported: no rule asks for them.`],
  enforced: [],
  detected: [],
  others: [],
});

function linesOf<Entry extends Seen>({ variable, says, noun, seen, tell }: Kind<Entry>): Lines {
  const isFree = ({ rule }: Entry): boolean => rule === undefined;
  const items = seen.values.filter(isFree).map((entry) => ({
    item: `    - ${scalar(entry.value)}`,
    comment: [String(entry.count), tell(entry)].filter((part) => part !== '').join(', '),
  }));
  const widths = items.map(({ item }) => item.length).filter((width) => width < COLUMN_MAX);
  const column = Math.max(0, ...widths);
  const list = within(
    items.map(({ item, comment }) => `${item.padEnd(column)} # ${comment}`),
    LIST_BYTES,
  );
  const detected = within(
    seen.values.flatMap((entry) =>
      entry.rule === undefined ? [] : [`# - ${aboutDetected(entry, entry.rule, tell(entry))}`],
    ),
    DETECTED_BYTES,
  );
  const more = (count: number, why: string): string[] =>
    count === 0 ? [] : [`# - ${plural(count, [`more ${noun[0]}`, `more ${noun[1]}`])}, ${why}`];
  const isCut = (count: number): string => (count < SEEN_MAX ? '' : ' (or more than that)');
  return {
    list: [
      ...says.map((line) => `  # ${line}`),
      list.taken.length === 0 ? `  ${variable}: []` : `  ${variable}:`,
      ...list.taken,
    ],
    enforced: list.taken.length > 0 && list.left + seen.notRemembered === 0 ? [variable] : [],
    detected: detected.taken,
    others: [
      ...more(detected.left, 'as detections were about them'),
      ...more(list.left, `as a policy has at most ${MAX_POLICY_BYTES / 1024} KiB`),
      ...more(
        seen.notRemembered,
        `as at most ${SEEN_MAX} are remembered${isCut(seen.notRemembered)}`,
      ),
      ...more(
        seen.unfit,
        `which cannot be in a policy: its file has no path (deleted, or only in memory), or it is over ${MAX_VALUE_CHARS} bytes or has unusual characters${isCut(seen.unfit)}`,
      ),
    ],
  };
}

function aboutDetected({ value }: Seen, rule: string, told: string): string {
  const what = told === '' ? safe(value, MAX_VALUE_CHARS) : `${safe(value)}, ${told}`;
  return `${what}, as detections were about it: ${safe(rule)}`;
}

function portsOf({ ports, hasMorePorts }: SeenAddress): string {
  if (ports.length === 0) return '';
  const all = ports.join(', ');
  return `${ports.length === 1 ? 'port' : 'ports'} ${all}${hasMorePorts ? ' and others' : ''}`;
}

/** The first of the lines that fit, and how many there are besides. */
function within(
  lines: readonly string[],
  bytes: number,
): { readonly taken: readonly string[]; readonly left: number } {
  let left = bytes;
  const end = lines.findIndex((line) => (left -= Buffer.byteLength(line) + 1) < 0);
  const taken = end < 0 ? lines : lines.slice(0, end);
  return { taken, left: lines.length - taken.length };
}

const plural = (count: number, [one, more]: readonly [string, string]): string =>
  `${count} ${count === 1 ? one : more}`;

/** A value as YAML: JSON's quotes and escapes are YAML's. */
const scalar = (value: string): string =>
  /^[/\d][\w./+@-]*$/.test(value) ? value : JSON.stringify(value);

const quoted = (name: string): string => `"${safe(name)}"`;

/** Text for a comment: neither characters that some reader of YAML takes for a line's end, nor marks of direction. */
const safe = (text: string, max = NAME_MAX): string =>
  replaceControls(text.length > max ? `${text.slice(0, max)}…` : text).replaceAll(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    '\ufffd',
  );
