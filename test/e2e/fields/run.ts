import { writeFileSync } from 'node:fs';
import { compareFields } from './compare.ts';
import { TABLE, tableText } from './table.ts';

// npm run compare:fields: compares and writes what `varvel fields --status` says.

const compared = await compareFields();
const problems = compared.flatMap(({ problem }) => problem ?? []);
for (const problem of problems) console.error(problem);
writeFileSync(TABLE, tableText(compared));
const fields = new Set(compared.map(({ field }) => field));
console.log(
  `${compared.length} comparisons of ${fields.size} fields, ${problems.length} of them differ: ${TABLE}`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
