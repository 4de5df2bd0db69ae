import { EVENT_NAMES, EVENT_TABLE } from '../../events/table.gen.ts';
import type { EventName } from '../../events/table.gen.ts';
import { nearestWord } from '../../shared/nearest.ts';
import { FALCO_PARAM_NAMES, falcoParams, falcoParamTypes, isFalcoParam } from './falco-events.ts';
import type { FalcoParam } from './falco-events.ts';
import { flagsNumber } from './falco-flags.ts';
import { field, fieldWithReader, kindOf } from './field.ts';
import type { ArgumentProblem, FieldDefinition, FieldType, Reader, Value, View } from './field.ts';
import { bytesOf, paramText } from './param-text.ts';

/** An event's params in Falco's order, and after them what only the probe has. */
const PARAMS: ReadonlyMap<EventName, readonly FalcoParam[]> = new Map(
  EVENT_NAMES.map((event) => {
    const known = falcoParams(event);
    const more = EVENT_TABLE[event].params
      .filter(([own]) => !known.some(({ name }) => name === own))
      .map(([name, type]): FalcoParam => ({ name, type, format: 'decimal' }));
    return [event, [...known, ...more]];
  }),
);

/** For each event of the probe, the param that a rule asks for; none where the event has none. */
function pick(
  choose: (params: readonly FalcoParam[]) => FalcoParam | undefined,
): ReadonlyMap<EventName, FalcoParam> {
  const picked = new Map<EventName, FalcoParam>();
  for (const event of EVENT_NAMES) {
    const param = choose(PARAMS.get(event) ?? []);
    if (param !== undefined) picked.set(event, param);
  }
  return picked;
}

const byName = (name: string): ReadonlyMap<EventName, FalcoParam> =>
  pick((params) => params.find((param) => param.name === name));

function argReader(argument = ''): Reader | ArgumentProblem {
  const index = /^\d{1,9}$/.test(argument) ? Number(argument) : undefined;
  if (index === undefined && !isFalcoParam(argument)) return noSuchParam(argument);
  const params = index === undefined ? byName(argument) : pick((all) => all[index]);
  return {
    shape: 'single',
    read(view) {
      const param = params.get(view.event.type);
      if (param === undefined) return undefined;
      const text = paramText(view, param);
      return text === undefined || text.resolved === '' ? text?.raw : text.resolved;
    },
  };
}

function noSuchParam(name: string): ArgumentProblem {
  const close = nearestWord(name, FALCO_PARAM_NAMES);
  const help = close === undefined ? '' : `: did you mean '${close}'?`;
  return { problem: `has no param '${name.slice(0, 100)}' in any event${help}` };
}

/** What a param of this type is compared as. */
function fieldTypeOf(paramType: string): FieldType {
  switch (paramType) {
    case 'FD':
    case 'PID':
    case 'PID32':
    case 'ERRNO':
      return 'INT64';
    case 'UID':
    case 'GID':
    case 'MODE':
    case 'SIGSET':
    case 'FLAGS32':
    case 'ENUMFLAGS32':
      return 'UINT32';
    case 'FLAGS16':
    case 'ENUMFLAGS16':
    case 'SYSCALLID':
      return 'UINT16';
    case 'FLAGS8':
    case 'ENUMFLAGS8':
    case 'SIGTYPE':
      return 'UINT8';
    case 'FSPATH':
    case 'FSRELPATH':
      return 'CHARBUF';
    case 'IPV4ADDR':
      return 'IPADDR';
    case 'CHARBUF':
    case 'BYTEBUF':
    case 'INT8':
    case 'INT16':
    case 'INT32':
    case 'INT64':
    case 'UINT8':
    case 'UINT16':
    case 'UINT32':
    case 'UINT64':
    case 'PORT':
    case 'RELTIME':
    case 'ABSTIME':
      return paramType;
    default:
      return 'DYNAMIC';
  }
}

/** The type of `evt.rawarg.NAME`: that of the first event in Falco's table that has such a param. */
function rawargType(name: string | undefined): FieldType {
  const [first] = falcoParamTypes(name ?? '');
  return first === undefined ? 'DYNAMIC' : fieldTypeOf(first);
}

function rawargReader(name = ''): Reader | ArgumentProblem {
  if (!isFalcoParam(name)) return noSuchParam(name);
  const kind = kindOf(rawargType(name));
  const params = byName(name);
  return {
    shape: 'single',
    read(view) {
      const param = params.get(view.event.type);
      // Where this event's param is of another kind, there is nothing to compare.
      if (param === undefined || kindOf(fieldTypeOf(param.type)) !== kind) return undefined;
      return rawValue(view, param);
    },
  };
}

/** As the call passed or returned it, in the value that `kindOf` its type asks for. */
function rawValue(view: View, param: FalcoParam): Value | undefined {
  const { name, type } = param;
  const kind = kindOf(fieldTypeOf(type));
  if (kind === 'opaque') return paramText(view, param)?.raw;
  const value = view.event.param(name);
  if (value === undefined) return undefined;
  switch (kind) {
    case 'text':
      return name === 'name' ? (view.event.open?.rawPath ?? String(value)) : String(value);
    case 'bytes':
      return bytesOf(value);
    case 'number': {
      if (typeof value === 'string') return value === 'AT_FDCWD' ? -100 : flagsNumber(value);
      const number = Number(value);
      return fieldTypeOf(type) === 'UINT32' ? number >>> 0 : number;
    }
    default:
      return undefined;
  }
}

/** Those of Falco's that the probe does not have are left out. */
const REPORTED: ReadonlyMap<EventName, readonly FalcoParam[]> = new Map(
  EVENT_NAMES.map((event) => {
    const own = new Set(EVENT_TABLE[event].params.map(([name]) => name));
    return [event, (PARAMS.get(event) ?? []).filter(({ name }) => own.has(name))];
  }),
);

function allParams(view: View): string {
  return (REPORTED.get(view.event.type) ?? [])
    .map((param) => {
      const text = paramText(view, param);
      if (text === undefined) return `${param.name}=<NA>`;
      const { raw, resolved } = text;
      return `${param.name}=${resolved === '' || resolved === raw ? raw : `${raw}(${resolved})`}`;
    })
    .join(' ');
}

/** An output does not mark the end of a param's name: the longest one counts. */
function paramLength(text: string): number {
  const word = /^\w*/.exec(text)?.[0] ?? '';
  for (let length = word.length; length > 0; length--) {
    if (isFalcoParam(word.slice(0, length))) return length;
  }
  return word.length;
}

export const ARG_FIELDS: readonly FieldDefinition[] = [
  fieldWithReader(
    'evt.arg',
    'CHARBUF',
    "One of the event's params as text, by name or number: evt.arg.flags, evt.arg[0].",
    argReader,
    { argument: 'required', dotArgument: true, dotLength: paramLength, pathDependent: true },
  ),
  {
    ...fieldWithReader(
      'evt.rawarg',
      'DYNAMIC',
      "One of the event's params with its own type, by name: evt.rawarg.res.",
      rawargReader,
      {
        argument: 'required',
        dotArgument: true,
        dotLength: paramLength,
        noVal: true,
        noTransformer: true,
      },
    ),
    typeOf: rawargType,
  },
  field('evt.args', 'CHARBUF', 'All params as one text: name=value name=value.', allParams, {
    pathDependent: true,
  }),
  field('evt.info', 'CHARBUF', 'The same as evt.args.', allParams, { pathDependent: true }),
];
