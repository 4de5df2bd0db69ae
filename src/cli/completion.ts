import type { CommandInfo, CommandOption } from './command-info.ts';
import { COMMANDS } from './command-table.ts';
import type { Io } from './io.ts';
import { PRIORITY_NAMES } from '../config/priority-names.ts';
import { UserError } from '../shared/user-error.ts';

/** Shells that `varvel completion` writes a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** What completes an option's value, by how the help names it. Of other values nothing is known. */
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  SYSTEM: ['cf', 'syslog', 'docker', 'kubectl'],
  PRIORITY: PRIORITY_NAMES,
  WHEN: ['auto', 'always', 'never'],
};
const isFile = (value: string | undefined): boolean => value?.includes('FILE') === true;

interface Named extends CommandOption {
  readonly long: string;
}

/** A command as a script needs it. */
interface Completed {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly Named[];
  /** What its operands are: files, or one of these. */
  readonly operands: 'files' | readonly string[];
}

const HELP: Named = { long: 'help', short: 'h', type: 'boolean', help: 'how to use the command' };

function completed(): readonly Completed[] {
  const all: readonly (readonly [string, CommandInfo])[] = Object.entries(COMMANDS);
  return all.map(([name, { summary, options, operands }]) => ({
    name,
    summary,
    options: [...Object.entries(options).map(([long, option]) => ({ ...option, long })), HELP],
    operands: name === 'completion' ? SHELLS : isFile(operands) ? 'files' : [],
  }));
}

/** `varvel completion SHELL`: a script that completes command lines of varvel. Resolves to the exit code 0. */
// Asynchronous like every command.
// eslint-disable-next-line @typescript-eslint/require-await
export async function runCompletion(operands: readonly string[], io: Io): Promise<number> {
  const [shell, ...more] = operands;
  const found = SHELLS.find((one) => one === shell);
  if (found === undefined || more.length > 0)
    throw new UserError(
      `Name one shell: ${SHELLS.join(', ')}. For example: varvel completion bash`,
      { exitCode: 2 },
    );
  io.stdout(SCRIPTS[found](completed()));
  return 0;
}

const SCRIPTS: Readonly<Record<Shell, (commands: readonly Completed[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

const flagsOf = ({ long, short }: Named): readonly string[] => [
  `--${long}`,
  ...(short === undefined ? [] : [`-${short}`]),
];

/** Text in single quotes, of which none may be in it. */
const quoted = (text: string): string => `'${text.replaceAll("'", '’')}'`;

function bashScript(commands: readonly Completed[]): string {
  const values = commands.flatMap(({ name, options }) =>
    options.flatMap((option) => {
      const words = CHOICES[option.value ?? ''];
      if (option.type === 'boolean') return [];
      const patterns = flagsOf(option).map((flag) => quoted(`${name} ${flag}`));
      const answer =
        words === undefined
          ? isFile(option.value)
            ? 'files'
            : 'none'
          : `words ${quoted(words.join(' '))}`;
      return [`    ${patterns.join('|')}) _varvel_${answer}; return ;;`];
    }),
  );
  const own = commands.map(({ name, options, operands }) => {
    const flags = quoted(options.flatMap(flagsOf).join(' '));
    const others =
      operands === 'files'
        ? '_varvel_files'
        : operands.length === 0
          ? '_varvel_none'
          : `_varvel_words ${quoted(operands.join(' '))}`;
    return `    ${name}) if [[ $current == -* ]]; then _varvel_words ${flags}; else ${others}; fi ;;`;
  });
  const first = quoted([...commands.map(({ name }) => name), '--help', '--version'].join(' '));
  return `# Completes varvel in bash. In ~/.bashrc: source <(varvel completion bash)
_varvel_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current"); }
_varvel_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); }
_varvel_none() { COMPREPLY=(); }
_varvel() {
  local current=\${COMP_WORDS[COMP_CWORD]}
  if ((COMP_CWORD == 1)); then _varvel_words ${first}; return; fi
  case "\${COMP_WORDS[1]} \${COMP_WORDS[COMP_CWORD - 1]}" in
${values.join('\n')}
  esac
  case "\${COMP_WORDS[1]}" in
${own.join('\n')}
    *) _varvel_none ;;
  esac
}
complete -F _varvel varvel
`;
}

/** In a specification of _arguments and of _describe these have a meaning. */
const described = (text: string): string => text.replaceAll(/[[\]:\\]/g, '\\$&');

function zshScript(commands: readonly Completed[]): string {
  const ofOption = (option: Named): string => {
    const flags = flagsOf(option);
    const repeats = option.multiple === true ? '*' : '';
    const words = CHOICES[option.value ?? ''];
    const action =
      words === undefined ? (isFile(option.value) ? '_files' : ' ') : `(${words.join(' ')})`;
    const value =
      option.type === 'boolean' ? '' : `:${described(option.value ?? 'VALUE')}:${action}`;
    return flags
      .map((flag) => `      ${quoted(`${repeats}${flag}[${described(option.help)}]${value}`)}`)
      .join(' \\\n');
  };
  const own = commands.map(({ name, options, operands }) => {
    const rest =
      operands === 'files'
        ? '*:file:_files'
        : operands.length === 0
          ? ''
          : `*:word:(${operands.join(' ')})`;
    const lines = [...options.map(ofOption), ...(rest === '' ? [] : [`      ${quoted(rest)}`])];
    return `    ${name}) _arguments \\\n${lines.join(' \\\n')} ;;`;
  });
  return `#compdef varvel
# Completes varvel in zsh: varvel completion zsh > FOLDER/_varvel, where FOLDER is one of $fpath.
_varvel() {
  local -a commands=(
${commands.map(({ name, summary }) => `    ${quoted(`${name}:${described(summary)}`)}`).join('\n')}
  )
  if ((CURRENT == 2)); then _describe command commands; return; fi
  shift words
  ((CURRENT--))
  case $words[1] in
${own.join('\n')}
  esac
}
if [[ $funcstack[1] == _varvel ]]; then _varvel "$@"; else compdef _varvel varvel; fi
`;
}

function fishScript(commands: readonly Completed[]): string {
  const lines = commands.flatMap(({ name, summary, options, operands }) => {
    const within = `complete -c varvel -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c varvel -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
      ...options.map((option) => {
        const short = option.short === undefined ? '' : ` -s ${option.short}`;
        const words = CHOICES[option.value ?? ''];
        const choice = words === undefined ? '' : ` -a ${quoted(words.join(' '))}`;
        const value =
          option.type === 'boolean' ? '' : isFile(option.value) ? ' -r -F' : ` -x${choice}`;
        return `${within} -l ${option.long}${short}${value} -d ${quoted(option.help)}`;
      }),
      ...(operands === 'files' ? [`${within} -F`] : operands.map((word) => `${within} -a ${word}`)),
    ];
  });
  return `# Completes varvel in fish: varvel completion fish > ~/.config/fish/completions/varvel.fish
complete -c varvel -f
${lines.join('\n')}
`;
}
