import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SkippedPrograms } from '../../../src/agent/skipped-programs.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';

test('that the kernel skipped the probe is said once a minute at most, with what is new', () => {
  let count = 0;
  const said: object[] = [];
  const skipped = new SkippedPrograms(
    { countSkipped: () => count },
    { ...SILENT_LOGGER, warn: (facts) => void said.push(facts) },
  );
  skipped.onTick(0);
  assert.deepEqual(said, []);
  count = 3;
  skipped.onTick(1_000);
  count = 8;
  skipped.onTick(2_000);
  assert.deepEqual(said, [{ skipped: 3 }]);
  skipped.onTick(61_000);
  skipped.onTick(180_000);
  assert.deepEqual(said, [{ skipped: 3 }, { skipped: 5 }]);
});
