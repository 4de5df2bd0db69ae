import { lineAt } from '../../rules/loader/source.ts';
import type { Place } from '../../rules/loader/source.ts';
import type { Difference, FailedEvent, TestResult } from '../../rules/testing/run-tests.ts';
import { replaceControls } from '../../shared/text.ts';
import { reasonLine, shownValue } from '../reason-text.ts';

/** What came of one test file. */
export interface FileResult {
  readonly name: string;
  readonly results: readonly TestResult[];
  /** What its tests give that the agent does not produce. */
  readonly warnings: readonly {
    readonly message: string;
    readonly file: string;
    readonly line: number;
    readonly column: number;
  }[];
}

export function toText(files: readonly FileResult[]): string {
  const blocks = files.flatMap(({ name, results }) =>
    results.filter(({ failures }) => failures.length > 0).map((result) => failedTest(name, result)),
  );
  const tests = files.flatMap(({ results }) => results);
  const failed = tests.filter(({ failures }) => failures.length > 0).length;
  const events = tests.reduce((sum, { test }) => sum + test.events.length, 0);
  const summary =
    `${count(tests.length, 'test')} in ${count(files.length, 'file')}, ` +
    `${count(events, 'event')}: ${failed === 0 ? 'all passed' : `${failed} failed`}.`;
  return `${blocks.join('')}${summary}\n`;
}

export function failedTest(file: string, { test, failures }: TestResult): string {
  const { line, column } = lineAt(test.place.source, test.place.start);
  const head = `FAILED ${file}:${line}:${column}: ${replaceControls(test.name)}`;
  return `${[head, ...failures.flatMap((failure) => failedEvent(failure, test.events.length))].join('\n')}\n\n`;
}

function failedEvent({ event, place, fired, differences }: FailedEvent, events: number): string[] {
  const { line } = lineAt(place.source, place.start);
  const which = events === 1 ? [] : [`event ${event} of ${events}, line ${line}:`];
  const names = fired.length === 0 ? 'none' : fired.map((name) => `"${name}"`).join(', ');
  return [...which, ...differences.flatMap(differenceLines), `fired: ${names}`].map(
    (text) => `  ${replaceControls(text)}`,
  );
}

function differenceLines(difference: Difference): string[] {
  const rule = `"${difference.rule}"`;
  switch (difference.kind) {
    case 'missing':
      if (difference.decidedBy === undefined) {
        return [
          `- missing: ${rule}`,
          `    it is not run for ${difference.eventType}, only for ${listed(difference.runFor)}`,
        ];
      }
      return [`- missing: ${rule}, which is false because of`, ...reasons(difference.decidedBy)];
    case 'unexpected':
      return [`+ unexpected: ${rule}, which is true because of`, ...reasons(difference.decidedBy)];
    case 'output':
      return [
        `! output of ${rule}:`,
        `    expected: ${difference.expected}`,
        `    but it is: ${difference.actual}`,
        `               ${' '.repeat(firstDifference(difference.expected, difference.actual))}^`,
      ];
    case 'output_field':
      return [
        `! ${difference.field} in the output of ${rule}:`,
        `    expected: ${shownField(difference.expected)}`,
        `    but it is: ${shownField(difference.actual)}`,
      ];
  }
}

/** More reasons than these are counted. */
const MAX_REASONS = 30;

function reasons(tests: Extract<Difference, { kind: 'unexpected' }>['decidedBy']): string[] {
  const more = tests.length - MAX_REASONS;
  return [
    ...tests.slice(0, MAX_REASONS).map((test) => `    ${reasonLine(test)}`),
    ...(more > 0 ? [`    and ${more} more`] : []),
  ];
}

function shownField(value: Extract<Difference, { kind: 'output_field' }>['expected' | 'actual']) {
  if (value === null) return 'absent';
  return typeof value === 'object' ? `(${value.map(shownValue).join(', ')})` : shownValue(value);
}

function firstDifference(expected: string, actual: string): number {
  let at = 0;
  while (at < actual.length && expected[at] === actual[at]) at += 1;
  return at;
}

/** A rule that says nothing of the type is run for hundreds. */
function listed(events: readonly string[]): string {
  const shown = events.slice(0, 20).join(', ');
  return events.length > 20 ? `${shown} and ${events.length - 20} more` : shown || 'no event';
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

export function toJson(files: readonly FileResult[], successful: boolean): object {
  const tests = files.flatMap(({ results }) => results);
  return {
    successful,
    tests: tests.length,
    failed: tests.filter(({ failures }) => failures.length > 0).length,
    files: files.map(({ name, results, warnings }) => ({
      name,
      warnings,
      tests: results.map(({ test, failures }) => ({
        name: test.name,
        ...positionOf(test.place),
        passed: failures.length === 0,
        events: test.events.length,
        failures: failures.map(({ event, place, fired, differences }) => ({
          event,
          ...positionOf(place),
          fired,
          differences,
        })),
      })),
    })),
  };
}

export function positionOf({ source, start }: Place): { line: number; column: number } {
  const { line, column } = lineAt(source, start);
  return { line, column };
}

/** The kinds of differences and their rules, in one line. */
export function messageOf({ failures }: TestResult): string {
  const all = failures.flatMap(({ differences }) => differences);
  return [...new Set(all.map(({ kind, rule }) => `${kind.replace('_', ' ')}: ${rule}`))].join('; ');
}
