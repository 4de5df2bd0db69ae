import assert from 'node:assert/strict';
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { SILENT_LOGGER, type Logger } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { AppFileStream } from '../../../src/streams/file/app-file-stream.ts';
import { AppendFile } from '../../../src/streams/file/append-file.ts';
import { OperatorFileStream } from '../../../src/streams/file/operator-file-stream.ts';
import { containerOf, deliveryOf } from './delivery-fixture.ts';

function scratch(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-streams-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const exclusive = { logger: SILENT_LOGGER, shared: false };
const shared = { logger: SILENT_LOGGER, shared: true };

function collectingLogger(): Logger & { readonly sentences: string[] } {
  const sentences: string[] = [];
  return { ...SILENT_LOGGER, sentences, warn: (_fields, message) => sentences.push(message) };
}

test('lines are appended in order, and the file is 0640', async (context) => {
  const path = join(scratch(context), 'log');
  const file = new AppendFile(path, exclusive);
  const lines = Array.from({ length: 100 }, (_, index) => `line ${index}`);
  assert.deepEqual(
    new Set(await Promise.all(lines.map((line) => file.append(line)))),
    new Set([true]),
  );
  await file.close();
  assert.equal(readFileSync(path, 'utf8'), lines.map((line) => `${line}\n`).join(''));
  const mode = statSync(path).mode & 0o777;
  assert.equal(mode & 0o137, 0, 'never more than 0640, whatever the umask');
  assert.equal(mode & 0o600, 0o600);
  assert.deepEqual(file.counters(), { delivered: 100, failed: 0, dropped: 0 });
});

test('what waits is written at once, and a line larger than that by itself', async (context) => {
  const path = join(scratch(context), 'log');
  const file = new AppendFile(path, exclusive);
  const lines = Array.from({ length: 3000 }, (_, index) => `${index} ${'x'.repeat(index % 400)}`);
  lines[10] = 'y'.repeat(300_000);
  assert.ok((await Promise.all(lines.map((line) => file.append(line)))).every(Boolean));
  assert.equal(readFileSync(path, 'utf8'), `${lines.join('\n')}\n`);
  assert.deepEqual(file.counters(), { delivered: 3000, failed: 0, dropped: 0 });
});

test('an unended line at the end of the file is ended first', async (context) => {
  const path = join(scratch(context), 'log');
  writeFileSync(path, 'torn by a cra');
  const file = new AppendFile(path, exclusive);
  await file.append('whole');
  await file.append('next');
  await file.close();
  assert.equal(readFileSync(path, 'utf8'), 'torn by a cra\nwhole\nnext\n');
});

test('in a shared file the app’s unended lines never glue', async (context) => {
  const path = join(scratch(context), 'log');
  const file = new AppendFile(path, shared);
  await file.append('one');
  appendFileSync(path, 'prompt> ');
  await file.append('two');
  appendFileSync(path, 'whole\n');
  await file.append('three');
  await file.close();
  assert.equal(readFileSync(path, 'utf8'), 'one\nprompt> \ntwo\nwhole\nthree\n');
});

test('a renamed file is left to the rotation, a removed one is made anew', async (context) => {
  const folder = scratch(context);
  const path = join(folder, 'log');
  const file = new AppendFile(path, exclusive);
  await file.append('old');
  renameSync(path, `${path}.1`);
  await file.append('new');
  rmSync(path);
  await file.append('newer');
  await file.close();
  assert.equal(readFileSync(`${path}.1`, 'utf8'), 'old\n');
  assert.equal(readFileSync(path, 'utf8'), 'newer\n');
});

test('reopen while lines are queued loses none', async (context) => {
  const path = join(scratch(context), 'log');
  const file = new AppendFile(path, exclusive);
  const written = Array.from({ length: 200 }, (_, index) => {
    if (index % 10 === 0) file.reopen();
    return file.append(`line ${index}`);
  });
  assert.ok((await Promise.all(written)).every(Boolean));
  await file.close();
  assert.equal(readFileSync(path, 'utf8').trimEnd().split('\n').length, 200);
});

test('links, devices, FIFOs and folders are refused with a sentence, and what they lead to is untouched', async (context) => {
  const folder = scratch(context);
  const target = join(folder, 'target');
  writeFileSync(target, 'precious\n');
  symlinkSync(target, join(folder, 'symlink'));
  linkSync(target, join(folder, 'hardlink'));
  mkdirSync(join(folder, 'folder'));
  for (const [path, reason] of [
    [join(folder, 'symlink'), /is not a regular file/],
    [join(folder, 'hardlink'), /has several names/],
    [join(folder, 'folder'), /is not a regular file/],
    ['/dev/null', /is not a regular file/],
    [join(folder, 'missing', 'log'), /the folder .*missing does not exist\. Create it/],
  ] as const) {
    const file = new AppendFile(path, exclusive);
    await assert.rejects(file.verify(), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, reason);
      return true;
    });
    await file.close();
  }
  assert.equal(readFileSync(target, 'utf8'), 'precious\n');
});

test('a folder swapped for a link after the first line leads nowhere', async (context) => {
  const folder = scratch(context);
  const mine = join(folder, 'mine');
  const other = join(folder, 'other');
  mkdirSync(mine);
  mkdirSync(other);
  const file = new AppendFile(join(mine, 'log'), shared);
  assert.ok(await file.append('one'));
  renameSync(mine, join(folder, 'moved'));
  symlinkSync(other, mine);
  assert.ok(await file.append('two'));
  rmSync(join(folder, 'moved'), { recursive: true });
  const late = file.append('three');
  await file.close();
  assert.equal(await late, false);
  assert.throws(() => statSync(join(other, 'log')), { code: 'ENOENT' });
});

test('what comes beyond the queue’s bound is dropped and counted', async (context) => {
  const path = join(scratch(context), 'log');
  const file = new AppendFile(path, exclusive);
  const results = await Promise.all(Array.from({ length: 9000 }, () => file.append('x')));
  assert.equal(results.filter(Boolean).length, 8192);
  assert.deepEqual(file.counters(), { delivered: 8192, failed: 0, dropped: 808 });
  const big = 'y'.repeat(8191);
  const bytes = await Promise.all(Array.from({ length: 1100 }, () => file.append(big)));
  assert.equal(bytes.filter(Boolean).length, 1024);
  await file.close();
});

test('a file that cannot be written is one sentence a minute, and a line waits for the mend', async (context) => {
  const folder = scratch(context);
  const logger = collectingLogger();
  const file = new AppendFile(join(folder, 'later', 'log'), { logger, shared: false });
  const waiting = [file.append('one'), file.append('two')];
  while (logger.sentences.length === 0) await delay(5);
  mkdirSync(join(folder, 'later'));
  assert.deepEqual(await Promise.all(waiting), [true, true]);
  await file.close();
  assert.equal(readFileSync(join(folder, 'later', 'log'), 'utf8'), 'one\ntwo\n');
  assert.equal(logger.sentences.length, 1);
  assert.match(
    logger.sentences[0]!,
    /^Detections cannot be written to .*: the folder .* does not exist/,
  );
});

test('lines that have waited too long are given up together, however many they are', async (context) => {
  const folder = scratch(context);
  let ms = 0;
  const logger = collectingLogger();
  const path = join(folder, 'later', 'log');
  const file = new AppendFile(path, { logger, shared: false, nowMs: () => ms });
  let givenUp = 0;
  const waiting = Array.from({ length: 1000 }, async () => {
    if (!(await file.append('old'))) givenUp++;
  });
  while (logger.sentences.length === 0) await delay(5);
  ms = 4999;
  const late = file.append('new');
  ms = 5000;
  await waiting[0];
  await turn();
  assert.equal(givenUp, 1000);
  mkdirSync(join(folder, 'later'));
  assert.equal(await late, true);
  // At the end, what was tried is tried no more.
  rmSync(join(folder, 'later'), { recursive: true });
  const last = [file.append('one'), file.append('two')];
  await file.close();
  assert.deepEqual(await Promise.all(last), [false, false]);
  assert.deepEqual(file.counters(), { delivered: 1, failed: 1002, dropped: 0 });
});

test('the app stream writes to the app’s file, the operator stream to its own', async (context) => {
  const folder = scratch(context);
  const logFile = join(folder, 'app.log');
  const apps = new AppFileStream({ format: 'json' });
  const operator = new OperatorFileStream({ path: join(folder, 'all.log'), format: 'text' });
  const ours = deliveryOf({ container: containerOf({ runtime: 'cgroup', logFile }) });
  const foreign = deliveryOf({ container: undefined });
  assert.equal(apps.accepts(ours), true);
  assert.equal(apps.accepts(foreign), false);
  assert.equal(operator.accepts(), true);
  await Promise.all([apps.deliver(ours), operator.deliver(ours), operator.deliver(foreign)]);
  await Promise.all([apps.close(), operator.close()]);
  const line = JSON.parse(readFileSync(logFile, 'utf8')) as { id: string };
  assert.equal(line.id, ours.id);
  assert.equal(readFileSync(join(folder, 'all.log'), 'utf8').trimEnd().split('\n').length, 2);
  assert.equal(apps.counters().delivered, 1);
});

test('the app stream keeps at most 256 files open and serves more', async (context) => {
  const folder = scratch(context);
  const apps = new AppFileStream({ format: 'text' });
  for (let index = 0; index < 300; index++) {
    const logFile = join(folder, `${index}.log`);
    assert.ok(await apps.deliver(deliveryOf({ container: containerOf({ logFile }) })));
  }
  await apps.close();
  assert.equal(apps.counters().delivered, 300);
  assert.ok(statSync(join(folder, '299.log')).size > 0);
});

test('the operator’s file takes what several turns of the event loop bring before the first line is written, and no more than it holds', async (context) => {
  const path = join(scratch(context), 'log');
  for (const [outputBytes, least] of [
    [100, 4000],
    [7000, 500],
  ] as const) {
    const stream = new OperatorFileStream({ path, format: 'json' });
    await stream.verify();
    const taking: Promise<boolean>[] = [];
    // As the fan-out hands lines over, in one turn.
    while (taking.length < stream.maxUnderWay)
      taking.push(stream.deliver(deliveryOf({ output: 'x'.repeat(outputBytes) })));
    assert.ok(taking.length >= least, `${taking.length} lines`);
    assert.ok((await Promise.all(taking)).every((taken) => taken));
    assert.deepEqual(stream.counters(), { delivered: taking.length, failed: 0, dropped: 0 });
    assert.ok(stream.maxUnderWay > 0);
    await stream.close();
  }
});
