import type { Reader, Value, View } from '../fields/field.ts';
import { isPathDependent } from './checked.ts';
import type { Checked, CheckedMacro, Read, Test } from './checked.ts';
import { chooseMasks } from './masks.ts';
import type { Mask } from './masks.ts';
import { modifiedOverValues, predicateOf } from './modifiers.ts';
import { OPERATORS } from './operators.ts';

/** What the generator needs of a rule. */
export interface GeneratedRule {
  readonly condition: Checked;
  /** The events it can match: it is run for these only. */
  readonly events: ReadonlySet<string>;
}

/** Writes the indices of the rules that match into `out`, lowest first, and returns how many there are. */
export type RuleRunner = (out: Int32Array) => number;

/** A compiled rule set. One event at a time: `begin`, then any of the runners for the event's type. */
export interface Evaluator {
  /** Sets the event and forgets what was computed of the one before. `view` is kept until the next call. */
  readonly begin: (view: View) => void;
  /** Every rule. */
  readonly all: ReadonlyMap<string, RuleRunner>;
  /** Stops at the first. */
  readonly first: ReadonlyMap<string, RuleRunner>;
  /** Only rules that read a path, to be run once more with `claimedPath`. */
  readonly pathRules: ReadonlyMap<string, RuleRunner>;
  /** Runs no rule: writes the rules that the values of recurring fields do not exclude. */
  readonly possible: ReadonlyMap<string, RuleRunner>;
  /** Each rule alone, by its index: whether the event of `begin` meets it. */
  readonly rules: readonly (() => boolean)[];
}

/** What a runner does with the rules that can match. */
type Running = 'all' | 'first' | 'none';

/** Beyond this the event counter restarts, so that it stays a small integer for V8. */
const LAST_GENERATION = 1_073_741_823;

/** With fewer rules per event all are run: a lookup of the possible ones would cost more. */
const MASKED_FROM = 8;

/** How the generator is told to work; the defaults are for agents. */
export interface GenerateOptions {
  /** Sightings of a field's value at which it is worth knowing which rules it leaves. */
  readonly maskAfter?: number;
  /** Whether texts that are new are searched for what rules look for: it takes up to 512 KiB for each field. Default true. */
  readonly searches?: boolean;
}

/**
 * Compiles rules to JavaScript: one function per rule, macro, test and field; macros, costly tests and
 * fields that are used more than once keep their value for the rest of the event. Where many rules are for one
 * event, the values of a few fields that recur (a path, a name, a flag) say first which of them can match at all:
 * a bit per rule, remembered per value (MaskCache).
 *
 * Nothing of a rule file becomes code but literals (JSON strings, numbers, booleans).
 */
export function generate(
  rules: readonly GeneratedRule[],
  options: GenerateOptions = {},
): Evaluator {
  const source = new Generator(rules, options.maskAfter ?? 3, options.searches ?? true);
  // eslint-disable-next-line @typescript-eslint/no-implied-eval
  const build = new Function('K', source.text()) as (constants: readonly unknown[]) => {
    begin: (view: View) => void;
    all: Record<string, RuleRunner>;
    first: Record<string, RuleRunner>;
    pathRules: Record<string, RuleRunner>;
    possible: Record<string, RuleRunner>;
    rules: readonly (() => boolean)[];
  };
  const { begin, all, first, pathRules, possible, rules: each } = build(source.constants);
  const byEvent = (runners: Record<string, RuleRunner>): ReadonlyMap<string, RuleRunner> =>
    new Map(source.events.map((event, index) => [event, runners[`e${index}`] ?? (() => 0)]));
  return {
    begin,
    all: byEvent(all),
    first: byEvent(first),
    pathRules: byEvent(pathRules),
    possible: byEvent(possible),
    rules: each,
  };
}

/** Events that the same rules are for. */
interface EventGroup {
  readonly events: readonly string[];
  readonly rules: readonly number[];
}

/** @internal */
class Generator {
  readonly constants: unknown[] = [];
  readonly events: readonly string[];
  readonly #rules: readonly GeneratedRule[];
  readonly #declarations: string[] = [];
  readonly #resets: string[] = [];
  readonly #hoisted = new Map<unknown, string>();
  readonly #uses = new Map<string, number>();
  readonly #fields = new Map<string, string>();
  readonly #tests = new Map<string, string>();
  readonly #macros = new Map<CheckedMacro, string>();
  readonly #masks = new Map<string, readonly Mask[]>();
  readonly #maskAfter: number;
  readonly #searches: boolean;

  constructor(rules: readonly GeneratedRule[], maskAfter: number, searches: boolean) {
    this.#rules = rules;
    this.#maskAfter = maskAfter;
    this.#searches = searches;
    this.events = [...new Set(rules.flatMap((rule) => [...rule.events]))];
    this.#countUses();
  }

  text(): string {
    const bodies = this.#rules.map((rule, index) => {
      return `function r${index}(){return ${this.#condition(rule.condition)};}`;
    });
    const isAny = (): boolean => true;
    const isOfPath = (index: number): boolean => {
      const rule = this.#rules[index];
      return rule !== undefined && isPathDependent(rule.condition);
    };
    const all = this.#runners('all', isAny, 'all');
    const first = this.#runners('first', isAny, 'first');
    const paths = this.#runners('paths', isOfPath, 'all');
    const possible = this.#runners('possible', isAny, 'none');
    const rules = this.#rules.map((_, index) => `r${index}`).join(',');
    // Last, when everything above has said which constants it needs.
    const constants = this.constants.map((_, index) => `const k${index}=K[${index}];`);
    return [
      "'use strict';",
      'let g=0,view;',
      ...constants,
      ...this.#declarations,
      ...bodies,
      `function begin(next){view=next;if(g===${LAST_GENERATION}){g=0;${this.#resets.join('')}}g++;}`,
      `return{begin,all:{${all}},first:{${first}},pathRules:{${paths}},possible:{${possible}},rules:[${rules}]};`,
    ].join('\n');
  }

  /** A runner per group of events, and which one each event has. */
  #runners(prefix: string, isWanted: (rule: number) => boolean, running: Running): string {
    const runners = this.#eventGroups(isWanted).flatMap(({ events, rules }, index) => {
      const name = `${prefix}${index}`;
      this.#declarations.push(this.#runner(name, events, rules, running));
      return events.map((event) => `e${this.events.indexOf(event)}:${name}`);
    });
    return runners.join(',');
  }

  #eventGroups(isWanted: (rule: number) => boolean): readonly EventGroup[] {
    const groups = new Map<string, { events: string[]; rules: readonly number[] }>();
    for (const event of this.events) {
      const rules = this.#rules.flatMap((rule, index) =>
        rule.events.has(event) && isWanted(index) ? [index] : [],
      );
      const key = rules.join();
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { events: [event], rules });
      else group.events.push(event);
    }
    return [...groups.values()];
  }

  #runner(
    name: string,
    events: readonly string[],
    rules: readonly number[],
    running: Running,
  ): string {
    const found = (index: number | string): string =>
      running === 'first' ? `{out[0]=${index};return 1;}` : `out[n++]=${index};`;
    const when = (test: string): string => (running === 'none' ? '' : `if(${test})`);
    const [mask, ...more] = this.#masksOf(events, rules).map(({ field, cache }) => {
      return `${this.#hoist(cache)}.maskOf(${this.#field(field)}())`;
    });
    if (mask === undefined) {
      const runs = rules.map((rule) => `${when(`r${rule}()`)}${found(rule)}`);
      return `function ${name}(out){let n=0;${runs.join('')}return n;}`;
    }
    const declared = more.map((_, index) => `,m${index}`).join('');
    // Further fields are looked at only while rules are left.
    const narrow = more.map((next, index) => `if(a!==0)a&=(m${index}??=${next})[w];`).join('');
    const cases = rules.map((rule, bit) => `case ${bit}:return r${rule}();`).join('');
    return (
      (running === 'none' ? '' : `function ${name}r(i){switch(i){${cases}}return false;}`) +
      `function ${name}(out){let n=0${declared};const m=${mask};` +
      `for(let w=0;w<${Math.ceil(rules.length / 32)};w++){let a=m[w];${narrow}` +
      `while(a!==0){const i=(w<<5)+31-Math.clz32(a&-a);a&=a-1;` +
      `${when(`${name}r(i)`)}${found(`${this.#hoist(Int32Array.from(rules))}[i]`)}}}return n;}`
    );
  }

  /** One cache for all runners of the same rules. */
  #masksOf(events: readonly string[], rules: readonly number[]): readonly Mask[] {
    if (rules.length < MASKED_FROM) return [];
    const key = rules.join();
    const conditions = rules.flatMap((rule) => this.#rules[rule]?.condition ?? []);
    const masks =
      this.#masks.get(key) ?? chooseMasks(conditions, events, this.#maskAfter, this.#searches);
    this.#masks.set(key, masks);
    return masks;
  }

  /** Counts uses: a value that is used once is computed in place; one used more often is cached. */
  #countUses(): void {
    const macros = new Set<CheckedMacro>();
    const count = (key: string): number => {
      const uses = (this.#uses.get(key) ?? 0) + 1;
      this.#uses.set(key, uses);
      return uses;
    };
    const visit = (condition: Checked): void => {
      switch (condition.kind) {
        case 'and':
        case 'or':
          condition.operands.forEach(visit);
          return;
        case 'not':
          visit(condition.operand);
          return;
        case 'macro':
          count(`macro ${condition.macro.name}`);
          if (macros.has(condition.macro)) return;
          macros.add(condition.macro);
          visit(condition.macro.body);
          return;
        case 'test': {
          const { test } = condition;
          if (count(`test ${test.key}`) > 1) return;
          count(`field ${test.left.key}`);
          if (test.right !== undefined) count(`field ${test.right.key}`);
        }
      }
    };
    for (const rule of this.#rules) visit(rule.condition);
  }

  #isShared(key: string): boolean {
    return (this.#uses.get(key) ?? 0) > 1;
  }

  #hoist(value: unknown): string {
    const known = this.#hoisted.get(value);
    if (known !== undefined) return known;
    const name = `k${this.constants.length}`;
    this.constants.push(value);
    this.#hoisted.set(value, name);
    return name;
  }

  /** Declares a function, one that remembers its value for the event when `shared`. */
  #declare(name: string, body: string, shared: boolean): void {
    if (!shared) {
      this.#declarations.push(`function ${name}(){${body}}`);
      return;
    }
    this.#declarations.push(
      `function ${name}_(){${body}}`,
      `let ${name}v,${name}g=0;`,
      `function ${name}(){if(${name}g!==g){${name}v=${name}_();${name}g=g;}return ${name}v;}`,
    );
    this.#resets.push(`${name}g=0;`);
  }

  #condition(condition: Checked): string {
    switch (condition.kind) {
      case 'and':
      case 'or': {
        const joint = condition.kind === 'and' ? '&&' : '||';
        return `(${condition.operands.map((operand) => this.#condition(operand)).join(joint)})`;
      }
      case 'not':
        return `!${this.#condition(condition.operand)}`;
      case 'macro':
        return `${this.#macro(condition.macro)}()`;
      case 'test':
        return `${this.#test(condition.test)}()`;
    }
  }

  #macro(macro: CheckedMacro): string {
    const known = this.#macros.get(macro);
    if (known !== undefined) return known;
    const name = `m${this.#macros.size}`;
    this.#macros.set(macro, name);
    const body = `return ${this.#condition(macro.body)};`;
    this.#declare(name, body, this.#isShared(`macro ${macro.name}`));
    return name;
  }

  #test(test: Test): string {
    const known = this.#tests.get(test.key);
    if (known !== undefined) return known;
    const name = `t${this.#tests.size}`;
    this.#tests.set(test.key, name);
    const cheap =
      test.left.reader.shape === 'single' &&
      test.modifier === undefined &&
      (test.operator === 'exists' || OPERATORS[test.operator].cheap);
    this.#declare(name, this.#testBody(test), !cheap && this.#isShared(`test ${test.key}`));
    return name;
  }

  #testBody(test: Test): string {
    const left = this.#field(test.left);
    const { reader } = test.left;
    if (test.operator === 'exists') return `return ${this.#exists(reader, left)};`;
    if (reader.shape === 'list') return this.#listTest(test, left);
    const right = test.right === undefined ? '' : `const w=${this.#field(test.right)}();`;
    if (reader.shape === 'single') {
      const present = test.right === undefined ? '' : 'w!==undefined&&';
      return `const v=${left}();${right}return v!==undefined&&${present}(${this.#holds(test)});`;
    }
    const every = test.operator === '!=' && reader.notEqual === 'all';
    if (test.modifier !== undefined) {
      return `return ${this.#hoist(modifiedOverValues(test, test.modifier, every))}(${left}());`;
    }
    const holds = this.#holds(test);
    const loop = every ? `if(!(${holds}))return false;` : `if(${holds})return true;`;
    const guard = test.right === undefined ? '' : 'if(w===undefined)return false;';
    return (
      `const a=${left}();${right}${guard}` +
      `for(let i=0;i<a.length;i++){const v=a[i];${loop}}return ${every ? 'a.length>0' : 'false'};`
    );
  }

  /** `in` asks for every item, so an empty list is in any; `intersects` for one of them (E2). */
  #listTest(test: Test, left: string): string {
    const every = test.operator === 'in';
    const right =
      test.right === undefined
        ? `const s=${this.#hoist(new Set(test.values))};`
        : `const w=${this.#field(test.right)}();if(w===undefined)return false;const s=new Set(w);`;
    const loop = every ? 'if(!s.has(a[i]))return false;' : 'if(s.has(a[i]))return true;';
    return (
      `const a=${left}();if(a===undefined)return false;${right}` +
      `for(let i=0;i<a.length;i++){${loop}}return ${every};`
    );
  }

  #exists(reader: Reader, left: string): string {
    if (reader.shape === 'list') return `${left}()!==undefined`;
    if (reader.exists !== undefined) return `${this.#hoist(reader.exists)}(view)`;
    return reader.shape === 'single' ? `${left}()!==undefined` : `${left}().length>0`;
  }

  /** The comparison of `v` as an expression. */
  #holds(test: Test): string {
    if (test.operator === 'exists') return 'true';
    const operator = OPERATORS[test.operator];
    const { kind } = test.left;
    if (test.right !== undefined) {
      return `${this.#hoist((left: Value, right: Value) => operator.compare(left, right))}(v,w)`;
    }
    if (test.modifier === undefined) {
      return operator.emit(kind, test.values, (value) => this.#hoist(value));
    }
    return `${this.#hoist(predicateOf(test))}(v)`;
  }

  #field(read: Read): string {
    const known = this.#fields.get(read.key);
    if (known !== undefined) return known;
    const name = `f${this.#fields.size}`;
    this.#fields.set(read.key, name);
    const extract = this.#hoist(read.reader.read);
    this.#declare(name, `return ${extract}(view);`, this.#isShared(`field ${read.key}`));
    return name;
  }
}
