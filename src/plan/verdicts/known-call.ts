// Calls as the kernel knows them, for tests and for reports about a table.
import type { ExecKind, OpenKind, PathKind } from './call-kinds.ts';
import type { ConnectKind } from './connect-kinds.ts';
import type { FileForm, ProgramLayer } from './form-tests.ts';
import type { WayKind } from './ways.ts';

/** A call as the kernel knows it, and the path of it that is judged. */
export type KnownCall = (OpenKind | PathKind | ExecKind | KnownConnect | WayKind) & KnownFile;

type KnownConnect = ConnectKind & {
  /** An IP address of 4 or 16 bytes; one that is mapped into IPv6 has 4. */
  readonly address?: Buffer;
  readonly port?: number;
};

/** Of calls other than opens the layer is `none`. */
interface KnownFile extends FileForm {
  /** Absolute, without `//`, `/./` and `/../`; undefined if unknown. */
  readonly path: Buffer | undefined;
  /** What the calling process runs; undefined if unknown. */
  readonly program?: KnownProgram | undefined;
  /** The words of a program that is run; undefined if unknown. */
  readonly argv?: readonly Buffer[] | undefined;
  /** Its environment, as `NAME=value`; undefined if unknown. */
  readonly env?: readonly Buffer[] | undefined;
  /** Of a program that is run: bit n: descriptor n is a connection; default 0. */
  readonly standard?: number | undefined;
  /** The name of the calling thread, at most 15 bytes; undefined if unknown. */
  readonly thread?: Buffer | undefined;
}

/** A program's path, from 2 to VERDICT_PATH_MAX - 1 bytes, undefined if unknown, and its layer. */
export interface KnownProgram {
  readonly path: Buffer | undefined;
  readonly layer: ProgramLayer;
  /** Its environment may have a variable `LD_*`; default true. */
  readonly loads?: boolean;
  /** Of the process since it runs the program, at most 15 bytes; default empty. */
  readonly name?: Buffer;
  /** Of the process and of its parent, ns; default: not known. */
  readonly age?: bigint | undefined;
  readonly parentAge?: bigint | undefined;
  /** Known only where its parent is in scope. */
  readonly fromOutside?: false | undefined;
  /** Of the older one of the two, as far as it is in scope; default: not known. */
  readonly insideAge?: bigint | undefined;
  /** Its number in its own pid namespace, and that of its parent; default: not known. */
  readonly vpid?: bigint | undefined;
  readonly parentVpid?: bigint | undefined;
  /** From the parent up, as far as they are known; `none`: the one before it is the container's oldest. */
  readonly ancestors?: readonly (KnownAncestor | 'none')[] | undefined;
}

/** What an ancestor runs. */
export interface KnownAncestor {
  /** From 2 to VERDICT_PATH_MAX - 1 bytes. */
  readonly path: Buffer;
  /** At most 15 bytes. */
  readonly name: Buffer;
  /** Its environment may have a variable `LD_*`; default true. */
  readonly loads?: boolean;
  /** ns; default: not known. */
  readonly age?: bigint | undefined;
}

/** In the order of NUMBERS; `above`: the ancestors that are looked at. */
export function numbersOf(
  { age, parentAge, fromOutside, vpid, parentVpid, insideAge }: KnownProgram,
  above: readonly (KnownAncestor | 'none')[] = [],
): readonly (bigint | undefined)[] {
  const inside = above.reduce(
    (most, one) => (one === 'none' ? most : olderOf(most, one.age)),
    insideAge,
  );
  return [age, parentAge, inside, fromOutside === false ? 0n : undefined, vpid, parentVpid];
}

const olderOf = (one: bigint | undefined, other: bigint | undefined): bigint | undefined =>
  one === undefined || (other !== undefined && other > one) ? other : one;
