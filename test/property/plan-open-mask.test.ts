import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openMaskFor } from '../../src/plan/open-mask.ts';
import type { OpenMask } from '../../src/probe/live.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { conditionOf } from '../support/rules-arbitraries.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { makeEvent, makeOpen, makeSubject } from '../support/rules-subject.ts';
import { runs } from '../support/runs.ts';

const O_CREAT = 0o100;
const O_TRUNC = 0o1000;
const O_PATH = 0o10000000;

/** hooks/open.bpf.c, open__is_wanted, again: what the kernel lets through. */
function passes(mask: OpenMask, flags: number, ret: number): boolean {
  if (ret < 0) return mask.failed;
  const writes = (flags & 3) !== 0 || (flags & (O_CREAT | O_TRUNC)) !== 0;
  const reads = (flags & 3) !== 1;
  return (writes && mask.write) || (reads && mask.read);
}

const LEAVES = [
  'evt.is_open_read=true',
  'evt.is_open_read=false',
  'evt.is_open_read!=true',
  'evt.is_open_write=true',
  'evt.is_open_write!=false',
  'evt.failed=true',
  'evt.failed=false',
  'evt.failed!=true',
  'evt.res=SUCCESS',
  'evt.res!=SUCCESS',
  'evt.res=ENOENT',
  'evt.res in (SUCCESS, ENOENT)',
  'fd.num>=0',
  'fd.num>=1',
  'fd.num>-1',
  'fd.num<0',
  'fd.num<=-1',
  'fd.num=3',
  'fd.num=-1',
  'fd.num!=3',
  'evt.rawres>=0',
  'evt.rawres<0',
  'evt.rawres=-2',
  'fd.name startswith /etc',
  'fd.name=/etc/shadow',
  'evt.type=open',
  'evt.type in (openat, connect)',
  'proc.name=node',
  'proc.name=nosuch',
];

const condition = conditionOf(LEAVES);

const call = fc.record({
  type: fc.constantFrom('open' as const, 'openat' as const, 'openat2' as const, 'creat' as const),
  access: fc.constantFrom(0, 1, 2, 3),
  extra: fc.constantFrom(0, O_CREAT, O_TRUNC, O_PATH, O_PATH | O_CREAT),
  ret: fc.constantFrom(0, 1, 3, 7, -2, -13),
  path: fc.constantFrom('/etc/shadow', '/etc/hosts', '/tmp/x'),
});

test('an open that a rule matches passes the mask: match ⇒ passes', () => {
  let matched = 0;
  let kept = 0;
  fc.assert(
    fc.property(condition, fc.array(call, { minLength: 4, maxLength: 12 }), (text, calls) => {
      const ruleSet = ruleSetOf(ruleFile(`evt.type in (open, openat, openat2, creat) and ${text}`));
      const mask = openMaskFor(ruleSet);
      const engine = new RuleEngine(ruleSet);
      for (const { type, access, extra, ret, path } of calls) {
        const flags = type === 'creat' ? O_CREAT | O_TRUNC | 1 : access | extra;
        const pathOnly = (flags & O_PATH) !== 0;
        const open = makeOpen(path, {
          flags,
          ...(ret < 0 ? { file: undefined } : {}),
          forRead: !pathOnly && ((flags & 3) === 0 || (flags & 3) === 2),
          forWrite:
            !pathOnly &&
            ((flags & 3) === 1 || (flags & 3) === 2 || (flags & (O_CREAT | O_TRUNC)) !== 0),
        });
        const matches =
          engine.evaluate(makeSubject(makeEvent(type, { result: ret, open }))).length > 0;
        const passed = passes(mask, flags, ret);
        if (matches) matched++;
        if (!passed) kept++;
        assert.ok(!matches || passed, `${text}: ${type} ${flags.toString(8)} = ${ret}`);
      }
    }),
    { numRuns: runs(400) },
  );
  // The property would hold for a mask that passes everything, and for rules that match nothing.
  assert.ok(matched > runs(100), `only ${matched} matches`);
  assert.ok(kept > runs(100), `only ${kept} opens kept back`);
});

test('what the usual macros of rule files say is understood', () => {
  const cases: [string, OpenMask][] = [
    [
      "evt.type in (open,openat) and evt.is_open_read=true and fd.typechar='f' and fd.num>=0",
      { read: true, write: true, failed: false },
    ],
    [
      "evt.type in (open,openat) and evt.is_open_write=true and fd.typechar='f' and fd.num>=0",
      { read: false, write: true, failed: false },
    ],
    ['evt.type=openat and evt.res=ENOENT', { read: false, write: false, failed: true }],
    ['evt.type=execve', { read: false, write: false, failed: false }],
    ['evt.type=openat', { read: true, write: true, failed: true }],
  ];
  for (const [text, expected] of cases) {
    assert.deepEqual(openMaskFor(ruleSetOf(ruleFile(text))), expected, text);
  }
});
