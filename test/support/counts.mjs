// A reporter for node:test that counts: a line of JSON, {passed, skipped: {reason: number}}. Suites and files are not counted.
export default async function* counts(source) {
  let passed = 0;
  const skipped = {};
  for await (const { type, data } of source) {
    if (type !== 'test:pass' || data.details.type === 'suite') continue;
    if (data.nesting === 0 && data.name.endsWith('.test.ts')) continue;
    if (data.skip === undefined) passed++;
    else {
      const reason = typeof data.skip === 'string' && data.skip !== '' ? data.skip : 'no reason';
      skipped[reason] = (skipped[reason] ?? 0) + 1;
    }
  }
  yield `${JSON.stringify({ passed, skipped })}\n`;
}
