// The manual page varvel(1), in the macros of man(7), from the table of commands.
import { GROUPS } from '../../src/cli/command-help.ts';
import type { CommandInfo, CommandOption } from '../../src/cli/command-info.ts';
import { COMMANDS, type CommandName } from '../../src/cli/command-table.ts';

const FILES: readonly (readonly [path: string, what: string])[] = [
  ['/etc/varvel/varvel.yaml', 'the configuration, unless --config names another one'],
  ['/etc/varvel/lift', 'while it exists, no response is enforced'],
  ['/var/lib/varvel', 'state: numbers of lines, and lines that wait for a receiver'],
  ['/run/varvel/metrics.sock', 'where the agent answers varvel status, and Prometheus'],
];

/** The whole page. */
export function manPage(): string {
  return [
    '.\\" Made by `npm run generate` from src/cli/command-table.ts.',
    '.TH VARVEL 1 "" varvel "User Commands"',
    '.SH NAME',
    'varvel \\- runtime security for app containers',
    '.SH SYNOPSIS',
    '.B varvel',
    '.I COMMAND',
    '.RI [ OPTIONS ]',
    '.SH DESCRIPTION',
    'Varvel watches the kernel events of app containers, matches Falco-compatible rules, and writes each',
    'detection into the log of the app whose container it was.',
    escaped('Each command has --help; varvel --version prints the version.'),
    ...GROUPS.flatMap(([readers, names]) => [
      `.SH ${quoted(readers.replace(/:$/, '').toUpperCase())}`,
      ...names.flatMap(commandPart),
    ]),
    '.SH FILES',
    ...FILES.flatMap(([path, what]) => ['.TP', `.I ${escaped(path)}`, escaped(what)]),
    '.SH ENVIRONMENT',
    '.TP',
    '.B VARVEL_CONFIG',
    escaped('The configuration file, unless --config names one.'),
    '.TP',
    '.B VARVEL_DEBUG',
    'If it is 1, an unexpected error is printed with its stack.',
    '.SH EXIT STATUS',
    '0 if all is well, 1 if a problem was found or the command failed, 2 if the command line is wrong.',
    '',
  ].join('\n');
}

function commandPart(name: CommandName): string[] {
  const info: CommandInfo = COMMANDS[name];
  return [
    `.SS ${quoted(`varvel ${name} [OPTIONS] ${info.operands}`.trim())}`,
    escaped(`${info.summary[0]?.toUpperCase()}${info.summary.slice(1)}.`),
    ...info.description.flatMap((paragraph) => ['.PP', escaped(paragraph)]),
    ...Object.entries(info.options).flatMap(optionPart),
    '.PP',
    'Examples:',
    ...info.examples.flatMap(([command, what]) => ['.TP', `.B ${quoted(command)}`, escaped(what)]),
    '.PP',
    'Exit codes:',
    ...info.exitCodes.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, escaped(meaning)]),
  ];
}

function optionPart([long, { short, value, help }]: [string, CommandOption]): string[] {
  const names = [...(short === undefined ? [] : [`-${short}`]), `--${long}`].join(', ');
  return ['.TP', `.B ${quoted(value === undefined ? names : `${names} ${value}`)}`, escaped(help)];
}

/** Text in roff: a backslash, a hyphen and a control line’s first character would have a meaning. */
function escaped(text: string): string {
  const plain = text.replaceAll('\\', '\\e').replaceAll('-', '\\-');
  return plain
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll('’', '\\(cq')
    .replaceAll('…', '...')
    .replace(/^\./, '\\&$&');
}

const quoted = (text: string): string => `"${escaped(text).replaceAll('"', '\\(dq')}"`;
