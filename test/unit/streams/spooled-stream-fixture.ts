// A receiver that answers as it is told, behind a spool.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../../src/shared/logger.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import type {
  Destination,
  OutgoingLine,
  Receiver,
  SendResult,
} from '../../../src/streams/receiver.ts';
import { SpooledStream } from '../../../src/streams/spool/spooled-stream.ts';
import { deliveryOf } from './delivery-fixture.ts';

let parent: string;

/** To be called first in a file of tests: each test has a folder of its own, which `streamOf` opens the spool in. */
export function spooledStreams(): void {
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'varvel-spooled-'));
  });

  afterEach(() => {
    rmSync(parent, { recursive: true });
  });
}

/** Where `streamOf` opens the spool. */
export const spoolFolder = (): string => join(parent, 'spool');

/** Answers each batch as it is told; without more words it takes all. */
export class ScriptedReceiver implements Receiver {
  readonly name = 'syslog';
  readonly audience = 'tenant';
  readonly maxBatch = 4;
  readonly answers: SendResult[] = [];
  readonly got: OutgoingLine[] = [];
  readonly batches: number[] = [];
  /** Lines that it never takes. */
  refuses: (line: OutgoingLine) => boolean = () => false;
  closed = 0;
  readonly destination?: Destination;

  constructor(destination?: Destination) {
    if (destination !== undefined) this.destination = destination;
  }

  accepts(): boolean {
    return true;
  }

  async send(lines: readonly OutgoingLine[]): Promise<SendResult> {
    await delay(1);
    this.batches.push(lines.length);
    const never = lines.findIndex(this.refuses);
    const answer: SendResult =
      this.answers.shift() ??
      (never < 0 ? { taken: lines.length } : { taken: never, rest: 'refused', reason: 'no' });
    this.got.push(...lines.slice(0, answer.taken));
    return answer;
  }

  counters() {
    return { connects: this.batches.length, connectFailures: 0 };
  }

  close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }
}

/** Twice in a test, it is the stream of the next agent. */
export function streamOf(
  receiver: Receiver,
  logger: Logger = SILENT_LOGGER,
  {
    onUrlChange,
    ...more
  }: { format?: 'text'; tellLossesMs?: number; onUrlChange?: 'keep' | 'drop' } = {},
): SpooledStream {
  const spool = { folder: spoolFolder(), maxBytes: 100_000, onUrlChange, logger };
  return new SpooledStream({ receiver, spool, format: 'json', logger, ...more });
}

/** All at once, so that they are there before the first batch is made up. */
export async function send(
  stream: SpooledStream,
  from: number,
  to: number,
  more = {},
): Promise<void> {
  const taken: Promise<boolean>[] = [];
  for (let seq = from; seq <= to; seq++) {
    taken.push(stream.deliver(deliveryOf(more, { seq, id: `id ${seq}` })));
  }
  assert.ok((await Promise.all(taken)).every(Boolean));
}

export async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; !isSo();) {
    assert.ok(Date.now() < end, what);
    await delay(2);
  }
}

/** Of the lines that it took. */
export const numbers = ({ got }: ScriptedReceiver): number[] => got.map(({ seq }) => seq);

/** Lines that the agent wrote of itself: whose, which rule, how many, and of what time; by app. */
export function noticesIn({ got }: ScriptedReceiver): unknown[][] {
  return got
    .filter(({ seq }) => seq === 0)
    .map(({ app, rule, text }) => {
      const { output_fields: fields } = JSON.parse(text) as {
        output_fields: Record<string, number>;
      };
      return [
        app?.name,
        app?.instance,
        rule,
        fields['lost.count'],
        fields['lost.first'],
        fields['lost.last'],
      ];
    })
    .toSorted(([one], [other]) => String(one).localeCompare(String(other)));
}

/**
 * Timers of so many ms run when the test says so, by calling what is returned: what is to have happened before takes as long as
 * the machine makes it.
 */
export function heldTimer(t: TestContext, heldMs: number): () => void {
  const start = globalThis.setTimeout;
  let held: (() => void) | undefined;
  t.mock.method(globalThis, 'setTimeout', (run: () => void, ms?: number) => {
    if (ms === heldMs) held = run;
    return start(run, ms);
  });
  return () => {
    const run = held;
    held = undefined;
    if (run === undefined) throw new Error('nobody has started such a timer');
    run();
  };
}

/** What it warned and told, by the beginnings of the sentences. */
export function recorder(): { logger: Logger; said: string[] } {
  const said: string[] = [];
  const note = (_: object, sentence: string): void => void said.push(sentence);
  return { logger: { ...SILENT_LOGGER, warn: note, info: note }, said };
}
