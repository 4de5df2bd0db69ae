import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { criProblem, describeVersion } from '../../apps/runtimes/cri.ts';
import type { AgentConfig } from '../../config/config.ts';
import type { Verdict } from './finding.ts';

/** As long as the agent waits for a status. */
const TIMEOUT_MS = 4_000;

/** Asks the runtime of Kubernetes for its version and its containers, as the agent will. */
export async function checkCri(config: AgentConfig): Promise<Verdict> {
  const { enabled, socket, stateDir } = config.runtimes.cri;
  if (socket === undefined || !enabled) {
    return {
      state: 'note',
      says: 'Kubernetes’ containers are not looked for: runtimes.cri has no socket, or is turned off.',
    };
  }
  const { CriClient } = await import('../../apps/runtimes/cri-client.ts');
  const client = new CriClient(socket, TIMEOUT_MS);
  try {
    const version = describeVersion(await client.ask('Version', {}));
    const listed = await client.ask('ListContainers', {});
    const says = `${version} answers on ${socket}: ${listed?.containers.length ?? 0} containers.`;
    if (existsSync(join(stateDir, 'io.containerd.runtime.v2.task'))) return { state: 'ok', says };
    if (!config.streams.container.enabled) return { state: 'ok', says };
    return {
      state: 'warn',
      says: `${says} Their own logs cannot be written to: ${stateDir} is not the state folder of a containerd.`,
      advice:
        'Set runtimes.cri.state_dir to it. With CRI-O there is none: set streams.container.enabled: false and use another stream.',
    };
  } catch (error) {
    return {
      state: 'fail',
      says: criProblem(socket, error),
      advice: 'The agent tries again by itself. To do without, set runtimes.cri.enabled: false.',
    };
  } finally {
    client.close();
  }
}
