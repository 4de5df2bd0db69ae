import { notWatchedFor } from '../agent-ceilings.ts';
import type { AgentSnapshot } from '../agent-snapshot.ts';
import type { ContainerStatus } from '../apps/status.ts';
import type { ListenAddress } from '../config/listen-address.ts';
import { askAgent } from '../metrics/endpoint-client.ts';
import { replaceControls } from '../shared/text.ts';
import type { Io } from './io.ts';

/**
 * `varvel status`: which containers the running agent sees, whose they are, in scope or why not, and what was lost.
 * Exit code 0 when nothing was lost, 1 when something was; throws UserError when no agent answers.
 */
export async function runStatus(
  args: { readonly listen: ListenAddress; readonly json: boolean },
  io: Io,
): Promise<number> {
  const body = await askAgent(args.listen, '/status');
  const snapshot = JSON.parse(body) as AgentSnapshot;
  io.stdout(args.json ? `${JSON.stringify(snapshot, null, 2)}\n` : format(snapshot));
  return lost(snapshot) > 0 ? 1 : 0;
}

function lost({ kernel, waiting, delivery }: AgentSnapshot): number {
  const streams = Object.values(delivery.streams).reduce((sum, { dropped }) => sum + dropped, 0);
  return (
    kernel.dropped +
    kernel.scopeFull +
    waiting.events.dropped +
    waiting.detections.dropped +
    streams
  );
}

function format(snapshot: AgentSnapshot): string {
  const { apps, kernel, waiting, rules } = snapshot;
  const upSeconds = Math.round((Date.now() - snapshot.startedAtMs) / 1000);
  const detections = Object.values(snapshot.engine.detections).reduce((a, b) => a + b, 0);
  const attached = snapshot.hooks.filter((hook) => hook.startsWith('sys_')).length;
  const lines = [
    `agent ${snapshot.hostname} (pid ${snapshot.pid}), up ${upSeconds} s, mode ${apps.mode}, ` +
      `${apps.hierarchy.kind} cgroups, ${rules.enabled} rules, ${attached} system call hooks attached`,
    ...rulesLines(rules),
    ...apps.runtimes.map(
      (runtime) =>
        `runtime ${runtime.name}: ${runtime.connected ? 'connected' : 'NOT CONNECTED'}. ${runtime.message}`,
    ),
    '',
    ...table(apps.containers.filter((container) => !container.gone)),
    '',
    `records: ${kernel.emitted} from the kernel, ${kernel.dropped} lost, ${kernel.prefiltered} kept back by prefilters`,
    `waiting: ${waiting.events.held} events and ${waiting.detections.held} detections for their container's identity` +
      ` (given up: ${waiting.events.dropped + waiting.detections.dropped})`,
    `detections: ${detections}` +
      (snapshot.delivery.suppressed > 0
        ? `, ${snapshot.delivery.suppressed} of them counted instead of written`
        : '') +
      Object.entries(snapshot.delivery.streams)
        .map(
          ([name, stream]) =>
            `; ${name}: ${stream.delivered} delivered, ${stream.failed} failed, ${stream.dropped} dropped`,
        )
        .join(''),
  ];
  lines.push(...spoolLines(snapshot.streams), ...ceilingLines(snapshot.ceilings));
  lines.push(...continuityLines(snapshot.continuity));
  if (kernel.scopeFull > 0)
    lines.push(`NOT WATCHED: ${kernel.scopeFull} cgroups found the scope map full`);
  if (apps.rescanTruncated)
    lines.push('NOT COMPLETE: there are more cgroups than one rescan looks at');
  return `${lines.join('\n')}\n`;
}

/** What waits on the disk for each receiver. */
function spoolLines(streams: AgentSnapshot['streams']): string[] {
  return Object.entries(streams).flatMap(([name, counters]) => {
    if (!('spool' in counters)) return [];
    const { waiting, bytes, maxBytes, oldestMs, refused, inMemory } = counters.spool;
    const oldest = oldestMs === undefined ? '' : `, the oldest of ${clock(oldestMs)}`;
    return [
      `spool ${name}: ${waiting} lines wait for the receiver (${mebibytes(bytes)} of ${mebibytes(maxBytes)} MiB on the disk${oldest})` +
        (inMemory > 0 ? `; ${inMemory} OF THEM IN MEMORY: the disk takes nothing` : '') +
        (refused > 0 ? `; ${refused} DID NOT FIT` : ''),
    ];
  });
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
  const reason = lastFailure.reason.split('\n').map((text) => `  ${replaceControls(text)}`);
  return [
    line,
    `RULES NOT RELOADED at ${clock(lastFailure.atMs)}: those before go on, because`,
    ...reason,
  ];
}

/** Local time would need the agent's time zone. */
function clock(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

const HEADINGS = ['CONTAINER', 'NAME', 'APP', 'RUNTIME', 'SCOPE', 'EVENTS', 'LOST', 'WHY'];

function table(containers: readonly ContainerStatus[]): string[] {
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
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  return [HEADINGS, ...rows].map((row) =>
    row
      .map((cell, column) =>
        // Names are a tenant's: nothing in them may steer the operator's terminal.
        column === HEADINGS.length - 1
          ? replaceControls(cell)
          : replaceControls(cell).padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}
