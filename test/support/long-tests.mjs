// The test files that only `npm run test:all` runs (CI does). Chosen by what each costs against what it has found: each takes
// 10 s to 180 s, and what it tests changes seldom, or is tested for its common case by a file that `npm test` runs.
// Seconds: measured on two cores beside the other lane.
const LONG = new Map([
  ['test/e2e/attacks/benign.test.ts', 82],
  ['test/e2e/coming-back.test.ts', 90],
  ['test/e2e/short-containers.test.ts', 75],
  ['test/e2e/hostile-neighbour.test.ts', 70],
  ['test/e2e/first-two-minutes.test.ts', 39],
  ['test/e2e/alerts.test.ts', 35],
  ['test/e2e/loggregator.test.ts', 35],
  ['test/e2e/drill.test.ts', 30],
  ['test/e2e/cri.test.ts', 23],
  ['test/e2e/manifests-dashboards.test.ts', 21],
  ['test/e2e/policy-budget.test.ts', 14],
  ['test/e2e/pause.test.ts', 24],
  ['test/e2e/hostile.test.ts', 40],
  ['test/e2e/manifests-bosh.test.ts', 11],
  ['test/e2e/no-engine/release.test.ts', 180],
  ['test/e2e/no-engine/garden.test.ts', 110],
  ['test/e2e/no-engine/ceilings.test.ts', 72],
  ['test/e2e/no-engine/cell-policy.test.ts', 41],
  ['test/e2e/no-engine/not-watched.test.ts', 38],
  ['test/e2e/no-engine/canary.test.ts', 45],
  ['test/e2e/no-engine/cell-rules.test.ts', 25],
  ['test/integration/manifests-bosh.test.ts', 30],
  ['test/integration/manifests-bosh-packages.test.ts', 19],
  ['test/integration/streams-syslog-restarts.test.ts', 30],
  ['test/integration/apps-docker-trouble.test.ts', 12],
  ['test/kernel/connect-races.test.ts', 19],
  ['test/kernel/denial-pinned.test.ts', 15],
  ['test/kernel/tree-storm.test.ts', 8],
]);

/** Whether `npm test` leaves out this file, named from the clone. */
export const isLong = (file) => LONG.has(file);
export const LONG_FILES = [...LONG.keys()];
