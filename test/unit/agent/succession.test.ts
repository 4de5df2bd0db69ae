import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { Succession, SuccessionServer } from '../../../src/agent/succession.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { OwnFolder } from '../../../src/host/own-folder.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { detectionOf } from '../streams/delivery-fixture.ts';
import { runs } from '../../support/runs.ts';

let home: string;
let folder: OwnFolder;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'varvel-succession-'));
  folder = OwnFolder.open(join(home, 'state'));
});
afterEach(() => {
  folder.close();
  rmSync(home, { recursive: true, force: true });
});

/** The running agent's side, whose claim of the folder has a secret. */
const serve = (onAsked: () => void = () => undefined): Promise<SuccessionServer> =>
  SuccessionServer.open(folder, { secret: folder.claim(), logger: SILENT_LOGGER, onAsked });
const begin = async (): Promise<Succession> => {
  const succession = await Succession.begin(folder, SILENT_LOGGER);
  assert.ok(succession !== undefined);
  return succession;
};
/** The file's name says which event it is; each agent has a time and a number of its own for it. */
const detection = (file: string, bootNs: bigint, num: number): Detection =>
  detectionOf({
    bootNs,
    outputFields: { 'fd.name': file, 'evt.num': num, 'evt.time': bootNs },
  });

test('no agent runs: nobody to succeed', async () => {
  assert.equal(await Succession.begin(folder, SILENT_LOGGER), undefined);
});

test('a second successor is sent away before anything happens', async () => {
  const server = await serve();
  const first = await begin();
  const second = await begin();
  await assert.rejects(
    second.takeOver(),
    (error) => error instanceof UserError && /already taking the place/.test(error.message),
  );
  first.giveUp();
  server.close();
});

test('whatever the two stamp around the parting time, each event is told once', async () => {
  const event = fc.record({
    // Few names, so that the same is said again and again.
    file: fc.constantFrom('a', 'b', 'c'),
    ms: fc.integer({ min: -120, max: 120 }),
    /** The new one's stamp, in µs after the old one's. */
    laterUs: fc.integer({ min: -19_000, max: 19_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 80 }), async (events) => {
      const since = 1_000_000_000n;
      const server = await serve();
      const succession = await begin();
      // The server knows of its successor once the connection is accepted.
      while (!server.hasSuccessor) await new Promise((resolve) => setImmediate(resolve));
      const told = new Map<string, number>();
      const tell = (file: unknown): void => {
        told.set(String(file), (told.get(String(file)) ?? 0) + 1);
      };
      events.forEach(({ file, ms, laterUs }, index) => {
        const bootNs = since + BigInt(ms) * 1_000_000n;
        const seen = detection(file, bootNs, index);
        if (bootNs < since) {
          server.noteDetection(seen);
          tell(file);
        }
        succession.keep(detection(file, bootNs + BigInt(laterUs) * 1000n, index + 1000));
      });
      server.sayFarewell(since);
      server.close();
      await succession.takeOver();
      for (const { outputFields } of succession.kept().detections) tell(outputFields['fd.name']);
      const happened = new Map<string, number>();
      for (const { file } of events) happened.set(file, (happened.get(file) ?? 0) + 1);
      assert.deepEqual([...told].sort(), [...happened].sort());
    }),
    {
      numRuns: runs(200),
      // Each is taken for the one after it, from where the comparison began.
      examples: [
        [[-26, -81, -7, -62].map((ms) => ({ file: 'c', ms, laterUs: ms === -62 ? 16_001 : 0 }))],
      ],
    },
  );
});

test('the one before was killed: all that was kept is told', async () => {
  const server = await serve();
  const succession = await begin();
  while (!server.hasSuccessor) await new Promise((resolve) => setImmediate(resolve));
  succession.keep(detection('a', 5n, 1));
  server.close();
  await succession.takeOver();
  assert.equal(succession.kept().detections.length, 1);
});

/** A client that is no agent. */
async function stranger(): Promise<{ readonly socket: Socket; readonly ended: Promise<string> }> {
  const socket = connect({ path: `${folder.inside}/succession.sock` });
  let said = '';
  socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
  socket.on('error', () => undefined);
  const ended = new Promise<string>((resolve) => socket.on('close', () => resolve(said)));
  await new Promise((resolve) => socket.once('connect', resolve));
  return { socket, ended };
}

test('clients that say nothing, garbage or a wrong secret are dropped, and keep no successor out', async () => {
  let asked = 0;
  const server = await serve(() => asked++);
  const silent = await Promise.all(Array.from({ length: 40 }, stranger));
  const wrong = await stranger();
  wrong.socket.write('hello nobody\nready\n');
  assert.equal(await wrong.ended, 'refused\n');
  const early = await stranger();
  early.socket.write('ready\n');
  assert.equal(await early.ended, 'refused\n');
  const endless = await stranger();
  endless.socket.write('x'.repeat(100_000));
  await endless.ended;
  assert.deepEqual([server.hasSuccessor, asked], [false, 0]);

  const succession = await begin();
  while (!server.hasSuccessor) await new Promise((resolve) => setImmediate(resolve));
  const over = succession.takeOver();
  while (asked === 0) await new Promise((resolve) => setImmediate(resolve));
  server.sayFarewell(1n);
  server.close();
  await over;
  // Nobody else was asked to wait: all silent ones are gone with the server at the latest.
  await Promise.all(silent.map(({ ended }) => ended));
});

test('of silent clients the oldest go at once when there are many, the others after five seconds', async () => {
  const server = await serve();
  const silent: Awaited<ReturnType<typeof stranger>>[] = [];
  for (let client = 0; client < 9; client++) silent.push(await stranger());
  await silent[0]!.ended;
  await Promise.all(silent.map(({ ended }) => ended));
  assert.equal(server.hasSuccessor, false);
  server.close();
});

test('a successor that does not know the secret is told so', async () => {
  const server = await SuccessionServer.open(folder, {
    secret: 'another',
    logger: SILENT_LOGGER,
    onAsked: () => assert.fail('asked'),
  });
  folder.claim();
  const succession = await begin();
  await assert.rejects(
    succession.takeOver(),
    (error) => error instanceof UserError && /does not know the secret/.test(error.message),
  );
  server.close();
});
