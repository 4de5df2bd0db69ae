// The default rules over what healthy apps do, and over the events of their own tests: which line is worth reading.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { PRIORITIES } from '../../../src/rules/detection.ts';
import { readRuleFile } from '../../../src/rules/loader/load.ts';
import { RulesUnderTest } from '../../../src/rules/testing/rules-under-test.ts';
import { readTestFile } from '../../../src/rules/testing/test-file.ts';
import type { TestEvent } from '../../../src/rules/testing/test-file.ts';
import { hooksFor } from '../../../src/plan/hooks.ts';
import { messageMaskFor } from '../../../src/plan/message-mask.ts';
import { ruleNeeds } from '../../../src/rules/rule-set.ts';
import { call, NODE, run, SHIM, write, type Fields } from './given-events.ts';
import { HEALTHY } from './healthy-apps.ts';

const FILE = 'manifests/rules/varvel_rules.yaml';
const TESTS = 'manifests/rules/tests';
const rules = new RulesUnderTest([readRuleFile(FILE)]);
const rank = (priority: string): number => PRIORITIES.findIndex((one) => one === priority);

function fired(fields: Fields): readonly string[] {
  const place = { line: 1, column: 1 };
  const given = Object.entries(fields).map(([key, value]) => ({ key, value, place }));
  rules.show({ fields: given, place } as unknown as TestEvent);
  return rules
    .fired()
    .filter(({ priority }) => rank(priority) <= rank('Notice'))
    .map(({ name }) => name);
}

describe('healthy apps cause no line that wakes anyone', () => {
  for (const [name, events] of Object.entries(HEALTHY)) {
    test(name, () => {
      for (const event of events) assert.deepEqual(fired(event), [], JSON.stringify(event));
    });
  }
});

test('the same, done by an app that is up, does', () => {
  assert.deepEqual(fired(run('/bin/sh', '-c node server.js', [NODE, SHIM])), [
    'Shell started by an app',
  ]);
  assert.deepEqual(fired(write('/var/www/html/index.php', '/usr/local/sbin/php-fpm')), [
    'Web shell written',
  ]);
  assert.deepEqual(fired(call('chroot', '/tmp/chromium', { 'evt.arg.path': '/mnt' })), [
    'Root directory changed',
  ]);
});

test('of the rules that an event meets, the first, which is reported, is one of the most severe', () => {
  for (const name of readdirSync(TESTS)) {
    const text = readFileSync(join(TESTS, name), 'utf8');
    for (const event of readTestFile({ name, text }).tests.flatMap((one) => one.events)) {
      rules.show(event);
      const found = rules.fired();
      const ranks = found.map(({ priority }) => rank(priority));
      const names = found.map((rule) => rule.name).join(', ');
      if (ranks.length > 0) assert.equal(ranks[0], Math.min(...ranks), `${name}: ${names}`);
    }
  }
});

test('no rule needs a call that programs make all the time; of what is sent, the first message to somebody', () => {
  const { ruleSet } = rules.result;
  assert.ok(ruleSet);
  const hooks = new Set(hooksFor(ruleNeeds(ruleSet)));
  assert.deepEqual(messageMaskFor(ruleSet), { newPeer: true, other: false });
  const hot = ['recvfrom', 'recvmsg', 'recvmmsg', 'mmap', 'mprotect', 'prctl', 'kill'];
  for (const one of [...hot, 'tkill', 'tgkill', 'accept', 'accept4', 'io_uring_enter']) {
    assert.ok(!hooks.has(`sys_${one}`), one);
  }
  assert.ok(hooks.has('sys_connect'));
});
