import { check } from '../compile/check.ts';
import type { CheckContext } from '../compile/check.ts';
import type { CheckedMacro } from '../compile/checked.ts';
import { inferEvents, isAnyEvent } from '../compile/infer.ts';
import { PRIORITIES } from '../detection.ts';
import type { Priority } from '../detection.ts';
import type { Condition, Span } from '../language/ast.ts';
import { LanguageError, lineAndColumn } from '../language/errors.ts';
import { nearestWord } from '../../shared/nearest.ts';
import { parse } from '../language/parser.ts';
import { compileOutput } from '../output/format.ts';
import type { LoadedRule } from '../rule-set.ts';
import type { Definitions, MacroDefinition, RuleDefinition } from './definitions.ts';
import { atPlace, collecting } from './diagnostics.ts';
import type { Diagnostics } from './diagnostics.ts';
import { ListFiller } from './lists.ts';
import type { MappedText } from './source.ts';

interface ParsedMacro {
  readonly definition: MacroDefinition;
  readonly text: MappedText;
  readonly condition: Condition;
}

/** Thrown where a condition refers to a macro that has an error of its own, which is reported there. */
class BrokenMacro extends Error {
  override readonly name = 'BrokenMacro';
}

/** Turns definitions into rules; what is wrong goes to the diagnostics and the rule is left out. */
export class RuleCompiler {
  readonly #definitions: Definitions;
  readonly #diagnostics: Diagnostics;
  readonly #filler: ListFiller;
  readonly #parsed = new Map<string, ParsedMacro>();
  readonly #checked = new Map<string, CheckedMacro | 'broken' | 'open'>();
  readonly #usedMacros = new Set<string>();

  constructor(definitions: Definitions, diagnostics: Diagnostics) {
    this.#definitions = definitions;
    this.#diagnostics = diagnostics;
    this.#filler = new ListFiller(definitions.lists);
  }

  /** The rules that are well and at least as severe as `minimumPriority`, in order of definition. */
  compile(minimumPriority: Priority): LoadedRule[] {
    for (const definition of this.#definitions.macros.values()) this.#parseMacro(definition);
    const least = PRIORITIES.indexOf(minimumPriority);
    const rules: LoadedRule[] = [];
    const inOrder = [...this.#definitions.rules.values()].sort((a, b) => a.index - b.index);
    for (const definition of inOrder) {
      if (PRIORITIES.indexOf(definition.priority) > least) continue;
      const rule = this.#compileRule(definition);
      if (rule !== undefined) rules.push(rule);
    }
    // A rule that failed did not come to all that it refers to.
    if (this.#diagnostics.errors.length === 0) this.#warnOfUnused();
    return rules;
  }

  #parseMacro(definition: MacroDefinition): void {
    collecting(this.#diagnostics, `macro "${definition.name}"`, () => {
      const text = this.#filler.fill(definition.condition);
      const condition = located(text, () => parse(text.text));
      this.#parsed.set(definition.name, { definition, text, condition });
    });
  }

  #compileRule(definition: RuleDefinition): LoadedRule | undefined {
    const label = `rule "${definition.name}"`;
    if (definition.source !== 'syscall') {
      this.#diagnostics.warn(
        'LOAD_UNKNOWN_SOURCE',
        `there is no source '${definition.source}': the rule is left out`,
        definition.place,
        label,
      );
      return undefined;
    }
    // Falco compiles the output first, and reports that (S13).
    const output = this.#attempt(definition, definition.output, () =>
      compileOutput(definition.output.text),
    );
    const text = collecting(this.#diagnostics, label, () =>
      this.#filler.fill(definition.condition),
    );
    if (text === undefined) return undefined;
    const condition = this.#attempt(definition, text, () =>
      check(parse(text.text), this.#context(text, Infinity, label)),
    );
    if (output === undefined || condition === undefined) return undefined;
    const events = inferEvents(condition);
    if (isAnyEvent(events) && definition.warnEvttypes) {
      this.#diagnostics.warn(
        'LOAD_NO_EVTTYPE',
        'the condition does not say which events it is about (evt.type): it runs for all of them',
        text.locate({ start: 0, end: 1 }),
        label,
      );
    }
    return {
      name: definition.name,
      description: definition.description,
      priority: definition.priority,
      tags: definition.tags,
      enabled: definition.enabled,
      condition,
      output,
      events,
      file: definition.place.source.name,
      line: lineAndColumn(definition.place.source.text, definition.place.start).line,
    };
  }

  /** Runs a part of a rule's compilation: an error is reported, or makes the rule be left out with a word. */
  #attempt<T>(definition: RuleDefinition, text: MappedText, read: () => T): T | undefined {
    const label = `rule "${definition.name}"`;
    try {
      return read();
    } catch (error) {
      if (error instanceof BrokenMacro) return undefined;
      if (!(error instanceof LanguageError)) throw error;
      const { code, message, place } = atPlace(error, text);
      const skipped = definition.skipIfUnknownFilter && error.unknownName;
      if (skipped || (code === 'LOAD_ERR_NOT_YET' && !definition.enabled)) {
        const reason = skipped ? 'as skip-if-unknown-filter says' : 'it is disabled';
        this.#diagnostics.warn(
          'LOAD_UNKNOWN_FILTER',
          `${message}: the rule is left out, ${reason}`,
          place,
          label,
        );
      } else this.#diagnostics.error(code, message, place, label);
      return undefined;
    }
  }

  #context(text: MappedText, visibility: number, label: string): CheckContext {
    return {
      macro: (name, span, depth) => this.#macro(name, span, depth, visibility),
      warn: ({ code, message, span }) => {
        this.#diagnostics.warn(code, message, text.locate(span), label);
      },
    };
  }

  #macro(name: string, span: Span, depth: number, visibility: number): CheckedMacro {
    const definition = this.#definitions.macros.get(name);
    if (definition === undefined || definition.index >= visibility)
      throw undefinedMacro(name, span, this.#definitions);
    this.#usedMacros.add(name);
    const known = this.#checked.get(name);
    if (known === 'open')
      throw undefinedMacro(name, span, this.#definitions, 'reference loop in macro');
    if (known === 'broken') throw new BrokenMacro();
    if (known !== undefined) return known;
    const parsed = this.#parsed.get(name);
    if (parsed === undefined) throw new BrokenMacro();
    this.#checked.set(name, 'open');
    const label = `macro "${name}"`;
    try {
      const context = this.#context(parsed.text, definition.visibility, label);
      const checked = { name, body: check(parsed.condition, context, depth) };
      this.#checked.set(name, checked);
      return checked;
    } catch (error) {
      this.#checked.set(name, 'broken');
      if (error instanceof LanguageError) {
        const { code, message, place } = atPlace(error, parsed.text);
        this.#diagnostics.error(code, message, place, label);
        throw new BrokenMacro();
      }
      throw error;
    }
  }

  #warnOfUnused(): void {
    for (const macro of this.#definitions.macros.values()) {
      if (this.#usedMacros.has(macro.name)) continue;
      this.#diagnostics.warn(
        'LOAD_UNUSED_MACRO',
        'the macro is not referred to by any rule',
        macro.place,
        `macro "${macro.name}"`,
      );
    }
    for (const list of this.#definitions.lists.values()) {
      if (this.#filler.used.has(list.name)) continue;
      this.#diagnostics.warn(
        'LOAD_UNUSED_LIST',
        'the list is not referred to by any rule or macro',
        list.place,
        `list "${list.name}"`,
      );
    }
  }
}

function located<T>(text: MappedText, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof LanguageError ? atPlace(error, text) : error;
  }
}

function undefinedMacro(
  name: string,
  span: Span,
  definitions: Definitions,
  why = '',
): LanguageError {
  const close = definitions.macros.has(name)
    ? undefined
    : nearestWord(name, definitions.macros.keys());
  const hint = close === undefined ? '' : ` Did you mean '${close}'?`;
  const late =
    definitions.macros.has(name) && why === ''
      ? ' It is defined after the macro that refers to it.'
      : why === ''
        ? ''
        : ` (${why})`;
  return new LanguageError(
    'LOAD_ERR_VALIDATE',
    `Undefined macro '${name}' used in filter.${late}${hint}`,
    span,
  );
}
