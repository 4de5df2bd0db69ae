import { INCIDENT_MINUTES, SILENCE_MINUTES } from '../../alerts/alert-request.ts';
import { DRILL_RULES } from '../../shared/drill.ts';
import { escapeHidden } from '../../streams/escape.ts';
import type { LogFacts } from './log.ts';
import type { DrillFacts } from './verdict.ts';

// What to do where a drill broke off. Each sentence says what was seen, then what follows.

const MINUTE_MS = 60_000;
/** Of a line that is quoted. */
const MAX_QUOTED = 300;
/** Between the event and the moment the agent notes it. */
const SLACK_MS = 1000;

/** UTC, to the second. */
export function clock(unixMs: number): string {
  return `${new Date(unixMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** Unix ms of the drill's event, as near as it is known. */
export function eventUnixMs({ log, host, run, unixOffsetMs }: DrillFacts): number | undefined {
  if (log?.drill?.eventMs !== undefined) return log.drill.eventMs;
  if (host.state === 'answers' && host.roseAtMs !== undefined) return host.roseAtMs + unixOffsetMs;
  return run === undefined ? undefined : run.beganMs + unixOffsetMs;
}

/** The local agent's streams in which lines as old as the drill's are queued, or were lost meanwhile. */
export function stuckStreams(facts: DrillFacts): string[] {
  const { host } = facts;
  const event = eventUnixMs(facts);
  if (host.state !== 'answers' || host.roseAtMs === undefined || event === undefined) return [];
  return host.last.streams.flatMap(({ name, waiting, oldestMs, missed }) => {
    const before = host.before.streams.find((stream) => stream.name === name)?.missed ?? 0;
    if (waiting > 0 && oldestMs !== undefined && oldestMs <= event + SLACK_MS)
      return [
        `The agent’s stream "${name}" has ${waiting} ${waiting === 1 ? 'line' : 'lines'} that the receiver did not take, the oldest of ${clock(oldestMs)}: it is down, or rejects the agent. The agent’s own log says why; the lines go out when it is back.`,
      ];
    return missed > before
      ? [
          `The agent’s stream "${name}" could not take ${missed - before} ${missed - before === 1 ? 'line' : 'lines'} since the drill began: the agent’s own log says why.`,
        ]
      : [];
  });
}

/** Why the agent on this host did not see it. */
export function hostAdvice({ host, action, run }: DrillFacts): string[] {
  if (host.state === 'not asked') return [];
  if (host.state === 'dead')
    return [`${host.why} Start the agent: nothing on this host is watched until then.`];
  if (host.lost !== undefined)
    return [`The agent on this host answered before the drill, and now: ${host.lost}`];
  const { container, ruleOn, shed, hostname } = host.last;
  if (container !== undefined && container.state !== 'included') {
    const name = escapeHidden(container.name ?? container.id);
    return [
      `The agent runs, and does not watch the container ${name}: ${escapeHidden(container.reason)}`,
    ];
  }
  if (!ruleOn)
    return shed.includes(action.priority)
      ? [
          `The agent is over a ceiling of its own, and has switched rules of priority ${shed.join(', ')} off (varvel status). A drill of priority critical is never shed: --priority critical.`,
        ]
      : [
          `The rule "${action.rule}" does not run on this host: it comes with varvel’s default rules, and the configuration leaves it or them out (rules_files, rules, minimum_priority).`,
        ];
  const where =
    container === undefined
      ? `It sees no container that the command of --run names${run === undefined ? '' : ' (--app says which app it is)'}: see varvel status.`
      : `It watches the container ${escapeHidden(container.name ?? container.id)}.`;
  return [
    `The agent on this host (${escapeHidden(hostname)}) runs, its rule is on, and it saw no drill. ${where} Was the action done in a container of this host, and did it open ${action.path}?`,
  ];
}

/** Why the agent wrote nothing, as its coverage lines tell; none when they come as they should. */
export function coverageAdvice(
  { nowUnixMs }: Pick<DrillFacts, 'nowUnixMs'>,
  { coverage, agentLines }: LogFacts,
): string[] {
  if (agentLines === 0)
    return [
      'This log has no line of the agent, not even a coverage line. These come 5 s after an app’s start and every five minutes. So nobody watches this app, or the lines go elsewhere. Did it ask to be watched (label varvel.enable or varvel.policy, or the platform’s)? Does an agent run on its host? Ask its operator for varvel status.',
    ];
  if (coverage === undefined) return [];
  const { when, timeMs, text, notWatched } = coverage;
  const quoted = escapeHidden(text).slice(0, MAX_QUOTED);
  const at = timeMs === undefined ? '' : ` of ${clock(timeMs)}`;
  if (when === 'stop' || when === 'agent stop')
    return [
      `The last coverage line${at} says: "${quoted}" ${when === 'stop' ? 'Is this the log of a container that is gone?' : 'The agent was stopped: it has to be started again.'}`,
    ];
  const ageMs = timeMs === undefined ? 0 : nowUnixMs - timeMs;
  if (ageMs > SILENCE_MINUTES * MINUTE_MS)
    return [
      `No coverage line since ${Math.floor(ageMs / MINUTE_MS)} minutes (the last${at}), though they come every five: the agent on its host has ended, or its lines do not arrive.`,
    ];
  return notWatched === undefined
    ? []
    : [
        `The agent has rules switched off, being over a ceiling of its own; this app is not watched for: ${escapeHidden(notWatched).slice(0, MAX_QUOTED)}. A drill of priority critical is never shed: --priority critical.`,
      ];
}

/** Why the line is not in the log. */
export function logAdvice(facts: DrillFacts, log: LogFacts): string[] {
  const { action, host } = facts;
  const end = log.lastEnd;
  if (end !== undefined && end.code !== 0 && log.agentLines === 0)
    return [
      `The command of --logs ended with ${end.code ?? 'a signal'}${end.said === '' ? '' : `, saying "${end.said}"`}. Try it by hand.`,
    ];
  const out: string[] = [];
  if (log.strange > 0)
    out.push(
      `${log.strange} ${log.strange === 1 ? 'line has' : 'lines have'} the drill’s token, but in a form that does not tell who wrote it. Have --logs print the lines unchanged, as cf logs, a syslog drain (RFC 5424), docker or kubectl give them.`,
    );
  if (log.suppressed)
    out.push('The agent counted drills instead of writing them (limits): wait for a minute.');
  if (host.state === 'answers' && host.roseAtMs !== undefined) {
    const names = host.last.streams.map(({ name }) => name).join(', ');
    out.push(
      `The agent reported it, and its streams (${names === '' ? 'none' : names}) have nothing that waits: none of them writes into this log, or the app’s own policy leaves the rule out. Whose log is it that --logs prints?`,
    );
  } else if (facts.page?.seenAtMs === undefined)
    out.push(
      `Other lines of the agent come (${log.agentLines} here), but not this one. The rule "${action.rule}" may be off: by the app’s own policy (varvel.yml: rules, minimum_priority), or by the operator, or the agent is older than the rule. Or the action was not done in the app whose log this is.`,
    );
  else
    out.push('The alert came, so the line goes another way: whose log is it that --logs prints?');
  return out;
}

/** Why no alert came of it. */
export function alertAdvice(
  { log, action, waitedMs }: DrillFacts,
  page: NonNullable<DrillFacts['page']>,
): string[] {
  const out: string[] = [];
  const event = log?.drill?.eventMs;
  const earlier = log?.earlierMs;
  const other = action.rule === DRILL_RULES.Warning ? 'critical' : 'warning';
  const isSame = log?.drill?.incident === log?.earlierIncident;
  if (event !== undefined && earlier !== undefined && isSame && isOneIncident(earlier, event))
    out.push(
      `A drill at ${clock(earlier)} is the same incident, of which there is one page. A rule begins three incidents in a container; then its lines are one, until none came for ${INCIDENT_MINUTES} minutes. Wait that long, or use --priority ${other}, which is another rule.`,
    );
  const waited = `${Math.round(waitedMs / 1000)} s`;
  if (page.failure !== undefined) out.push(`${page.where} cannot be looked at: ${page.failure}.`);
  else if (page.kind === 'listen')
    out.push(
      page.others === 0
        ? `No request came to ${page.where} in ${waited}: is that the address in the alert definitions (varvel alerts PLATFORM --webhook URL), and can it be reached from there?`
        : `${page.others} ${page.others === 1 ? 'request' : 'requests'} came to ${page.where}, none with "${page.text}".`,
    );
  else out.push(`${page.where} did not have "${page.text}" in ${waited}.`);
  out.push(
    `Paste what "varvel alerts PLATFORM" prints again, with --priority ${action.priority.toLowerCase()} or less severe (and no --rule, or --rule "${action.rule}" too). What counts lines instead of quoting them never has the token, but perhaps the incident of the line, which --logs finds, or the rule: --expect-text "${action.rule}". What looks every few minutes needs a longer --timeout.`,
  );
  return out;
}

function isOneIncident(earlierMs: number, eventMs: number): boolean {
  return earlierMs < eventMs && eventMs - earlierMs <= INCIDENT_MINUTES * MINUTE_MS;
}
