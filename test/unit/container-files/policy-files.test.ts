import assert from 'node:assert/strict';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PolicyPins, type PinnedPolicy } from '../../../src/container-files/policy-pins.ts';
import type { OwnFile, OwnFileRefusal } from '../../../src/host/container-root.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { containerOf } from '../streams/delivery-fixture.ts';
import {
  PLAIN,
  DROPLET,
  START_TICKS,
  START_NS,
  world,
  found,
  docker,
  BEGUN_NS,
} from './policy-files-fixture.ts';
import { lacks } from '../../support/needs.ts';

test('read before the app’s program runs: verified, whatever the times, as soon as that program has begun', () => {
  const { policies, put, begin, answered, time } = world();
  put(PLAIN, 'rules: []', START_NS * 2n);
  assert.equal(policies.isWanted(1), true);
  assert.equal(policies.answerOf(docker()), undefined);
  time.bootNs = BEGUN_NS - 1n;
  policies.lookAtSetup(1, 9, START_TICKS);
  assert.equal(policies.isWanted(1), false);
  assert.deepEqual([policies.answerOf(docker()), answered], [undefined, []]);
  begin(1, BEGUN_NS);
  assert.deepEqual(answered, ['docker c']);
  assert.equal(policies.answerOf(docker()), 'enabled');
  assert.deepEqual(policies.textOf(docker()), {
    name: PLAIN,
    text: 'rules: []',
    trust: 'verified',
  });
});

test('read too late, where the runtime’s process was: the times of the file say whether it is verified', () => {
  for (const [changedNs, sinceNs, trust] of [
    [BEGUN_NS - 21_000_000n, BEGUN_NS, 'verified'],
    [BEGUN_NS + 1n, BEGUN_NS, 'unverified'],
    [0n, undefined, 'unverified'],
  ] as const) {
    const { policies, put, begin, answered, time } = world();
    put(PLAIN, 'rules: []', changedNs);
    time.bootNs = BEGUN_NS + 1n;
    policies.lookAtSetup(1, 9, START_TICKS);
    begin(1, sinceNs);
    assert.deepEqual(answered, ['docker c']);
    assert.equal(found(policies.textOf(docker()))?.trust, trust);
    begin(1, BEGUN_NS * 2n);
    assert.equal(found(policies.textOf(docker()))?.trust, trust, 'the first program counts');
  }
});

test('what was seen early waits for the record of the first program; where none comes it is not verified', () => {
  const { policies, put, programs, begin, time } = world();
  put(PLAIN, 'rules: []', START_NS * 2n);
  policies.lookAtSetup(1, 9, START_TICKS);
  programs.set(`9 ${START_TICKS}`, 'not yet');
  assert.equal(policies.lookInto(docker(), [9], true), 'empty');
  time.bootNs = BEGUN_NS + 1n;
  assert.equal(policies.answerOf(docker()), undefined);
  programs.clear();
  assert.equal(policies.lookInto(docker(), [9], false), 'empty');
  begin(1, BEGUN_NS);
  assert.equal(found(policies.textOf(docker()))?.trust, 'verified');

  const lost = world();
  lost.put(PLAIN, 'rules: []', START_NS * 2n);
  lost.policies.lookAtSetup(1, 9, START_TICKS);
  lost.time.bootNs += 3_000_000_001n;
  assert.equal(lost.policies.lookInto(docker(), [9], true), 'answered');
  assert.equal(found(lost.policies.textOf(docker()))?.trust, 'unverified');

  const over = world();
  over.put(PLAIN, 'rules: []', START_NS * 2n);
  over.policies.lookAtSetup(1, 9, START_TICKS);
  over.policies.giveUp(docker());
  assert.equal(found(over.policies.textOf(docker()))?.trust, 'unverified');
});

test('without a file the answer is final, and nothing is looked at in apps that are cgroups', () => {
  const { policies, put } = world();
  policies.lookAtSetup(1, 9, START_TICKS);
  put(PLAIN, 'rules: []');
  policies.lookAtSetup(1, 9, START_TICKS);
  assert.equal(policies.answerOf(docker()), 'none');
  assert.equal(policies.textOf(docker()), 'none');
  assert.equal(policies.isWanted(3), false);
  assert.equal(policies.answerOf(containerOf({ runtime: 'cgroup' })), 'none');
});

test('another process with the pid is not believed', () => {
  const { policies, put, answered } = world();
  put(PLAIN, 'rules: []');
  policies.lookAtSetup(1, 9, START_TICKS + 1);
  assert.deepEqual(answered, []);
  assert.equal(policies.answerOf(docker()), undefined);
});

test('looked into later: verified if nothing has changed since the first process began', () => {
  for (const [changedNs, more, trust] of [
    [START_NS - 100_000_000n, {}, 'verified'],
    [START_NS - 1_000_000n, {}, 'unverified'],
    [START_NS + 1n, {}, 'unverified'],
    [START_NS - 100_000_000n, { ranBefore: true }, 'unverified'],
    [START_NS - 100_000_000n, { ranBefore: undefined }, 'unverified'],
  ] as const) {
    const { policies, put } = world();
    put(PLAIN, 'rules: []', changedNs);
    const container = docker(more);
    assert.equal(policies.lookInto(container, [9], true), 'answered');
    const text = found(policies.textOf(container));
    assert.equal(text?.trust, trust);
    assert.equal(text.note === undefined, trust === 'verified');
    if ('ranBefore' in more)
      assert.equal(text.note, 'unverified, as the container ran before, or may have');
  }
});

test('looked into later: verified too if nothing has changed since the first program began, where that is known', () => {
  for (const [changedNs, more, trust] of [
    [START_NS + 79_000_000n, {}, 'verified'],
    [START_NS + 81_000_000n, {}, 'unverified'],
    [START_NS + 79_000_000n, { ranBefore: true }, 'unverified'],
  ] as const) {
    const { policies, put, programs } = world();
    programs.set(`9 ${START_TICKS}`, BEGUN_NS);
    put(PLAIN, 'rules: []', changedNs);
    const container = docker(more);
    assert.equal(policies.lookInto(container, [9], true), 'answered');
    assert.equal(found(policies.textOf(container))?.trust, trust);
  }
});

test('it is not early any more once a program of the app has run', () => {
  const { policies, put, begin } = world();
  put(PLAIN, 'rules: []', START_NS * 2n);
  begin(1, undefined);
  policies.lookAtSetup(1, 9, START_TICKS);
  assert.equal(
    policies.answerOf(docker()),
    undefined,
    'it is left to the look that compares times',
  );
  assert.equal(policies.lookInto(docker(), [9], false), 'answered');
  assert.equal(found(policies.textOf(docker()))?.trust, 'unverified');
});

test('looked into: only through processes that have the container’s root, and when it is known whether it ran before', () => {
  const { policies, roots, put } = world();
  put(PLAIN, 'rules: []');
  roots.clear();
  assert.equal(policies.lookInto(docker(), [9, 10], false), 'unreachable');
  roots.add(9);
  assert.equal(policies.lookInto(docker({ ranBefore: undefined }), [9], false), 'unreachable');
  policies.giveUp(docker());
  assert.equal(policies.answerOf(docker()), 'none');
});

test('files that are not taken say why', () => {
  const says = (path: string, there: OwnFile | OwnFileRefusal): string | undefined => {
    const { policies, files, begin } = world();
    files.set(path, there);
    policies.lookAtSetup(1, 9, START_TICKS);
    begin(1, BEGUN_NS);
    return found(policies.textOf(docker()))?.refusal;
  };
  const own = (text: string): OwnFile => ({ bytes: Buffer.from(text), changedNs: 0n });
  assert.match(says(PLAIN, 'link') ?? '', /^\/etc\/varvel\/varvel\.yml: it is a link/);
  assert.match(says(PLAIN, 'no file') ?? '', /not a regular file/);
  assert.match(says(PLAIN, 'too large') ?? '', /larger than 64 KiB/);
  assert.match(says(PLAIN, 'unreadable') ?? '', /cannot be read/);
  assert.match(says(DROPLET, own('{')) ?? '', /policy\.json: it is not what the buildpack writes/);
  assert.match(says(DROPLET, own('null')) ?? '', /not what the buildpack writes/);
  assert.match(
    says(DROPLET, own('{"format":1,"policy":5}')) ?? '',
    /not what the buildpack writes/,
  );
  assert.match(
    says(DROPLET, own('{"format":2,"policy":""}')) ?? '',
    /format 2\); this agent reads/,
  );
  const binary = { bytes: Buffer.from([0xff, 0xfe]), changedNs: 0n };
  assert.match(says(PLAIN, binary) ?? '', /no text in UTF-8/);
  assert.equal(says(PLAIN, own('rules: []')), undefined);
});

test('the first of several places counts', () => {
  const { policies, put, begin } = world();
  put(PLAIN, 'plain');
  put('/layers/varvel/varvel/policy.json', JSON.stringify({ format: 1, policy: 'layer' }));
  put('/home/vcap/deps/10/varvel/policy.json', JSON.stringify({ format: 1, policy: 'ten' }));
  put(DROPLET, JSON.stringify({ format: 1, policy: 'one' }));
  policies.lookAtSetup(1, 9, START_TICKS);
  begin(1, BEGUN_NS);
  assert.equal(found(policies.textOf(docker()))?.text, 'one');
});

test('pinned for the next agent, that says when the file is another by then; forgotten with the container', () => {
  const { policies, put, folder, begin } = world();
  put(PLAIN, 'rules: []');
  policies.lookAtSetup(1, 9, START_TICKS);
  begin(1, BEGUN_NS);
  assert.equal(policies.answerOf(docker()), 'enabled');
  const next = world({ folder });
  next.put(PLAIN, 'rules: [] # other', START_NS * 2n);
  assert.equal(next.policies.lookInto(docker({ ranBefore: true }), [9], false), 'answered');
  assert.deepEqual(next.policies.textOf(docker()), {
    name: PLAIN,
    text: 'rules: []',
    trust: 'verified',
    note: '/etc/varvel/varvel.yml is another now than when the app started, which changes nothing',
  });
  next.policies.ended('docker', 'c');
  assert.equal(
    found(next.policies.textOf(docker()))?.text,
    'rules: []',
    'its last events are on the way',
  );
  assert.deepEqual(readdirSync(folder), []);
  next.time.nowMs = 60_001;
  next.policies.ended('docker', 'd');
  assert.equal(next.policies.answerOf(docker()), undefined);
});

test('pins: what is damaged, old or too much is not kept, and a disk that takes nothing harms nobody', () => {
  const folder = temporaryFolder('varvel-pins-');
  const problems: unknown[] = [];
  const MAX = 20;
  const open = (): PolicyPins =>
    new PolicyPins({ inside: folder }, (error) => problems.push(error), MAX);
  const pin: PinnedPolicy = {
    path: PLAIN,
    trust: 'verified',
    text: 'x',
    refusal: undefined,
    incarnation: undefined,
  };
  const pins = open();
  pins.put('a', pin);
  assert.deepEqual(pins.get('a', undefined)?.text, 'x');
  assert.equal(pins.get('a', 'another'), undefined);
  assert.equal(pins.get('b', undefined), undefined);
  const [file = ''] = readdirSync(folder);
  writeFileSync(join(folder, file), '{"format":1,"name":"a","pin":{"trust":"root"}}');
  assert.equal(pins.get('a', undefined), undefined);
  writeFileSync(join(folder, file), '{"form');
  assert.equal(pins.get('a', undefined), undefined);
  assert.equal(problems.length, 1);
  pins.put('a', pin);
  writeFileSync(join(folder, `${file}.new`), '{');
  pins.put('old', pin);
  for (const name of readdirSync(folder)) if (name !== file) utimesSync(join(folder, name), 1, 1);
  open();
  assert.deepEqual(readdirSync(folder), [file]);
  for (let at = 0; at < MAX; at++)
    writeFileSync(join(folder, at.toString(16).padStart(40, '0')), '');
  open();
  assert.equal(readdirSync(folder).length, MAX);
  open().put('one more', pin);
  assert.equal(readdirSync(folder).length, MAX);
  rmSync(folder, { recursive: true });
  pins.put('a', pin);
  pins.remove('a');
  assert.equal(pins.get('a', undefined), undefined);
  assert.equal(problems.length, 2);
});

test('pins: a link, a folder, a large file in place of one is removed and said, and never followed', () => {
  const folder = temporaryFolder('varvel-pins-');
  const elsewhere = join(temporaryFolder('varvel-pins-'), 'other');
  writeFileSync(elsewhere, 'of somebody else');
  const problems: unknown[] = [];
  const open = (): PolicyPins =>
    new PolicyPins({ inside: folder }, (error) => problems.push(error));
  const pin: PinnedPolicy = {
    path: PLAIN,
    trust: 'verified',
    text: 'x',
    refusal: undefined,
    incarnation: undefined,
  };
  open().put('a', pin);
  const [file = ''] = readdirSync(folder);
  const path = join(folder, file);
  for (const damage of [
    () => symlinkSync(elsewhere, path),
    () => mkdirSync(join(path, 'x'), { recursive: true }),
    () => writeFileSync(path, Buffer.alloc(1024 * 1024, ' ')),
  ]) {
    const pins = open();
    problems.length = 0;
    rmSync(path);
    damage();
    assert.equal(pins.get('a', undefined), undefined);
    assert.equal(problems.length, 1);
    pins.put('a', pin);
    assert.equal(pins.get('a', undefined)?.text, 'x', 'it is kept again');
    rmSync(path);
    damage();
    symlinkSync(elsewhere, `${path}.new`);
    open();
    assert.deepEqual(readdirSync(folder), []);
    open().put('a', pin);
  }
  assert.equal(readFileSync(elsewhere, 'utf8'), 'of somebody else');
});

test('pins: what a full disk does not take is written when there is room', (t) => {
  if (lacks(t, 'mount')) return;
  using disk = new SmallDisk(64);
  const inside = join(disk.path, 'policies');
  mkdirSync(inside);
  const problems: unknown[] = [];
  const pins = new PolicyPins(undefined, (error) => problems.push(error));
  const pin: PinnedPolicy = {
    path: PLAIN,
    trust: 'verified',
    refusal: undefined,
    incarnation: undefined,
    text: 'x'.repeat(5000),
  };
  pins.put('a', pin);
  assert.equal(pins.get('a', undefined), undefined);
  disk.fill();
  assert.equal(pins.keepIn({ inside }), false);
  assert.match(String(problems.at(-1)), /ENOSPC/);
  pins.put('b', pin);
  disk.free();
  assert.equal(pins.keepIn({ inside }), true);
  assert.ok(pins.isKept);
  const next = new PolicyPins({ inside }, (error) => problems.push(error));
  assert.deepEqual(
    ['a', 'b'].map((name) => next.get(name, undefined)?.text),
    [pin.text, pin.text],
  );
});
