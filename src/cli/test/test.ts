import { writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';

import { DEFAULT_RULES_FILE } from '../../config/config.ts';
import { drawSnippet } from '../../rules/language/errors.ts';
import { formatDiagnostic } from '../../rules/loader/diagnostics.ts';
import { readRuleBytes, readRuleFile, toRuleSource } from '../../rules/loader/load.ts';
import { expandRulePaths } from '../../rules/loader/rule-files.ts';
import { lineAt } from '../../rules/loader/source.ts';
import type { Place, RuleSource } from '../../rules/loader/source.ts';
import { junitXml } from '../../rules/testing/junit.ts';
import { RulesUnderTest } from '../../rules/testing/rules-under-test.ts';
import { checkTests, notProducedYet, runTests } from '../../rules/testing/run-tests.ts';
import { readTestFile, TestFileError } from '../../rules/testing/test-file.ts';
import type { TestFile } from '../../rules/testing/test-file.ts';
import { replaceControls } from '../../shared/text.ts';
import { UserError } from '../../shared/user-error.ts';
import type { Io } from '../io.ts';
import { jsonDocument } from '../reason-text.ts';
import { failedTest, messageOf, positionOf, toJson, toText } from './test-report.ts';
import type { FileResult } from './test-report.ts';

export interface TestArgs {
  /** Test files, and folders of them. */
  readonly files: readonly string[];
  /** One JSON document for machines instead of text. */
  readonly json: boolean;
  /** Where the results go as JUnit XML, besides. */
  readonly junit: string | undefined;
}

/**
 * `varvel test FILE…`: runs tests of rules over given fields. Resolves to the exit code: 0 all passed, 1 one
 * failed, 2 a test file or its rules are wrong: then nothing was run. Throws UserError (exit code 2) for files that
 * cannot be read or written.
 */
// Asynchronous like every command.
// eslint-disable-next-line @typescript-eslint/require-await
export async function runTest(args: TestArgs, io: Io): Promise<number> {
  if (args.files.length === 0) {
    throw new UserError('Name at least one test file: varvel test FILE…', { exitCode: 2 });
  }
  const rules = new RulesByFiles();
  let files: readonly (readonly [TestFile, RulesUnderTest])[];
  try {
    files = expandRulePaths(args.files).map((path) => {
      const file = readTestFile(toRuleSource(path, readRuleBytes(path, 'test file')));
      const own = rules.of(file);
      checkTests(file, own);
      return [file, own];
    });
  } catch (error) {
    const problem = problemOf(error);
    if (problem === undefined) throw error;
    if (args.json) io.stdout(jsonDocument({ successful: false, error: problem }));
    else io.stderr(`${problem.text}\n`);
    return 2;
  }
  const results = files.map(([file, own]): FileResult => {
    const warnings = notProducedYet(file).map(({ value, place }) => ({
      message: value,
      file: file.source.name,
      ...positionOf(place),
    }));
    return { name: file.source.name, results: runTests(file, own), warnings };
  });
  if (args.junit !== undefined) writeJunit(args.junit, results);
  const failed = results.some((file) => file.results.some(({ failures }) => failures.length > 0));
  if (!args.json) {
    for (const { file, line, column, message } of results.flatMap(({ warnings }) => warnings)) {
      io.stderr(`${file}:${line}:${column}: warning: ${replaceControls(message)}\n`);
    }
  }
  io.stdout(args.json ? jsonDocument(toJson(results, !failed)) : toText(results));
  return failed ? 1 : 0;
}

/** Rules that several test files are about are loaded once. */
class RulesByFiles {
  readonly #known = new Map<string, RulesUnderTest>();

  /** Throws RulesError when they do not load, UserError when they cannot be read. */
  of({ source, rules, enable }: TestFile): RulesUnderTest {
    const folder = dirname(source.name);
    const found =
      rules === undefined
        ? [readRuleFile(DEFAULT_RULES_FILE)]
        : rules.flatMap(({ value, place }) =>
            rulesAt(isAbsolute(value) ? value : join(folder, value), place),
          );
    const names = enable.map(({ value }) => value);
    const key = JSON.stringify([found.map(({ name }) => name), names]);
    const known = this.#known.get(key) ?? new RulesUnderTest(found, names);
    this.#known.set(key, known);
    if (known.result.ruleSet === undefined) throw new RulesError(known);
    return known;
  }
}

/** The rule files of a path that is written at that place. */
function rulesAt(path: string, place: Place): readonly RuleSource[] {
  try {
    return expandRulePaths([path]).map(readRuleFile);
  } catch (error) {
    if (error instanceof UserError) throw new TestFileError(error.toDisplay(), place);
    throw error;
  }
}

class RulesError extends Error {
  override readonly name = 'RulesError';
  readonly rules: RulesUnderTest;

  constructor(rules: RulesUnderTest) {
    super('the rules do not load');
    this.rules = rules;
  }
}

interface Problem {
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
  readonly message: string;
  /** For people: with place and caret. */
  readonly text: string;
}

function problemOf(error: unknown): Problem | undefined {
  if (error instanceof TestFileError) {
    const { message, place } = error;
    const { source, start, end } = place;
    const { line, column } = lineAt(source, start);
    const snippet = drawSnippet(source.text, start, end - start).replace(/^/gm, '  ');
    const text = `${source.name}:${line}:${column}: error: ${replaceControls(message)}\n${snippet}`;
    return { file: source.name, line, column, message, text };
  }
  if (error instanceof RulesError) {
    const { errors } = error.rules.result;
    const [first] = errors;
    return {
      file: first?.file ?? null,
      line: first?.line ?? null,
      column: first?.column ?? null,
      message: first?.message ?? error.message,
      text: errors.map(formatDiagnostic).join('\n'),
    };
  }
  if (error instanceof UserError) {
    const { file = null, line = null, column = null } = error.position ?? {};
    return { file, line, column, message: error.message, text: `varvel: ${error.toDisplay()}` };
  }
  return undefined;
}

function writeJunit(path: string, files: readonly FileResult[]): void {
  const suites = files.map(({ name, results }) => ({
    name,
    cases: results.map((result) => ({
      name: result.test.name,
      durationMs: result.durationMs,
      line: positionOf(result.test.place).line,
      failure:
        result.failures.length === 0
          ? undefined
          : { message: messageOf(result), text: failedTest(name, result).trimEnd() },
    })),
  }));
  try {
    writeFileSync(path, junitXml(suites));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new UserError(`The file of --junit, ${path}, cannot be written (${code}).`, {
      exitCode: 2,
      cause: error,
    });
  }
}
