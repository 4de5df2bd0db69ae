/** A test case as JUnit's XML has it. */
export interface JunitCase {
  readonly name: string;
  readonly durationMs: number;
  readonly line: number;
  /** Undefined when it passed. */
  readonly failure: { readonly message: string; readonly text: string } | undefined;
}

/** The cases of one test file. */
export interface JunitSuite {
  readonly name: string;
  readonly cases: readonly JunitCase[];
}

/** The results as JUnit XML, which every CI system reads. */
export function junitXml(suites: readonly JunitSuite[]): string {
  const lines = suites.flatMap(({ name, cases }) => [
    `  <testsuite name="${escape(name)}" ${totals(cases)}>`,
    ...cases.flatMap((one) => testcase(name, one)),
    '  </testsuite>',
  ]);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="varvel test" ${totals(suites.flatMap(({ cases }) => cases))}>`,
    ...lines,
    '</testsuites>',
    '',
  ].join('\n');
}

function totals(cases: readonly JunitCase[]): string {
  const failures = cases.filter(({ failure }) => failure !== undefined).length;
  const durationMs = cases.reduce((sum, one) => sum + one.durationMs, 0);
  return `tests="${cases.length}" failures="${failures}" errors="0" skipped="0" time="${seconds(durationMs)}"`;
}

function testcase(file: string, { name, durationMs, line, failure }: JunitCase): string[] {
  const attributes =
    `name="${escape(name)}" classname="${escape(file)}" file="${escape(file)}" line="${line}" ` +
    `time="${seconds(durationMs)}"`;
  if (failure === undefined) return [`    <testcase ${attributes}/>`];
  return [
    `    <testcase ${attributes}>`,
    `      <failure message="${escape(failure.message)}">${escape(failure.text)}</failure>`,
    '    </testcase>',
  ];
}

const seconds = (durationMs: number): string => (durationMs / 1000).toFixed(6);

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

/** XML 1.0 has no way to write most control characters and lone surrogates: they become U+FFFD. */
function escape(text: string): string {
  return text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, '\ufffd')
    .replace(/[&<>"]/g, (char) => ENTITIES[char] ?? char);
}
