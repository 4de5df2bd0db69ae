import { check } from '../compile/check.ts';
import type { CheckContext } from '../compile/check.ts';
import type { CheckedMacro } from '../compile/checked.ts';
import type { FieldSource } from '../compile/read.ts';
import type { CostBudget } from '../cost/budget.ts';
import type { Condition, MacroNode, Span } from '../language/ast.ts';
import { adviceOnName } from '../language/advice.ts';
import { LanguageError } from '../language/errors.ts';
import { nearestWord } from '../../shared/nearest.ts';
import { appended } from './definitions.ts';
import type { Definitions, MacroDefinition } from './definitions.ts';
import { atPlace, ItemError } from './diagnostics.ts';
import type { Diagnostics, Owner } from './diagnostics.ts';
import { inspect } from './inspect.ts';
import type { Inspection } from './inspect.ts';
import type { ListFiller } from './lists.ts';
import type { MappedText, Place } from './source.ts';

interface ParsedMacro {
  readonly definition: MacroDefinition;
  readonly owner: Owner;
  readonly text: MappedText;
  readonly condition: Condition;
  readonly inspection: Inspection;
}

/** What is wrong with a macro: every rule that refers to it has it, and it is told once. */
interface Failure {
  readonly error: ItemError;
  readonly owner: Owner;
  /** A name that does not exist: `skip-if-unknown-filter` makes a rule that refers to it be left out (R9). */
  readonly unknownName: boolean;
  told: boolean;
}

/** Thrown where a condition refers to a macro that has an error of its own. */
export class BrokenMacro extends Error {
  override readonly name = 'BrokenMacro';
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.error.message);
    this.failure = failure;
  }
}

/** Suggestions cost a look at all names: they are made while there are few errors. */
const SUGGESTED_ERRORS = 20;

/** The macros of all files, resolved against each other and checked when a rule first refers to them. */
export class Macros {
  readonly #definitions: ReadonlyMap<string, MacroDefinition>;
  readonly #diagnostics: Diagnostics;
  readonly #brokenNames: ReadonlySet<string>;
  readonly #laterNames: ReadonlySet<string>;
  readonly #source: FieldSource | undefined;
  readonly #budget: CostBudget | undefined;
  readonly #known: { parse(text: string): Condition };
  readonly #parsed = new Map<string, ParsedMacro>();
  readonly #failures = new Map<string, Failure>();
  readonly #checked = new Map<string, CheckedMacro>();
  /** Macros that a rule or another macro refers to. */
  readonly used = new Set<string>();

  /** `laterNames`: macros of files that are still to come, for what is said of a missing one. */
  constructor(
    { macros, brokenMacros }: Pick<Definitions, 'macros' | 'brokenMacros'>,
    diagnostics: Diagnostics,
    options: {
      readonly laterNames: ReadonlySet<string>;
      readonly fieldSource: FieldSource | undefined;
      readonly budget?: CostBudget | undefined;
      readonly known: { parse(text: string): Condition };
    },
  ) {
    this.#definitions = macros;
    this.#brokenNames = brokenMacros;
    this.#diagnostics = diagnostics;
    this.#laterNames = options.laterNames;
    this.#source = options.fieldSource;
    this.#budget = options.budget;
    this.#known = options.known;
  }

  /** Parses all of them, then resolves what they refer to, in the order of definition as Falco does (R11). */
  read(filler: ListFiller): void {
    for (const definition of this.#definitions.values()) this.#parse(definition, filler);
    for (const parsed of this.#parsed.values()) this.#resolve(parsed);
    this.#findLoops();
  }

  #parse(definition: MacroDefinition, filler: ListFiller): void {
    const { name, place } = definition;
    const owner: Owner = { kind: 'macro', name, place };
    try {
      const text = filler.fill(appended(definition.condition));
      try {
        const condition = this.#known.parse(text.text);
        const inspection = inspect(condition);
        this.#parsed.set(name, { definition, owner, text, condition, inspection });
      } catch (error) {
        throw error instanceof LanguageError ? atPlace(error, text) : error;
      }
    } catch (error) {
      if (!(error instanceof ItemError)) throw error;
      this.#fail(name, owner, error);
    }
  }

  #resolve({ definition, owner, text, inspection }: ParsedMacro): void {
    for (const node of inspection.macros) {
      const target = this.#definitions.get(node.name);
      // S15: a macro sees those that were defined before it was last touched, and not itself.
      if (target !== undefined && target !== definition && target.index < definition.visibility) {
        this.used.add(node.name);
        continue;
      }
      const error = target === definition ? loopError(node) : this.#undefined(node, true, text);
      this.#fail(definition.name, owner, atPlace(error, text), this.#isBroken(node));
      return;
    }
  }

  /** Reports macros that refer to each other in a cycle, at the one that closes it. Iterative, without recursion. */
  #findLoops(): void {
    const done = new Set<string>();
    for (const start of this.#parsed.keys()) {
      const path: { name: string; next: number }[] = [];
      const open = new Set<string>();
      const enter = (name: string): void => {
        path.push({ name, next: 0 });
        open.add(name);
      };
      if (!done.has(start)) enter(start);
      for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
        const parsed = this.#failures.has(step.name) ? undefined : this.#parsed.get(step.name);
        const node = parsed?.inspection.macros[step.next];
        step.next += 1;
        if (parsed === undefined || node === undefined) {
          done.add(step.name);
          open.delete(step.name);
          path.pop();
        } else if (open.has(node.name)) {
          this.#fail(step.name, parsed.owner, atPlace(loopError(node), parsed.text));
        } else if (!done.has(node.name)) enter(node.name);
      }
    }
  }

  /** `told`: what there is to say was said of another item. */
  #fail(name: string, owner: Owner, error: ItemError, told = false): void {
    this.#failures.set(name, { error, owner, unknownName: false, told: true });
    if (!told) this.#diagnostics.error(error.code, error.message, error.place, owner);
  }

  /** Is it the name of a macro that is missing only because its item is wrong? */
  #isBroken({ name }: MacroNode): boolean {
    return this.#brokenNames.has(name) && !this.#definitions.has(name);
  }

  /** Throws LanguageError when a rule's condition refers to a macro that there is none of. */
  checkReferences(inspection: Inspection, text: MappedText, owner: Owner): void {
    for (const node of inspection.macros) {
      if (!this.#definitions.has(node.name)) {
        const error = this.#undefined(node, false, text);
        if (!this.#isBroken(node)) throw error;
        throw new BrokenMacro({
          error: atPlace(error, text),
          owner,
          unknownName: false,
          told: true,
        });
      }
      this.used.add(node.name);
    }
  }

  #undefined(node: MacroNode, withinMacro: boolean, text: MappedText): LanguageError {
    const { name, span } = node;
    let hint = '';
    if (this.#definitions.has(name)) {
      hint = withinMacro ? ' It is defined after the macro that refers to it.' : '';
    } else if (this.#laterNames.has(name)) {
      hint = ' It is defined in a later file: each file must load with those before it.';
    } else if (this.#diagnostics.errors.length < SUGGESTED_ERRORS) {
      const close = nearestWord(name, this.#definitions.keys());
      if (close !== undefined) hint = ` Did you mean '${close}'?`;
      else hint = adviceOnName(text.text, span.start, name);
    }
    return new LanguageError(
      'LOAD_ERR_VALIDATE',
      `Undefined macro '${name}' used in filter.${hint}`,
      span,
    );
  }

  /** What check() needs to find macros in a text that is `owner`'s. */
  context(text: MappedText, owner: Owner): CheckContext {
    const context = {
      budget: this.#budget,
      macro: (name: string, _span: unknown, depth: number) => this.#macro(name, depth),
      warn: ({ code, message, span }: Parameters<CheckContext['warn']>[0]) => {
        this.#diagnostics.warn(code, message, text.locate(span), owner);
      },
    };
    return this.#source === undefined ? context : { ...context, source: this.#source };
  }

  /** Says what is questionable in a condition: fields without meaning, comparisons that find nothing. */
  warnOf(inspection: Inspection, text: MappedText, owner: Owner): void {
    for (const span of inspection.unsafe) {
      this.#diagnostics.warn(
        'LOAD_UNSAFE_NA_CHECK',
        "no field has the value '<NA>': ask whether it 'exists'",
        text.locate(span),
        owner,
      );
    }
    for (const { name, span } of inspection.deprecated) {
      const why =
        name === 'evt.dir'
          ? "events are seen at their end: 'evt.dir = <' always holds, 'evt.dir = >' never"
          : 'there is no beginning of events to count from';
      this.#diagnostics.warn(
        'LOAD_DEPRECATED_ITEM',
        `field ${name} is deprecated: ${why}`,
        text.locate(span),
        owner,
      );
    }
  }

  #macro(name: string, depth: number): CheckedMacro {
    const failure = this.#failures.get(name);
    if (failure !== undefined) throw new BrokenMacro(failure);
    const known = this.#checked.get(name);
    if (known !== undefined) return known;
    const parsed = this.#parsed.get(name);
    if (parsed === undefined) throw new Error(`macro ${name} was not read`);
    const { condition, text, owner, inspection } = parsed;
    try {
      this.warnOf(inspection, text, owner);
      const checked = { name, body: check(condition, this.context(text, owner), depth) };
      this.#checked.set(name, checked);
      return checked;
    } catch (error) {
      if (error instanceof BrokenMacro) this.#failures.set(name, error.failure);
      if (!(error instanceof LanguageError)) throw error;
      const { unknownName } = error;
      const found: Failure = { error: atPlace(error, text), owner, unknownName, told: false };
      this.#failures.set(name, found);
      throw new BrokenMacro(found);
    }
  }

  /** Finds the macro within which an error of a whole condition is. */
  placeOf(error: LanguageError, fails: (macro: CheckedMacro) => unknown): ItemError | undefined {
    for (const macro of this.#checked.values()) {
      try {
        fails(macro);
      } catch (inner) {
        if (!(inner instanceof LanguageError)) throw inner;
        if (inner.message !== error.message || inner.span.start !== error.span.start) continue;
        const parsed = this.#parsed.get(macro.name);
        if (parsed !== undefined) return atPlace(error, parsed.text);
      }
    }
    return undefined;
  }

  /** Where a part of a macro's condition is. */
  locate(name: string, span: Span): Place | undefined {
    return this.#parsed.get(name)?.text.locate(span);
  }

  /** LOAD_UNUSED_MACRO for those that nothing refers to. */
  warnOfUnused(): void {
    for (const { name, place } of this.#definitions.values()) {
      if (this.used.has(name)) continue;
      this.#diagnostics.warn(
        'LOAD_UNUSED_MACRO',
        'the macro is not referred to by any rule or macro',
        place,
        { kind: 'macro', name, place },
      );
    }
  }
}

function loopError({ name, span }: MacroNode): LanguageError {
  return new LanguageError(
    'LOAD_ERR_VALIDATE',
    `Undefined macro '${name}' used in filter. (reference loop in macro)`,
    span,
  );
}
