import { selects } from '../rules/loader/selection.ts';
import type { PinnedMaps } from '../host/pinned-programs.ts';
import type { Lifted } from '../responses/lifts.ts';
import { denyingIn, digestOfTable, type DeniedRecord } from './denied-record.ts';

/** What became of a lift of an app or of rules that was made without an agent. */
export interface PinnedLift {
  /** In how many containers something was denied that is not any more. */
  readonly containers: number;
  /** The rules by which that was; empty if all that is denied in the containers is lifted. */
  readonly rules: readonly string[];
  /** In how many containers something stays denied of which it is not known whose they are, or by which rules. */
  readonly unknown: number;
  /** In how many containers it stays denied since an app of another name has the same table. */
  readonly shared: number;
}

interface KnownTable {
  /** Rule n by its name; undefined: it is not known. */
  readonly rules: readonly string[] | undefined;
  /** Bit n: rule n denies. */
  readonly denying: number;
  readonly cgroupIds: readonly number[];
}

/**
 * Ends what pinned programs deny in an app, or by rules, or by rules in an app. `record`: what is known of them; undefined: nothing. Throws a
 * LoaderError as PinnedMaps do; some may be lifted then.
 */
export function liftPinned(
  maps: PinnedMaps,
  record: DeniedRecord | undefined,
  { app, rule }: Lifted,
): PinnedLift {
  const known = new Map(record?.containers.map((one) => [one.cgroupId, one]));
  const lifted = new Set<number>();
  const rules = new Set<string>();
  let unknown = 0;
  let shared = 0;
  for (const [number, table] of tablesIn(maps, record)) {
    const { cgroupIds } = table;
    const ofApp = cgroupIds.filter((id) => app === undefined || known.get(id)?.app === app);
    const nobodys = app === undefined ? [] : cgroupIds.filter((id) => !known.has(id));
    if (rule === undefined) {
      unknown += nobodys.length;
      for (const id of ofApp) {
        maps.allow(id, known.get(id)?.level ?? 0);
        lifted.add(id);
      }
      continue;
    }
    if (table.rules === undefined) {
      unknown += ofApp.length + nobodys.length;
      continue;
    }
    const found = fittingRules(table.rules, table.denying, rule);
    if (found.bits === 0) continue;
    unknown += nobodys.length;
    if (ofApp.length < cgroupIds.length) {
      shared += ofApp.length;
      continue;
    }
    maps.allowRules(number, found.bits);
    for (const name of found.names) rules.add(name);
    for (const id of ofApp) lifted.add(id);
  }
  return { containers: lifted.size, rules: [...rules].sort(), unknown, shared };
}

/** The tables by which something is denied, by their numbers. */
function tablesIn(
  maps: PinnedMaps,
  record: DeniedRecord | undefined,
): ReadonlyMap<number, KnownTable> {
  const containers = maps.containers().filter(({ table }) => table !== 0);
  const tables = new Map<number, KnownTable>();
  for (const number of new Set(containers.map(({ table }) => table))) {
    const bytes = maps.table(number);
    const denying = bytes === undefined ? 0 : denyingIn(bytes);
    if (bytes === undefined || denying === 0) continue;
    // By what is in it: the record may be of a table that had this number before.
    const sha256 = digestOfTable(bytes);
    const rules = record?.tables.find(
      (one) => one.number === number && one.sha256 === sha256,
    )?.rules;
    const cgroupIds = containers.flatMap(({ table, cgroupId }) =>
      table === number ? [cgroupId] : [],
    );
    tables.set(number, { rules, denying, cgroupIds });
  }
  return tables;
}

/** Those of the rules that deny and have such a name. */
function fittingRules(
  rules: readonly string[],
  denying: number,
  rule: string,
): { readonly bits: number; readonly names: readonly string[] } {
  const isNamed = selects({ enable: true, rule });
  const found = rules.flatMap((name, bit) =>
    ((denying >>> bit) & 1) === 1 && isNamed({ name, tags: [], enabled: true })
      ? [{ name, bit }]
      : [],
  );
  const bits = found.reduce((all, { bit }) => (all | (1 << bit)) >>> 0, 0);
  return { bits, names: found.map(({ name }) => name) };
}
