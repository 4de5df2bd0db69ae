import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boundOf } from '../../src/rules/cost/value-bounds.ts';
import { FIELD_NAMES, findField } from '../../src/rules/fields/registry.ts';
import { worstViews } from '../support/worst-views.ts';

const viewsByUnit = ['a', '\ufffd', 'a/', 'é', '😀'].map((unit) => worstViews(unit));
const views = viewsByUnit.flat();
/** What is said of a container is the same in each event of it: one event a unit. */
const ofContainers = viewsByUnit.map(([view]) => view!);

/** Arguments that a field may take, and none. */
const ARGUMENTS = {
  none: [undefined],
  optional: [undefined, '0', '1', '64', 'AB'],
  required: ['args', 'oldpath', 'name', '1', '64', 'data', 'fd', '/a/*', 'team', 'filename', 'exe'],
} as const;

test('no value of the worst events is longer than its field’s bound, and there are no more of them', () => {
  let checked = 0;
  for (const name of FIELD_NAMES) {
    const field = findField(name)?.field;
    assert.ok(field);
    for (const argument of ARGUMENTS[field.argument]) {
      const reader = field.reader(argument);
      if ('problem' in reader) continue;
      const { length, values, total } = boundOf(field, argument);
      for (const view of name.startsWith('container.') ? ofContainers : views) {
        const value = reader.read(view);
        const all = Array.isArray(value) ? (value as unknown[]).map(String) : [String(value ?? '')];
        const what = `${name}[${argument ?? ''}] in ${view.event.type}`;
        const longest = Math.max(...all.map((one) => one.length), 0);
        assert.ok(longest <= length, `${what}: ${longest} of ${length}`);
        assert.ok(!Array.isArray(value) || all.length <= values, `${what}: ${all.length}`);
        assert.ok(all.join('').length <= total, what);
        checked += 1;
      }
    }
  }
  assert.ok(checked > 5000, String(checked));
});
