import { escapeHidden } from '../../streams/escape.ts';
import { stuckStreams } from './advice.ts';
import { breakOf, HOPS, isSeen, isSeenByHost } from './verdict.ts';
import type { Break, DrillFacts, HopName } from './verdict.ts';

/** A hop as it is shown. */
export interface Hop {
  readonly hop: HopName;
  readonly state: 'ok' | 'broken' | 'not reached' | 'not asked';
  /** Unix ms, by this host's clock. */
  readonly atMs: number | undefined;
  /** Since the action began, by this host's clock. */
  readonly afterMs: number | undefined;
  /** Time since the latest earlier hop that has a time of the same clock. */
  readonly tookMs: number | undefined;
  readonly said: string;
}

/** What a drill came to. */
export interface DrillOutcome {
  readonly hops: readonly Hop[];
  readonly broken: Break | undefined;
  /** What to know besides: clocks, and what the log cannot tell. */
  readonly notes: readonly string[];
}

/** When something was, of `performance.now()`, and what is to be said of it. */
interface Seen {
  readonly ok: boolean;
  readonly asked: boolean;
  readonly at: number | undefined;
  readonly said: string;
}

/** The hops of a drill with their times, which of them is broken, and what to know besides. */
export function outcomeOf(facts: DrillFacts): DrillOutcome {
  const broken = breakOf(facts);
  const seen: Readonly<Record<HopName, Seen>> = {
    action: ofAction(facts),
    agent: ofAgent(facts),
    streams: ofStreams(facts),
    log: ofLog(facts),
    alert: ofAlert(facts),
  };
  const began = facts.run?.beganMs;
  const times = began === undefined ? [] : [began];
  const hops = HOPS.map((hop): Hop => {
    const { ok, asked, at, said } = seen[hop];
    const state = ok ? 'ok' : broken?.hop === hop ? 'broken' : asked ? 'not reached' : 'not asked';
    // A log that is looked at now and then may be seen after what follows it.
    const before = times.filter((time) => at !== undefined && time <= at);
    // The action itself takes time: later hops count from its start.
    if (at !== undefined && hop !== 'action') times.push(at);
    return {
      hop,
      state,
      said,
      atMs: at === undefined ? undefined : at + facts.unixOffsetMs,
      afterMs: at === undefined || began === undefined ? undefined : at - began,
      tookMs: at === undefined || before.length === 0 ? undefined : at - Math.max(...before),
    };
  });
  return { hops, broken, notes: notesOf(facts) };
}

function ofAction({ run, action }: DrillFacts): Seen {
  if (run === undefined) return { ok: false, asked: false, at: undefined, said: 'without --run' };
  const { code } = run.end;
  const said =
    code === 0
      ? `tried to open ${action.path}`
      : `the command ${code === undefined ? 'did not end' : `ended with ${code}`}`;
  return { ok: code === 0, asked: true, at: run.endedMs, said };
}

function ofAgent(facts: DrillFacts): Seen {
  const { log, host, unixOffsetMs } = facts;
  const asked = host.state !== 'not asked' || log !== undefined;
  if (!isSeen(facts)) {
    const said = host.state === 'not asked' && !asked ? host.why : 'saw no drill';
    return { ok: false, asked, at: undefined, said };
  }
  const event = log?.drill?.eventMs;
  if (event !== undefined && isOneClock(facts))
    return { ok: true, asked, at: event - unixOffsetMs, said: 'the event, by the same clock' };
  if (event !== undefined) {
    const at = new Date(event).toISOString().slice(11, 23);
    const name = escapeHidden(log?.drill?.hostname ?? '');
    const whose = name === '' ? 'its host' : name;
    return { ok: true, asked, at: undefined, said: `the event at ${at}, by the clock of ${whose}` };
  }
  if (host.state === 'answers' && host.roseAtMs !== undefined)
    return { ok: true, asked, at: host.roseAtMs, said: 'it counted the drill' };
  return {
    ok: true,
    asked: true,
    at: undefined,
    said: 'not seen itself, but later hops saw the drill',
  };
}

/** Whether the event has the time of this host's clock: then its agent counted the drill, and the line names this host. */
function isOneClock({ host, log }: DrillFacts): boolean {
  if (host.state !== 'answers' || !isSeenByHost(host)) return false;
  return log?.drill?.hostname === undefined || log.drill.hostname === host.last.hostname;
}

function ofStreams(facts: DrillFacts): Seen {
  const { host } = facts;
  if (host.state !== 'answers' || !isSeenByHost(host)) {
    const said = 'only the agent on this host can be asked';
    return { ok: false, asked: false, at: undefined, said };
  }
  const stuck = stuckStreams(facts).length;
  const names = host.last.streams.map(({ name }) => name).join(', ');
  const said = stuck === 0 ? `nothing waits (${names})` : `lines wait, or are lost, in ${stuck}`;
  return { ok: stuck === 0, asked: true, at: undefined, said };
}

function ofLog({ log, waitedMs }: DrillFacts): Seen {
  if (log === undefined) return { ok: false, asked: false, at: undefined, said: 'without --logs' };
  if (log.drill === undefined)
    return { ok: false, asked: true, at: undefined, said: `not within ${seconds(waitedMs)}` };
  const said =
    log.drill.origin === 'varvel'
      ? 'the line, from the agent as the log says'
      : 'the line; the log does not say who wrote it';
  return { ok: true, asked: true, at: log.drill.atMs, said };
}

function ofAlert({ page, waitedMs }: DrillFacts): Seen {
  if (page === undefined)
    return { ok: false, asked: false, at: undefined, said: 'without --expect or --listen' };
  const ok = page.seenAtMs !== undefined;
  const said = ok ? `at ${page.where}` : `not within ${seconds(waitedMs)}`;
  return { ok, asked: true, at: page.seenAtMs, said };
}

function notesOf(facts: DrillFacts): string[] {
  const { log, run, host, page } = facts;
  const notes: string[] = [];
  if (facts.interrupted)
    notes.push(`You ended it after ${seconds(facts.waitedMs)}: more may have come later.`);
  if (log?.drill?.origin === 'unknown')
    notes.push(
      isSeenByHost(host)
        ? 'This log does not say who wrote a line, and an app can print anything; but the agent counted a drill as well.'
        : 'This log does not say who wrote a line: an app that watches its container could have printed this one.',
    );
  if (log !== undefined && log.forged > 0)
    notes.push(
      `${log.forged} ${log.forged === 1 ? 'line' : 'lines'} in this log looked like the drill’s, and came from elsewhere than the agent: something in the app prints them.`,
    );
  const event = log?.drill?.eventMs;
  if (event !== undefined && !isOneClock(facts)) notes.push(ofClocks(event, facts));
  if (run !== undefined && run.end.code !== 0 && isSeen(facts))
    notes.push('The command of --run failed, but what it was to do was done.');
  const polled = [
    ...(log?.drill !== undefined && log.lastEnd !== undefined ? ['the log'] : []),
    ...(page?.kind === 'expect' && page.seenAtMs !== undefined ? ['the alert'] : []),
  ];
  if (polled.length > 0)
    notes.push(
      `${polled.join(' and ')} ${polled.length === 1 ? 'was' : 'were'} polled, with pauses of up to a second: it may have arrived up to a second earlier.`,
    );
  return notes.map((note) => `${note.slice(0, 1).toUpperCase()}${note.slice(1)}`);
}

/** What both clocks show: the event was after the action began, and before its line was read. */
function ofClocks(event: number, { log, run, unixOffsetMs }: DrillFacts): string {
  const readMs = (log?.drill?.atMs ?? 0) + unixOffsetMs;
  const general =
    'The event’s time is by another host’s clock, so the way to the agent has no time of its own';
  if (event > readMs)
    return `${general}. That clock is ahead of this one, by at least ${seconds(event - readMs)}.`;
  const beganMs = run === undefined ? undefined : run.beganMs + unixOffsetMs;
  if (beganMs !== undefined && event < beganMs)
    return `${general}. That clock is behind this one, by at least ${seconds(beganMs - event)}.`;
  return `${general}; the two do not contradict each other.`;
}

/** `1.2 s`, `340 ms`. */
export function seconds(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}
