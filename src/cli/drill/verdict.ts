import type { DrillAction } from './action.ts';
import { alertAdvice, coverageAdvice, hostAdvice, logAdvice, stuckStreams } from './advice.ts';
import type { HostFacts } from './host.ts';
import type { LogFacts } from './log.ts';
import type { PageFacts } from './page.ts';
import type { CommandEnd } from './process.ts';

/** The stations of a detection on its way to a person, in order. */
export const HOPS = ['action', 'agent', 'streams', 'log', 'alert'] as const;

export type HopName = (typeof HOPS)[number];

/** All that was seen of a drill. Times are of `performance.now()`, unless they say unix. */
export interface DrillFacts {
  readonly action: DrillAction;
  /** Undefined when a person does it. */
  readonly run:
    | { readonly beganMs: number; readonly endedMs: number | undefined; readonly end: CommandEnd }
    | undefined;
  readonly host: HostFacts;
  /** Undefined where it is not asked. */
  readonly log: LogFacts | undefined;
  readonly page:
    | (PageFacts & {
        readonly kind: 'expect' | 'listen';
        readonly where: string;
        readonly text: string;
      })
    | undefined;
  /** From the action, or the offer to do it, to now. */
  readonly waitedMs: number;
  /** The user stopped waiting. */
  readonly interrupted: boolean;
  /** Now, unix. */
  readonly nowUnixMs: number;
  /** What to add to a time for its unix ms. */
  readonly unixOffsetMs: number;
}

/** Where it broke, and what to do: the most likely first. */
export interface Break {
  readonly hop: HopName;
  readonly advice: readonly string[];
}

/** Whether anything tells that the agent has reported the drill. */
export function isSeen({ log, page, host }: DrillFacts): boolean {
  return log?.drill !== undefined || page?.seenAtMs !== undefined || isSeenByHost(host);
}

export function isSeenByHost(host: HostFacts): boolean {
  return host.state === 'answers' && host.roseAtMs !== undefined;
}

/** Whether all that is asked has come. */
export function isComplete({ log, page }: DrillFacts): boolean {
  return (
    (log === undefined || log.drill !== undefined) &&
    (page === undefined || page.seenAtMs !== undefined)
  );
}

/** The first hop that is broken; undefined when all that were asked are whole. */
export function breakOf(facts: DrillFacts): Break | undefined {
  const { run, log, page } = facts;
  if (!isSeen(facts)) return run === undefined || run.end.code === 0 ? unseen(facts) : refused(run);
  if (isComplete(facts)) return undefined;
  const stuck = stuckStreams(facts);
  if (stuck.length > 0) {
    const next =
      'Repair this stream first, even if the missing line does not come by it. Then run the drill again.';
    return { hop: 'streams', advice: [...stuck, next] };
  }
  if (log !== undefined && log.drill === undefined)
    return { hop: 'log', advice: logAdvice(facts, log) };
  return { hop: 'alert', advice: page === undefined ? [] : alertAdvice(facts, page) };
}

function refused({ end }: NonNullable<DrillFacts['run']>): Break {
  const how = end.code === undefined ? 'did not end in time' : `ended with ${end.code}`;
  const said = end.said === '' ? '' : `, saying "${end.said}"`;
  return {
    hop: 'action',
    advice: [
      `The command of --run ${how}${said}. Try it by hand with "true" as its last argument; it has to be for a shell in the container, such as "docker exec APP sh -c".`,
    ],
  };
}

/** Nothing tells that the agent saw it. */
function unseen(facts: DrillFacts): Break | undefined {
  const { host, log, page } = facts;
  const byHost = hostAdvice(facts);
  if (host.state === 'dead') return { hop: 'agent', advice: byHost };
  // Another host's agent writes into this log: then the answers of the local agent are not about this app.
  const from = log?.coverage?.hostname;
  const isElsewhere = host.state === 'answers' && from !== undefined && from !== host.last.hostname;
  if (host.state === 'answers' && !(isElsewhere && host.last.container === undefined))
    return { hop: 'agent', advice: byHost };
  if (log !== undefined) return unseenInLog(facts, log);
  if (page === undefined) return undefined;
  return {
    hop: 'alert',
    advice: [
      'Which hop it is cannot be told from here: give --logs as well, or run the drill on the agent’s host.',
      ...alertAdvice(facts, page),
    ],
  };
}

function unseenInLog(facts: DrillFacts, log: LogFacts): Break {
  const unread = log.lastEnd !== undefined && log.lastEnd.code !== 0 && log.agentLines === 0;
  if (unread || log.strange > 0) return { hop: 'log', advice: logAdvice(facts, log) };
  const byCoverage = coverageAdvice(facts, log);
  return byCoverage.length > 0
    ? { hop: 'agent', advice: byCoverage }
    : { hop: 'log', advice: logAdvice(facts, log) };
}
