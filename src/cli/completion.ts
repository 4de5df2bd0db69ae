import type { CommandInfo, CommandOption } from './command-info.ts';
import { HELP_OPTION } from './command-options.ts';
import { COMMANDS } from './command-table.ts';
import type { Io } from './io.ts';
import { LOG_READERS } from '../alerts/alert-request.ts';
import { PLATFORMS } from '../alerts/platforms.ts';
import { PRIORITY_NAMES } from '../config/priority-names.ts';
import { LOG_SYSTEMS } from '../reading/read-log-line.ts';
import { SCHEMAS } from './schema.ts';
import { UserError } from '../shared/user-error.ts';

/** Shells that `varvel completion` writes a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** What completes a word of a command line: files, or one of these; nothing is known of others. */
type Words = 'files' | readonly string[];

/** By how the help names it. */
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  SYSTEM: LOG_SYSTEMS,
  READER: LOG_READERS,
  PRIORITY: PRIORITY_NAMES,
  WHEN: ['auto', 'always', 'never'],
  SHELL: SHELLS,
  detection: SCHEMAS,
  PLATFORM: PLATFORMS.map(({ name }) => name),
};

function wordsFor(named: string): Words {
  const [word = ''] = /\w+/.exec(named) ?? [];
  return CHOICES[word] ?? (named.includes('FILE') ? 'files' : []);
}

interface CompletedOption extends CommandOption {
  readonly flags: readonly string[];
  readonly long: string;
  /** Of its value; undefined: it has none. */
  readonly words: Words | undefined;
}

/** A command as a script needs it. */
interface Completed {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** Of its operands. */
  readonly words: Words;
}

function completed(): readonly Completed[] {
  const all: readonly (readonly [string, CommandInfo])[] = Object.entries(COMMANDS);
  return all.map(([name, { summary, options, operands }]) => ({
    name,
    summary,
    options: Object.entries({ ...options, ...HELP_OPTION }).map(
      ([long, option]: [string, CommandOption]) => ({
        ...option,
        long,
        flags: [`--${long}`, ...(option.short === undefined ? [] : [`-${option.short}`])],
        words: option.type === 'boolean' ? undefined : wordsFor(option.value ?? ''),
      }),
    ),
    words: wordsFor(operands),
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

/** Text in single quotes, of which none may be in it. */
const quoted = (text: string): string => `'${text.replaceAll("'", '’')}'`;

function bashScript(commands: readonly Completed[]): string {
  const answer = (words: Words): string =>
    words === 'files' ? '_varvel_files' : `_varvel_words ${quoted(words.join(' '))}`;
  const values = commands.flatMap(({ name, options }) =>
    options.flatMap(({ flags, words }) => {
      if (words === undefined) return [];
      const patterns = flags.map((flag) => quoted(`${name} ${flag}`)).join('|');
      return [`    ${patterns}) ${answer(words)}; return ;;`];
    }),
  );
  const own = commands.map(({ name, options, words }) => {
    const flags = answer(options.flatMap((option) => option.flags));
    return `    ${name}) if [[ $current == -* ]]; then ${flags}; else ${answer(words)}; fi ;;`;
  });
  const first = quoted([...commands.map(({ name }) => name), '--help', '--version'].join(' '));
  return `# Completes varvel in bash. In ~/.bashrc: source <(varvel completion bash)
_varvel_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current"); }
_varvel_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); }
_varvel() {
  local current=\${COMP_WORDS[COMP_CWORD]}
  if ((COMP_CWORD == 1)); then _varvel_words ${first}; return; fi
  case "\${COMP_WORDS[1]} \${COMP_WORDS[COMP_CWORD - 1]}" in
${values.join('\n')}
  esac
  case "\${COMP_WORDS[1]}" in
${own.join('\n')}
    *) COMPREPLY=() ;;
  esac
}
complete -F _varvel varvel
`;
}

/** In a specification of _arguments and of _describe these have a meaning. */
const described = (text: string): string => text.replaceAll(/[[\]:\\]/g, '\\$&');

function zshScript(commands: readonly Completed[]): string {
  const action = (words: Words): string =>
    words === 'files' ? '_files' : words.length === 0 ? ' ' : `(${words.join(' ')})`;
  const ofOption = ({ flags, help, multiple, value = '', words }: CompletedOption): string[] => {
    const repeats = multiple === true ? '*' : '';
    const more = words === undefined ? '' : `:${described(value)}:${action(words)}`;
    return flags.map((flag) => `      ${quoted(`${repeats}${flag}[${described(help)}]${more}`)}`);
  };
  const own = commands.map(({ name, options, words }) => {
    const rest = words.length === 0 ? [] : [`      ${quoted(`*:operand:${action(words)}`)}`];
    const lines = [...options.flatMap(ofOption), ...rest];
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
  const choices = (words: Words): string =>
    words === 'files' ? ' -F' : words.length === 0 ? '' : ` -a ${quoted(words.join(' '))}`;
  const lines = commands.flatMap(({ name, summary, options, words }) => {
    const within = `complete -c varvel -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c varvel -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
      ...options.map(({ long, short, help, words: values }) => {
        const flag = `-l ${long}${short === undefined ? '' : ` -s ${short}`}`;
        const value =
          values === undefined ? '' : `${values === 'files' ? ' -r' : ' -x'}${choices(values)}`;
        return `${within} ${flag}${value} -d ${quoted(help)}`;
      }),
      ...(words.length === 0 ? [] : [within + choices(words)]),
    ];
  });
  return `# Completes varvel in fish: varvel completion fish > ~/.config/fish/completions/varvel.fish
complete -c varvel -f
${lines.join('\n')}
`;
}
