import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { Succession, SuccessionServer } from '../../src/agent-succession.ts';
import type { Detection } from '../../src/rules/detection.ts';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import { OwnFolder } from '../../src/shared/own-folder.ts';
import { UserError } from '../../src/shared/user-error.ts';
import { detectionOf } from './streams/delivery-fixture.ts';

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
  const server = await SuccessionServer.open(folder, SILENT_LOGGER);
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
      const server = await SuccessionServer.open(folder, SILENT_LOGGER);
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
      numRuns: 200,
      // Each is taken for the one after it, from where the comparison began.
      examples: [
        [[-26, -81, -7, -62].map((ms) => ({ file: 'c', ms, laterUs: ms === -62 ? 16_001 : 0 }))],
      ],
    },
  );
});

test('the one before was killed: all that was kept is told', async () => {
  const server = await SuccessionServer.open(folder, SILENT_LOGGER);
  const succession = await begin();
  while (!server.hasSuccessor) await new Promise((resolve) => setImmediate(resolve));
  succession.keep(detection('a', 5n, 1));
  server.close();
  await succession.takeOver();
  assert.equal(succession.kept().detections.length, 1);
});
