// A reporter for node:test that says only what failed, a line or a few each. A log of CI may be cut to its end: this stands there.
const LINE_MAX = 2000;

export default async function* failures(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:fail' || data.details.error?.failureType === 'subtestsFailed') continue;
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
}
