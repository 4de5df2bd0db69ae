// The end of `npm test`: how many tests ran in each layer, what was skipped there and why, and what this machine could not run.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/**
 * `table`: lines of machine.mjs (`runs|out TAB layer TAB why`). `counted`: a line of JSON for each layer that ran:
 * {layers, passed, skipped: {reason: number}, filesLeftOut}.
 */
export function summaryOf(table, counted) {
  const rows = table
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
  const out = rows.filter(([state]) => state === 'out');
  const lines = ['Passed, and nothing is left behind:'];
  let files = 0;
  for (const line of counted.trimEnd().split('\n').filter(Boolean)) {
    const { layers, passed, skipped, filesLeftOut } = JSON.parse(line);
    files += filesLeftOut;
    lines.push(`  ${layers}: ${passed} ran`);
    for (const [reason, number] of Object.entries(skipped))
      lines.push(`    SKIPPED ${number}: ${reason}`);
  }
  if (files > 0) lines.push(`Long tests are left to "npm run test:all": ${files} files.`);
  if (out.length > 0) {
    lines.push(`NOT RUN, because this machine cannot: ${out.length} of ${rows.length} layers:`);
    for (const [, layer, why] of out) lines.push(`  ${layer}: ${why}`);
    lines.push('What was not run has not passed. "npm test -- --require all" makes it a failure.');
  }
  return lines.join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [table, counted] = process.argv.slice(2).map((path) => readFileSync(path, 'utf8'));
  console.log(summaryOf(table, counted));
}
