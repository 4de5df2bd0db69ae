/**
 * How often a property is tried. `npm run check`, which is run before each commit, tries each a fifth as often
 * (VARVEL_TEST_RUNS=0.2); `npm test` tries half, `npm run test:all` and so CI all.
 */
export function runs(whole: number): number {
  const share = Number(process.env['VARVEL_TEST_RUNS'] ?? 1);
  return Math.max(Math.min(whole, 10), Math.ceil(whole * share));
}
