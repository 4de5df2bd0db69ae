import type { AgentConfig } from '../../config/config.ts';
import { openIsolation, reasonOf } from '../../responses/network-isolation.ts';
import { note, ok, warn, type Verdict } from './finding.ts';

/** Whether containers can be cut off from the network here: it is tried in a cgroup of its own. */
export function checkIsolation({ responses }: AgentConfig, open = openIsolation): Verdict {
  const isAsked = responses.some(({ response }) => response === 'isolate');
  try {
    const { isolation, tested } = open();
    isolation.close();
    // A packet is tried only where there is a way for it.
    const proof =
      tested.packets > 0 ? 'a packet was dropped' : 'without a route no packet was tried';
    return ok(
      `Containers can be cut off from the network (the response isolate): in a test a connect was refused, and ${proof}.`,
    );
  } catch (error) {
    const says = `Containers cannot be cut off from the network (the response isolate): ${reasonOf(error)}.`;
    if (!isAsked) return note(says);
    return warn(says, 'Use cgroup v2 and give the agent CAP_NET_ADMIN, or use another response.');
  }
}
