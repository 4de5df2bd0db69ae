// The test files that only `npm run test:all` runs (CI does): those that take longest, by one measured run and by estimate.
// What each has found is not weighed yet.
export const LONG_FILES = [
  'test/e2e/attacks/benign.test.ts',
  'test/e2e/coming-back.test.ts',
  'test/e2e/short-containers.test.ts',
  'test/e2e/hostile-neighbour.test.ts',
  'test/e2e/first-two-minutes.test.ts',
  'test/e2e/alerts.test.ts',
  'test/e2e/loggregator.test.ts',
  'test/e2e/drill.test.ts',
  'test/e2e/cri.test.ts',
  'test/e2e/manifests-dashboards.test.ts',
  'test/e2e/policy-budget.test.ts',
  'test/e2e/pause.test.ts',
  'test/e2e/hostile.test.ts',
  'test/e2e/manifests-bosh.test.ts',
  'test/e2e/no-engine/release.test.ts',
  'test/e2e/no-engine/garden.test.ts',
  'test/e2e/no-engine/ceilings.test.ts',
  'test/e2e/no-engine/cell-policy.test.ts',
  'test/e2e/no-engine/not-watched.test.ts',
  'test/e2e/no-engine/canary.test.ts',
  'test/e2e/no-engine/cell-rules.test.ts',
  'test/integration/manifests-bosh.test.ts',
  'test/integration/manifests-bosh-packages.test.ts',
  'test/integration/streams-syslog-restarts.test.ts',
  'test/integration/engine/apps-docker-trouble.test.ts',
  'test/kernel/connect-races.test.ts',
  'test/kernel/denial-pinned.test.ts',
  'test/kernel/tree-storm.test.ts',
];

/** Whether `npm test` leaves out this file, named from the clone. */
export const isLong = (file) => LONG_FILES.includes(file);
