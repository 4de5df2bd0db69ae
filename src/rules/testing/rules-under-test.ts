import { nearestWord } from '../../shared/nearest.ts';
import { generate } from '../compile/generate.ts';
import type { Evaluator } from '../compile/generate.ts';
import { GivenFieldError, GivenFields } from '../given/given-fields.ts';
import { eventAt, NO_EVENT } from '../given/no-event.ts';
import { Reasons } from '../given/reasons.ts';
import type { DecidingTest } from '../given/reasons.ts';
import type { LoadResult } from '../loader/load.ts';
import { loadRules } from '../loader/load.ts';
import type { RuleSource } from '../loader/source.ts';
import { formatOutput } from '../output/format.ts';
import type { FormattedOutput } from '../output/format.ts';
import type { LoadedRule } from '../rule-set.ts';
import { TestFileError } from './test-file.ts';
import type { GivenField, Placed, TestEvent } from './test-file.ts';

/** What a rule came to of an event, and why. */
export interface Verdict {
  /** Undefined: the rule is not run for events of this type. */
  readonly decidedBy: readonly DecidingTest[] | undefined;
}

/** Rules that were loaded to be run over given fields: the agent's compiler, but for where values come from. */
export class RulesUnderTest {
  readonly result: LoadResult;
  readonly #given = new GivenFields();
  readonly #all = new Map<string, LoadedRule>();
  readonly #enabled: readonly LoadedRule[];
  readonly #evaluator: Evaluator;
  readonly #found: Int32Array;
  readonly #reasons = new Map<string, Reasons>();
  #type = '';

  /** `enable`: disabled rules to run all the same. When the rules do not load, only `result` is of use. */
  constructor(sources: readonly RuleSource[], enable: readonly string[] = []) {
    this.result = loadRules(sources, {
      fieldSource: this.#given.source,
      selection: enable.map((rule) => ({ enable: true, rule })),
    });
    const rules = this.result.ruleSet?.rules ?? [];
    for (const rule of rules) this.#all.set(rule.name, rule);
    this.#enabled = rules.filter((rule) => rule.enabled);
    this.#evaluator = generate(this.#enabled);
    this.#found = new Int32Array(this.#enabled.length);
  }

  /** The rule that a test names. Throws TestFileError when there is none that could fire. */
  find({ value: name, place }: Placed<string>): LoadedRule {
    const rule = this.#all.get(name);
    if (rule?.enabled === true) return rule;
    if (rule !== undefined) {
      throw new TestFileError(
        `rule "${name}" is disabled and never fires: name it in 'enable' to test it all the same`,
        place,
      );
    }
    const close = nearestWord(name, this.#all.keys());
    const hint = close === undefined ? '' : `: did you mean "${close}"?`;
    throw new TestFileError(`there is no rule "${name}"${hint}`, place);
  }

  /** Makes this the event that everything below is about. Throws TestFileError when its fields are wrong. */
  show({ fields, place }: TestEvent): void {
    this.#give(fields);
    const type = this.#given.read('evt.type')?.[0];
    if (type === undefined) {
      throw new TestFileError('an event needs evt.type, such as evt.type: openat', place);
    }
    this.#type = String(type);
  }

  /** Whether values are of the fields' types. Throws TestFileError. */
  checkFields(fields: readonly GivenField[]): void {
    this.#give(fields);
  }

  #give(fields: readonly GivenField[]): void {
    try {
      this.#given.give(Object.fromEntries(fields.map(({ key, value }) => [key, value])));
    } catch (error) {
      if (!(error instanceof GivenFieldError)) throw error;
      const wrong = fields.find(({ key }) => key === error.key);
      if (wrong === undefined) throw error;
      throw new TestFileError(error.message, wrong.place);
    }
  }

  /** The rules that fire for the event. */
  fired(): readonly LoadedRule[] {
    this.#evaluator.begin(NO_EVENT);
    const count = this.#evaluator.all.get(this.#type)?.(this.#found) ?? 0;
    return [...this.#found.subarray(0, count)]
      .map((index) => this.#enabled[index])
      .filter((rule) => rule !== undefined);
  }

  get eventType(): string {
    return this.#type;
  }

  output(rule: LoadedRule): FormattedOutput {
    const time = this.#given.read('evt.rawtime')?.[0];
    const view = eventAt(typeof time === 'bigint' ? time : 0n);
    // What a test expects may stand in the line elsewhere (O5).
    return formatOutput({ ...rule.output, keepsFields: true }, view, rule.extraFields);
  }

  why(rule: LoadedRule): Verdict {
    if (!rule.events.has(this.#type)) return { decidedBy: undefined };
    const known = this.#reasons.get(rule.name) ?? new Reasons(rule.condition);
    this.#reasons.set(rule.name, known);
    return { decidedBy: known.outcome().decidedBy };
  }
}
