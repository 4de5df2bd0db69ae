import { ALERT_COMMANDS } from './alert-commands.ts';
import type { CommandInfo } from './command-info.ts';
import {
  CONFIG_OPTIONS,
  FROM_OPTION,
  JSON_OPTION,
  SOURCE_TYPE_OPTION,
  USAGE,
} from './command-options.ts';
import { HOST_COMMANDS } from './host-commands.ts';
import { POLICY_COMMANDS } from './policy-commands.ts';
import { LIST_COMMANDS, RULE_COMMANDS } from './rule-commands.ts';

/** Every command, in the order of the help. */
export const COMMANDS = {
  agent: {
    summary: 'watch this host’s app containers and report what the rules detect',
    operands: '',
    description: [
      'Runs until SIGTERM or SIGINT: the first stops it in order, a second one at once. SIGHUP reads the rules and their settings again and opens log files anew; a change of their files is noticed without it (watch_config_files). SIGUSR2 starts the agent that is installed by now as its successor.',
      'Every key of the configuration is also an environment variable: streams.file.path is VARVEL_STREAMS_FILE_PATH. Flags win over variables, variables over the file.',
    ],
    options: {
      ...CONFIG_OPTIONS,
      replace: {
        type: 'boolean',
        help: 'replace the running agent without a gap: it ends once this one sees everything',
      },
    },
    examples: [
      ['varvel agent', 'with the defaults: containers labelled varvel.enable=true'],
      ['varvel agent -c /etc/varvel/varvel.yaml', 'with a configuration'],
      [
        'varvel agent -s mode=always -s streams.stdout.enabled=true',
        'every container, and a copy here',
      ],
      ['varvel agent --replace', 'an upgrade: the new version, while the old one runs'],
      ['VARVEL_LOG_LEVEL=debug varvel agent', 'one value by environment'],
    ],
    exitCodes: [[0, 'stopped in order'], [1, 'could not start, or was stopped at once'], USAGE],
  },
  status: {
    summary: 'what the running agent sees: containers, apps, in scope or why not, counters',
    operands: '',
    description: [
      'Asks the agent on this host by its socket (metrics.listen).',
      'What the operator’s rules cost is an estimate: one event in 256 is run rule by rule and measured. A field or macro that several rules read counts for the first of them. Apps’ own rules are measured for every event.',
    ],
    options: {
      ...CONFIG_OPTIONS,
      ...JSON_OPTION,
      rules: { type: 'boolean', help: 'what each rule has cost since the agent’s start' },
    },
    examples: [
      ['varvel status', 'as a table'],
      ['varvel status --rules', 'rules by cost, and apps’ own rules by app'],
      ['varvel status --json', 'everything, for machines'],
    ],
    exitCodes: [
      [0, 'an agent answered, and all is well'],
      [
        1,
        'no agent answers, records or lines were lost, a receiver takes nothing, changed rules were refused (with --rules only that), a runtime is not connected, the canary failed or was not seen, something was denied wrongly, or the disk does not keep the state',
      ],
      USAGE,
    ],
  },
  canary: {
    summary:
      'test the running agent end to end: it trips a rule in a container of its own, and looks for the line in the log system',
    operands: '',
    description: [
      'Asks the agent on this host by its socket (metrics.listen) for a run of its canary now, besides those of canary.interval, and waits for it. The canary is off by default: canary.enabled and canary.app.guid.',
      'A process in a cgroup of the agent’s own does what the rule "Varvel canary" is about. Its line takes the way of every detection and, with canary.read, is looked for in the log system. If its line does not arrive, the output says how far it got.',
    ],
    options: { ...CONFIG_OPTIONS, ...JSON_OPTION },
    examples: [['varvel canary', 'on a cell, after a deployment']],
    exitCodes: [
      [0, 'its line was seen in the log system or, where none is read, left by every stream'],
      [1, 'it was not, or no agent with a canary answers'],
      USAGE,
    ],
  },
  lift: {
    summary:
      'suspend the running agent’s responses, when one does harm: nothing is killed, denied, cut off, paused or restarted',
    operands: '',
    description: [
      'Asks the agent on this host by its socket (metrics.listen). When it returns, nothing more is killed, denied, cut off, paused or restarted. Containers that were cut off have their network back, and paused ones go on. Detections go on, and their lines say what would have been done.',
      'It also works when no agent runs, on what probe.deny_without_agent keeps: the next agent denies again, with --for when that time is over. Then --app and --rule end denial only, and what was paused goes on with a lift of all. A rule in one app (both options) is lifted if no other app has the same table of rules.',
      'With an agent a lift goes on over reloads, until its time is over, --end, or the agent’s end. A file named "lift" beside the configuration lifts everything as well, within a second and for as long as it is there.',
    ],
    options: {
      ...CONFIG_OPTIONS,
      app: { type: 'string', value: 'NAME', help: 'in this app only (default: in all)' },
      rule: {
        type: 'string',
        value: 'NAME',
        help: 'responses to this rule only; * and ? stand for any text (default: to all)',
      },
      for: {
        type: 'string',
        value: 'TIME',
        help: 'as long as that, such as 30m (default: until --end)',
      },
      end: {
        type: 'boolean',
        help: 'end the lift of the same app and rule; without them, all lifts',
      },
      ...JSON_OPTION,
    },
    examples: [
      ['varvel lift', 'everything, at once'],
      ['varvel lift --app shop --for 30m', 'one app, for half an hour'],
      ['varvel lift --end', 'responses are enforced again'],
    ],
    exitCodes: [
      [0, 'it is lifted or, with --end, enforced again'],
      [1, 'the agent refused, no agent answers, or without an agent some of it goes on'],
      USAGE,
    ],
  },
  ...RULE_COMMANDS,
  demo: {
    summary: 'start an app, attack it three ways, and show its log',
    operands: '',
    description: [
      'The app runs in a cgroup of its own, without a container engine. Needs root; leaves nothing behind.',
    ],
    options: {},
    examples: [['sudo varvel demo', 'takes about ten seconds']],
    exitCodes: [
      [0, 'every attack was detected in the app’s log'],
      [1, 'one was not, or the demo cannot run here'],
      USAGE,
    ],
  },
  doctor: {
    summary: 'check what the agent needs on this host and say what to do',
    operands: '',
    description: [
      'Checks the kernel, privileges, cgroups, the native part, Docker, Garden and CRI, the rules, the configuration, folders and memory. As root it also loads the probe and tests it, and says what the response deny can do here.',
    ],
    options: {
      ...CONFIG_OPTIONS,
      ...JSON_OPTION,
      'show-config': { type: 'boolean', help: 'also print the configuration in effect' },
    },
    examples: [
      ['sudo varvel doctor', 'everything'],
      ['sudo varvel doctor --json', 'for machines'],
    ],
    exitCodes: [[0, 'the agent can work here'], [1, 'a check fails'], USAGE],
  },
  completion: {
    summary: 'print a script that completes command lines of varvel in your shell',
    operands: 'SHELL',
    description: ['SHELL is bash, zsh or fish. The script says at its top where it belongs.'],
    options: {},
    examples: [
      ['varvel completion bash', 'for bash; its first line says where it belongs'],
      ['varvel completion zsh', 'for zsh'],
      ['varvel completion fish', 'for fish'],
    ],
    exitCodes: [[0, 'the script was printed'], USAGE],
  },
  ...POLICY_COMMANDS,
  pretty: {
    summary: 'turn a log with detections in it into lines for people',
    operands: '[FILE…]',
    description: [
      'Reads what cf logs, a syslog drain’s file, docker logs, docker compose logs and kubectl logs print; without FILE, standard input. Lines may be of the agent’s format json or text, or Falco’s JSON. Detections are aligned and coloured, with what started the process and the numbers that are missing; all other lines stand behind a bar. At the end, on stderr, how often each rule fired.',
      'Who wrote a line is taken from its source as the log system names it, never from its text: an app can print anything, even whole lines of cf logs. So name the system with --from. Without it, or from docker logs and kubectl logs, which name no source, the app may have printed any detection, and pretty says so. At the end, on stderr: what was left out and what is missing.',
    ],
    options: {
      priority: {
        type: 'string',
        short: 'p',
        value: 'PRIORITY',
        help: 'leave out what is less severe (default: debug, so nothing)',
      },
      only: { type: 'boolean', short: 'o', help: 'leave out the app’s own lines' },
      app: { type: 'string', value: 'NAME', help: 'leave out the detections of other apps' },
      since: {
        type: 'string',
        value: 'TIME',
        help: 'leave out what is older: a time such as 2026-01-31T08:15 (UTC), or how long ago, such as 30m',
      },
      color: {
        type: 'string',
        value: 'WHEN',
        help: 'auto (on a terminal, the default), always or never',
      },
      json: { type: 'boolean', help: 'one JSON object a detection, and nothing else' },
      ...FROM_OPTION,
      ...SOURCE_TYPE_OPTION,
    },
    examples: [
      ['cf logs shop | varvel pretty --from cf', 'as it happens'],
      [
        'cf logs shop --recent | varvel pretty --from cf -o -p warning',
        'what matters, and nothing else',
      ],
      ['docker logs shop 2>&1 | varvel pretty --from docker', 'from a container engine'],
      ['varvel pretty --from syslog drain.log', 'from the file of a syslog drain'],
    ],
    exitCodes: [
      [0, 'the log was read'],
      [2, 'a file cannot be read, or the command line is wrong'],
    ],
  },
  report: {
    summary: 'turn a log with detections in it into a page about an incident (HTML)',
    operands: '[LOGFILE]',
    description: [
      'Reads the logs that pretty reads, and Falco’s own JSON; without LOGFILE, or with -, standard input. The page is one file: it loads nothing, runs nothing, works on a phone and in the dark, and can be mailed.',
      'Who wrote a line is taken from its source as the log system names it, if --from says which system that is: an app can print anything. The page says where each statement comes from, which line numbers are missing, and what was not watched.',
      'Bounds: the first GiB of the log, 200 detections a rule, 2,000 in all, the way in of 5 incidents, 200 characters of what a line is about, 100 rules that are not known here, 1,000 lines of the app’s own (4 before and 2 after a detection), 1,000 processes. What is beyond is counted on the page.',
    ],
    options: {
      output: {
        type: 'string',
        short: 'o',
        value: 'FILE',
        help: 'where the page goes (default: standard output)',
      },
      since: {
        type: 'string',
        value: 'TIME',
        help: 'from then on: 2026-01-31T08:15 (UTC), or how long ago: 30m, 2h',
      },
      until: { type: 'string', value: 'TIME', help: 'up to then' },
      app: { type: 'string', short: 'a', value: 'NAME|GUID', help: 'only this app' },
      id: {
        type: 'string',
        value: 'ID',
        help: 'only five minutes before and after this detection',
      },
      rules: {
        type: 'string',
        short: 'r',
        value: 'FILE',
        multiple: true,
        help: 'rules of your own, so that the page says what they are for, and what to do where a folder runbook is beside; may be repeated',
      },
      ...FROM_OPTION,
      ...SOURCE_TYPE_OPTION,
    },
    examples: [
      ['cf logs shop --recent | varvel report --from cf -o shop.html', 'what just happened'],
      [
        'varvel report --from syslog --id 01M89SH6AYDZ8GZJ2XWG -o it.html drain.log',
        'around one detection',
      ],
      [
        'docker logs -t shop 2>&1 | varvel report --from docker --since 2h -o shop.html',
        'from a container engine',
      ],
    ],
    exitCodes: [
      [0, 'the page was made'],
      [1, 'there is no such detection in the log, or the rule files have errors'],
      [2, 'a file cannot be read or written, or the command line is wrong'],
    ],
  },
  ...ALERT_COMMANDS,
  ...HOST_COMMANDS,
  ...LIST_COMMANDS,
} as const satisfies Record<string, CommandInfo>;

export type CommandName = keyof typeof COMMANDS;
