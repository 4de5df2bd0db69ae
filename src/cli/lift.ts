import { liftQuery, type LiftAnswer, type LiftRequest } from '../agent/lift-request.ts';
import type { AgentConfig } from '../config/config.ts';
import { parseDurationMs } from '../config/units.ts';
import { askAgent, requireSocket } from '../metrics/endpoint-client.ts';
import type { Lift } from '../responses/lifts.ts';
import { replaceControls } from '../shared/text.ts';
import { UserError } from '../shared/user-error.ts';
import { clock } from './clock.ts';
import { shellWord } from '../shared/shell-word.ts';
import type { Io } from './io.ts';
import { liftWithoutAgent } from './lift-without-agent.ts';

const OTHERWISE =
  'Whether it was lifted is not known then: a file named "lift" beside the configuration lifts everything within a second.';
/** 30 days. */
const MAX_MS = 720 * 3_600_000;
/** The agent also ends denial and gives networks back before it answers. */
const TIMEOUT_MS = 30_000;

/**
 * `varvel lift`: from the moment that it returns the running agent enforces no response, or none to these rules or in this app. Exit
 * code 0 if so, 1 if the agent refused, or if without an agent some of it goes on. Throws UserError if no agent answers.
 */
export async function runLift(
  {
    config,
    json,
    time,
    ...asked
  }: Omit<LiftRequest, 'forMs'> & {
    readonly config: AgentConfig;
    readonly json: boolean;
    /** As given, such as 30m. */
    readonly time: string | undefined;
  },
  io: Io,
): Promise<number> {
  for (const [option, value] of Object.entries({ app: asked.app, rule: asked.rule }))
    if (value === '') throw usage(`--${option} needs a name.`);
  const request = { ...asked, forMs: time === undefined ? undefined : timeOf(time) };
  if (request.end && time !== undefined)
    throw usage('--for says how long a lift goes on: it cannot be used with --end.');
  const without = liftWithoutAgent(config, request);
  if (without !== undefined) {
    const { isDone, ...said } = without;
    const text = said.notes.map(replaceControls).join('\n');
    io.stdout(json ? `${JSON.stringify({ withoutAgent: true, ...said }, null, 2)}\n` : `${text}\n`);
    return isDone ? 0 : 1;
  }
  const { listen } = config.metrics;
  requireSocket(listen);
  const body = await askAgent(listen, `/lift?${liftQuery(request)}`, TIMEOUT_MS, 'POST').catch(
    (error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`${error.message} ${OTHERWISE}`, { cause: error });
    },
  );
  const answer = JSON.parse(body) as LiftAnswer;
  io.stdout(json ? `${JSON.stringify(answer, null, 2)}\n` : formatAnswer(answer, request));
  return answer.refused === undefined ? 0 : 1;
}

function timeOf(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== undefined && ms >= 1000 && ms <= MAX_MS) return ms;
  throw usage(`--for must be a time from 1s to 720h, such as 30m; it is "${text.slice(0, 100)}".`);
}

function usage(message: string): UserError {
  return new UserError(`${message} See varvel lift --help.`, { exitCode: 2 });
}

function formatAnswer({ refused, ended, note, lifts }: LiftAnswer, request: LiftRequest): string {
  const { end } = request;
  const lines: string[] = [];
  if (refused !== undefined) lines.push(refused);
  else if (end) {
    const what = `Ended ${ended} ${ended === 1 ? 'lift' : 'lifts'}`;
    lines.push(lifts.length === 0 ? `${what}: responses are enforced again.` : `${what}.`);
  }
  lines.push(...lifts.map(liftText));
  if (note !== undefined) lines.push(note);
  if (refused === undefined && !end)
    lines.push(
      'Detections go on, and their lines say what would have been done.',
      ...endOf(request, lifts),
    );
  return `${lines.map(replaceControls).join('\n')}\n`;
}

/** What ends a new lift. */
function endOf({ app, rule, forMs }: LiftRequest, lifts: readonly Lift[]): string[] {
  const words = [
    ...(app === undefined ? [] : ['--app', shellWord(app)]),
    ...(rule === undefined ? [] : ['--rule', shellWord(rule)]),
  ];
  const what = words.length === 0 ? 'all lifts' : 'this lift';
  const command = ['varvel lift --end', ...words].join(' ');
  const at = forMs === undefined ? '' : ` at ${clock(Date.now() + forMs)}, or`;
  return [
    `To end ${what}: ${command}`,
    `Without that it ends${at} when the agent ends.`,
    ...(lifts.some(({ by }) => by === 'file')
      ? ['The lift by the file goes on: to end it, remove the file "lift".']
      : []),
  ];
}

/** One lift, for people. */
export function liftText({ app, rule, by, leftMs }: Lift): string {
  const rules = rule === undefined ? 'all rules' : `rule ${JSON.stringify(replaceControls(rule))}`;
  const apps = app === undefined ? 'all apps' : `app ${replaceControls(app)}`;
  const until =
    leftMs === undefined
      ? by === 'file'
        ? ', as long as the file "lift" is beside the configuration'
        : ''
      : `, for ${Math.ceil(leftMs / 60_000)} more minutes`;
  return `LIFTED: no response to ${rules} is enforced in ${apps}${until}`;
}
