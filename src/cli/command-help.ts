import { HELP_OPTION } from './command-options.ts';
import { COMMANDS } from './command-table.ts';
import type { CommandInfo, CommandOption } from './command-info.ts';
import type { CommandName } from './command-table.ts';
import { textTable, wrap } from './text-table.ts';

/** Terminals are at least so wide. */
const WIDTH = 80;

/** The commands by who needs them. */
export const GROUPS: readonly (readonly [readers: string, names: readonly CommandName[]])[] = [
  [
    'On a host, for its operator:',
    ['doctor', 'agent', 'status', 'canary', 'lift', 'expose-metrics', 'uninstall', 'demo'],
  ],
  ['For an app’s team:', ['policy', 'suggest', 'pretty', 'report', 'alerts', 'schema', 'drill']],
  ['For who writes rules:', ['explain', 'check', 'test', 'filter', 'fields', 'events']],
  ['For everybody:', ['completion']],
];

/** The help of everything. */
export function overview(version: string): string {
  return [
    `varvel ${version}: watches app containers, and writes each detection into the app’s`,
    'own log',
    '',
    'Usage: varvel COMMAND [OPTIONS]',
    ...GROUPS.flatMap(([readers, names]) => [
      '',
      readers,
      ...table(names.map((name) => [name, COMMANDS[name].summary])),
    ]),
    '',
    'varvel COMMAND --help has options and examples. Exit codes: 0 ok, 1 a problem',
    'was found or it failed, 2 the command line is wrong. VARVEL_DEBUG=1 adds the',
    'stack to an unexpected error.',
    '',
  ].join('\n');
}

/** The help of one command. */
export function commandHelp(name: CommandName): string {
  const info: CommandInfo = COMMANDS[name];
  const usage = ['varvel', name, '[OPTIONS]', info.operands]
    .filter((part) => part !== '')
    .join(' ');
  const options = Object.entries({
    ...info.options,
    ...HELP_OPTION,
  }).map(([long, option]: [string, CommandOption]) => [
    `${option.short === undefined ? '    ' : `-${option.short}, `}--${long}${option.value === undefined ? '' : ` ${option.value}`}`,
    option.help,
  ]);
  const codes = info.exitCodes.map(([code, meaning]) => [String(code), meaning]);
  return [
    ...wrap(`varvel ${name}: ${info.summary}`, WIDTH),
    '',
    `Usage: ${usage}`,
    '',
    ...info.description.flatMap((paragraph) => wrap(paragraph, WIDTH)),
    '',
    'Options:',
    ...table(options),
    '',
    'Examples:',
    ...table(info.examples),
    '',
    'Exit codes:',
    ...table(codes),
    '',
  ].join('\n');
}

const table = (rows: readonly (readonly string[])[]): string[] =>
  textTable(
    rows.map(([first = '', text = '']) => ({ cells: [first], text })),
    WIDTH,
  );
