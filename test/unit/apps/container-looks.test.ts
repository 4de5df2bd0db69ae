import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ContainerLooks, type AppFiles } from '../../../src/apps/container-looks.ts';
import { ContainerRegistry } from '../../../src/apps/container-registry.ts';
import type { Container } from '../../../src/apps/identity.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { MemoryScopeMap } from '../../support/memory-scope-map.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

/** Folders that look like cgroups, for what no test may do to real ones. */
function world() {
  const mountPoint = temporaryFolder('varvel-looks-');
  const time = { nowMs: 0 };
  const registry = new ContainerRegistry({
    scopeMap: new MemoryScopeMap(),
    logger: SILENT_LOGGER,
    nowMs: () => time.nowMs,
    match: (path) => ({ runtime: 'docker', handle: path.slice(1), rootPath: path }),
    keyOf: (_, { handle }) => handle,
    lookup: () => undefined,
  });
  const answers = new Map<string, 'enabled' | 'none'>();
  const looked: (readonly [id: string, pids: readonly number[], isLast: boolean])[] = [];
  const next: { finds: ReturnType<AppFiles['lookInto']> } = { finds: 'unreachable' };
  const files: AppFiles = {
    answerOf: ({ fullId }) => answers.get(fullId),
    lookInto({ fullId }, pids, isLast) {
      looked.push([fullId, pids, isLast]);
      if (next.finds === 'answered') answers.set(fullId, 'enabled');
      return next.finds;
    },
    giveUp: ({ fullId }) => void answers.set(fullId, 'none'),
    ended: () => undefined,
    forget: (_, key) => void answers.delete(key),
  };
  const answered: string[] = [];
  const looks = new ContainerLooks({
    files,
    registry,
    nowMs: () => time.nowMs,
    hierarchy: { kind: 'v2', mountPoint, hierarchyId: 0 },
    onAnswered: (key) => answered.push(key),
  });
  const run = (id: string, pids: string, below = ''): Container => {
    const path = join(mountPoint, id);
    mkdirSync(join(path, 'init'), { recursive: true });
    writeFileSync(join(path, 'cgroup.procs'), pids);
    writeFileSync(join(path, 'init/cgroup.procs'), below);
    registry.found(statSync(path).ino, `/${id}`);
    return containerOf({ fullId: id });
  };
  const ask = (container: Container) => looks.answerOf(container.fullId, container);
  const end = (id: string): void => rmSync(join(mountPoint, id), { recursive: true });
  return { looks, registry, time, answers, looked, next, answered, run, ask, end };
}

test('one without a cgroup is not waited for; one that runs is looked into until there is an answer', () => {
  const { looks, looked, next, answered, run, ask } = world();
  assert.equal(ask(containerOf({ fullId: 'a' })), undefined);
  looks.look();
  assert.deepEqual(looked, []);
  const a = run('a', '7\n8\n0\n', '9\n');
  assert.equal(ask(a), undefined);
  assert.equal(looks.isWaiting('docker', 'a'), true);
  looks.look();
  assert.deepEqual(looked, [['a', [7, 8, 9], false]]);
  assert.deepEqual(answered, []);
  next.finds = 'answered';
  looks.look();
  assert.deepEqual(answered, ['a']);
  assert.equal(ask(a), 'enabled');
  looks.look();
  assert.equal(looked.length, 2);
});

test('one that was looked into elsewhere waits no more', () => {
  const { looks, answers, answered, looked, run, ask } = world();
  ask(run('a', '7\n'));
  answers.set('a', 'none');
  looks.answered('docker', 'a');
  looks.answered('docker', 'b');
  looks.look();
  assert.deepEqual([answered, looked], [['a'], []]);
});

test('who cannot be looked into for 3 s has no file; where it may still come, for ten minutes', () => {
  const { looks, time, next, answers, looked, run, ask } = world();
  ask(run('a', '7\n'));
  time.nowMs = 2999;
  looks.look();
  assert.equal(answers.get('a'), undefined);
  time.nowMs = 3000;
  looks.look();
  assert.deepEqual([answers.get('a'), looked.at(-1)?.[2]], ['none', true]);
  next.finds = 'empty';
  ask(run('b', '7\n'));
  time.nowMs += 599_999;
  looks.look();
  assert.equal(answers.get('b'), undefined);
  time.nowMs += 1;
  looks.look();
  assert.equal(answers.get('b'), 'none');
});

test('one that has ended has no file', () => {
  const { looks, answers, looked, answered, run, ask, end } = world();
  ask(run('a', '7\n'));
  end('a');
  looks.look();
  assert.deepEqual([answers.get('a'), looked, answered], ['none', [], ['a']]);
});

test('nor has one that is described only when it has ended', () => {
  const { looks, registry, answers, looked, run, ask } = world();
  const a = run('a', '7\n');
  for (const { cgroupId } of registry.cgroupsOf('docker', 'a')) registry.remove(cgroupId);
  assert.equal(ask(a), 'none');
  assert.equal(answers.get('a'), 'none');
  looks.look();
  assert.deepEqual(looked, []);
});

test('many take turns', () => {
  const { looks, looked, run, ask } = world();
  for (let at = 0; at < 50; at++) ask(run(`c${at}`, `${at + 1}\n`));
  looks.look();
  looks.look();
  assert.equal(new Set(looked.map(([id]) => id)).size, 50);
});

test('one that the runtime forgets, or whose key is another’s, has its answer first', () => {
  const { looks, answers, answered, run, ask } = world();
  const [a, b] = [run('a', '7\n'), run('b', '8\n')];
  for (const one of [a, b]) ask(one);
  looks.ended('docker', 'a');
  assert.deepEqual([answers.get('a'), answered], ['none', ['a']]);
  looks.forget('docker', 'b');
  assert.deepEqual([answers.get('b'), answered], [undefined, ['a', 'b']]);
  looks.ended('docker', 'c');
  assert.equal(answered.length, 2);
});
