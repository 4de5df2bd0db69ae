// A call by int 0x80 and its 64-bit twin, as compat-calls.c makes them, and their events side by side.
import type { EventName } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { paramsOf } from './kernel-calls.ts';

export type Argument = string | number;
export interface Made {
  readonly way: 'ia32' | 'x32' | 'native';
  readonly nr: number;
  readonly pid: number;
  readonly ret: number;
  readonly ino: number;
  readonly args: readonly number[];
}

export interface Twin {
  readonly event: EventName;
  readonly ia32: number;
  readonly native: number;
  readonly args: readonly Argument[];
  /** Where the two differ. */
  readonly nativeArgs?: readonly Argument[];
  /** Params as both must have them; all others must be the same in both. */
  readonly params: Readonly<Record<string, unknown>>;
}

export const twin = (
  event: EventName,
  ia32: number,
  native: number,
  args: readonly Argument[],
  params: Readonly<Record<string, unknown>>,
  nativeArgs?: readonly Argument[],
): Twin => ({
  event,
  ia32,
  native,
  args,
  params,
  ...(nativeArgs === undefined ? {} : { nativeArgs }),
});

/** struct sockaddr_in of 127.0.0.1:9 */
export const DISCARD = 'b:02000009' + '7f000001' + '0000000000000000';
/** struct open_how: O_RDONLY, no mode, RESOLVE_NO_SYMLINKS */
export const HOW = `b:${'00'.repeat(16)}0400000000000000`;

const UNSHARED = ['pid', 'tid'];

/** Params without what two runs never share: numbers of files and of the process, the directory's name. */
export function comparable(event: WireEvent, cwd: string): unknown {
  const params = Object.entries(paramsOf(event)).filter(
    ([name]) => name !== 'ino' && (event.exec === undefined || !UNSHARED.includes(name)),
  );
  const text = JSON.stringify(params, (_, value: unknown) =>
    typeof value === 'bigint' ? `${value}n` : value,
  );
  return JSON.parse(text.replaceAll(cwd, '/CWD'));
}
