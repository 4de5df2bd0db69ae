import { notWatchedFor } from '../agent/ceilings.ts';
import { isGood } from '../agent/canary-run.ts';
import type { CertainCounts } from '../agent/certain-matches.ts';
import type { AgentSnapshot } from '../agent/snapshot.ts';
import type { VerdictsStatus } from '../agent/verdict-group.ts';
import { isAbsent } from '../apps/absent-runtime.ts';
import type { ContainerStatus } from '../apps/status.ts';
import type { AgentConfig } from '../config/config.ts';
import { askAgent } from '../metrics/endpoint-client.ts';
import { replaceControls } from '../shared/text.ts';
import { RESULTS } from '../streams/stream.ts';
import { clock } from './clock.ts';
import { columns } from './columns.ts';
import { liftText } from './lift.ts';
import type { Io } from './io.ts';
import { deniedLines } from './status-denied.ts';
import { costsAsJson, costsAsText } from './status-rules.ts';
import { hasTroubles, isLong } from './status-troubles.ts';

/** Events that are named of those that were filtered. */
const MOST_FILTERED = 5;

/**
 * `varvel status`: which containers the running agent sees, whose they are, in scope or why not, and what was lost.
 * Exit code 0 when all is well, 1 if not (see `hasTroubles`); of `rules` only whether those in force are those of the files.
 * Throws UserError when no agent answers.
 */
export async function runStatus(
  {
    config,
    json,
    rules,
  }: { readonly config: AgentConfig; readonly json: boolean; readonly rules: boolean },
  io: Io,
): Promise<number> {
  const body = await askAgent(config.metrics.listen, '/status');
  const snapshot = JSON.parse(body) as AgentSnapshot;
  if (rules) {
    io.stdout(json ? costsAsJson(snapshot) : costsAsText(snapshot));
    for (const line of staleLines(snapshot.rules)) io.stderr(`${line}\n`);
    return snapshot.rules.stale ? 1 : 0;
  }
  io.stdout(json ? `${JSON.stringify(snapshot, null, 2)}\n` : format(snapshot, config));
  return hasTroubles(snapshot, config) ? 1 : 0;
}

function format(snapshot: AgentSnapshot, { runtimes }: AgentConfig): string {
  const { apps, kernel, processes, waiting, rules } = snapshot;
  const upSeconds = Math.round((Date.now() - snapshot.startedAtMs) / 1000);
  const detections = Object.values(snapshot.engine.detections).reduce((a, b) => a + b, 0);
  const attached = snapshot.hooks.filter((hook) => hook.startsWith('sys_')).length;
  const lines = [
    `agent ${snapshot.hostname} (pid ${snapshot.pid}), up ${upSeconds} s, mode ${apps.mode}, ` +
      `${apps.hierarchy.kind} cgroups, ${rules.enabled} rules, ${attached} system call hooks attached`,
    ...rulesLines(rules),
    ...policyLines(snapshot.policies),
    ...apps.runtimes.map((runtime) => {
      const missing = isAbsent(runtime, runtimes) ? 'not on this host' : 'NOT CONNECTED';
      return `runtime ${runtime.name}: ${runtime.connected ? 'connected' : missing}. ${runtime.message}`;
    }),
    '',
    ...containerTable(apps.containers.filter((container) => !container.gone)),
    '',
    `records: ${kernel.emitted} from the kernel, ${kernel.dropped} lost, ${kernel.prefiltered} filtered in the kernel${mostFiltered(kernel.filtered)}`,
    `file calls and connects: in ${kernel.verdicts.containers} containers the kernel discards those that no rule can match (${kernel.verdicts.tables} rule tables${waitingText(kernel.verdicts)})${certainText(kernel.verdicts.certain)}`,
    ...deniedLines(kernel),
    `processes: ${processes.processes}, their programs take ${mebibytes(processes.imageBytes)} MiB` +
      (processes.imagesCut > 0
        ? `; arguments and environment of ${processes.imagesCut} programs were dropped for lack of memory`
        : '') +
      (processes.evicted > 0 ? `; ${processes.evicted} running processes were forgotten` : ''),
    `waiting: ${waiting.events.held} events and ${waiting.detections.held} detections for their container's identity` +
      ` (dropped for lack of room: ${waiting.events.dropped + waiting.detections.dropped})`,
    `detections: ${detections}` +
      (snapshot.delivery.suppressed > 0
        ? `, ${snapshot.delivery.suppressed} of them counted instead of written`
        : '') +
      Object.entries(snapshot.delivery.streams)
        .map(([name, results]) => {
          const counts = RESULTS.filter((result) => results[result] !== undefined);
          return `; ${name}: ${counts.map((result) => `${results[result]} ${result}`).join(', ')}`;
        })
        .join(''),
  ];
  lines.push(...snapshot.lifts.map(liftText));
  lines.push(...responseLines(snapshot.responses), ...evidenceLines(snapshot.evidence));
  lines.push(...isolationLines(snapshot.isolation), ...pauseLines(snapshot.pauses));
  lines.push(...spoolLines(snapshot.streams), ...ceilingLines(snapshot.ceilings));
  lines.push(...continuityLines(snapshot.continuity), ...canaryLines(snapshot.canary));
  if (kernel.skipped > 0)
    lines.push(
      `NOT SEEN: ${kernel.skipped} events so far, as the kernel skipped the probe while tasks competed for a CPU (Linux 7.0 and newer)`,
    );
  if (kernel.scopeFull > 0)
    lines.push(
      `NOT WATCHED: ${kernel.scopeFull} containers so far, as this host has more than varvel can watch (16384)`,
    );
  if (apps.rescanTruncated)
    lines.push(
      'NOT COMPLETE: there are more cgroups than one rescan looks at, so containers may be missing here',
    );
  return `${lines.join('\n')}\n`;
}

/** Apps' own policies, and whose rules are paused. */
function policyLines({
  inForce,
  refused,
  totals,
  containers,
}: AgentSnapshot['policies']): string[] {
  if (inForce + refused + totals.events === 0) return [];
  const counts =
    `policies: ${inForce} in force, ${refused} refused; own rules paused ${totals.pauses} times` +
    (totals.failures > 0 ? `, FAILED ${totals.failures} times` : '') +
    (totals.cutEvents > 0 ? `, cut short for ${totals.cutEvents} events` : '');
  const paused = containers.flatMap(({ container, app, paused: isPaused, costliest }) => {
    if (!isPaused) return [];
    const rule = costliest === undefined ? '' : `; "${costliest.rule}" cost most`;
    const line = `OWN RULES PAUSED: container ${container} of ${app ?? 'no app'}, over its budget (policies.budget)${rule}`;
    return [replaceControls(line)];
  });
  return [counts, ...paused];
}

/** What waits on the disk for each receiver. */
function spoolLines(streams: AgentSnapshot['streams']): string[] {
  return Object.entries(streams).flatMap(([name, counters]) => {
    if (!('spool' in counters)) return [];
    const { waiting, bytes, maxBytes, oldestMs, refused, dropped, inMemory } = counters.spool;
    const { former } = counters.spool;
    const oldest = oldestMs === undefined ? '' : `, the oldest of ${clock(oldestMs)}`;
    const { down } = counters;
    return [
      ...(!isLong(down)
        ? []
        : [
            replaceControls(
              `RECEIVER TAKES NOTHING: stream ${name} since ${clock(down.sinceMs)}: ${down.reason}`,
            ),
          ]),
      `spool ${name}: ${waiting} lines wait for the receiver (${mebibytes(bytes)} of ${mebibytes(maxBytes)} MiB on the disk${oldest})` +
        (inMemory > 0
          ? `; ${inMemory} OF THEM IN MEMORY: they cannot be written to the disk`
          : '') +
        (refused > 0 ? `; ${refused} LOST: there was no room for them` : '') +
        (dropped > 0 ? `; ${dropped} LOST to make room for other apps` : ''),
      ...(former === undefined
        ? []
        : [
            replaceControls(
              former.kept
                ? `spool ${name}: ${former.records} lines that waited for ${former.where} go to the new url (on_url_change: keep)`
                : `spool ${name}: ${former.records} lines that waited for ${former.where} LOST: the url has changed (on_url_change: drop)`,
            ),
          ]),
    ];
  });
}

/** The containers that are cut off from the network, with what they tried. */
function isolationLines(status: AgentSnapshot['isolation']): string[] {
  const { containers, packetsDropped, connectsRefused, unavailable } = status;
  const each = containers.map(({ id, app, rule, sinceMs }) =>
    replaceControls(
      `CUT OFF FROM THE NETWORK: container ${id} of ${app ?? 'no app'} since ${clock(sinceMs)}, by "${rule}"`,
    ),
  );
  if (unavailable !== undefined) each.push(`isolate: NOT POSSIBLE HERE: ${unavailable}`);
  if (packetsDropped + connectsRefused > 0)
    each.push(`isolate: ${packetsDropped} packets dropped, ${connectsRefused} connects refused`);
  return each;
}

/** The containers that are paused. */
function pauseLines({ containers }: AgentSnapshot['pauses']): string[] {
  return containers.map(({ id, app, rule, sinceMs }) =>
    replaceControls(
      `PAUSED: container ${id} of ${app ?? 'no app'} since ${clock(sinceMs)}, by "${rule}"`,
    ),
  );
}

/** What was done about detections. */
function responseLines(counts: AgentSnapshot['responses']): string[] {
  if (counts.length === 0) return [];
  const each = counts.map(({ name, outcome, count }) => `${name} ${outcome} ${count} times`);
  return [`responses: ${each.join(', ')}`];
}

/** How often there was evidence of them. */
function evidenceLines({ written, partly, limited }: AgentSnapshot['evidence']): string[] {
  if (written + limited === 0) return [];
  const missing = partly > 0 ? `, ${partly} of them not whole` : '';
  const over = limited > 0 ? `, ${limited} times over the limit and not written` : '';
  return [`evidence: written ${written} times${missing}${over}`];
}

/** What the agent uses; with ceilings, what it may, and which rules are off for that. */
function ceilingLines(status: AgentSnapshot['ceilings']): string[] {
  const { cpuPercent, memoryBytes } = status.ceilings;
  const of = (ceiling: string | undefined): string =>
    ceiling === undefined ? '' : ` of ${ceiling}`;
  const uses =
    `agent: ${status.cpuPercent.toFixed(0)}${of(cpuPercent?.toFixed(0))} % of a CPU, ` +
    `${mebibytes(status.memoryBytes)}${of(memoryBytes === undefined ? undefined : mebibytes(memoryBytes))} MiB of memory`;
  const steps =
    status.sheds > 0
      ? `; rules switched off ${status.sheds} times, on ${status.restores} times`
      : '';
  const without = notWatchedFor(status);
  return [
    `${uses}${steps}`,
    ...(without === undefined
      ? []
      : [`NOT WATCHED FOR: ${without}, from ${clock(status.sinceMs ?? 0)} on`]),
  ];
}

/** What was not watched before this agent, and what the disk does not take. */
function continuityLines({ troubles, unwatched }: AgentSnapshot['continuity']): string[] {
  const { seconds, containers } = unwatched;
  return [
    ...(containers > 0
      ? [
          `not watched before this agent’s start: ${containers} containers, ${seconds.toFixed(1)} s at most; their logs say when`,
        ]
      : []),
    ...troubles.map(
      ({ part, sinceMs, why, means }) =>
        `NOT KEPT ON DISK since ${clock(sinceMs)}: ${part}, because ${why}. ${means}`,
    ),
  ];
}

/** Whether the agent's own canary came through. */
function canaryLines(canary: AgentSnapshot['canary']): string[] {
  if (canary === undefined) return [];
  const { last, lastGood, runs } = canary;
  if (last === undefined)
    return ['canary: no run yet; the first is a minute or two after the start'];
  const counts = Object.entries(runs)
    .filter(([, count]) => count > 0)
    .map(([result, count]) => `${count} ${result.replace('_', ' ')}`);
  const before =
    isGood(last.result) || lastGood === undefined
      ? ''
      : ` Before, at ${clock(lastGood.atMs)}, it came through.`;
  const word = isGood(last.result)
    ? 'canary'
    : `CANARY ${last.result === 'failed' ? 'FAILED' : 'NOT SEEN'}`;
  const text = `${word} at ${clock(last.atMs)}: ${last.says}${before} Runs: ${counts.join(', ')}`;
  return [replaceControls(text)];
}

function mebibytes(bytes: number): string {
  return (bytes / 1024 ** 2).toFixed(bytes < 10 * 1024 ** 2 ? 1 : 0);
}

/** The rules in force, and whether the files say something else by now. */
function rulesLines(rules: AgentSnapshot['rules']): string[] {
  const { ok, failed } = rules.reloads;
  const line =
    `rules: ${rules.enabled} of ${rules.loaded} enabled, digest ${rules.digest.slice(0, 12)}, ` +
    `loaded ${clock(rules.loadedAtMs)}; reloads: ${ok} ok, ${failed} failed`;
  const { lastFailure } = rules;
  if (lastFailure === undefined) return [line];
  if (!rules.stale) return [`${line} (the last at ${clock(lastFailure.atMs)})`];
  return [line, ...staleLines(rules)];
}

function staleLines({ stale, lastFailure }: AgentSnapshot['rules']): string[] {
  if (!stale || lastFailure === undefined) return [];
  return [
    `RULES NOT RELOADED at ${clock(lastFailure.atMs)}: the previous rules stay in force, because`,
    ...lastFailure.reason.split('\n').map((text) => `  ${replaceControls(text)}`),
  ];
}

function containerTable(containers: readonly ContainerStatus[]): string[] {
  if (containers.length === 0) return ['No container is seen on this host.'];
  const rows = containers.map((container) => [
    container.id,
    container.name ?? '-',
    [container.org, container.space, container.app].filter(Boolean).join('/') || '-',
    container.runtime,
    container.state === 'included' ? 'in' : container.state === 'excluded' ? 'out' : 'pending',
    String(container.emitted),
    String(container.dropped),
    container.reason,
  ]);
  return columns(['CONTAINER', 'NAME', 'APP', 'RUNTIME', 'SCOPE', 'EVENTS', 'LOST', 'WHY'], rows);
}

/** The events of which most were filtered. An agent of before does not say. */
function mostFiltered(filtered: Readonly<Record<string, number>> | undefined): string {
  const most = Object.entries(filtered ?? {})
    .filter(([, count]) => count > 0)
    .sort(([, one], [, other]) => other - one)
    .slice(0, MOST_FILTERED)
    .map(([event, count]) => `${event} ${count}`);
  return most.length === 0 ? '' : ` (${most.join(', ')})`;
}

/** Containers for which a table is still to be made. */
function waitingText({ waiting }: VerdictsStatus): string {
  return waiting === 0 ? '' : `; ${waiting} wait for another`;
}

/** What the agent found of the calls of which the kernel was certain. */
function certainText({ confirmed, unconfirmed }: CertainCounts): string {
  if (confirmed + unconfirmed === 0) return '';
  const text = `; certain of a match ${confirmed + unconfirmed} times`;
  return unconfirmed === 0 ? text : `${text}, WRONGLY ${unconfirmed}: see the agent's log`;
}
