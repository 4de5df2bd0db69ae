// KernelVerdicts with a kernel that keeps what it is told.
import type { Container } from '../../../src/apps/identity.ts';
import type { RegistryEntry } from '../../../src/apps/resolution.ts';
import type { ScopeEntry } from '../../../src/probe/scope.ts';
import type { JudgedApp } from '../../../src/agent/judged-app.ts';
import { KernelVerdicts } from '../../../src/agent/verdicts.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { BOOT_NS } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

export const rulesAbout = (path: string) =>
  ruleSetOf(ruleFile(`evt.type = open and fd.name = ${path}`));
export const RULES = rulesAbout('/etc/shadow');
export const NONE_CERTAIN = { confirmed: 0, unconfirmed: 0 };
export const NONE_DENIED = {
  containers: 0,
  rules: [],
  afterEffect: [],
  givenUp: [],
  inVain: 0,
  tooYoung: 0,
};

/** An app with rules of its own, by default one about this path, which changes some of the operator's. */
export const appWith = (
  path: string,
  ruleSet = rulesAbout(path),
  changed: readonly string[] = [],
): JudgedApp => ({
  possibleAmong: (rules) => [...rules, ...ruleSet.rules],
  unchangedAmong: (rules) => rules.filter(({ name }) => !changed.includes(name)),
  ruleSet,
});

/** Rules about programs that are run, of which each can deny. */
export const execs = () =>
  ruleSetOf(
    ['a', 'b']
      .map((name) =>
        ruleFile(`evt.type = execve and proc.exepath = /${name}`).replace(
          'rule: r',
          `rule: ${name}`,
        ),
      )
      .join('\n'),
  );
export const EXECS = execs();

export const LATER = BOOT_NS + 1n;

export function world({
  enabled = true,
  denied = new Map<number, string[]>(),
  nowMs = (): number => 0,
  before = [] as string[],
} = {}) {
  const warned: object[] = [];
  const time = { bootNs: 0n };
  const done: string[] = [];
  const apps = new Map<Container, JudgedApp | undefined>();
  /** What the kernel would judge by. */
  const kernel = {
    tables: new Map<number, string>(),
    suspended: new Set<number>(),
    /** Tables that deny, but do not filter. */
    denying: new Set<number>(),
    /** Whether it has memory for a copy. */
    copies: true,
    told: new Map<number, number>(),
    refuses: false,
    allowRules: (number: number, rules: number): void => {
      done.push(`table ${number}: rules ${rules.toString(2)} deny no more`);
    },
    /** Of the scope map, where it is not `included`. */
    states: new Map<number, 'excluded' | 'gone'>(),
  };
  const verdicts: KernelVerdicts = new KernelVerdicts({
    probe: {
      setVerdicts: (number, table) => {
        done.push(`table ${number}: ${table === undefined ? 'none' : 'set'}`);
        kernel.suspended.delete(number);
        kernel.denying.delete(number);
        if (table === undefined) kernel.tables.delete(number);
        else kernel.tables.set(number, Buffer.from(table).toString('latin1'));
      },
      suspendVerdicts: () => {
        done.push('suspended');
        for (const number of kernel.tables.keys()) kernel.suspended.add(number);
      },
      stopFiltering: (only) => {
        done.push(`filters no more: ${only ?? 'all'}`);
        for (const number of only === undefined ? kernel.tables.keys() : [only])
          kernel.denying.add(number);
      },
      copyVerdicts: (from, to, rules) => {
        if (!kernel.copies) throw new Error('ENOMEM');
        done.push(`table ${to}: as ${from}, but rules ${rules.toString(2)} deny no more`);
        kernel.suspended.delete(to);
        kernel.denying.add(to);
        kernel.tables.set(to, `${kernel.tables.get(from)} without ${rules.toString(2)}`);
      },
      allowRules: (number, rules) => kernel.allowRules(number, rules),
      scope: {
        set: (cgroupId, state, level, table = 0) => {
          if (kernel.refuses) throw new Error('ENOSPC');
          done.push(`${cgroupId} ${state} at ${level}: ${table}`);
          kernel.told.set(cgroupId, table);
        },
        delete: () => undefined,
        get: (cgroupId) => {
          const state = kernel.states.get(cgroupId) ?? 'included';
          return state === 'gone' ? undefined : ({ state } as ScopeEntry);
        },
        entries: () => [],
      },
    },
    logger: { ...SILENT_LOGGER, warn: (about) => warned.push(about) },
    waitMs: 50,
    bootNs: () => time.bootNs,
    nowMs,
    inForceFor: (container) => (apps.has(container) ? apps.get(container) : 'none'),
    deniedAmong: (rules, { fullId }, own) => {
      const names = denied.get(Number(fullId)) ?? [];
      return [...rules, ...own].filter(({ name }) => names.includes(name));
    },
    deniedBeforeIdentity: (rules) => rules.filter(({ name }) => before.includes(name)),
    enabled,
  });
  const entry = (cgroupId: number, more: Partial<RegistryEntry> = {}): RegistryEntry =>
    ({
      cgroupId,
      path: '/docker/x',
      resolution: {
        state: 'included',
        container: containerOf({ fullId: String(cgroupId) }, { guid: String(cgroupId) }),
      },
      goneAtMs: undefined,
      isNew: false,
      unwatched: false,
      ...more,
    }) as RegistryEntry;
  /** One whose app has rules of its own; undefined: it is not known whether it has. */
  const entryOf = (cgroupId: number, app: JudgedApp | undefined): RegistryEntry => {
    const one = entry(cgroupId);
    if (one.resolution.state === 'included') apps.set(one.resolution.container, app);
    return one;
  };
  /** The table of a container; undefined: none. */
  const tableOf = (cgroupId: number): string | undefined => {
    const number = kernel.told.get(cgroupId) ?? 0;
    return kernel.suspended.has(number) ? undefined : kernel.tables.get(number);
  };
  /** Whether calls in a container are filtered by it. */
  const isFiltered = (cgroupId: number): boolean =>
    tableOf(cgroupId) !== undefined && !kernel.denying.has(kernel.told.get(cgroupId) ?? 0);
  return { time, done, kernel, verdicts, entry, entryOf, tableOf, isFiltered, warned };
}
