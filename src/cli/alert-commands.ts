import type { CommandInfo } from './command-info.ts';
import { CONFIG_OPTIONS, JSON_OPTION, SOURCE_TYPE_OPTION, USAGE } from './command-options.ts';

/** What carries lines on: to a page, to a program, and the proof that they arrive. */
export const ALERT_COMMANDS = {
  alerts: {
    summary: 'print alert definitions for a log platform, ready to be pasted there',
    operands: '[PLATFORM]',
    description: [
      'Three alerts: what was detected, one page an incident (what one process and those that it started did); silence, when no coverage line came for 15 minutes; loss, when lines or events are missing. All go by the source of a line, as the log platform says, never by its text alone: an app can print anything.',
      'Without PLATFORM: which there are. What is printed begins with where to paste it; if it is JSON, that is on stderr.',
    ],
    options: {
      priority: {
        type: 'string',
        short: 'p',
        value: 'PRIORITY',
        help: 'the least severe that pages (default: warning; with --rule all)',
      },
      rule: {
        type: 'string',
        short: 'r',
        multiple: true,
        value: 'NAME',
        help: 'only this rule; may be repeated',
      },
      app: { type: 'string', short: 'a', value: 'NAME|GUID', help: 'only this app' },
      space: { type: 'string', value: 'NAME', help: 'only apps of this space' },
      from: {
        type: 'string',
        value: 'READER',
        help: 'how its team reads the app’s log, for the alerts’ texts: cf, docker or kubectl (default: cf)',
      },
      webhook: { type: 'string', short: 'w', value: 'URL', help: 'whom to tell' },
      ...SOURCE_TYPE_OPTION,
      field: {
        type: 'string',
        multiple: true,
        value: 'NAME=FIELD',
        help: 'where your log platform keeps index, source_type, rule, priority, app_id, app_name, …',
      },
    },
    examples: [
      ['varvel alerts', 'the platforms'],
      [
        'varvel alerts rsyslog --webhook https://hooks.example.org/x',
        'a script for a drain’s host',
      ],
      ['varvel alerts loki --app shop --space prod -p error', 'one app, and only what is severe'],
      ['varvel alerts loki --from kubectl --app shop --space prod', 'a team on Kubernetes'],
      ['varvel alerts opensearch --field index=app-logs-*', 'an index of another name'],
    ],
    exitCodes: [
      [0, 'they were printed'],
      [
        2,
        'there is no such platform, it cannot say what was asked for, or the command line is wrong',
      ],
    ],
  },
  schema: {
    summary: 'print the JSON Schema of a line, for whoever reads lines by a program',
    operands: 'detection',
    description: [
      'Of a line of JSON, as every stream with format: json writes it: detections, what was done about them, what the agent says of itself, evidence; also where a line was cut (truncated).',
      'JSON Schema 2020-12. The schema of policies is printed by varvel policy --schema.',
    ],
    options: {},
    examples: [['varvel schema detection', 'for a validator or a generator of types']],
    exitCodes: [[0, 'the schema was printed'], USAGE],
  },
  drill: {
    summary: 'trip a rule on purpose, and see whether the alert arrives or which hop is broken',
    operands: '',
    description: [
      'A drill tries to open /varvel-drill/TOKEN in a container of the app, where nothing is. The default rule "Varvel drill" reports it as any other detection, saying that nothing is wrong. Without --run, the command to do it by hand is printed; without any option, nothing else.',
      '--run, --logs: commands for the shell. The action, a line for a shell in the container, is the last argument of --run. --logs is run again when it ends, or followed if it goes on. Who wrote a line is known only where the log system names its source: in cf logs, or in a syslog drain with --from syslog. docker logs and kubectl logs do not name it.',
      'The alert arrives when the token is in the answer of --expect (asked each second: the incidents of who pages you), or in a request to --listen (the drill is the webhook). What counts lines instead of quoting them never has the token: give --logs, by which the incident of the line is found, or --expect-text.',
      'On the agent’s own host, as root, the agent is asked too: does it run, watch the container, have the rule on, and what waits in its streams.',
    ],
    options: {
      run: { type: 'string', short: 'r', value: 'COMMAND', help: 'does the action' },
      logs: { type: 'string', short: 'l', value: 'COMMAND', help: 'prints the app’s log' },
      expect: { type: 'string', short: 'e', value: 'URL', help: 'where the alert is to be seen' },
      listen: {
        type: 'string',
        value: '[HOST:]PORT',
        help: 'be the webhook that the alert is sent to (http; HOST is 127.0.0.1 unless given)',
      },
      header: {
        type: 'string',
        multiple: true,
        value: 'NAME=env:VARIABLE|file:PATH',
        help: 'with --expect, such as a key; may be repeated',
      },
      'expect-text': {
        type: 'string',
        value: 'TEXT',
        help: 'in the alert instead of the token, such as the rule’s name; not there before the drill',
      },
      app: {
        type: 'string',
        short: 'a',
        value: 'NAME',
        help: 'the app, or its container, where a log or a host has several',
      },
      priority: {
        type: 'string',
        short: 'p',
        value: 'PRIORITY',
        help: 'warning (default) or critical, for alerts that only tell of these',
      },
      timeout: {
        type: 'string',
        short: 't',
        value: 'TIME',
        help: 'such as 90s or 10m (default: 5m with --expect or --listen, else 1m)',
      },
      from: {
        type: 'string',
        value: 'SYSTEM',
        help: 'which system the log of --logs is from: cf, syslog, docker or kubectl (default: what its command begins with)',
      },
      ...SOURCE_TYPE_OPTION,
      ...CONFIG_OPTIONS,
      ...JSON_OPTION,
    },
    examples: [
      ['varvel drill', 'what to run by hand, and what to look for'],
      [`varvel drill -r 'cf ssh shop -c' -l 'cf logs shop --recent'`, 'to the app’s log'],
      [`varvel drill -r 'docker exec shop sh -c' --listen 9099`, 'to a webhook'],
      [
        `varvel drill -r 'docker exec shop sh -c' -e https://on.call/api --header X-Key=env:KEY`,
        'to who pages you',
      ],
    ],
    exitCodes: [
      [0, 'the drill came through every hop that was asked about'],
      [1, 'a hop is broken, or the page of --expect cannot be used'],
      USAGE,
    ],
  },
} as const satisfies Record<string, CommandInfo>;
