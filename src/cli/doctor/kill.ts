import type { AgentConfig } from '../../config/config.ts';
import { ownerIn } from '../../host/own-folder.ts';
import type { ResponseName } from '../../shared/response-names.ts';
import { hasCapability, statusText } from './capabilities.ts';
import { note, ok, warn, type Verdict } from './finding.ts';

/** What they cannot prevent they kill. */
const KILL: readonly ResponseName[] = ['kill', 'deny'];

/**
 * Whether the responses kill and deny can kill processes of other users. `status`: of this process; `agentStatus`: of the agent
 * that runs here, which may have fewer capabilities, undefined: none runs.
 */
export function checkKill(
  { responses, policies, stateDir }: Pick<AgentConfig, 'responses' | 'policies' | 'stateDir'>,
  status = statusText(),
  agentStatus = statusOfAgent(stateDir),
): Verdict {
  const who =
    agentStatus === undefined ? 'This command (the service may have less)' : 'The running agent';
  if (hasCapability('CAP_KILL', agentStatus ?? status))
    return ok(`${who} can kill processes of every user (the responses kill and deny).`);
  const says = `${who} can kill processes of its own user only (the responses kill and deny): CAP_KILL is missing.`;
  const isAsked = [...responses.map(({ response }) => response), ...policies.responses].some(
    (name) => KILL.includes(name),
  );
  if (!isAsked) return note(says);
  return warn(
    says,
    'Add CAP_KILL: with systemd by manifests/systemd/enforce.conf, on Kubernetes by manifests/kubernetes/enforce.',
  );
}

function statusOfAgent(stateDir: string): string | undefined {
  const pid = ownerIn(stateDir);
  return pid === undefined ? undefined : statusText(pid);
}
