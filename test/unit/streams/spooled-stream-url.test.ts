import assert from 'node:assert/strict';
import {
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { FanOut } from '../../../src/streams/fan-out.ts';
import { lostNotice } from '../../../src/streams/notices.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { Spool } from '../../../src/streams/spool/spool.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { containerOf } from './delivery-fixture.ts';
import { drain, put } from './spool-fixture.ts';
import {
  noticesIn,
  numbers,
  recorder,
  ScriptedReceiver,
  send,
  spooledStreams,
  spoolFolder,
  streamOf,
  until,
} from './spooled-stream-fixture.ts';
import { lacks } from '../../support/needs.ts';

spooledStreams();

const OLD = {
  where: 'https://old.example:443',
  address: 'https://old.example:443/hook?key=s3cret',
};
const NEW = { where: 'https://new.example:443', address: 'https://new.example:443/' };
const shop = containerOf();
const bank = containerOf({ fullId: 'cd'.repeat(32) }, { name: 'bank', instance: '1' });

/** An agent's stream, whose lines 1 to 3 (shop) and 4 to 5 (bank) wait for OLD, and a notice of earlier losses. */
async function waitForOld(): Promise<void> {
  const receiver = new ScriptedReceiver(OLD);
  for (let n = 0; n < 9; n++)
    receiver.answers.push({ taken: 0, rest: 'later', reason: 'down', retryAfterMs: 20_000 });
  const stream = streamOf(receiver);
  await send(stream, 1, 3, { container: shop, timeNs: 1_000_000n });
  await send(stream, 4, 5, { container: bank, timeNs: 2_000_000n });
  const numbered = [{ from: 90, to: 96 }];
  const lost = { container: bank, count: 7, firstNs: 0n, lastNs: 0n, numbers: numbered };
  const detection = lostNotice('syslog', lost);
  assert.ok(await stream.deliver({ detection, id: 'notice', seq: 0, hostname: 'cell-1' }));
  await stream.close();
}

describe('lines that wait for another url', () => {
  test('go to the new one by default, which is said once', async () => {
    await waitForOld();
    const { logger, said } = recorder();
    const receiver = new ScriptedReceiver(NEW);
    const stream = streamOf(receiver, logger);
    await until('all are sent', () => receiver.got.length === 6);
    assert.deepEqual(numbers(receiver).toSorted(), [0, 1, 2, 3, 4, 5]);
    const { former, givenUp } = stream.counters().spool;
    assert.deepEqual(former, { where: OLD.where, records: 6, kept: true });
    assert.equal(givenUp, 0);
    assert.equal(said.length, 1);
    assert.match(
      said[0]!,
      /^The receiver of the lines in \S+ has changed\. 6 of them waited for https:\/\/old\.example:443\. They go to the new one \(on_url_change: keep\)\.$/,
    );
    await stream.close();
    const next = streamOf(new ScriptedReceiver(NEW), logger);
    assert.equal(next.counters().spool.former, undefined);
    await next.close();
    assert.equal(said.length, 1);
  });

  test('are dropped where that is asked for: counted, and told to each app at the new one', async () => {
    await waitForOld();
    const { logger, said } = recorder();
    const receiver = new ScriptedReceiver(NEW);
    const stream = streamOf(receiver, logger, { onUrlChange: 'drop', tellLossesMs: 10 });
    const fanOut = new FanOut([stream], { hostname: 'cell-1' });
    await until('both apps are told', () => receiver.got.length === 3);
    assert.deepEqual(
      noticesIn(receiver),
      [
        // What was lost before is missing at any receiver.
        ['bank', '1', 'Varvel: lines lost', 7, 0, 0],
        ['bank', '1', 'Varvel: lines lost', 2, 2, 2],
        ['shop', undefined, 'Varvel: lines lost', 3, 1, 1],
      ].map(([app, instance, rule, count, first, last]) => [
        app,
        instance,
        rule,
        count,
        Number(first) * 1_000_000,
        Number(last) * 1_000_000,
      ]),
    );
    const { former, givenUp, waiting } = stream.counters().spool;
    assert.deepEqual(former, { where: OLD.where, records: 5, kept: false });
    assert.deepEqual([givenUp, waiting], [5, 0]);
    const results = fanOut.counters().streams['syslog'];
    assert.deepEqual(results, {
      spooled: 0,
      sent: 3,
      refused: 0,
      failed: 0,
      dropped: 5,
      waiting: 0,
    });
    assert.match(
      said[0]!,
      /5 of them waited for .* are dropped, and their apps are told \(on_url_change: drop\)\.$/,
    );
    await send(stream, 6, 6);
    await until('a new line goes there', () => receiver.got.length === 4);
    await fanOut.close();
  });

  test('what waits for the new url is not dropped by the next agent', async () => {
    await waitForOld();
    const down = new ScriptedReceiver(NEW);
    for (let n = 0; n < 9; n++)
      down.answers.push({ taken: 0, rest: 'later', reason: 'down', retryAfterMs: 20_000 });
    const first = streamOf(down, SILENT_LOGGER, { onUrlChange: 'drop' });
    await send(first, 6, 8);
    await first.close();
    const receiver = new ScriptedReceiver(NEW);
    const { logger, said } = recorder();
    const next = streamOf(receiver, logger, { onUrlChange: 'drop' });
    // With three notices: of before, and of what was dropped, by app.
    await until('all of it is there', () => receiver.got.length === 6);
    assert.deepEqual(numbers(receiver).toSorted(), [0, 0, 0, 6, 7, 8]);
    assert.deepEqual([said, next.counters().spool.givenUp], [[], 0]);
    await next.close();
  });

  test('another path of the same host is another url, and no file has the path', async () => {
    await waitForOld();
    const file = join(spoolFolder(), 'receiver');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.doesNotMatch(readFileSync(file, 'utf8'), /s3cret|hook/);
    const receiver = new ScriptedReceiver({ ...OLD, address: `${OLD.address}x` });
    const stream = streamOf(receiver, SILENT_LOGGER, { onUrlChange: 'drop' });
    const { former } = stream.counters().spool;
    assert.equal(former?.where, 'another path of https://old.example:443');
    assert.equal(former.records, 5);
    await stream.close();
  });

  test('a file that says nothing of the receiver is as none: all lines stay, and it is written anew', async () => {
    let damaged = 0;
    for (const spoil of [
      (file: string) => rmSync(file),
      (file: string) => truncateSync(file, 20),
      (file: string) => writeFileSync(file, ''),
      (file: string) => writeFileSync(file, '{"where":1,"digest":[]}'),
      (file: string) => writeFileSync(file, 'null'),
      (file: string) => writeFileSync(file, Buffer.alloc(5000, 0xff)),
      (file: string) => {
        rmSync(file);
        symlinkSync('/etc/passwd', file);
      },
    ]) {
      await waitForOld();
      const file = join(spoolFolder(), 'receiver');
      spoil(file);
      const receiver = new ScriptedReceiver(NEW);
      const { logger, said } = recorder();
      const stream = streamOf(receiver, logger, { onUrlChange: 'drop' });
      await until('all are sent', () => receiver.got.length === 6);
      await stream.close();
      // A cut file is an agent's; a link, or one that no agent writes so large, is not.
      assert.equal(said.length, existsSync(`${file}.damaged`) ? 1 : 0, said.join());
      damaged += said.filter((text) => /receiver\.damaged\. .* they are sent/.test(text)).length;
      assert.match(
        readFileSync(file, 'utf8'),
        /^\{"where":"https:\/\/new\.example:443","digest":"[\w-]{43}"\}$/,
      );
      rmSync(spoolFolder(), { recursive: true });
    }
    assert.equal(damaged, 2);
  });

  test('a full disk: what is there is sent, and the folder says for whom lines wait once there is room', (t) => {
    if (lacks(t, 'mount')) return;
    using disk = new SmallDisk(64);
    const folder = join(disk.path, 'syslog');
    const file = join(folder, 'receiver');
    let nowMs = 0;
    const open = (destination: typeof OLD): Spool =>
      Spool.open({ folder, maxBytes: 64 << 20, destination, nowMs: () => nowMs });
    const first = open(OLD);
    put(first, 'of a version that wrote no such file');
    first.close();
    rmSync(file);
    disk.fill();
    const spool = open(NEW);
    assert.equal(spool.counters().waiting, 1, 'what is there is sent');
    put(spool, 'new');
    assert.equal(spool.counters().inMemory, 1);
    disk.free();
    nowMs += 10_000;
    put(spool, 'newer');
    assert.equal(spool.counters().inMemory, 1);
    assert.match(readFileSync(file, 'utf8'), /new\.example/);
    assert.equal(drain(spool).length, 3);
    spool.close();
  });
});
