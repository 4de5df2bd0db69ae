import type { Container } from '../apps/identity.ts';
import { startTicksOf } from '../context/proc-reader.ts';
import { END_DELAY_MS } from './delayed-ends.ts';
import { end, type Response } from './response.ts';

/**
 * Kills the process in which a detection happened at once, and ends its container a second later: its first process is killed, and
 * the kernel ends all others with it (pid_namespaces(7)). The platform starts a new one: Diego, the kubelet, or Docker where its
 * restart policy says so.
 */
export const restart: Response = {
  guarantee: 'after the effect',
  said: {
    done: 'process killed, after this had happened; its container ends in a second, for its platform to start a new one',
    'too late': 'container not restarted, it had ended by itself',
    refused:
      'container not restarted, the host did not let the agent, or the container shares the pid namespace of others',
    monitored: 'container would have been restarted (the response is in monitor mode)',
    limited: 'container not restarted, as many as may be were restarted in these 10 minutes',
    unanswered:
      'container not restarted, as the app’s own exceptions to this rule are paused or not known yet',
  },
  // An app has several instances: whoever attacks them one after the other must not end the app.
  limits: { windowMs: 600_000, ofHost: 10, ofOne: 2, oneOf: appOf },
  keyOf: ({ container: { fullId } }) => fullId,
  // A container of Docker runs again with the same id.
  isOfBefore: ({ process }, appliedBootNs) =>
    process.startBootNs <= appliedBootNs + BigInt(END_DELAY_MS) * 1_000_000n,
  apply: ({ process, container }, host) => {
    const first = host.firstProcessOf(container);
    if (first === 'gone') return 'too late';
    if (first === 'shared') return 'refused';
    const id = { pid: process.pid, startTicks: startTicksOf(process.startBootNs) };
    if (end(id, host) === 'refused') return 'refused';
    host.endLater(first);
    return 'done';
  },
};

function appOf({ app, fullId }: Container): string {
  if (app === undefined) return fullId;
  return JSON.stringify([app.guid, app.org, app.space, app.name]);
}
