import { commandsFor } from './action.ts';
import type { DrillAction } from './action.ts';
import { seconds } from './hops.ts';
import type { DrillOutcome, Hop } from './hops.ts';
import type { Io } from '../io.ts';
import { wrap } from '../text-table.ts';

const MARKS: Readonly<Record<Hop['state'], readonly [mark: string, colour: string]>> = {
  ok: ['✓', '32'],
  broken: ['✗', '1;31'],
  'not reached': ['·', '2'],
  'not asked': ['–', '2'],
};

/** What to do by hand, and what to look for then. */
export function instructions(
  action: DrillAction,
  app: string | undefined,
  columns: number,
): string {
  const commands = commandsFor(action, app);
  const width = Math.max(...commands.map(([what]) => what.length));
  return [
    `Drill ${action.token}`,
    '',
    ...wrap(
      `Run one of these${app === undefined ? ', with the name of your app' : ''}. It tries to open a file that is not there; nothing else happens, and the shell may say so:`,
      columns,
    ),
    '',
    ...commands.map(([what, command]) => `  ${what.padEnd(width)}  ${command}`),
    '',
  ].join('\n');
}

/** The same where nothing is waited for: what to look for, and how to have it done. */
export function whatToLookFor(action: DrillAction, app = 'APP'): string {
  return [
    `Then look for ${action.token}:`,
    '',
    `  in the app’s log  a line of the rule "${action.rule}" (${action.priority}), a moment later`,
    '  where you page    an alert of this rule and app, if alert definitions are there (varvel alerts)',
    '',
    'Or have all of it done and timed, and be told which hop is broken:',
    '',
    `  varvel drill --run 'cf ssh ${app} -c' --logs 'cf logs ${app} --recent'`,
    `  varvel drill --run 'docker exec ${app} sh -c' --logs 'docker logs ${app}' --listen 9099`,
    '',
  ].join('\n');
}

/** The hops in a table, then what is broken and what to do. */
export function report(action: DrillAction, outcome: DrillOutcome, io: Io): string {
  const paint = (code: string, text: string): string =>
    io.isTty ? `\x1b[${code}m${text}\x1b[0m` : text;
  const rows = outcome.hops.map((hop) => {
    const { state, atMs, afterMs, tookMs, said } = hop;
    const [mark, colour] = MARKS[state];
    const cells = [
      hop.hop.padEnd(7),
      (atMs === undefined ? '' : new Date(atMs).toISOString().slice(11, 23)).padEnd(12),
      (afterMs === undefined ? '' : `+${seconds(afterMs)}`).padStart(8),
      (tookMs === undefined ? '' : seconds(tookMs)).padStart(8),
    ].join('  ');
    const text = state === 'not asked' ? `not asked: ${said}` : said;
    return `${paint(colour, mark)} ${cells}  ${state === 'ok' ? text : paint(colour, text)}`;
  });
  const title = `Drill ${action.token}: "${action.rule}", ${action.priority}; times in UTC`;
  const head = `  ${'hop'.padEnd(7)}  ${'at'.padEnd(12)}  ${'after'.padStart(8)}  ${'took'.padStart(8)}`;
  return [
    paint('1', title),
    '',
    paint('2', head),
    ...rows.map((row) => row.trimEnd()),
    '',
    ...conclusion(outcome, io.columns, paint),
    '',
  ].join('\n');
}

function conclusion(
  { hops, broken, notes }: DrillOutcome,
  columns: number,
  paint: (code: string, text: string) => string,
): string[] {
  const bullet = (text: string, mark: string): string[] =>
    wrap(text, columns - 2).map((line, at) => `${at === 0 ? mark : ' '} ${line}`);
  if (broken !== undefined)
    return [
      paint('1;31', `Broken: ${broken.hop}.`),
      ...[...broken.advice, ...notes].flatMap((text) => bullet(text, '-')),
    ];
  const whole = hops.filter(({ state }) => state === 'ok').map(({ hop }) => hop);
  const isAsked = hops.some(
    ({ hop, state }) => (hop === 'log' || hop === 'alert') && state !== 'not asked',
  );
  const found = `Whole: ${whole.join(', ')}.${isAsked ? '' : ' Whether it came any further was not asked: --logs, --expect, --listen.'}`;
  return [
    ...wrap(found, columns).map((line) => paint('1;32', line)),
    ...notes.flatMap((text) => bullet(text, '-')),
  ];
}

/** The same for machines. */
export function reportJson(action: DrillAction, outcome: DrillOutcome): string {
  const { token, rule, priority, path } = action;
  const document = {
    token,
    rule,
    priority,
    path,
    ok: outcome.broken === undefined,
    broken: outcome.broken?.hop ?? null,
    advice: outcome.broken?.advice ?? [],
    hops: outcome.hops.map(({ hop, state, atMs, afterMs, tookMs, said }) => ({
      hop,
      state,
      at: atMs === undefined ? null : new Date(atMs).toISOString(),
      after_ms: rounded(afterMs),
      took_ms: rounded(tookMs),
      said,
    })),
    notes: outcome.notes,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms);
}
