import type { TestDockerd } from '../../support/dockerd.ts';
import { until, type E2eAgent } from '../../support/e2e-agent.ts';

/** Its detection arrives within milliseconds; only a hang takes as long. */
const TIMEOUT_MS = 60_000;

/**
 * Resolves when the agents have said all they have to say of what the containers `ids` did: one more container does what
 * every agent reports, and its records come after theirs. What other engines' containers on this host do, which the
 * agents look at until they know that these are not theirs, makes no difference. Returns its id.
 */
export async function runLastOne(
  engine: TestDockerd,
  image: string,
  agents: readonly E2eAgent[],
  ids: ReadonlySet<string>,
): Promise<string> {
  const container = await engine.docker.createContainer({
    Image: image,
    Cmd: ['cat', '/etc/shadow'],
    Labels: { 'varvel.enable': 'true', 'varvel.app': 'last-one' },
    HostConfig: { NetworkMode: 'none' },
  });
  try {
    await container.start();
    await container.wait();
    for (const agent of agents) await saidAll(agent, container.id, ids);
    return container.id;
  } finally {
    await container.remove({ force: true });
  }
}

async function saidAll(agent: E2eAgent, last: string, ids: ReadonlySet<string>): Promise<void> {
  await until(
    'the agent reports the last container',
    () =>
      // Falco's rules name no container; an agent with its own settings adds no field.
      agent
        .detections()
        .some(
          ({ output_fields: it }) =>
            it['container.full_id'] === last || it['container.id'] === last.slice(0, 12),
        ),
    TIMEOUT_MS,
  );
  await until(
    'the agent has delivered everything',
    async () => {
      const { apps, delivery } = await agent.snapshot();
      // Streams serve several containers at a time: the last one may have overtaken others.
      return (
        !apps.containers.some(({ fullId, state }) => ids.has(fullId) && state === 'pending') &&
        Object.values(delivery.streams).every(({ waiting }) => waiting === 0) &&
        (delivery.streams['stdout']?.delivered ?? 0) === agent.arrivals.length
      );
    },
    TIMEOUT_MS,
  );
}
