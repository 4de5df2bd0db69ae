import { DeniedRecords, type DeniedRecord } from '../agent/denied-record.ts';
import type { LiftRequest } from '../agent/lift-request.ts';
import { pinnedDirectories, removePins } from '../agent/pinned-denial.ts';
import { liftPinned, type PinnedLift } from '../agent/pinned-lift.ts';
import { StoredLifts } from '../agent/stored-lifts.ts';
import type { AgentConfig } from '../config/config.ts';
import { pinnedMaps } from '../host/pinned-programs.ts';
import { ownerIn } from '../host/own-folder.ts';
import { PauseMarks } from '../responses/pause-marks.ts';
import { UserError } from '../shared/user-error.ts';
import { clock } from './clock.ts';

/** What was done without an agent. */
export interface LiftedWithoutAgent {
  /** All that was asked for. */
  readonly isDone: boolean;
  /** As sentences. */
  readonly notes: readonly string[];
  /** Of a lift of an app or of rules; undefined of one of all. */
  readonly lifted?: PinnedLift;
}

const ALL =
  'No agent runs. What the last one left denied is allowed now. What it left paused goes on.';
const FOR_GOOD = 'to prevent that, put a file named "lift" beside the configuration.';
const OR_ALL = 'To allow all of it, run varvel lift without --app and --rule.';

/**
 * Ends what is denied without an agent (probe.deny_without_agent). If all is lifted, also pauses that a killed agent has left. Undefined if
 * there is nothing of the kind, or an agent runs: that is to be asked then. Throws UserError.
 */
export function liftWithoutAgent(
  config: Pick<AgentConfig, 'probe' | 'stateDir'>,
  request: LiftRequest,
): LiftedWithoutAgent | undefined {
  const { stateDir, probe } = config;
  if (ownerIn(stateDir) !== undefined) return undefined;
  if (request.end) return endStored(stateDir, request);
  const directories = pinnedDirectories(probe.bpfFileSystem, stateDir);
  const isAll = request.app === undefined && request.rule === undefined;
  if (isAll) {
    if (liftAll(directories, stateDir) === 0) return undefined;
    return { isDone: true, notes: [ALL, untilWhen(stateDir, request)] };
  }
  if (directories.length === 0) return undefined;
  const found = directories.map((directory) => liftIn(directory, stateDir, request));
  const lifted = sumOf(found.map((one) => one.lifted));
  const isDone = lifted.unknown + lifted.shared === 0;
  const notes = [
    liftedText(lifted, request),
    ...leftText(lifted, request),
    ...new Set(found.flatMap(({ trouble }) => trouble ?? [])),
    untilWhen(stateDir, request),
  ];
  return { isDone, notes, lifted };
}

/** How much was ended. */
function liftAll(directories: readonly string[], stateDir: string): number {
  const records = new DeniedRecords(stateDir);
  for (const directory of directories) {
    try {
      removePins(directory);
    } catch (error) {
      throw goesOn(directory, error);
    }
    records.remove(directory);
  }
  const { thawed, failed } = new PauseMarks(stateDir).thawLeft();
  for (const { directory, code } of failed)
    throw new UserError(`The container of ${directory} stays paused: ${code}. Run this as root.`);
  return directories.length + thawed;
}

function liftIn(
  directory: string,
  stateDir: string,
  request: LiftRequest,
): { readonly lifted: PinnedLift; readonly trouble: string | undefined } {
  let record: DeniedRecord | undefined;
  let trouble: string | undefined;
  try {
    record = new DeniedRecords(stateDir).read(directory);
    if (record === undefined) trouble = 'The last agent has left no record of what it denied.';
  } catch (error) {
    trouble = `The record of what is denied, in ${stateDir}, is not believed: ${String(error)}.`;
  }
  try {
    return { lifted: liftPinned(pinnedMaps(directory), record, request), trouble };
  } catch (error) {
    throw goesOn(directory, error);
  }
}

function goesOn(directory: string, error: unknown): UserError {
  const { code = String(error) } = error as NodeJS.ErrnoException;
  const what =
    code === 'ENOENT' || code === 'ENOTSUP'
      ? `${code}: an agent of another version has left it. ${OR_ALL}`
      : `${code}. Run this as root.`;
  return new UserError(`What is denied by ${directory} goes on: ${what}`, { cause: error });
}

function sumOf(all: readonly PinnedLift[]): PinnedLift {
  const sum = (of: (one: PinnedLift) => number): number =>
    all.reduce((total, one) => total + of(one), 0);
  return {
    containers: sum(({ containers }) => containers),
    rules: [...new Set(all.flatMap(({ rules }) => rules))].sort(),
    unknown: sum(({ unknown }) => unknown),
    shared: sum(({ shared }) => shared),
  };
}

function liftedText({ containers, rules }: PinnedLift, { app, rule }: LiftRequest): string {
  const where = app === undefined ? '' : ` in app ${app}`;
  const of = rule === undefined ? '' : ` by a rule ${JSON.stringify(rule)}`;
  if (containers === 0)
    return `No agent runs. It is known of nothing that it is denied${where}${of}.`;
  const by =
    rules.length === 0 ? '' : ` by ${rules.map((name) => JSON.stringify(name)).join(', ')}`;
  const many = `${containers} ${containers === 1 ? 'container' : 'containers'}`;
  return `No agent runs. What the last one left denied${where}${by} is allowed now, in ${many}.`;
}

function leftText({ unknown, shared }: PinnedLift, { app, rule }: LiftRequest): readonly string[] {
  const whose = rule === undefined ? 'whose it is' : 'by which rules, or whose it is';
  return [
    ...(unknown === 0
      ? []
      : [
          `In ${unknown} more, something stays denied of which it is not known ${whose}. ${OR_ALL}`,
        ]),
    ...(shared === 0
      ? []
      : [
          `NOT LIFTED: ${shared} of app ${app ?? ''} have their rules in common with other apps, and without an agent a rule is lifted for all of them or none. Leave out --app, or leave out --rule.`,
        ]),
  ];
}

/** How long it is so. A time is kept for the next agent. Throws UserError if that cannot be done. */
function untilWhen(stateDir: string, { app, rule, forMs }: LiftRequest): string {
  if (forMs === undefined) return `The next agent denies again: ${FOR_GOOD}`;
  const at = clock(Date.now() + forMs);
  try {
    if (!new StoredLifts(stateDir).add({ app, rule }, forMs))
      throw new Error('there are too many lifts already');
  } catch (error) {
    throw new UserError(
      `It is lifted now, but the next agent denies again: the time could not be kept in ${stateDir}: ${String(error)}. ${FOR_GOOD.replace('to', 'To')}`,
      { cause: error },
    );
  }
  return `An agent that starts before ${at} enforces it again at ${at}. Without an agent it stays lifted after that, too.`;
}

function endStored(stateDir: string, { app, rule }: LiftRequest): LiftedWithoutAgent | undefined {
  let ended: number;
  try {
    ended = new StoredLifts(stateDir).end({ app, rule });
  } catch (error) {
    throw new UserError(`The lifts in ${stateDir} cannot be ended: ${String(error)}`, {
      cause: error,
    });
  }
  if (ended === 0) return undefined;
  const what = `${ended} ${ended === 1 ? 'lift' : 'lifts'}`;
  return {
    isDone: true,
    notes: [`No agent runs. Ended ${what}: the next agent enforces from its start.`],
  };
}
