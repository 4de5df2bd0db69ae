import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Continuity } from '../../../src/agent/continuity.ts';
import type { LastSign } from '../../../src/agent/sign-of-life.ts';
import type { AgentState } from '../../../src/agent/state.ts';

test('an agent that has stopped says so also while it delivers what is left', () => {
  const signs: LastSign[] = [];
  const state = {
    signOfLife: { last: undefined, write: (sign: LastSign) => void signs.push(sign) },
    troubles: { listen: () => undefined, list: () => [] },
  } as unknown as AgentState;
  const continuity = new Continuity({
    attachment: { attachedMs: 0 },
    state,
    pins: { retry: () => undefined } as never,
    clock: { unixMinusBootNs: 0n },
    probe: { stats: () => ({ emitted: 0 }) } as never,
    received: { records: 0, lastBootNs: 0n },
    say: () => assert.fail('there is nothing to say'),
  });
  continuity.begin([]);
  continuity.onTick([]);
  assert.deepEqual(
    signs.map(({ stopped }) => stopped),
    [false, false],
  );
  continuity.stopped(7n);
  // The agent's tick goes on until it has ended.
  continuity.onTick([]);
  assert.deepEqual(signs.at(-1), { bootNs: 7n, stopped: true });
  continuity.close();
});
