import { setTimeout as delay } from 'node:timers/promises';
import { bootNs } from '../host/boot-clock.ts';
import type { Logger } from '../shared/logger.ts';
import type { ReleaseStack } from '../shared/release-stack.ts';
import { IN_THE_MAKING_MS } from './continuity.ts';
import type { Pipeline } from './pipeline.ts';
import type { Stages } from './stages.ts';

/** How long events of pending containers may wait for their identity. */
const SETTLE_MS = 1000;
/** How long streams may take to deliver their queues. */
const FLUSH_MS = 5000;

export interface RunningAgent {
  readonly stages: Stages;
  readonly pipeline: Pipeline | undefined;
  /** Releases what the agent holds. */
  readonly release: ReleaseStack;
  readonly logger: Logger;
}

/** Ends an agent: first evaluates and delivers what was read from the kernel, for at most 6 s. */
export async function shutDown({ stages, pipeline, release, logger }: RunningAgent): Promise<void> {
  const { canary, coverage, evaluation, fanOut, losses, opened, probe, responding, rules } = stages;
  logger.info({}, 'stopping: what has been read is delivered first');
  rules.stop();
  await canary?.stop();
  const { succession } = opened?.state ?? {};
  let untilNs: bigint | undefined;
  if (succession?.hasSuccessor === true) {
    untilNs = bootNs();
    pipeline?.endAt(untilNs);
    // A call from before this time may be reported only now.
    await delay(IN_THE_MAKING_MS);
  }
  const endedNs = bootNs();
  probe.attachOnly([]);
  probe.drain();
  pipeline?.finish();
  const end = performance.now() + SETTLE_MS;
  while (evaluation.counters().events.held > 0 && performance.now() < end) await delay(20);
  evaluation.stop();
  if (untilNs !== undefined) succession?.sayFarewell(untilNs);
  losses.look();
  // The time until now was watched: later times are the next agent's to report.
  opened?.continuity.stopped(untilNs ?? endedNs);
  coverage?.stop(untilNs === undefined ? 'agent stop' : 'replaced');
  responding.evidence.close();
  fanOut.tellLosses();
  const { delivered, lost } = await fanOut.flush(FLUSH_MS);
  await release.release();
  logger.info({ delivered, lost }, 'stopped');
}
