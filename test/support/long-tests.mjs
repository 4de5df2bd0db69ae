// The test files that only `npm run test:all` runs (CI does), by what they cost and what they have found. Cost: seconds in a run of all
// tests on two cores, 2026-12. Found: commits after a file's first that changed both it and what is shipped, up to then.
// `npm test` runs those that take less than 10 s, or have found 1.5 or more in 10 s; and, whatever they have found,
// test/e2e/attacks/attacks.test.ts (each default rule) and test/integration/engine/streams-container.test.ts (the app's own log).
const LONG = [
  // [file, seconds, found]
  ['test/e2e/alerts.test.ts', 36, 1],
  ['test/e2e/attacks/benign.test.ts', 82, 2],
  ['test/e2e/buildpack.test.ts', 19, 1],
  ['test/e2e/coming-back.test.ts', 71, 1],
  ['test/e2e/coverage.test.ts', 15, 0],
  ['test/e2e/cri.test.ts', 23, 3],
  ['test/e2e/denial-running.test.ts', 11, 0],
  ['test/e2e/drill.test.ts', 30, 4],
  ['test/e2e/first-two-minutes.test.ts', 39, 0],
  ['test/e2e/hostile-neighbour.test.ts', 50, 2],
  ['test/e2e/incidents.test.ts', 18, 0],
  ['test/e2e/kubernetes.test.ts', 17, 2],
  ['test/e2e/loggregator.test.ts', 38, 0],
  ['test/e2e/manifests-bosh.test.ts', 25, 1],
  ['test/e2e/no-engine/canary.test.ts', 62, 2],
  ['test/e2e/no-engine/ceilings.test.ts', 73, 4],
  ['test/e2e/no-engine/cell-policy.test.ts', 41, 5],
  ['test/e2e/no-engine/garden.test.ts', 104, 2],
  ['test/e2e/no-engine/losses.test.ts', 11, 0],
  ['test/e2e/no-engine/not-watched.test.ts', 38, 1],
  ['test/e2e/no-engine/policy-hostile.test.ts', 12, 0],
  ['test/e2e/no-engine/release.test.ts', 192, 1],
  ['test/e2e/no-engine/status.test.ts', 14, 2],
  ['test/e2e/pause.test.ts', 24, 1],
  ['test/e2e/policy-budget.test.ts', 14, 0],
  ['test/e2e/policy-file.test.ts', 33, 1],
  ['test/e2e/policy.test.ts', 20, 2],
  ['test/e2e/short-containers.test.ts', 72, 5],
  ['test/integration/alerts-rsyslog-numbers.test.ts', 24, 3],
  ['test/integration/dashboards-alerts.test.ts', 10, 1],
  ['test/integration/engine/apps-docker-trouble.test.ts', 12, 0],
  ['test/integration/manifests-bosh-packages.test.ts', 19, 0],
  ['test/integration/streams-syslog-restarts.test.ts', 33, 3],
  ['test/kernel/connect-races.test.ts', 19, 2],
  ['test/kernel/ring-order.test.ts', 12, 1],
];

export const LONG_FILES = LONG.map(([file]) => file);

/** Whether `npm test` leaves out this file, named from the clone. */
export const isLong = (file) => LONG_FILES.includes(file);
