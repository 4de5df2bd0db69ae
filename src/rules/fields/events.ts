import { EVENT_NAMES, EVENT_TABLE } from '../../events/table.gen.ts';
import type { EventName } from '../../events/table.gen.ts';

/** Falco's `evt.category` of an event. */
export function categoryOf(event: EventName): string {
  return EVENT_TABLE[event].category;
}

/** An event's params with their Falco types, in the table's order. */
export function paramsOf(event: EventName): readonly (readonly [name: string, type: string])[] {
  return EVENT_TABLE[event].params;
}

/** Falco's type of a param; undefined when the event has none of that name. */
export function paramType(event: EventName, name: string): string | undefined {
  for (const [param, type] of EVENT_TABLE[event].params) if (param === name) return type;
  return undefined;
}

/** Does the probe report this event? */
export function isEventName(name: string): name is EventName {
  return Object.hasOwn(EVENT_TABLE, name);
}

/** Falco's types of all params of this name; empty when no event has one. */
export function paramTypes(name: string): ReadonlySet<string> {
  const types = EVENT_NAMES.map((event) => paramType(event, name));
  return new Set(types.filter((type) => type !== undefined));
}
