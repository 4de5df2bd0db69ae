import type { CommandOption } from './command-info.ts';

// Options, and an exit code, that several commands have.

export const CONFIG_OPTIONS = {
  config: {
    type: 'string',
    short: 'c',
    value: 'FILE',
    help: 'the configuration (default: $VARVEL_CONFIG, else /etc/varvel/varvel.yaml if it is there)',
  },
  set: {
    type: 'string',
    short: 's',
    multiple: true,
    value: 'KEY=VALUE',
    help: 'one value of the configuration; may be repeated',
  },
} as const satisfies Record<string, CommandOption>;

export const FROM_OPTION = {
  from: {
    type: 'string',
    value: 'SYSTEM',
    help: 'which system the log is from: cf, syslog, docker or kubectl (default: unknown, so it proves nothing)',
  },
} as const satisfies Record<string, CommandOption>;

export const SOURCE_TYPE_OPTION = {
  'source-type': {
    type: 'string',
    value: 'NAME',
    help: 'the source type of the agent’s lines (default: VARVEL)',
  },
} as const satisfies Record<string, CommandOption>;

export const JSON_OPTION = {
  json: { type: 'boolean', help: 'one JSON document instead of text' },
} as const satisfies Record<string, CommandOption>;

/** Of every command. */
export const HELP_OPTION = {
  help: { type: 'boolean', short: 'h', help: 'this text' },
} as const satisfies Record<string, CommandOption>;

export const USAGE = [2, 'the command line is wrong'] as const;
