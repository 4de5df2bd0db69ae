import type { SeenAddress } from '../agent/app-profiles.ts';
import { APPS_MAX, PORTS_MAX } from '../agent/app-profiles.ts';
import { SEEN_MAX, type Seen, type SeenReport } from '../agent/seen-values.ts';
import type { Suggestion } from '../agent/suggest-request.ts';
import { MAX_POLICY_BYTES } from '../container-files/policy-text.ts';
import { MAX_VALUE_CHARS } from '../policy/policy-variables.ts';
import { replaceControls } from '../shared/text.ts';

/** Limits in bytes on what grows, of both lists each: with the rest, a policy stays below MAX_POLICY_BYTES. */
const LIST_BYTES = 18 * 1024;
const DETECTED_BYTES = 8 * 1024;
/** The same for directories, which are comments. */
const DIRECTORIES_BYTES = 4 * 1024;
const DIRECTORIES_DETECTED_BYTES = 2 * 1024;
/** Limit on the addresses that are told of a name. */
const ADDRESSES_TOLD_MAX = 8;
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
const DIRECTORIES_SAY = [
  'Directories in which it opened files for writing, and how often at least. They are comments: no variable of a policy is about',
  'writing. List none of them in code_paths, and none above them. What no rule asks for stays in the kernel, and is missing here.',
];
const NAMES_SAY =
  '# The list has domain names: connections to others are not refused, and the process is killed after them.';
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
  /** The list is for people: its lines are comments. */
  readonly asComments?: true;
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
  const { programs, addresses, directories, forgottenApps } = suggestion;
  const { seesPrograms, seesConnections, seesWrites } = suggestion;
  const hosts = byName(addresses);
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
      ? linesOf<Host>({
          variable: 'outbound_hosts',
          says: ADDRESSES_SAY,
          noun: ['address', 'addresses'],
          seen: hosts,
          tell: aboutHost,
        })
      : notReported('Connections'),
    seesWrites &&
    (directories.values.length > 0 || directories.notRemembered + directories.unfit > 0)
      ? linesOf<Seen>({
          variable: '',
          says: DIRECTORIES_SAY,
          noun: ['directory', 'directories'],
          seen: directories,
          tell: () => '',
          asComments: true,
        })
      : NO_LINES,
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
    ...(enforced.includes('outbound_hosts') && hosts.values.some(isNamed) ? [NAMES_SAY] : []),
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

const NO_LINES: Lines = { list: [], enforced: [], detected: [], others: [] };

function linesOf<Entry extends Seen>({
  variable,
  says,
  noun,
  seen,
  tell,
  asComments,
}: Kind<Entry>): Lines {
  const isFree = ({ rule }: Entry): boolean => rule === undefined;
  const items = seen.values.filter(isFree).map((entry) => ({
    item: asComments
      ? `  # - ${safe(entry.value, MAX_VALUE_CHARS)}`
      : `    - ${scalar(entry.value)}`,
    comment: [String(entry.count), tell(entry)].filter((part) => part !== '').join(', '),
  }));
  const widths = items.map(({ item }) => item.length).filter((width) => width < COLUMN_MAX);
  const column = Math.max(0, ...widths);
  const list = within(
    items.map(({ item, comment }) => `${item.padEnd(column)} # ${comment}`),
    asComments ? DIRECTORIES_BYTES : LIST_BYTES,
  );
  const detected = within(
    seen.values.flatMap((entry) =>
      entry.rule === undefined ? [] : [`# - ${aboutDetected(entry, entry.rule, tell(entry))}`],
    ),
    asComments ? DIRECTORIES_DETECTED_BYTES : DETECTED_BYTES,
  );
  const more = (count: number, why: string): string[] =>
    count === 0 ? [] : [`# - ${plural(count, [`more ${noun[0]}`, `more ${noun[1]}`])}, ${why}`];
  const isCut = (count: number): string => (count < SEEN_MAX ? '' : ' (or more than that)');
  return {
    list: [
      ...says.map((line) => `  # ${line}`),
      ...(asComments ? [] : [list.taken.length === 0 ? `  ${variable}: []` : `  ${variable}:`]),
      ...list.taken,
    ],
    enforced:
      !asComments && list.taken.length > 0 && list.left + seen.notRemembered === 0
        ? [variable]
        : [],
    detected: detected.taken,
    others: [
      ...more(detected.left, 'as detections were about them'),
      ...more(
        list.left,
        asComments
          ? `as at most ${DIRECTORIES_BYTES / 1024} KiB of them are listed`
          : `as a policy has at most ${MAX_POLICY_BYTES / 1024} KiB`,
      ),
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

/** A host of `outbound_hosts`: an address, or the name of some. */
interface Host extends Omit<SeenAddress, 'names'> {
  /** Of a name, those that were connected to. */
  readonly addresses: readonly string[];
}

const isNamed = ({ addresses, rule }: Host): boolean => addresses.length > 0 && rule === undefined;

/** Addresses with a name as that name. A name that leads to an address that a detection was about is not used. */
function byName({ values, ...others }: SeenReport<SeenAddress>): SeenReport<Host> {
  const bad = new Set(values.flatMap(({ rule, names }) => (rule === undefined ? [] : names)));
  const hosts: Host[] = [];
  const named = new Map<string, Host & { addresses: string[] }>();
  for (const { names, ...address } of values) {
    const name = address.rule === undefined ? names.find((one) => !bad.has(one)) : undefined;
    if (name === undefined) {
      hosts.push({ ...address, addresses: [] });
      continue;
    }
    const host = named.get(name);
    if (host === undefined) {
      const first = {
        ...address,
        ports: [...address.ports],
        value: name,
        addresses: [address.value],
      };
      named.set(name, first);
      hosts.push(first);
      continue;
    }
    host.count += address.count;
    host.addresses.push(address.value);
    host.hasMorePorts ||= address.hasMorePorts;
    for (const port of address.ports) {
      if (host.ports.includes(port)) continue;
      if (host.ports.length < PORTS_MAX) host.ports.push(port);
      else host.hasMorePorts = true;
    }
  }
  return { ...others, values: hosts.sort((one, other) => other.count - one.count) };
}

function aboutHost(host: Host): string {
  const { addresses } = host;
  if (addresses.length === 0) return portsOf(host);
  const shown = addresses.slice(0, ADDRESSES_TOLD_MAX).join(' ');
  const more = addresses.length - ADDRESSES_TOLD_MAX;
  const at = more > 0 ? `${shown} and ${more} more` : shown;
  return [portsOf(host), `at ${at}`].filter((part) => part !== '').join(', ');
}

function portsOf({ ports, hasMorePorts }: Pick<SeenAddress, 'ports' | 'hasMorePorts'>): string {
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
