import type { RefusedCall } from '../responses/response.ts';
import type { Refusals } from './refusals.ts';
import type { Stages } from './stages.ts';
import { RecordBytes } from '../events/batch.ts';
import { UntoldEvents } from './untold-events.ts';
import { readCgroupChange } from '../events/cgroup-record.ts';
import { HEADER, KINDS } from '../events/table.gen.ts';
import { WireEvent } from '../events/wire-event.ts';
import { DenialTest, type StartTrial } from '../plan/denial-test.ts';
import { SELF_TEST_HOOKS, SelfTest } from '../plan/self-test.ts';
import { ALL_EVENTS } from '../probe/live.ts';
import { noteEventsTurn } from '../shared/turns.ts';
import { UserError } from '../shared/user-error.ts';

/** The stages that handle a record. */
export type PipelineStages = Pick<
  Stages,
  | 'apps'
  | 'attachment'
  | 'clock'
  | 'evaluation'
  | 'insides'
  | 'losses'
  | 'probe'
  | 'received'
  | 'refusals'
  | 'tree'
>;

/**
 * The path of each record: process tree, container files, evaluation. Nothing blocks between ring and verdict; slow work runs
 * beside it. Detections go on to `Outgoing`.
 */
export class Pipeline {
  readonly #stages: PipelineStages;
  readonly #records: RecordBytes;
  readonly #event: WireEvent;
  #eventNum = 0;
  #selfTest: SelfTest | DenialTest | undefined;
  readonly #untold: UntoldEvents;
  #untilNs: bigint | undefined;

  /** Starts to receive records. */
  constructor(stages: PipelineStages) {
    this.#stages = stages;
    this.#untold = new UntoldEvents((event, process) => stages.evaluation.onEvent(event, process));
    this.#records = new RecordBytes(stages.probe.start((bytes) => this.#onBatch(bytes)));
    this.#event = new WireEvent(this.#records, stages.clock);
  }

  /** Evaluates what is still kept. */
  finish(): void {
    this.#untold.finish();
  }

  /** Another agent reports what happens after this time (CLOCK_BOOTTIME). */
  endAt(bootNs: bigint): void {
    this.#untilNs = bootNs;
  }

  /**
   * Makes system calls that the probe must report. Throws UserError if it does not. With `denies` a program is run that the kernel
   * must end, and a connection made, a file opened and a socket listened on, which it must refuse.
   */
  async selfTest({ denies }: { readonly denies: boolean }): Promise<void> {
    const { apps, probe, received } = this.#stages;
    probe.setMasks(ALL_EVENTS);
    probe.attachOnly(SELF_TEST_HOOKS);
    this.#selfTest = new SelfTest(probe, apps.hierarchy.mountPoint);
    const unseen = await this.#selfTest.run();
    if (denies) received.denial = await this.#tryDenial();
    this.#selfTest = undefined;
    // Its cgroups are the only ones that have been deleted so far.
    received.selfTest = probe.deletedCounters().emitted;
    if (unseen.length > 0)
      throw new UserError(
        `The probe loads, but the kernel does not report ${unseen.join(', ')}: this host cannot be watched. Run "varvel doctor".`,
      );
  }

  /** What became of each trial, or why it could not be made. */
  async #tryDenial(): Promise<Record<StartTrial, string>> {
    const { apps, probe, refusals } = this.#stages;
    let test: DenialTest | undefined;
    try {
      test = new DenialTest(probe, apps.hierarchy.mountPoint);
      this.#selfTest = test;
      return {
        program: await outcomeOf(test, 'program'),
        connection: await tryRefusal(test, 'connection', refusals),
        file: await tryRefusal(test, 'file', refusals),
        call: await tryRefusal(test, 'call', refusals),
      };
    } catch (error) {
      const why = messageOf(error);
      return { program: why, connection: why, file: why, call: why };
    } finally {
      test?.end();
    }
  }

  #onBatch(bytes: number): void {
    const records = this.#records;
    const event = this.#event;
    const { evaluation, insides, received, tree } = this.#stages;
    const before = this.#eventNum;
    const startedMs = performance.now();
    for (let at = 0; at < bytes;) {
      const length = records.number(at + HEADER.len);
      received.records++;
      if (records.short(at + HEADER.kind) === KINDS.cgroup) {
        this.#onCgroup(records, at);
      } else {
        received.count(records.short(at + HEADER.event));
        event.moveTo(at, ++this.#eventNum);
        const process = tree.onEvent(event);
        insides.onEvent(event, process);
        if (this.#selfTest?.cgroupId === event.cgroupId) this.#selfTest.see(event);
        else if (this.#untilNs === undefined || event.bootNs < this.#untilNs) {
          if (!this.#untold.takes(event, process)) evaluation.onEvent(event, process);
        }
      }
      // A length of zero means a broken probe: losing the batch is better than an endless loop.
      if (length === 0) break;
      at += length;
    }
    // Once per batch, not per event: the time is computed on access.
    if (this.#eventNum > before) received.lastBootNs = event.bootNs;
    noteEventsTurn(performance.now() - startedMs);
  }

  #onCgroup(records: RecordBytes, at: number): void {
    const { apps, attachment, losses, tree } = this.#stages;
    const change = readCgroupChange(records, at);
    if (this.#selfTest?.cgroupId === change.cgroupId) return;
    if (change.kind === 'mkdir' && change.state !== 'excluded') attachment.onScoped();
    // Records that were lost may be those that tell what a process is: a move says less then.
    if (this.#untold.isWaiting) losses.look();
    tree.onCgroupChange(change);
    this.#untold.onMove();
    apps.onCgroupChange(change);
    if (change.kind === 'rmdir') attachment.onUnscoped();
  }
}

/** What became of the trial, or why it could not be made. */
async function tryRefusal(
  test: DenialTest,
  call: RefusedCall & StartTrial,
  refusals: Refusals,
): Promise<string> {
  const refusal = refusals[call];
  if (!refusal.tryLoad()) return refusal.failure ?? '';
  const outcome = await outcomeOf(test, call);
  // What could not be tried may work.
  if (outcome === 'not denied' || outcome === 'untold') refusal.giveUp(outcome);
  refusal.endTrial();
  return outcome;
}

const outcomeOf = (test: DenialTest, trial: StartTrial): Promise<string> =>
  test.run(trial).catch(messageOf);

const messageOf = (error: unknown): string =>
  error instanceof UserError ? error.message : String(error);
