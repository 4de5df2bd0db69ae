// What must hold for any input; throws when it does not.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { MAX_CONSTANT_BYTES } from '../../src/rules/compile/constant.ts';
import { compileGlob } from '../../src/rules/compile/glob.ts';
import { compilePathMatch } from '../../src/rules/compile/path-match.ts';
import { compileRegex } from '../../src/rules/compile/regex.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { LanguageError } from '../../src/rules/language/errors.ts';
import { parse } from '../../src/rules/language/parser.ts';
import { print } from '../../src/rules/language/printer.ts';
import { loadRules } from '../../src/rules/loader/load.ts';
import { compileOutput } from '../../src/rules/output/format.ts';
import { withoutSpans } from '../support/rules-arbitraries.ts';
import { ruleFile } from '../support/rules-load.ts';
import {
  makeConnect,
  makeEvent,
  makeExec,
  makeSubject,
  openForRead,
} from '../support/rules-subject.ts';
import type { Input } from './inputs.ts';

const SUBJECTS = [
  makeSubject(openForRead('/etc/x y/\ufffd')),
  makeSubject(makeEvent('connect', { call: makeConnect() })),
  makeSubject(makeEvent('execve', { exec: makeExec() })),
];

/** True when the input was accepted: a fuzzer whose inputs are all refused shows little. */
export function feed({ target, text }: Input): boolean {
  switch (target) {
    case 'file':
      return feedFile(text);
    case 'condition':
      return feedCondition(text);
    case 'output':
      return refusedOr(text, () => compileOutput(text)) !== undefined;
    case 'regex': {
      if (Buffer.byteLength(text) > MAX_CONSTANT_BYTES) return false;
      const matches = compileRegex(text);
      if (typeof matches === 'string') return false;
      for (const value of ['', 'a', `${'a'.repeat(3000)}b`]) matches.test(value);
      return true;
    }
    case 'glob':
      // As long as a condition's may be, in bytes.
      if (Buffer.byteLength(text) > MAX_CONSTANT_BYTES) return false;
      for (const value of ['', '/etc/a', `/${'a*'.repeat(1500)}`]) {
        compileGlob(text, true).test(value);
        compilePathMatch([text])(value);
      }
      return true;
  }
}

function feedFile(text: string): boolean {
  const { ruleSet, errors, warnings } = loadRules([{ name: 'fuzz.yaml', text }]);
  assert.equal(ruleSet === undefined, errors.length > 0);
  const lines = text.split(/\r\n|\r|\n/).length;
  for (const one of [...errors, ...warnings]) {
    assert.ok(
      one.line >= 1 && one.line <= lines + 1,
      `line ${one.line} of ${lines}: ${one.message}`,
    );
    assert.ok(one.column >= 1, `column ${one.column}`);
  }
  if (ruleSet === undefined) return false;
  const engine = new RuleEngine(ruleSet);
  for (const subject of SUBJECTS) {
    for (const match of engine.evaluate(subject)) engine.toDetection(match, subject);
  }
  return true;
}

function feedCondition(text: string): boolean {
  const tree = refusedOr(text, () => parse(text));
  if (tree === undefined) return false;
  const printed = print(tree);
  const again = withoutSpans(parse(printed));
  assert.ok(isDeepStrictEqual(again, withoutSpans(tree)), `not the same: ${printed}`);
  feedFile(ruleFile(text));
  return true;
}

/** What `read` gives, or undefined after an error of the language whose place is in the text. */
function refusedOr<T>(text: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof LanguageError)) throw error;
    const { start, end } = error.span;
    assert.ok(start >= 0 && start <= end && start <= text.length, `${start}-${end}`);
    return undefined;
  }
}
