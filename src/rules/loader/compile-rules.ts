import type { Steps } from '../../shared/turns.ts';
import { check } from '../compile/check.ts';
import { absentTests, whyIdle } from '../compile/idle.ts';
import { inferEvents, isTooManyEvents } from '../compile/infer.ts';
import type { Checked } from '../compile/checked.ts';
import type { FieldSource } from '../compile/read.ts';
import type { CostBudget } from '../cost/budget.ts';
import type { Condition } from '../language/ast.ts';
import { LanguageError } from '../language/errors.ts';
import { parse } from '../language/parser.ts';
import { compileOutput } from '../output/format.ts';
import type { ExtraOutputField, OutputFormat, OutputStyle } from '../output/format.ts';
import type { LoadedRule } from '../rule-set.ts';
import { extraFields, outputAdditions } from './append-output.ts';
import type { AppendOutput } from './append-output.ts';
import { appended } from './definitions.ts';
import type { Definitions } from './definitions.ts';
import { atPlace, ItemError } from './diagnostics.ts';
import type { Diagnostics, Owner } from './diagnostics.ts';
import { withExceptions } from './exceptions.ts';
import { deprecatedInOutput, inspect } from './inspect.ts';
import { ListFiller } from './lists.ts';
import { BrokenMacro, Macros } from './macros.ts';
import type { RuleDefinition } from './rule-definitions.ts';
import { lineAt, MappedText } from './source.ts';
import type { Place } from './source.ts';

/**
 * Cache of compiled texts. Each file is loaded together with all earlier ones, whose texts are mostly unchanged. Errors are not
 * cached.
 */
export class KnownTexts {
  readonly #conditions = new Map<string, Condition>();
  readonly #outputs = new Map<string, OutputFormat>();

  parse(text: string): Condition {
    const known = this.#conditions.get(text) ?? parse(text);
    this.#conditions.set(text, known);
    return known;
  }

  /** For one and the same source. */
  compileOutput(text: string, source: FieldSource | undefined, style?: OutputStyle): OutputFormat {
    const key = `${style ?? 'short'} ${text}`;
    const known = this.#outputs.get(key) ?? compileOutput(text, source, style);
    this.#outputs.set(key, known);
    return known;
  }
}

export interface CompileOptions {
  readonly appendOutput: readonly AppendOutput[];
  /** Default `short`. */
  readonly outputStyle?: OutputStyle | undefined;
  /** Nothing was wrong with the items of the files so far. */
  readonly allRead: boolean;
  /** Macros of files that are still to come. */
  readonly laterNames: ReadonlySet<string>;
  /** Where fields' values come from; the event when undefined. */
  readonly fieldSource: FieldSource | undefined;
  readonly known?: KnownTexts;
  /** Whether a rule is in force in the end; undefined: as it says itself. */
  readonly isEnabled?: (rule: RuleDefinition) => boolean;
  /** The rules to compile; all when undefined. */
  readonly only?: ReadonlySet<string>;
  /** What an app's rules may cost; undefined for the operator's. */
  readonly budget?: CostBudget;
  /** Rules whose output is the app's own. */
  readonly own?: ReadonlySet<string>;
}

/** A part of a rule did not compile; the error is already reported. */
const FAILED = Symbol('failed');

/** Turns definitions into rules; what is wrong goes to the diagnostics and the rule is left out. */
export class RuleCompiler {
  readonly #definitions: Definitions;
  readonly #diagnostics: Diagnostics;
  readonly #options: CompileOptions;
  readonly #filler: ListFiller;
  readonly #macros: Macros;
  readonly #known: KnownTexts;
  /** Macros and fields that have been told of. */
  readonly #absentInMacros = new Set<string>();

  constructor(definitions: Definitions, diagnostics: Diagnostics, options: CompileOptions) {
    this.#definitions = definitions;
    this.#diagnostics = diagnostics;
    this.#options = options;
    this.#filler = new ListFiller(definitions.lists);
    this.#known = options.known ?? new KnownTexts();
    this.#macros = new Macros(definitions, diagnostics, { ...options, known: this.#known });
  }

  /** The rules that are well, in order of definition; each in a step. */
  *steps(): Steps<LoadedRule[]> {
    this.#macros.read(this.#filler);
    const rules: LoadedRule[] = [];
    // The map keeps the place of a name's first definition, which is the order that counts (R6).
    for (const definition of this.#definitions.rules.values()) {
      if (this.#diagnostics.isFull || this.#options.budget?.isSpent === true) return rules;
      if (definition.unknownSource || this.#options.only?.has(definition.name) === false) continue;
      const rule = this.#compileRule(definition);
      if (rule !== FAILED) rules.push(rule);
      yield;
    }
    // A failed item did not reach everything that it refers to, so "unused" warnings could be wrong.
    const whole = this.#options.allRead && this.#options.only === undefined;
    if (whole && this.#diagnostics.errors.length === 0) {
      this.#macros.warnOfUnused();
      this.#warnOfUnusedLists();
    }
    return rules;
  }

  #compileRule(rule: RuleDefinition): LoadedRule | typeof FAILED {
    const { name, place } = rule;
    const owner: Owner = { kind: 'rule', name, place };
    // In Falco's order: exceptions, output, condition (S13).
    const condition = this.#attempt(rule, owner, () =>
      withExceptions(appended(rule.condition), rule.exceptions),
    );
    const output = this.#compileOutput(rule, owner);
    // Falco stops at that point: lists and macros in the condition do not count as used.
    if (output === 'left out') return FAILED;
    if (condition === FAILED) return FAILED;
    const compiled = this.#compileCondition(rule, condition, owner);
    if (output === FAILED || compiled === FAILED) return FAILED;
    return {
      name,
      description: rule.description.join(' '),
      priority: rule.priority,
      tags: [...rule.tags].sort(),
      enabled: rule.enabled,
      ...output,
      ...compiled,
      file: place.source.name,
      line: lineAt(place.source, place.start).line,
    };
  }

  #compileOutput(
    rule: RuleDefinition,
    owner: Owner,
  ): Pick<LoadedRule, 'output' | 'extraFields'> | typeof FAILED | 'left out' {
    const { appendOutput, outputStyle, fieldSource } = this.#options;
    const text = this.#withoutContainerInfo(
      appended([appended(rule.output).trim(), ...outputAdditions(rule, appendOutput)]),
      owner,
    );
    const compile = (mapped: MappedText, style?: OutputStyle): OutputFormat | typeof FAILED => {
      const compiled = this.#attempt(rule, owner, () =>
        inText(mapped, () => this.#known.compileOutput(mapped.text, fieldSource, style)),
      );
      if (compiled === FAILED) return FAILED;
      this.#warnOfDeprecated(mapped, owner);
      return compiled;
    };
    const errors = this.#diagnostics.errors.length;
    const output = compile(text, outputStyle);
    if (output !== FAILED) this.#boundOutput(output, text, rule, owner);
    const wanted = extraFields(rule, appendOutput);
    const extra: ExtraOutputField[] = [];
    for (const { key, text: extraText, raw } of wanted) {
      const format = compile(extraText, 'falco');
      if (format !== FAILED) extra.push({ key, format, raw });
    }
    if (output !== FAILED && extra.length === wanted.length) return { output, extraFields: extra };
    return this.#diagnostics.errors.length === errors && !this.#diagnostics.isFull
      ? 'left out'
      : FAILED;
  }

  /** An app's own output is held to its limits. */
  #boundOutput(output: OutputFormat, text: MappedText, rule: RuleDefinition, owner: Owner): void {
    const { budget, own } = this.#options;
    if (own?.has(rule.name) !== true) return;
    const over = budget?.refuseOutput(output, appended(rule.output).trim().text.length);
    if (over === undefined) return;
    const place = text.locate(over.field?.span ?? { start: 0, end: 1 });
    this.#diagnostics.error('LOAD_ERR_VALIDATE', over.message, place, owner);
  }

  /** `%container.info` has lost its meaning and prints nothing (O4). */
  #withoutContainerInfo(text: MappedText, owner: Owner): MappedText {
    const token = '%container.info';
    const pieces: MappedText[] = [];
    let copied = 0;
    for (let at = text.text.indexOf(token); at >= 0; at = text.text.indexOf(token, copied)) {
      const span = { start: at, end: at + token.length };
      if (copied === 0 && pieces.length === 0) {
        this.#diagnostics.warn(
          'LOAD_DEPRECATED_ITEM',
          `${token} is deprecated and prints nothing: take it out`,
          text.locate(span),
          owner,
        );
      }
      pieces.push(text.slice(copied, at), MappedText.at('', text.locate(span)));
      copied = span.end;
    }
    return pieces.length === 0 ? text : MappedText.join([...pieces, text.slice(copied)]);
  }

  #warnOfDeprecated(text: MappedText, owner: Owner): void {
    for (const { name, span } of deprecatedInOutput(text.text)) {
      this.#diagnostics.warn(
        'LOAD_DEPRECATED_ITEM',
        `field ${name} is deprecated and says nothing in an output`,
        text.locate(span),
        owner,
      );
    }
  }

  #compileCondition(
    rule: RuleDefinition,
    condition: MappedText,
    owner: Owner,
  ): Pick<LoadedRule, 'condition' | 'events'> | typeof FAILED {
    return this.#attempt(rule, owner, () => {
      const text = this.#filler.fill(condition);
      return inText(text, () => {
        const checked = this.#check(this.#known.parse(text.text), text, owner);
        const events = this.#infer(checked);
        this.#warnOfIdle(rule, checked, events, text, owner);
        this.#boundCondition(rule, checked, text);
        if (rule.warnEvttypes && isTooManyEvents(events)) {
          this.#diagnostics.warn(
            'LOAD_NO_EVTTYPE',
            'the condition does not say which events it is about (evt.type): it runs for all or most of them',
            text.locate({ start: 0, end: 1 }),
            owner,
          );
        }
        return { condition: checked, events };
      });
    });
  }

  /** Warns of parts of an enabled rule that can have no effect. Not for given values: a test may give any. */
  #warnOfIdle(
    rule: RuleDefinition,
    checked: Checked,
    events: ReadonlySet<string>,
    text: MappedText,
    owner: Owner,
  ): void {
    const { fieldSource, isEnabled } = this.#options;
    if (fieldSource !== undefined || !(isEnabled?.(rule) ?? rule.enabled)) return;
    const absent = absentTests(checked);
    const why = whyIdle(checked, events, absent);
    if (why !== undefined) {
      const place = text.locate({ start: 0, end: 1 });
      this.#diagnostics.warn(
        'LOAD_NEVER_MATCHES',
        `no event can match: the rule ${why}`,
        place,
        owner,
      );
    }
    for (const { field, test, macro, negated } of absent) {
      if (macro === undefined) this.#warnOfAbsent(field, negated, text.locate(test.span), owner);
      else if (!this.#absentInMacros.has(`${macro.name} ${field}`)) {
        this.#absentInMacros.add(`${macro.name} ${field}`);
        const place = this.#macros.locate(macro.name, test.span) ?? owner.place;
        this.#warnOfAbsent(field, negated, place, { kind: 'macro', name: macro.name, place });
      }
    }
    if (rule.capture) {
      this.#diagnostics.warn(
        'LOAD_NO_CAPTURE',
        'there are no captures: the rule tells of what it finds, and records nothing',
        owner.place,
        owner,
      );
    }
  }

  #warnOfAbsent(field: string, negated: boolean, place: Place, owner: Owner): void {
    const then = negated ? "this never holds, and its 'not' always does" : 'this never holds';
    this.#diagnostics.warn(
      'LOAD_ABSENT_FIELD',
      `field ${field} has no value in any event here: ${then}`,
      place,
      owner,
    );
  }

  /** Throws ItemError for a condition that is over what an app's may cost. */
  #boundCondition({ name }: RuleDefinition, checked: Checked, text: MappedText): void {
    const over = this.#options.budget?.refuseCondition(name, checked);
    if (over === undefined) return;
    const { part, message } = over;
    const span = part?.test.span ?? { start: 0, end: 1 };
    const place =
      part?.macro === undefined ? text.locate(span) : this.#macros.locate(part.macro, span);
    throw new ItemError('LOAD_ERR_VALIDATE', message, place ?? text.locate({ start: 0, end: 1 }));
  }

  #check(condition: Condition, text: MappedText, owner: Owner) {
    const inspection = inspect(condition);
    this.#macros.checkReferences(inspection, text, owner);
    this.#macros.warnOf(inspection, text, owner);
    return check(condition, this.#macros.context(text, owner));
  }

  /** What is wrong with the events of a condition may stand in a macro of it. */
  #infer(condition: LoadedRule['condition']): LoadedRule['events'] {
    try {
      return inferEvents(condition);
    } catch (error) {
      if (!(error instanceof LanguageError)) throw error;
      throw this.#macros.placeOf(error, (macro) => inferEvents(macro.body)) ?? error;
    }
  }

  /** Runs a part of a rule's compilation. An error is reported, or the rule is skipped with a warning. */
  #attempt<T>(rule: RuleDefinition, owner: Owner, read: () => T): T | typeof FAILED {
    try {
      return read();
    } catch (error) {
      if (error instanceof BrokenMacro) {
        const { failure } = error;
        const skipped = rule.skipIfUnknownFilter && failure.unknownName;
        if (skipped) this.#leaveOut(failure.error, owner);
        else if (!failure.told) {
          failure.told = true;
          const { code, message, place } = failure.error;
          this.#diagnostics.error(code, message, place, failure.owner);
        }
      } else if (error instanceof PlacedError) {
        if (rule.skipIfUnknownFilter && error.unknownName) this.#leaveOut(error.error, owner);
        else this.#report(error.error, owner);
      } else if (error instanceof ItemError) this.#report(error, owner);
      else throw error;
      return FAILED;
    }
  }

  #report({ code, message, place }: ItemError, owner: Owner): void {
    this.#diagnostics.error(code, message, place, owner);
  }

  #leaveOut({ message, place }: ItemError, owner: Owner): void {
    this.#diagnostics.warn(
      'LOAD_UNKNOWN_FILTER',
      `${message}: the rule is left out, as skip-if-unknown-filter says`,
      place,
      owner,
    );
  }

  #warnOfUnusedLists(): void {
    for (const { name, place } of this.#definitions.lists.values()) {
      if (this.#filler.used.has(name)) continue;
      this.#diagnostics.warn(
        'LOAD_UNUSED_LIST',
        'the list is not referred to by any rule, macro or list',
        place,
        { kind: 'list', name, place },
      );
    }
  }
}

/** An error of the language, at its place in a file. */
class PlacedError extends Error {
  override readonly name = 'PlacedError';
  readonly error: ItemError;
  readonly unknownName: boolean;

  constructor(error: ItemError, unknownName: boolean) {
    super(error.message);
    this.error = error;
    this.unknownName = unknownName;
  }
}

function inText<T>(text: MappedText, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof LanguageError)) throw error;
    throw new PlacedError(atPlace(error, text), error.unknownName);
  }
}
