import assert from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { AgentState } from '../../../src/agent/state.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { FanOut } from '../../../src/streams/fan-out.ts';
import { SKIP } from '../../../src/streams/numbering/numbering.ts';
import type { Delivery, LogStream } from '../../../src/streams/stream.ts';
import { containerOf, detectionOf } from './delivery-fixture.ts';
import { forgetState, give, openState } from './numbering-fixture.ts';

let home: string;
let folder: string;
let file: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'varvel-state-'));
  folder = join(home, 'state');
  file = join(folder, 'numbers');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const open = (): Promise<AgentState> => openState(folder);
const forget = (state: AgentState): void => forgetState(state, folder);

/** Takes what it is given when it is told to. */
class Log implements LogStream {
  readonly name = 'log';
  readonly audience = 'tenant';
  readonly taken: Delivery[] = [];
  answer: () => Promise<boolean> = () => Promise.resolve(true);
  accepts(): boolean {
    return true;
  }
  async deliver(delivery: Delivery): Promise<boolean> {
    const taken = await this.answer();
    if (taken) this.taken.push(delivery);
    return taken;
  }
  counters() {
    return { delivered: 0, failed: 0, dropped: 0 };
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

test('numbers go on with the next agent, and nothing is said of it', async () => {
  const told: unknown[] = [];
  for (const [from, to] of [
    [1, 2],
    [3, 4],
  ]) {
    const state = await open();
    const log = new Log();
    const fanOut = new FanOut([log], { hostname: 'cell', numbering: state.numbering });
    fanOut.deliver(detectionOf());
    fanOut.deliver(detectionOf());
    await fanOut.flush(1000);
    assert.deepEqual(
      log.taken.map(({ seq }) => seq),
      [from, to],
    );
    told.push(...log.taken.filter(({ seq }) => seq === 0));
    await fanOut.close();
    state.close();
  }
  assert.deepEqual(told, []);
});

test('the number of an instance’s last line is told as long as it is known', async () => {
  const state = await open();
  assert.equal(state.numbering.lastLineOf('a'), 0);
  give(state.numbering, 'a');
  give(state.numbering, 'a');
  assert.deepEqual([state.numbering.lastLineOf('a'), state.numbering.lastLineOf('b')], [2, 0]);
  state.close();
  const next = await open();
  assert.equal(next.numbering.lastLineOf('a'), 2);
  forget(next);
  const bytes = readFileSync(file);
  bytes.write('another boot'.padEnd(40, '\0'), 24, 'latin1');
  writeFileSync(file, bytes);
  // How far the numbers came is not known: no reader may take a number that was never given for a line.
  const after = await open();
  assert.deepEqual(
    [after.numbering.lastLineOf('a'), after.numbering.lastLineOf('new')],
    [undefined, undefined],
  );
  const seq = give(after.numbering, 'a');
  assert.equal(after.numbering.lastLineOf('a'), seq);
  after.close();
});

test('what was on its way when the agent was killed is told, in the log that it is missing from', async () => {
  const before = await open();
  const stuck = new Log();
  const first = new FanOut([stuck], { hostname: 'cell', numbering: before.numbering });
  first.deliver(detectionOf());
  await first.flush(1000);
  stuck.answer = () => new Promise(() => undefined);
  for (let line = 0; line < 3; line++) first.deliver(detectionOf());
  await first.flush(10);
  // Killed: nothing is closed.
  rmSync(join(folder, 'owner'));

  const after = await open();
  const log = new Log();
  const second = new FanOut([log], { hostname: 'cell', numbering: after.numbering });
  const container = containerOf();
  second.tellGaps([container, containerOf({ fullId: 'cd'.repeat(32) })]);
  second.tellGaps([container]);
  second.deliver(detectionOf());
  await second.flush(1000);
  const [gap, next, ...more] = log.taken;
  assert.deepEqual(more, []);
  assert.equal(
    gap?.detection.output,
    'Of the numbers (seq) 2 to 4 some may be missing here: the previous agent ended while these lines were being delivered. Those that are missing here were not written. Numbers go on after 4',
  );
  assert.deepEqual(gap.detection.outputFields, { 'gap.from': 2, 'gap.to': 4, 'gap.why': 'ended' });
  assert.deepEqual([gap.seq, next?.seq], [0, 5]);
  after.close();
});

test('a log that takes nothing: what is not told yet when the agent ends is told by the next', async () => {
  let nowMs = 0;
  const deliver = async (state: AgentState, log: Log, tell: boolean): Promise<void> => {
    const fanOut = new FanOut([log], {
      hostname: 'cell',
      numbering: state.numbering,
      nowMs: () => nowMs,
    });
    fanOut.deliver(detectionOf());
    await fanOut.flush(1000);
    log.answer = () => Promise.resolve(true);
    nowMs += 60_000;
    if (tell) fanOut.onTick();
    await fanOut.flush(1000);
    await fanOut.close();
    state.close();
  };
  const failing = new Log();
  failing.answer = () => Promise.resolve(false);
  await deliver(await open(), failing, true);
  assert.equal((await open()).numbering.gaps, 0);
  rmSync(join(folder, 'owner'));
  failing.answer = () => Promise.resolve(false);
  await deliver(await open(), failing, false);
  assert.deepEqual((await open()).numbering.gaps, 1);
});

test('the host ended: numbers go on far above those that the disk may not have', async () => {
  const state = await open();
  assert.deepEqual([give(state.numbering, 'a'), give(state.numbering, 'a')], [1, 2]);
  const bytes = readFileSync(file);
  rmSync(join(folder, 'owner'));
  bytes.write('another boot'.padEnd(40, '\0'), 24, 'latin1');
  writeFileSync(file, bytes); // its checksum is wrong too: the same as one that cannot be read
  const next = await open();
  assert.equal(give(next.numbering, 'a'), 2 + SKIP + 1);
  assert.deepEqual(next.numbering.takeGap('a')?.gap, { from: 3, to: 2 + SKIP, why: 'host' });
  assert.ok(give(next.numbering, 'new') > SKIP, 'what cannot be read may have been this one');
  assert.equal(next.numbering.takeGap('new')?.gap.why, 'forgotten');
  next.close();
});

test('the file is of one size; what else has its name is set aside, and numbers go on above all that were given', async () => {
  const state = await open();
  give(state.numbering, 'a');
  const { size, mode } = statSync(file);
  assert.deepEqual([size, mode & 0o777], [640_064, 0o600]);
  state.close();
  const other = join(home, 'other');
  writeFileSync(other, 'of somebody else');
  let highest = 1;
  for (const [what, damage] of [
    ['larger', () => writeFileSync(file, Buffer.alloc(700_000))],
    ['a link', () => symlinkSync(other, file)],
    ['a second name', () => linkSync(other, file)],
    ['a folder', () => mkdirSync(join(file, 'x'), { recursive: true })],
    ['empty', () => writeFileSync(file, '')],
    ['cut off', () => writeFileSync(file, 'VSN1')],
    ['of something else', () => writeFileSync(file, Buffer.alloc(640_064, 7))],
  ] as const) {
    rmSync(file, { recursive: true });
    damage();
    const warned: string[] = [];
    const next = await AgentState.open(folder, {
      ...SILENT_LOGGER,
      warn: (_, message) => warned.push(message),
    });
    const seq = give(next.numbering, 'a');
    assert.ok(seq > highest, `${what}: ${seq} comes after ${highest}`);
    highest = seq;
    assert.deepEqual(next.numbering.takeGap('a')?.gap, {
      from: 1,
      to: seq - 1,
      why: 'forgotten',
    });
    assert.match(warned.join(), /"numbers" in the state folder is damaged, or was changed/, what);
    assert.equal(statSync(file).size, 640_064);
    next.close();
    const after = await open();
    assert.equal(give(after.numbering, 'a'), seq + 1, 'and then they are known again');
    highest = seq + 1;
    after.close();
  }
  assert.equal(readFileSync(other, 'utf8'), 'of somebody else');
});

test('a state folder that is not the agent’s own is refused', async () => {
  const refused = async (pattern: RegExp): Promise<void> => {
    await assert.rejects(
      open,
      (error) =>
        error instanceof UserError &&
        pattern.test(error.message) &&
        /Set state_dir to a folder of the agent's own/.test(error.message),
    );
  };
  mkdirSync(join(home, 'elsewhere'), { mode: 0o700 });
  symlinkSync(join(home, 'elsewhere'), folder);
  await refused(/(ENOTDIR|ELOOP)/);
  rmSync(folder);
  mkdirSync(folder);
  chmodSync(folder, 0o777);
  await refused(/others may write to it/);
});

test('a second agent is told who has the folder', async () => {
  mkdirSync(folder, { mode: 0o700 });
  const [, start = ''] = readFileSync('/proc/1/stat', 'latin1').split(') ');
  writeFileSync(join(folder, 'owner'), `1 ${start.split(' ')[19] ?? ''}`);
  await assert.rejects(
    open,
    (error) =>
      error instanceof UserError &&
      /^Another agent may be running: .* the process 1 uses it\. Stop that one first, or take its place/.test(
        error.message,
      ),
  );
});
