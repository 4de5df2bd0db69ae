// Writes rule files and says what loading them found: for tests of the loader.
import { loadRules } from '../../src/rules/loader/load.ts';
import type { LoadOptions, LoadResult } from '../../src/rules/loader/load.ts';
import type { Diagnostic } from '../../src/rules/loader/diagnostics.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { ruleSetOf } from './rules-load.ts';
import { makeEvent, makeSubject } from './rules-subject.ts';

export const EXEC = 'evt.type = execve';

/** A rule with everything it needs; the condition is on line 5, `more` from line 6 on. */
export function rule(name: string, condition: string, more = ''): string {
  return `- rule: ${name}\n  desc: d\n  output: o\n  priority: error\n  condition: ${condition}\n${more}`;
}

/** Loads texts as files of their own, named a.yaml, b.yaml, …; later ones build on earlier ones. */
export function loadTexts(
  texts: string | readonly string[],
  options: LoadOptions = {},
): LoadResult {
  const list = typeof texts === 'string' ? [texts] : texts;
  const sources = list.map((text, index) => ({
    name: `${String.fromCharCode(97 + index)}.yaml`,
    text,
  }));
  return loadRules(sources, options);
}

const shown = ({ line, column, code, message }: Diagnostic): string =>
  `${line}:${column} ${code} ${message}`;

/** Errors, then warnings, as `line:column CODE message`. */
export function found(texts: string | readonly string[], options: LoadOptions = {}): string[] {
  const { errors, warnings } = loadTexts(texts, options);
  return [...errors, ...warnings].map(shown);
}

/** The first error or warning; '' when there is none. */
export function first(texts: string | readonly string[], options: LoadOptions = {}): string {
  return found(texts, options)[0] ?? '';
}

/** All codes, errors first. */
export function codes(texts: string | readonly string[], options: LoadOptions = {}): string[] {
  const { errors, warnings } = loadTexts(texts, options);
  return [...errors, ...warnings].map(({ code }) => code);
}

/** Names of the rules that match an execve of `node`, or the subject. */
export function matching(text: string, subject = makeSubject(makeEvent('execve'))): string[] {
  const engine = new RuleEngine(ruleSetOf(text), { matching: 'all' });
  return engine.evaluate(subject).map((match) => match.rule.name);
}
