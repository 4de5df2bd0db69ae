import type { AgentConfig } from '../../config/config.ts';
import { openIsolation, reasonOf } from '../../responses/network-isolation.ts';
import { note, ok, warn, type Verdict } from './finding.ts';

/** Whether containers can be cut off from the network here: it is tried in a cgroup of its own. */
export function checkIsolation({ responses }: AgentConfig, open = openIsolation): Verdict {
  const isAsked = responses.some(({ response }) => response === 'isolate');
  try {
    open().isolation.close();
    return ok(
      'Containers can be cut off from the network (the response isolate), proven by a test.',
    );
  } catch (error) {
    const says = `Containers cannot be cut off from the network (the response isolate): ${reasonOf(error)}.`;
    if (!isAsked) return note(says);
    return warn(
      says,
      'Use cgroup v2 and give the agent CAP_SYS_ADMIN or CAP_NET_ADMIN, or use another response.',
    );
  }
}
