import type { EventName } from '../../events/table.gen.ts';
import type { Reader, Value, View } from '../fields/field.ts';
import { isPathDependent } from './checked.ts';
import type { Checked, CheckedMacro, Read, Test } from './checked.ts';
import { OPERATORS } from './operators.ts';
import type { Predicate } from './operators.ts';

/** What the generator needs of a rule. */
export interface GeneratedRule {
  readonly condition: Checked;
  /** The events it can match: it is run for these only. */
  readonly events: ReadonlySet<EventName>;
}

/** Writes the indices of the rules that match into `out`, lowest first, and returns how many there are. */
export type RuleRunner = (out: Int32Array) => number;

/** A compiled rule set. One event at a time: `begin`, then any of the runners for the event's type. */
export interface Evaluator {
  /** Sets the event and forgets what was computed of the one before. `view` is kept until the next call. */
  readonly begin: (view: View) => void;
  /** Every rule. */
  readonly all: ReadonlyMap<EventName, RuleRunner>;
  /** Stops at the first. */
  readonly first: ReadonlyMap<EventName, RuleRunner>;
  /** Only rules that read a path, to be run once more with `claimedPath`. */
  readonly pathRules: ReadonlyMap<EventName, RuleRunner>;
}

/** Past this the counter of events starts again, so that it stays a small integer for the engine. */
const LAST_GENERATION = 1_073_741_823;

/**
 * Compiles rules to JavaScript: one function per rule, macro, test and field; macros, costly tests and
 * fields that are used more than once keep their value for the rest of the event.
 *
 * Nothing of a rule file becomes code but literals (JSON strings, numbers, booleans).
 */
export function generate(rules: readonly GeneratedRule[]): Evaluator {
  const source = new Generator(rules);
  // eslint-disable-next-line @typescript-eslint/no-implied-eval
  const build = new Function('K', source.text()) as (constants: readonly unknown[]) => {
    begin: (view: View) => void;
    all: Record<string, RuleRunner>;
    first: Record<string, RuleRunner>;
    pathRules: Record<string, RuleRunner>;
  };
  const { begin, all, first, pathRules } = build(source.constants);
  const byEvent = (runners: Record<string, RuleRunner>): ReadonlyMap<EventName, RuleRunner> =>
    new Map(source.events.map((event, index) => [event, runners[`e${index}`] ?? (() => 0)]));
  return { begin, all: byEvent(all), first: byEvent(first), pathRules: byEvent(pathRules) };
}

/** @internal */
class Generator {
  readonly constants: unknown[] = [];
  readonly events: readonly EventName[];
  readonly #rules: readonly GeneratedRule[];
  readonly #declarations: string[] = [];
  readonly #resets: string[] = [];
  readonly #hoisted = new Map<unknown, string>();
  readonly #uses = new Map<string, number>();
  readonly #fields = new Map<string, string>();
  readonly #tests = new Map<string, string>();
  readonly #macros = new Map<CheckedMacro, string>();

  constructor(rules: readonly GeneratedRule[]) {
    this.#rules = rules;
    this.events = [...new Set(rules.flatMap((rule) => [...rule.events]))];
    this.#countUses();
  }

  text(): string {
    const bodies = this.#rules.map((rule, index) => {
      return `function r${index}(){return ${this.#condition(rule.condition)};}`;
    });
    return [
      "'use strict';",
      'let g=0,view;',
      ...this.constants.map((_, index) => `const k${index}=K[${index}];`),
      ...this.#declarations,
      ...bodies,
      `function begin(next){view=next;if(g===${LAST_GENERATION}){g=0;${this.#resets.join('')}}g++;}`,
      `return{begin,all:{${this.#runners('all')}},first:{${this.#runners('first')}},pathRules:{${this.#runners('paths')}}};`,
    ].join('\n');
  }

  #runners(which: 'all' | 'first' | 'paths'): string {
    return this.events
      .map((event, eventIndex) => {
        const calls = this.#rules.flatMap((rule, index) => {
          if (!rule.events.has(event)) return [];
          if (which === 'paths' && !isPathDependent(rule.condition)) return [];
          return which === 'first'
            ? `if(r${index}()){out[0]=${index};return 1;}`
            : `if(r${index}())out[n++]=${index};`;
        });
        return `e${eventIndex}(out){let n=0;${calls.join('')}return n;}`;
      })
      .join(',');
  }

  /** A thing used once is computed where it is used; used more often, it is worth remembering. */
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
    const holds = this.#holds(test);
    const right = test.right === undefined ? '' : `const w=${this.#field(test.right)}();`;
    const present = test.right === undefined ? '' : 'w!==undefined&&';
    if (reader.shape === 'single') {
      return `const v=${left}();${right}return v!==undefined&&${present}(${holds});`;
    }
    const every = test.operator === '!=' && reader.notEqual === 'all';
    const loop = every ? `if(!(${holds}))return false;` : `if(${holds})return true;`;
    const guard = test.right === undefined ? '' : 'if(w===undefined)return false;';
    return (
      `const a=${left}();${right}${guard}` +
      `for(let i=0;i<a.length;i++){const v=a[i];${loop}}return ${every ? 'a.length>0' : 'false'};`
    );
  }

  #exists(reader: Reader, left: string): string {
    if (reader.exists !== undefined) {
      return `${this.#hoist(reader.exists)}(view)`;
    }
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
    const each = test.values.map((value) => operator.predicate(kind, [value]));
    return `${this.#hoist(modified(test.modifier, each))}(v)`;
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

/** `oneof`, `anyof`, `allof`: false over an empty list (E4). */
function modified(modifier: 'oneof' | 'anyof' | 'allof', each: readonly Predicate[]): Predicate {
  switch (modifier) {
    case 'anyof':
      return (value) => each.some((predicate) => predicate(value));
    case 'allof':
      return (value) => each.length > 0 && each.every((predicate) => predicate(value));
    case 'oneof':
      return (value) => {
        let held = 0;
        for (const predicate of each) if (predicate(value)) held += 1;
        return held === 1;
      };
  }
}
