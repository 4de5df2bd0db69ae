import { COMMANDS } from './command-table.ts';
import type { CommandInfo, CommandOption } from './command-info.ts';
import type { CommandName } from './command-table.ts';
import { wrap } from './text-table.ts';

/** The help of everything. */
export function overview(version: string): string {
  const names = Object.keys(COMMANDS) as CommandName[];
  const width = Math.max(...names.map((name) => name.length));
  return [
    `varvel ${version}: watches app containers and writes each detection into the app’s own log`,
    '',
    'Usage: varvel COMMAND [OPTIONS]',
    '',
    'Commands:',
    ...names.map((name) => `  ${name.padEnd(width)}  ${COMMANDS[name].summary}`),
    '',
    'varvel COMMAND --help has options and examples. Exit codes: 0 ok, 1 a problem was found or it failed,',
    '2 the command line is wrong. VARVEL_DEBUG=1 adds the stack to an unexpected error.',
    '',
  ].join('\n');
}

const HELP_WIDTH = 100;

/** The help of one command. */
export function commandHelp(name: CommandName): string {
  const info: CommandInfo = COMMANDS[name];
  const usage = ['varvel', name, '[OPTIONS]', info.operands]
    .filter((part) => part !== '')
    .join(' ');
  const options = Object.entries({
    ...info.options,
    help: { type: 'boolean', short: 'h', help: 'this text' } satisfies CommandOption,
  }).map(([long, option]: [string, CommandOption]) => [
    `${option.short === undefined ? '    ' : `-${option.short}, `}--${long}${option.value === undefined ? '' : ` ${option.value}`}`,
    option.help,
  ]);
  const codes = info.exitCodes.map(([code, meaning]) => [String(code), meaning]);
  return [
    `varvel ${name}: ${info.summary}`,
    '',
    `Usage: ${usage}`,
    '',
    ...info.description.flatMap((paragraph) => wrap(paragraph, HELP_WIDTH)),
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

function table(rows: readonly (readonly string[])[]): string[] {
  const width = Math.max(...rows.map(([first = '']) => first.length));
  return rows.map(([first = '', second = '']) => `  ${first.padEnd(width)}  ${second}`);
}
