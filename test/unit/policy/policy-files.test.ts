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
import type { Container } from '../../../src/apps/identity.ts';
import { ProcFs } from '../../../src/context/proc-reader.ts';
import type { PolicyText } from '../../../src/policy/policies.ts';
import { PolicyFiles } from '../../../src/policy/policy-files.ts';
import { PolicyPins, type PinnedPolicy } from '../../../src/policy/policy-pins.ts';
import type { OwnFile, OwnFileRefusal } from '../../../src/shared/container-root.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { FixtureProc } from '../context/fixture-proc.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const PLAIN = '/etc/varvel/varvel.yml';
const DROPLET = '/home/vcap/deps/1/varvel/policy.json';
/** Ticks of 10 ms, with the boot at Unix time 0. */
const START_TICKS = 500;
const START_NS = 5_000_000_000n;
/** Garden's own process is older than the app. */
const INIT_TICKS = 100;
const INIT_NS = 1_010_000_000n;

function world({ folder = temporaryFolder('varvel-pins-'), bootId = 'b' } = {}) {
  const proc = new FixtureProc();
  proc.put({ pid: 9, comm: 'app', startTicks: START_TICKS });
  const files = new Map<string, OwnFile | OwnFileRefusal>();
  const roots = new Set([9]);
  /** Processes with an image of their own. */
  const sidecars = new Set<number>();
  let inCell: readonly number[] = [];
  const owners = new Map<number, { runtime: Container['runtime']; key: string }>([
    [1, { runtime: 'docker', key: 'c' }],
    [2, { runtime: 'garden', key: 'h' }],
    [3, { runtime: 'cgroup', key: '/x' }],
  ]);
  const answered: string[] = [];
  const problems: unknown[] = [];
  const programs = new Map<string, bigint | 'not yet'>();
  const time = { nowMs: 0, bootNs: START_NS };
  const policies = new PolicyFiles({
    rootReader: {
      readOwnFile: (_, path) => files.get(path),
      namesIn: (_, path) => (path === '/home/vcap/deps' ? ['10', '1', 'x', '..'] : []),
      hasContainerRoot: (pid) => roots.has(pid),
      hasOtherRoot: (pid, other) => sidecars.has(pid) !== sidecars.has(other),
    },
    procReader: new ProcFs(proc.root),
    pins: new PolicyPins({ inside: folder }, (error) => problems.push(error)),
    programSince: (pid, startTicks) => programs.get(`${pid} ${startTicks}`),
    bootNs: () => time.bootNs,
    unixMinusBootNs: () => 0n,
    nowMs: () => time.nowMs,
    bootId,
    ownerOf: (root) => owners.get(root),
    processesOf: (runtime, key) => (runtime === 'garden' && key === 'h' ? inCell : []),
    onAnswered: (runtime, key) => answered.push(`${runtime} ${key}`),
  });
  const put = (path: string, text: string, changedNs = 0n): void =>
    void files.set(path, { bytes: Buffer.from(text), changedNs });
  /** The process runs its first program, which records tell, or do not. */
  const begin = (root: number, sinceNs: bigint | undefined, vpid = 1, pid = 9): void => {
    if (sinceNs !== undefined) programs.set(`${pid} ${START_TICKS}`, sinceNs);
    policies.onProgram(root, { pid, vpid, startBootNs: START_NS, sinceBootNs: sinceNs ?? 0n });
  };
  /** Garden's first process, which the agent has seen begin or not; with it the others that run in the container. */
  const cell = (others: readonly number[], seen: 'seen' | 'not seen' = 'seen'): void => {
    proc.put({ pid: 8, comm: 'garden-init', startTicks: INIT_TICKS });
    roots.add(8);
    if (seen === 'seen') programs.set(`8 ${INIT_TICKS}`, INIT_NS);
    others.forEach((pid) => {
      proc.put({ pid, comm: 'app', startTicks: START_TICKS });
      roots.add(pid);
    });
    inCell = [...others, 8];
  };
  return {
    ...{ policies, proc, files, roots, sidecars, put, programs, begin, cell },
    ...{ answered, folder, problems, time },
  };
}
const found = (answer: PolicyText | 'none' | undefined): PolicyText | undefined =>
  answer === 'none' ? undefined : answer;
const docker = (more: Partial<Container> = {}): Container =>
  containerOf({ fullId: 'c', ranBefore: false, ...more });
const garden = containerOf({ fullId: 'h', runtime: 'garden' });

/** When the first program begins; the process that runs it has been there for 100 ms. */
const BEGUN_NS = START_NS + 100_000_000n;

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
    assert.equal(found(policies.textOf(container))?.trust, trust);
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

const staged = (policy: string): string => JSON.stringify({ format: 1, policy });

test('Garden: the droplet comes after the first process; it is verified if it was there before any other program', () => {
  const { policies, put, begin, cell, answered } = world();
  cell([]);
  begin(2, INIT_NS, 1, 8);
  assert.equal(policies.lookInto(garden, [8], true), 'empty', 'it may still come');
  put(DROPLET, staged('rules: []'), BEGUN_NS - 21_000_000n);
  cell([9]);
  begin(2, BEGUN_NS, 20);
  assert.deepEqual(answered, ['garden h']);
  assert.deepEqual(policies.textOf(garden), {
    name: 'varvel.yml',
    text: 'rules: []',
    trust: 'verified',
  });
});

test('Garden: what the app’s first program changes at once is not verified', () => {
  for (const changedNs of [BEGUN_NS - 19_000_000n, BEGUN_NS + 1n]) {
    const { policies, put, begin, cell } = world();
    cell([9]);
    put(DROPLET, staged('rules: []'), changedNs);
    begin(2, BEGUN_NS, 20);
    assert.equal(found(policies.textOf(garden))?.trust, 'unverified', String(changedNs));
  }
});

test('Garden: the first program counts, also where the file is found later', () => {
  for (const [changedNs, trust] of [
    [BEGUN_NS - 30_000_000n, 'verified'],
    [BEGUN_NS + 30_000_000n, 'unverified'],
  ] as const) {
    const { policies, put, begin, cell, time } = world();
    cell([9]);
    begin(2, BEGUN_NS, 20);
    assert.equal(policies.answerOf(garden), undefined);
    begin(2, BEGUN_NS * 2n, 21);
    put(DROPLET, staged('rules: []'), changedNs);
    time.bootNs = BEGUN_NS * 3n;
    assert.equal(policies.lookInto(garden, [9, 8], false), 'answered');
    assert.equal(found(policies.textOf(garden))?.trust, trust);
  }
});

test('Garden: where the first program may have been missed, nothing is verified', () => {
  const late = world();
  late.cell([9], 'not seen');
  late.put(DROPLET, staged('rules: []'));
  late.begin(2, BEGUN_NS, 20);
  assert.equal(found(late.policies.textOf(garden))?.trust, 'unverified');

  const lost = world();
  lost.cell([9]);
  lost.put(DROPLET, staged('rules: []'));
  lost.policies.onProcessRecordsLost(2);
  lost.begin(2, BEGUN_NS, 20);
  assert.equal(lost.policies.lookInto(garden, [9, 8], false), 'answered');
  assert.equal(found(lost.policies.textOf(garden))?.trust, 'unverified');

  const never = world();
  never.cell([9]);
  never.put(DROPLET, staged('rules: []'));
  assert.equal(never.policies.lookInto(garden, [9, 8], false), 'empty', 'its record is on its way');
  never.time.bootNs += 3_000_000_001n;
  assert.equal(never.policies.lookInto(garden, [9, 8], false), 'answered');
  assert.equal(found(never.policies.textOf(garden))?.trust, 'unverified');
});

test('Garden: a sidecar’s image says nothing of the app, and takes nothing away', () => {
  const { policies, put, begin, cell, sidecars, time } = world();
  cell([9]);
  sidecars.add(9);
  assert.equal(policies.isWanted(2), false, 'nobody looks through what the runtime sets up');
  put(PLAIN, 'rules: []');
  policies.lookAtSetup(2, 9, START_TICKS);
  assert.equal(policies.answerOf(garden), undefined);
  begin(2, BEGUN_NS, 1);
  time.bootNs += 60_000_000_000n;
  assert.equal(policies.lookInto(garden, [9, 8], true), 'empty', 'the app has not begun');
});

test('Garden: half of a droplet is not read', () => {
  const { policies, put, begin, cell, time } = world();
  cell([9]);
  put(DROPLET, '{"format":1,"pol', time.bootNs - 999_000_000n);
  assert.equal(policies.lookInto(garden, [8, 9], false), 'empty');
  put(DROPLET, staged('rules: []'), time.bootNs - 999_000_000n);
  begin(2, BEGUN_NS, 20);
  assert.equal(found(policies.textOf(garden))?.trust, 'verified');
});

test('Garden: once the app has run for a second without a file there is none', () => {
  const { policies, cell, begin, time } = world();
  cell([9]);
  assert.equal(policies.lookInto(garden, [8, 9], false), 'empty');
  begin(2, BEGUN_NS, 20);
  assert.equal(policies.lookInto(garden, [8, 9], false), 'empty');
  time.bootNs = START_NS + 1_000_000_000n;
  assert.equal(policies.lookInto(garden, [8, 9], false), 'answered');
  assert.equal(policies.answerOf(garden), 'none');
});

test('Garden: verified stays verified for the next agent, whatever the file says by then', () => {
  const { policies, put, begin, cell, folder } = world();
  cell([9]);
  put(DROPLET, staged('rules: []'));
  begin(2, BEGUN_NS, 20);
  assert.equal(found(policies.textOf(garden))?.trust, 'verified');
  for (const seen of ['seen', 'not seen'] as const) {
    const next = world({ folder });
    next.cell([9], seen);
    next.put(DROPLET, staged('rules: [] # other'), START_NS * 9n);
    assert.equal(next.policies.lookInto(garden, [8, 9], false), 'answered');
    const { text, trust, note } = found(next.policies.textOf(garden)) ?? {};
    assert.deepEqual([text, trust], ['rules: []', 'verified']);
    assert.match(note ?? '', /another now than when the app started/);
  }
  const next = world({ folder });
  next.cell([9], 'not seen');
  next.begin(2, BEGUN_NS * 2n, 21);
  assert.equal(found(next.policies.textOf(garden))?.trust, 'verified', 'found by a program');
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
    ...{ name: PLAIN, text: 'rules: []', trust: 'verified' },
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

test('a handle of Garden’s that is another container’s now has no pin, and no answer', () => {
  const { policies, put, begin, cell, folder } = world();
  cell([9]);
  put(DROPLET, staged('rules: []'));
  begin(2, BEGUN_NS, 20);
  assert.equal(found(policies.textOf(garden))?.trust, 'verified');
  policies.forget('garden', 'h');
  assert.equal(policies.answerOf(garden), undefined);
  begin(2, BEGUN_NS, 20);
  assert.ok(policies.textOf(garden));
  const other = world({ folder, bootId: 'after the boot' });
  other.cell([]);
  assert.equal(other.policies.lookInto(garden, [8], false), 'empty');
  const same = world({ folder });
  same.cell([]);
  assert.equal(same.policies.lookInto(garden, [8], false), 'answered');
});

test('pins: what is damaged, old or too much is not kept, and a disk that takes nothing harms nobody', () => {
  const folder = temporaryFolder('varvel-pins-');
  const problems: unknown[] = [];
  const MAX = 20;
  const open = (): PolicyPins =>
    new PolicyPins({ inside: folder }, (error) => problems.push(error), MAX);
  const pin: PinnedPolicy = {
    ...{ path: PLAIN, trust: 'verified', text: 'x', refusal: undefined, incarnation: undefined },
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
    ...{ path: PLAIN, trust: 'verified', text: 'x', refusal: undefined, incarnation: undefined },
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

test('pins: what a full disk does not take is written when there is room', () => {
  using disk = new SmallDisk(64);
  const inside = join(disk.path, 'policies');
  mkdirSync(inside);
  const problems: unknown[] = [];
  const pins = new PolicyPins(undefined, (error) => problems.push(error));
  const pin: PinnedPolicy = {
    ...{ path: PLAIN, trust: 'verified', refusal: undefined, incarnation: undefined },
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
