import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppIdentity } from '../../../src/apps/identity.ts';
import { AppBudgets } from '../../../src/policy/app-budgets.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const NOBODY: AppIdentity = {
  name: 'shop',
  guid: undefined,
  space: undefined,
  org: undefined,
  processType: undefined,
  instance: undefined,
};

test('containers share a budget where app, space, organization and runtime are the same', () => {
  const budgets = new AppBudgets();
  const join = (app: Partial<AppIdentity>, runtime: 'garden' | 'cri' = 'garden') =>
    budgets.join(containerOf({ runtime, app: { ...NOBODY, ...app } }));
  const first = join({ guid: 'g', instance: '0' });
  assert.equal(join({ guid: 'g', instance: '1', name: 'renamed' }), first);
  assert.equal(first.containers, 2);
  const others = [
    join({ guid: 'h' }),
    join({ guid: 'g', space: 'other' }),
    join({ guid: 'g', org: 'other' }),
    join({ guid: 'g' }, 'cri'),
    join({ name: 'g' }),
    join({ name: 'shop' }),
    join({ name: 'shop', space: 'g' }),
  ];
  assert.equal(new Set([first, ...others]).size, 8);
  assert.equal(join({ name: 'shop' }), others[5]);
});

test('a container without an app has a budget of its own', () => {
  const budgets = new AppBudgets();
  const [one, two] = ['a', 'b'].map((fullId) =>
    budgets.join(containerOf({ fullId, app: undefined })),
  );
  assert.notEqual(one, two);
});

test('with an app’s last container its budget is forgotten', () => {
  const budgets = new AppBudgets();
  const container = containerOf();
  const budget = budgets.join(container);
  budgets.join(container);
  budgets.leave(budget);
  assert.equal(budgets.join(container), budget);
  budgets.leave(budget);
  budgets.leave(budget);
  assert.equal(budgets.size, 0);
});
