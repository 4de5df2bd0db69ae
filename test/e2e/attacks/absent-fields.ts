import { EVENT_TABLE, KINDS } from '../../../src/events/table.gen.ts';
import { isEventName } from '../../../src/rules/fields/events.ts';
import type { DetectionLine } from '../../support/e2e-agent.ts';

/** What a descriptor's fields are made of: the sources of native/schema/calls.mjs that a call without one lacks. */
const OF_DESCRIPTORS: readonly (string | undefined)[] = ['fd', 'path', 'tuple'];

/** Fields that rules print for several calls, of which some have no such value; the reason for each. */
const ABSENT: Readonly<Record<string, readonly (readonly [field: string, because: string])[]>> = {
  'Packet socket created in container': [
    ['fd.name', 'a packet socket has no address'],
    ['fd.lport', 'a packet socket has no port'],
    ['fd.rport', 'a packet socket has no port'],
    ['fd.l4proto', 'a packet socket has no transport'],
    ['fd.type', 'Falco has no word for it'],
  ],
  'Shell on a network connection': [['proc.stdout.name', 'only its input is a connection']],
  'Dropped library put into a program': [['proc.env[LD_AUDIT]', 'the variable is not set']],
  'Polkit Local Privilege Escalation Vulnerability (CVE-2021-4034)': [
    ['proc.args', 'that it has none is the attack'],
  ],
};

/**
 * Why a field of a detection has no value; undefined if it should have one. Its line must have `evt.type` and
 * `proc.pname`. How many ancestors there are above the
 * container's first process (the runtime and its shim are two) is the host's affair.
 */
export function explainAbsence(line: DetectionLine, field: string): string | undefined {
  const { output_fields: fields } = line;
  if (Number(/^proc\.aname\[(\d+)\]$/.exec(field)?.[1] ?? 0) >= 4) return 'no ancestor so far up';
  if (field === 'user.loginname' && fields['user.loginuid'] === -1) return 'nobody logged in';
  if (field === 'fd.rport' && fields['evt.type'] === 'listen')
    return 'a listening socket has no peer';
  return (
    absenceByCall(String(fields['evt.type']), field) ??
    ABSENT[line.rule]?.find(([name]) => name === field)?.[1]
  );
}

/** What the event cannot have, by the table of events. */
function absenceByCall(event: string, field: string): string | undefined {
  if (!isEventName(event)) return undefined;
  const { kind, params } = EVENT_TABLE[event];
  const param = /^evt\.arg\.(\w+)$/.exec(field)?.[1];
  if (param !== undefined && !params.some(([name]) => name === param))
    return `${event} has no parameter of that name`;
  if (/^fs\.path\.(?:placed|source|target)/.test(field))
    return /^(?:rename|link|symlink|mount)/.test(event) ? undefined : `${event} names one path`;
  const hasDescriptor =
    kind === KINDS.open ||
    (kind === KINDS.call && params.some(([, , source]) => OF_DESCRIPTORS.includes(source)));
  return field.startsWith('fd.') && !hasDescriptor ? `${event} opens nothing` : undefined;
}
