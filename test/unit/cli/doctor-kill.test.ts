import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkKill } from '../../../src/cli/doctor/kill.ts';
import type { AgentConfig } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';

const configOf = (...settings: string[]): AgentConfig =>
  loadConfig({ env: {}, settings: ['state_dir=/nonexistent', ...settings], defaultFile: '/none' })
    .config;
const entry = (response: string): string =>
  `responses=[{"match": {"rule": "*"}, "do": "${response}"}]`;
const statusOf = (...bits: readonly number[]): string =>
  `CapEff:\t${bits.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n).toString(16)}\n`;
const [ABLE, UNABLE] = [statusOf(5, 21), statusOf(21, 38, 39)];

test('CAP_KILL is missed where something is to be killed or denied, by the operator or by apps', () => {
  for (const setting of [
    entry('kill'),
    entry('deny'),
    'policies.responses=kill',
    'policies.responses=deny',
  ]) {
    const { state, says, advice } = checkKill(configOf(setting), UNABLE);
    assert.equal(state, 'warn', setting);
    assert.match(says, /CAP_KILL is missing/);
    assert.match(advice ?? '', /^Add CAP_KILL: .*enforce\.conf.*kubernetes\/enforce/);
    assert.equal(checkKill(configOf(setting), ABLE).state, 'ok');
  }
  for (const setting of [entry('isolate'), entry('restart'), 'mode=always'])
    assert.equal(checkKill(configOf(setting), UNABLE).state, 'note', setting);
});

test('of an agent that runs its own capabilities count', () => {
  const kills = configOf(entry('kill'));
  const found = checkKill(kills, ABLE, UNABLE);
  assert.equal(found.state, 'warn');
  assert.match(found.says, /^The running agent can kill processes of its own user only/);
  assert.equal(checkKill(kills, UNABLE, ABLE).state, 'ok');
});
