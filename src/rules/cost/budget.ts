import { writtenOutSize } from '../compile/regex.ts';
import type { CompiledRegex } from '../compile/regex.ts';
import { MAX_CELLS, MAX_WORK } from '../compile/regex-dfa.ts';
import { someTest } from '../compile/checked.ts';
import type { Checked } from '../compile/checked.ts';
import type { OutputField, OutputFormat } from '../output/format.ts';
import type { LoadedRule } from '../rule-set.ts';
import { conditionCost, outputNanos, partsOf } from './rule-cost.ts';
import type { ConditionCost, CostPart, FreeParts } from './rule-cost.ts';

/** What the rules of one app may cost. Times are estimates for the worst event, in nanoseconds. */
export interface CostLimits {
  /** The condition of one rule. */
  readonly ruleNanos: number;
  /** All conditions that one event is looked at with, and the costliest of their outputs. */
  readonly allNanos: number;
  /** Constants of one rule's comparisons, those of lists included; and of all rules together. */
  readonly values: number;
  /** Tables of all regular expressions together: cells, of 2 bytes each, and the work to make them. */
  readonly patternCells: number;
  readonly patternWork: number;
  /** Of one output: its fields, and their width. */
  readonly outputFields: number;
  readonly outputWidth: number;
}

/** What is over a limit: a sentence, and what it is about. */
export interface OverCondition {
  readonly message: string;
  readonly part: CostPart | undefined;
}
export interface OverOutput {
  readonly message: string;
  readonly field: OutputField | undefined;
}

/** What the rules of an app come to. */
export interface OverlayCost {
  /** The most that one event may cost: conditions and an output. */
  readonly nanos: number;
  readonly limitNanos: number;
  /** By rule: its condition. */
  readonly rules: ReadonlyMap<string, number>;
}

const MILLION = 1_000_000;

/** Of an app's regular expression: about 4,000 instructions, which compile in some 20 ms. */
const MAX_WRITTEN_OUT = 2048;

const REPEAT_LESS =
  'Have it repeat less (such as {0,990}, or repetitions in each other), or use contains, startswith or glob';

/** `1.25 ms`; times below 0.01 ms are `0.01 ms`. */
export const milliseconds = (nanos: number): string =>
  `${Math.max(0.01, nanos / MILLION).toFixed(2)} ms`;

/** Tracks what an app's rules cost while they are compiled. Whatever the operator's rules contain already is free. */
export class CostBudget {
  readonly limits: CostLimits;
  readonly #own: ReadonlySet<string>;
  readonly #operators: ReadonlyMap<string, LoadedRule>;
  readonly #freePatterns: ReadonlySet<string>;
  readonly #costs = new Map<string, ConditionCost>();
  readonly #patterns = new Set<string>();
  #cells = 0;
  #work = 0;
  #values = 0;
  #isSpent = false;

  /**
   * `own`: names of the app's rules. A rule that is neither there nor the operator's is composed of the operator's comparisons.
   */
  constructor(limits: CostLimits, own: ReadonlySet<string>, operators: readonly LoadedRule[]) {
    this.limits = limits;
    this.#own = own;
    this.#operators = new Map(operators.map((rule) => [rule.name, rule]));
    this.#freePatterns = patternsOf(operators);
  }

  /** A limit was exceeded: nothing more is compiled, since that takes time as well. */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** Like `refuseRegex`, before the pattern is compiled: compiling a large one blocks the agent for hundreds of ms. */
  refuseSize(pattern: string): string | undefined {
    if (this.#freePatterns.has(pattern)) return undefined;
    const size = writtenOutSize(pattern);
    if (size <= MAX_WRITTEN_OUT) return undefined;
    this.#isSpent = true;
    return `could be slow: with its repetitions written out it has ${size} characters, sets and groups, and at most ${MAX_WRITTEN_OUT} are taken. ${REPEAT_LESS}`;
  }

  /** The rest of a sentence that begins with "the regular expression"; undefined: it is taken. */
  refuseRegex(pattern: string, { table }: CompiledRegex): string | undefined {
    if (this.#freePatterns.has(pattern) || this.#patterns.has(pattern)) return undefined;
    this.#patterns.add(pattern);
    const { patternCells, patternWork } = this.limits;
    if (table === undefined) {
      this.#isSpent = true;
      return `could be slow: its states take more than ${MAX_CELLS} cells, or ${MAX_WORK} steps to work out. ${REPEAT_LESS}`;
    }
    this.#cells += table.cells;
    this.#work += table.work;
    if (this.#cells <= patternCells && this.#work <= patternWork) return undefined;
    this.#isSpent = true;
    const [has, most] =
      this.#cells > patternCells ? [this.#cells, patternCells] : [this.#work, patternWork];
    const what = this.#cells > patternCells ? 'cells in tables' : 'steps to be compiled';
    return `is one too many: with those before it, it needs ${has} ${what}, and at most ${most} are taken: use fewer, or contains, startswith or glob`;
  }

  /** What is wrong with the rule's condition, if anything. */
  refuseCondition(name: string, condition: Checked): OverCondition | undefined {
    const cost = conditionCost([condition], this.#freeOf(name));
    const { nanos, values, costliest } = cost;
    this.#costs.set(name, cost);
    this.#values += values;
    const { ruleNanos, values: mostValues } = this.limits;
    if (this.#values > mostValues) {
      this.#isSpent = true;
      const message = `its comparisons have ${values} values, those of lists included, and with the rules before it ${this.#values}: at most ${mostValues} are taken in all rules together`;
      return { message, part: undefined };
    }
    // What is neither the app's rule nor the operator's has no place of its own: it counts with all others.
    const isRule = this.#own.has(name) || this.#operators.has(name);
    if (nanos <= ruleNanos || !isRule) return undefined;
    this.#isSpent = true;
    const most =
      costliest === undefined
        ? ''
        : `; ${shown(costliest)} alone takes ${milliseconds(costliest.nanos)}`;
    const message = `for the worst event the condition takes ${milliseconds(nanos)}, and at most ${milliseconds(ruleNanos)} are taken for one rule${most}: ${ADVICE}`;
    return { message, part: costliest };
  }

  #freeOf(name: string): FreeParts | undefined {
    if (this.#own.has(name)) return undefined;
    const operators = this.#operators.get(name);
    const rules = operators === undefined ? [...this.#operators.values()] : [operators];
    return partsOf(rules.map(({ condition }) => condition));
  }

  /**
   * What is wrong with the output of a rule of the app's own, if anything. `length`: of the app's part of its text; what the
   * operator has added to all outputs comes after that.
   */
  refuseOutput(output: OutputFormat, length: number): OverOutput | undefined {
    const { outputFields, outputWidth } = this.limits;
    const fields = output.fields.filter(({ span }) => span.start < length);
    const wide = fields.find(({ width = 0 }) => width > outputWidth);
    if (wide !== undefined) {
      const message = `a width of ${wide.width ?? 0} is asked for: at most ${outputWidth} is taken`;
      return { message, field: wide };
    }
    const { length: count } = fields;
    if (count <= outputFields) return undefined;
    const message = `the output has ${count} fields: at most ${outputFields} are taken`;
    return { message, field: fields[outputFields] };
  }

  /** Cost of the rules together for the worst event, after each was checked; and the rule to blame if it is over the limit. */
  total(rules: readonly LoadedRule[]): OverlayCost & { readonly over: LoadedRule | undefined } {
    const { allNanos } = this.limits;
    const costs = new Map(rules.map(({ name }) => [name, this.#costs.get(name)?.nanos ?? 0]));
    let nanos = 0;
    let worst: readonly LoadedRule[] = [];
    for (const group of eventGroups(rules)) {
      const own = group.filter(({ name }) => this.#own.has(name));
      const others = group.filter(({ name }) => !this.#own.has(name));
      const sum =
        conditionCost(own.map(({ condition }) => condition)).nanos +
        others.reduce((all, { name }) => all + (costs.get(name) ?? 0), 0) +
        own.reduce((most, rule) => Math.max(most, outputNanos(rule)), 0);
      if (sum > nanos) [nanos, worst] = [sum, group];
    }
    const costOf = (rule: LoadedRule): number => (costs.get(rule.name) ?? 0) + outputNanos(rule);
    const [costliest] = [...worst].sort((one, other) => costOf(other) - costOf(one));
    const over = nanos > allNanos ? costliest : undefined;
    return { nanos, limitNanos: allNanos, rules: costs, over };
  }
}

/** What to do about a condition, or about all of them. */
export const ADVICE =
  'use fewer or shorter patterns and lists, shorter fields (proc.name, proc.exepath), and one ancestor by its number (proc.aargs[1]) rather than all';

const shown = ({ what }: CostPart): string => (what.length > 80 ? `${what.slice(0, 80)}…` : what);

/** Rules that are run for the same events, for each set of rules that there is. */
function eventGroups(rules: readonly LoadedRule[]): readonly (readonly LoadedRule[])[] {
  const byEvent = new Map<string, LoadedRule[]>();
  for (const rule of rules) {
    for (const event of rule.events) {
      const known = byEvent.get(event);
      if (known === undefined) byEvent.set(event, [rule]);
      else known.push(rule);
    }
  }
  const places = new Map(rules.map((rule, index) => [rule, index]));
  const groups = new Map<string, readonly LoadedRule[]>();
  for (const group of byEvent.values()) {
    groups.set(group.map((rule) => places.get(rule)).join(), group);
  }
  return [...groups.values()];
}

const PATTERNS = new WeakMap<readonly LoadedRule[], ReadonlySet<string>>();

/** The regular expressions of the operator's rules: they are compiled anyway. */
function patternsOf(rules: readonly LoadedRule[]): ReadonlySet<string> {
  const known = PATTERNS.get(rules);
  if (known !== undefined) return known;
  const patterns = new Set<string>();
  for (const { condition } of rules) {
    someTest(condition, ({ operator, values }) => {
      if (operator === 'regex') for (const value of values) patterns.add(String(value));
      return false;
    });
  }
  PATTERNS.set(rules, patterns);
  return patterns;
}
