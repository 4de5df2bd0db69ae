import { eventStatus, isEventName } from '../rules/fields/events.ts';
import { EVENT_TABLE } from '../events/table.gen.ts';
import { FALCO_EVENT_NAMES, falcoEvent } from '../rules/fields/falco-events.ts';
import type { FalcoEvent } from '../rules/fields/falco-events.ts';
import { nearestWord } from '../shared/nearest.ts';
import type { Io } from './io.ts';
import { textTable, wrap } from './text-table.ts';

export interface EventsArgs {
  /** One JSON document for machines instead of a table. */
  readonly json?: boolean;
  /** Only events whose name, category or params' names hold this, in any case. */
  readonly filter?: string;
}

/**
 * `varvel events`: every event that rules can name, with its params in the order of `evt.arg[N]`. Resolves to the
 * exit code: 0, or 1 when the filter leaves nothing.
 */
// Asynchronous like every command.
// eslint-disable-next-line @typescript-eslint/require-await
export async function runEvents(args: EventsArgs, io: Io): Promise<number> {
  const wanted = (args.filter ?? '').toLowerCase();
  const events = FALCO_EVENT_NAMES.map(falcoEvent)
    .filter((event) => event !== undefined)
    .map(usable)
    .filter((event) => textOf(event).toLowerCase().includes(wanted));
  if (args.json === true) {
    io.stdout(`${JSON.stringify(events.map(toJson), undefined, 2)}\n`);
  } else if (events.length === 0) {
    const close = nearestWord(wanted, FALCO_EVENT_NAMES);
    const hint = close === undefined ? '' : ` Did you mean '${close}'?`;
    io.stderr(`No event has '${args.filter ?? ''}' in its name, category or params.${hint}\n`);
  } else {
    io.stdout(GROUPS.flatMap((group) => section(group, events, io)).join('\n'));
  }
  return events.length === 0 ? 1 : 0;
}

/** Calls that Falco knows by name only: their params are its own numbers of the call. */
const isGeneric = ({ params }: FalcoEvent): boolean => params[0]?.type === 'SYSCALLID';

/** An event with the params that rules can use: of a call that only the probe takes apart, the probe's. */
function usable(event: FalcoEvent): FalcoEvent {
  if (!isGeneric(event) || !isEventName(event.name)) return event;
  const params = EVENT_TABLE[event.name].params.map(([name, type]) => ({
    name,
    type,
    format: 'decimal' as const,
  }));
  return { ...event, params };
}

function textOf({ name, category, params }: FalcoEvent): string {
  return [name, category, ...params.map((param) => param.name)].join(' ');
}

function toJson(event: FalcoEvent): object {
  const { name, category, syscall, params } = event;
  return {
    name,
    status: eventStatus(name),
    syscall,
    category,
    params: params.map((param) => ({ name: param.name, type: param.type })),
  };
}

interface Group {
  readonly title: string;
  readonly has: (event: FalcoEvent) => boolean;
  readonly namesOnly?: true;
}

const named = (status: 'reported' | 'not yet' | 'not here') => (event: FalcoEvent) =>
  eventStatus(event.name) === status && !isGeneric(event);
const generic = (status: 'not yet' | 'not here') => (event: FalcoEvent) =>
  eventStatus(event.name) === status && isGeneric(event);

const GROUPS: readonly Group[] = [
  { title: 'reported: rules can match these', has: named('reported') },
  { title: 'not yet: rules that name these load and never match', has: named('not yet') },
  { title: 'not yet, known by name only', has: generic('not yet'), namesOnly: true },
  {
    title: "not here: calls of other processors, and Falco's own events",
    has: named('not here'),
  },
  {
    title: 'not here, known by name only',
    has: generic('not here'),
    namesOnly: true,
  },
];

function section({ title, has, namesOnly }: Group, all: readonly FalcoEvent[], io: Io): string[] {
  const events = all.filter(has);
  if (events.length === 0) return [];
  const heading = io.isTty ? `\x1b[1m${title}\x1b[0m` : title;
  const lines =
    namesOnly === true
      ? wrap(events.map(({ name }) => name).join(' '), io.columns - 2).map((line) => `  ${line}`)
      : textTable(
          events.map(({ name, category, params }) => ({
            cells: [name, category],
            text: params.map((param) => `${param.name}:${param.type}`).join(' '),
          })),
          io.columns,
        );
  return [`${heading}\n${lines.join('\n')}\n`];
}
