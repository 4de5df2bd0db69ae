import type { LoadedRule } from '../rule-set.ts';
import type { AppendOutput } from './append-output.ts';
import type { OutputStyle } from '../output/format.ts';
import { isTooManyEvents } from '../compile/infer.ts';
import { ADVICE, CostBudget, milliseconds } from '../cost/budget.ts';
import type { CostLimits, OverlayCost } from '../cost/budget.ts';
import { RuleCompiler } from './compile-rules.ts';
import type { Definitions } from './definitions.ts';
import { Diagnostics, ItemError } from './diagnostics.ts';
import type { Diagnostic } from './diagnostics.ts';
import { nearestWord } from '../../shared/nearest.ts';
import type { Steps } from '../../shared/turns.ts';
import { invalid, readItems } from './items.ts';
import type { Item } from './items.ts';
import { ADDED_ITEMS, checkShape } from './overlay-shapes.ts';
import type { Place } from './source.ts';
import type { YamlNode, YamlScalar } from './yaml-node.ts';

/** What the rules of one app may be at most. */
export interface OverlayBounds {
  /** Items of each kind: rules, macros, lists. */
  readonly items: number;
  /** Items of all lists together. */
  readonly listItems: number;
  /** UTF-16 units of one condition as it is written. */
  readonly conditionLength: number;
  /** The same of one output. */
  readonly outputLength: number;
  /** What they may cost for one event. */
  readonly cost: CostLimits;
}

/** By the name of a list of all: what the app adds to it. */
export type ListAdditions = ReadonlyMap<string, readonly YamlScalar[]>;

/** What `loadOverlay` builds on, besides the definitions and the app's items. */
export interface OverlayOptions {
  readonly bounds: OverlayBounds;
  readonly appendOutput: readonly AppendOutput[];
  readonly outputStyle: OutputStyle | undefined;
  /** Rules of the base that are compiled as well. */
  readonly extra: ReadonlySet<string>;
  /** Exceptions to rules of the base are only checked, and not added. */
  readonly withoutExceptions: boolean;
  /** Additional items in the base's lists, for all compiled rules… */
  readonly lists: ListAdditions;
  /** …except these rules, by name, which get only the additions given here. */
  readonly listsOf: ReadonlyMap<string, ListAdditions>;
  /** One extra rule, of the agent's own; it sees all lists. Its errors are reported only if there are no others. */
  readonly besides: { readonly name: string; readonly condition: string } | undefined;
  /** The rules of all, whose costs are not the app's. */
  readonly operators: readonly LoadedRule[];
  /** Where the app's items are from: for what is wrong with all of them together. */
  readonly place: Place;
}

/** Rules of one app's own, on top of those of all. */
export interface Overlay {
  /**
   * The app's own rules, the base's rules with exceptions of its own, and `extra`, as they apply to this app; in order of
   * definition.
   */
  readonly rules: readonly LoadedRule[];
  /** Rules of all that it adds exceptions to, and where. */
  readonly excepted: ReadonlyMap<string, Place>;
  /** With any, the overlay must not be used. */
  readonly errors: readonly Diagnostic[];
  readonly warnings: readonly Diagnostic[];
  /** What its rules may cost for the worst event; without what the rules of all cost anyway. */
  readonly cost: OverlayCost;
}

/** Rules of the agent's own lines and of drills begin so, and none that an app adds may. */
const RESERVED_NAME = /^varvel\b/i;

const BELONGS = 'is the operator’s, for all apps: give yours another name';

/**
 * Loads items in Falco's syntax (a list as in a rule file) that one app adds: lists, macros and rules of its own, and
 * exceptions to rules that are there. It can change nothing else of what is there: `base` stays as it is. Never throws for
 * what is in them. A rule is compiled in one step.
 */
export function* loadOverlay(
  base: Definitions,
  items: YamlNode | undefined,
  options: OverlayOptions,
): Steps<Overlay> {
  const diagnostics = new Diagnostics();
  const definitions = base.copy();
  const gate = new Gate(base, options.bounds);
  if (items !== undefined) {
    const take = (item: Item): void => {
      try {
        gate.check(item);
      } catch (error) {
        if (!(error instanceof ItemError)) throw error;
        diagnostics.error(error.code, error.message, error.place, item.owner);
        return;
      }
      const isLeftOut = options.withoutExceptions && gate.isException(item);
      (isLeftOut ? definitions.copy() : definitions).add(item, diagnostics);
    };
    readItems([items], diagnostics, take, true);
    yield;
  }
  const { besides } = options;
  if (besides !== undefined) definitions.addRule(besides.name, besides.condition);
  const wanted = new Set([...gate.own, ...gate.excepted.keys(), ...options.extra]);
  if (besides !== undefined) wanted.add(besides.name);
  const budget = new CostBudget(options.bounds.cost, gate.own, options.operators);
  const compiling = { budget, own: gate.own };
  const rules = yield* compileWanted(definitions, wanted, options, compiling, diagnostics);
  for (const rule of rules) {
    const place = gate.own.has(rule.name) ? definitions.rules.get(rule.name)?.place : undefined;
    if (place === undefined || !isTooManyEvents(rule.events)) continue;
    diagnostics.error(
      'LOAD_ERR_VALIDATE',
      'the condition must say which events it is about, such as evt.type in (execve, execveat): otherwise every event of the app would be looked at',
      place,
      { kind: 'rule', name: rule.name, place },
    );
  }
  const { over, ...cost } = budget.total(rules);
  if (over !== undefined && diagnostics.errors.length === 0) {
    const message = `for the worst event the app's rules take ${milliseconds(cost.nanos)} together, and at most ${milliseconds(cost.limitNanos)} are taken; this one takes most: ${ADVICE}`;
    const known = over.name === besides?.name ? undefined : definitions.rules.get(over.name);
    diagnostics.error('LOAD_ERR_VALIDATE', message, known?.place ?? options.place);
  }
  const others = diagnostics.errors.filter(({ owner }) => owner?.name !== besides?.name);
  return {
    rules,
    excepted: gate.excepted,
    errors: others.length > 0 ? others : diagnostics.errors,
    warnings: diagnostics.warnings,
    cost,
  };
}

/** Compiles rules that see the same lists together; all in order of definition. */
function* compileWanted(
  definitions: Definitions,
  wanted: ReadonlySet<string>,
  { appendOutput, outputStyle, lists, listsOf }: OverlayOptions,
  compiling: { readonly budget: CostBudget; readonly own: ReadonlySet<string> },
  diagnostics: Diagnostics,
): Steps<LoadedRule[]> {
  const groups = new Map<string, { added: ListAdditions; names: Set<string> }>();
  for (const name of wanted) {
    const added = listsOf.get(name) ?? lists;
    const key = JSON.stringify([...added.keys()].sort());
    const group = groups.get(key) ?? { added, names: new Set() };
    groups.set(key, group);
    group.names.add(name);
  }
  const rules: LoadedRule[] = [];
  for (const { added, names } of groups.values()) {
    // What is wrong with a macro would be said of each group.
    if (diagnostics.errors.length > 0) return [];
    const own = added.size === 0 ? definitions : definitions.withListItems(added);
    const compiler = new RuleCompiler(own, diagnostics, {
      appendOutput,
      outputStyle,
      allRead: true,
      laterNames: new Set(),
      fieldSource: undefined,
      only: names,
      ...compiling,
    });
    rules.push(...(yield* compiler.steps()));
  }
  const order = new Map([...definitions.rules.keys()].map((name, index) => [name, index]));
  return rules.sort((a, b) => (order.get(a.name) ?? 0) - (order.get(b.name) ?? 0));
}

/** Lets through what an app may add. @internal */
class Gate {
  readonly own = new Set<string>();
  readonly excepted = new Map<string, Place>();
  readonly #base: Definitions;
  readonly #bounds: OverlayBounds;
  readonly #counts = new Map<string, number>();
  #listItems = 0;

  constructor(base: Definitions, bounds: OverlayBounds) {
    this.#base = base;
    this.#bounds = bounds;
  }

  /** Of an item that was let through: whether it adds exceptions to a rule that is there. */
  isException({ kind, name }: Item): boolean {
    return kind === 'rule' && this.excepted.has(name);
  }

  /** Throws ItemError for what it may not. */
  check(item: Item): void {
    const { kind, name, place } = item;
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    const { items, listItems, conditionLength, outputLength } = this.#bounds;
    if (count > items) throw invalid(`at most ${items} items are taken of each kind`, place);
    for (const [key, most] of [
      ['condition', conditionLength],
      ['output', outputLength],
    ] as const) {
      const length = item.scalar(key)?.text.length ?? 0;
      if (length <= most) continue;
      throw invalid(
        `this ${key} has ${length} characters: at most ${most} are taken`,
        item.keyPlace(key),
      );
    }
    switch (kind) {
      case 'list':
        if (this.#base.lists.has(name)) throw invalid(`the list "${name}" ${BELONGS}`, place);
        checkShape(item, ADDED_ITEMS.list, 'a list');
        this.#listItems += item.scalars('items')?.length ?? 0;
        if (this.#listItems > listItems)
          throw invalid(`at most ${listItems} items are taken in all lists together`, place);
        return;
      case 'macro':
        if (this.#base.macros.has(name)) throw invalid(`the macro "${name}" ${BELONGS}`, place);
        checkShape(item, ADDED_ITEMS.macro, 'a macro');
        return;
      case 'rule':
        this.#rule(item, name, place);
        return;
      default:
        throw invalid(`"${kind}" is for rule files of the operator`, place);
    }
  }

  #rule(item: Item, name: string, place: Place): void {
    if (!this.#base.rules.has(name)) {
      if (RESERVED_NAME.test(name)) {
        throw invalid('names that begin with "Varvel" are those of the agent’s own lines', place);
      }
      if (item.has('override')) {
        const near = nearestWord(name, this.#base.rules.keys());
        const hint = near === undefined ? '' : `: did you mean "${near}"?`;
        throw invalid(`there is no rule "${name}" to add exceptions to${hint}`, place);
      }
      checkShape(item, ADDED_ITEMS.rule, 'a rule');
      this.own.add(name);
      return;
    }
    const override = item.node('override');
    const entries = override?.kind === 'map' ? override.entries : [];
    const appends = entries.every(
      ({ key, value }) =>
        key.text === 'exceptions' && value.kind === 'scalar' && value.text === 'append',
    );
    const others = ['condition', 'output', 'desc', 'priority', 'enabled', 'append', 'tags'];
    if (entries.length === 0 || !appends || others.some((key) => item.has(key))) {
      throw invalid(
        `the rule "${name}" ${BELONGS}; to this one only exceptions can be added, with "override: {exceptions: append}"`,
        place,
      );
    }
    checkShape(item, ADDED_ITEMS.exceptions, 'an addition of exceptions');
    this.excepted.set(name, place);
  }
}
