// A reporter for node:test that says only what failed, a line or a few each. A log of CI may be cut to its end: this stands there.
// A test file without a test has failed too: run.mjs takes what is said here as the outcome. The last line counts the tests, not suites:
// COUNTED {"passed": number, "skipped": {reason: number}, "files": [name of each file that passed, where files are suites]}. (Node warns of a third reporter, so it is no other one.)
const LINE_MAX = 2000;

export default async function* failures(source) {
  let inFile = 0;
  const counted = { passed: 0, skipped: {}, files: [] };
  for await (const { type, data } of source) {
    if (type !== 'test:fail' && type !== 'test:pass') continue;
    // A file that is a suite is told after its tests. A file with a process of its own is told only if it has none.
    const isFile = data.nesting === 0 && data.name.endsWith('.test.ts');
    if (isFile && type === 'test:pass' && (inFile === 0 || data.details.type !== 'suite'))
      yield `FAILED ${data.name}\n    it has no test\n`;
    else if (type === 'test:pass' && isFile) counted.files.push(data.name);
    if (type === 'test:pass' && !isFile && data.details.type !== 'suite') count(counted, data.skip);
    inFile = data.nesting === 0 ? 0 : inFile + 1;
    if (type === 'test:pass' || data.details.error?.failureType === 'subtestsFailed') continue;
    const { cause } = data.details.error ?? {};
    const said = String(
      cause?.message ?? cause ?? data.details.error?.message ?? 'no reason given',
    );
    const lines = said
      .split('\n')
      .slice(0, 12)
      .map((line) => (line.length > LINE_MAX ? `${line.slice(0, LINE_MAX)}…` : line));
    yield [
      `FAILED ${data.name} (${data.file ?? 'no file'}:${data.line ?? '?'})`,
      ...lines.map((line) => `    ${line}`),
      '',
    ].join('\n');
  }
  yield `COUNTED ${JSON.stringify(counted)}\n`;
}

/** `skip`: undefined if it ran, or why it did not. */
function count(counted, skip) {
  if (skip === undefined) {
    counted.passed++;
    return;
  }
  const reason = typeof skip === 'string' && skip !== '' ? skip : 'no reason given';
  counted.skipped[reason] = (counted.skipped[reason] ?? 0) + 1;
}
