import type { CanaryRun } from '../agent/canary-run.ts';
import type { AgentConfig } from '../config/config.ts';
import { askAgent, requireSocket } from '../metrics/endpoint-client.ts';
import { replaceControls } from '../shared/text.ts';
import { UserError } from '../shared/user-error.ts';
import type { Io } from './io.ts';

/** Time beyond the canary's timeout: to create and remove its container, and for the last read of the log system. */
const BEYOND_MS = 60_000;

/**
 * `varvel canary`: makes the running agent run its canary now, and prints the result. Exit code 0 if its line was found in the
 * log system, or, if none is read, was delivered by every stream; 1 otherwise. Throws UserError if no agent with a canary
 * answers.
 */
export async function runCanary(
  { config, json }: { readonly config: AgentConfig; readonly json: boolean },
  io: Io,
): Promise<number> {
  const { canary, metrics } = config;
  if (!canary.enabled)
    throw new UserError(
      'The canary is off: set canary.enabled and canary.app.guid, and restart the agent.',
    );
  requireSocket(metrics.listen);
  const body = await askAgent(metrics.listen, '/canary', canary.timeoutMs + BEYOND_MS, 'POST');
  const run = JSON.parse(body) as CanaryRun;
  const text = `${run.result.replace('_', ' ')}: ${replaceControls(run.says)}`;
  io.stdout(json ? `${JSON.stringify(run, null, 2)}\n` : `${text}\n`);
  return run.result === 'seen' || run.result === 'delivered' ? 0 : 1;
}
