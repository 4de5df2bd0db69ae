import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container } from '../../../../src/apps/identity.ts';
import { CgroupRuntime, type CgroupAppRule } from '../../../../src/apps/runtimes/cgroup.ts';
import { UserError } from '../../../../src/shared/user-error.ts';

async function ask(rules: CgroupAppRule[], path: string, handle: string) {
  const described: Container[] = [];
  const refused: string[] = [];
  const notFound: string[] = [];
  const runtime = new CgroupRuntime(rules);
  await runtime.start({
    described: (_, __, container) => described.push(container),
    refused: (_, __, reason) => refused.push(reason),
    notFound: (_, key) => notFound.push(key),
    destroyed: () => undefined,
    running: () => undefined,
    hasCgroup: () => true,
  });
  runtime.lookup({ cgroupId: 1, path, handle });
  return { container: described[0], refused: refused[0], notFound: notFound[0] };
}

test('a path is an app, by the rule that matches it', async () => {
  const rules: CgroupAppRule[] = [
    {
      pattern: '/demo/*',
      app: 'app-{handle}',
      space: 'dev',
      org: 'acme',
      processType: 'web',
      instance: '{handle}',
      logFile: '/var/log/apps/{handle}.log',
    },
    { pattern: '/other/*' },
  ];
  const { container } = await ask(rules, '/demo/shop-with-a-long-name', 'shop-with-a-long-name');
  assert.equal(container?.fullId, 'shop-with-a-long-name');
  assert.equal(container.id, 'shop-with-a-');
  assert.equal(container.logFile, '/var/log/apps/shop-with-a-long-name.log');
  assert.deepEqual(container.app, {
    name: 'app-shop-with-a-long-name',
    guid: undefined,
    space: 'dev',
    org: 'acme',
    processType: 'web',
    instance: 'shop-with-a-long-name',
  });
  const other = await ask(rules, '/other/x', 'x');
  assert.deepEqual([other.container?.app?.name, other.container?.logFile], ['x', undefined]);
  assert.equal((await ask(rules, '/third/x', 'x')).notFound, '/third/x');
});

test('replacement patterns in a handle are text', async () => {
  const { container } = await ask([{ pattern: '/demo/*', app: '<{handle}>' }], '/demo/$&', '$&');
  assert.equal(container?.app?.name, '<$&>');
});

test('a handle that must not become a file name is refused, with a sentence', async () => {
  const rule = { pattern: '/demo/*', logFile: '/var/log/{handle}.log' };
  for (const handle of ['.hidden', 'a b', 'a%', 'é', 'x'.repeat(129), '-rf']) {
    const answer = await ask([rule], `/demo/${handle}`, handle);
    assert.equal(answer.container, undefined, handle);
    assert.match(answer.refused ?? '', /must not be part of a log file’s name/);
  }
  for (const handle of ['a\nb', '\u202e', 'x'.repeat(257)]) {
    const answer = await ask([{ pattern: '/demo/*' }], `/demo/${handle}`, handle);
    assert.match(answer.refused ?? '', /control characters/);
  }
});

test('rules that cannot work', () => {
  const bad: [CgroupAppRule, RegExp][] = [
    [{ pattern: '/demo/*', app: 'a\nb' }, /control characters/],
    [{ pattern: '/demo/*', space: '' }, /is empty/],
    [{ pattern: '/demo/*', logFile: 'relative.log' }, /absolute path/],
    [{ pattern: '/demo/*', logFile: '/var/../etc/{handle}' }, /without "\.\."/],
    [{ pattern: '/demo/x' }, /one "\*"/],
  ];
  for (const [rule, message] of bad) {
    assert.throws(
      () => new CgroupRuntime([rule]),
      (error: unknown) => error instanceof UserError && message.test(error.message),
    );
  }
});
